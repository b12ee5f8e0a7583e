//! Relays on platforms that promise less.

use super::driver::*;
use crate::relay::*;

/// On both backends, with one promise less.
fn without(change: impl Fn(&mut Capabilities), promise: impl Fn(Spec)) {
    on_both(|mut spec| {
        change(&mut spec.capabilities);
        promise(spec);
    });
}

fn no_key(capabilities: &mut Capabilities) {
    capabilities.create_repeat = CreateRepeat::LookUp;
}

fn no_renewal(capabilities: &mut Capabilities) {
    capabilities.renews_key = false;
}

fn ingest(others: &[&str]) -> Answer {
    Answer::Ingest {
        id: "oldest".into(),
        hls_url: "https://platform.example/oldest.m3u8".into(),
        dash_url: None,
        settings_refused: Vec::new(),
        others: others.iter().map(|id| (*id).into()).collect(),
    }
}

fn until_waiting(life: &mut Life, call: &str) {
    for _ in 0..1_000 {
        if life.waiting(call).is_some() {
            return;
        }
        life.wait(1);
    }
    panic!("no {call}, but {:?}", life.open);
}

#[test]
fn without_a_key_a_creation_without_an_answer_is_looked_up_before_another_is_made() {
    without(no_key, |spec| {
        let first_tag = spec.tag(1).to_string();
        let mut life = Life::begin(spec);
        life.fail("create_ingest", Class::Timeout, true);
        until_waiting(&mut life, "find_ingest");
        assert!(life.waiting("create_ingest").is_none());
        life.fail("find_ingest", Class::Unavailable, false);
        until_waiting(&mut life, "find_ingest");
        life.answer("find_ingest", Answer::NotFound);
        assert_eq!(
            life.waiting("create_ingest"),
            Some(&Call::CreateIngest { attempt: 2 })
        );
        let searched_again = Cleanup::FindIngest { tag: first_tag };
        assert_eq!(life.cleanup_jobs(), [searched_again], "a list may lag");
        life.answer_create();
        assert_eq!(life.relay.durable().ingest.stage, IngestStage::Ready);
    });
}

#[test]
fn look_ups_that_find_nothing_are_followed_at_once_and_then_with_growing_waits() {
    without(no_key, |spec| {
        let mut life = Life::begin(spec);
        let mut waits = Vec::new();
        for _ in 0..4 {
            life.fail("create_ingest", Class::Timeout, true);
            until_waiting(&mut life, "find_ingest");
            life.answer("find_ingest", Answer::NotFound);
            let from = life.now;
            until_waiting(&mut life, "create_ingest");
            waits.push(life.since(from).num_seconds());
        }
        assert_eq!(waits[0], 0);
        assert!(waits.is_sorted() && waits[3] >= 3, "{waits:?}");
    });
}

#[test]
fn without_a_key_a_creation_that_was_certainly_refused_is_repeated_at_once() {
    without(no_key, |spec| {
        let mut life = Life::begin(spec);
        life.fail("create_ingest", Class::Unavailable, false);
        until_waiting(&mut life, "create_ingest");
        assert_eq!(
            life.waiting("create_ingest"),
            Some(&Call::CreateIngest { attempt: 1 })
        );
    });
}

#[test]
fn without_a_key_a_creation_is_looked_up_after_a_crash() {
    without(no_key, |spec| {
        let mut life = Life::begin(spec);
        life.crash(5);
        assert!(life.waiting("find_ingest").is_some());
        assert!(life.waiting("create_ingest").is_none());
    });
}

#[test]
fn of_several_ingests_with_a_tag_the_oldest_is_kept_and_the_others_are_removed() {
    without(no_key, |spec| {
        let mut life = Life::begin(spec);
        life.fail("create_ingest", Class::Timeout, true);
        until_waiting(&mut life, "find_ingest");
        life.answer("find_ingest", ingest(&["younger", "youngest"]));
        let removed = ["younger", "youngest"].map(|id| Cleanup::RemoveIngest { id: id.into() });
        assert_eq!(life.cleanup_jobs(), removed);
        let kept = &life.relay.durable().ingest;
        assert_eq!(
            (kept.stage, kept.id.as_deref()),
            (IngestStage::Ready, Some("oldest"))
        );
    });
}

#[test]
fn without_a_key_a_stop_looks_a_creation_in_doubt_up_and_leaves_another_search() {
    without(no_key, |spec| {
        let tag = spec.tag(1).to_string();
        let mut life = Life::begin(spec);
        life.fail("create_ingest", Class::Timeout, true);
        life.handle(Event::Stop);
        until_waiting(&mut life, "find_ingest");
        life.answer("find_ingest", Answer::NotFound);
        assert_eq!(life.cleanup_jobs(), [Cleanup::FindIngest { tag }]);
        assert_eq!(
            life.relay.durable().ingest.stage,
            IngestStage::Settled,
            "the cleanup job has it"
        );
    });
}

/// The recordings are settled, and the ingest is to be removed.
fn removing(spec: Spec) -> Life {
    let mut life = Life::live(spec);
    life.handle(Event::Stop);
    life.answer("stop_egress", Answer::Stopped);
    life.answer("close_ingest", Answer::Closed);
    let recordings = vec![recording("video", RecordingState::Ready, 40)];
    life.answer("poll_recordings", Answer::Recordings(recordings));
    assert!(life.waiting("remove_ingest").is_some());
    life
}

fn still_live() -> Answer {
    let retry_after = secs(8);
    Answer::StillLive { retry_after }
}

#[test]
fn an_ingest_whose_broadcast_goes_on_is_removed_when_the_platform_says() {
    on_both(|spec| {
        let mut life = removing(spec);
        for _ in 0..4 {
            life.answer("remove_ingest", still_live());
            life.wait(7);
            assert!(life.waiting("remove_ingest").is_none());
            life.wait(1);
            assert_eq!(life.phase(), Phase::Finalizing);
        }
        assert_eq!(life.relay.last_failure(), None);
        life.answer("remove_ingest", Answer::Removed);
        assert_eq!((life.phase(), life.cleanup_jobs()), (Phase::Ended, vec![]));
    });
}

#[test]
fn an_ingest_whose_broadcast_does_not_end_is_left_to_a_cleanup_job_after_a_minute() {
    on_both(|spec| {
        let mut life = removing(spec);
        let from = life.now;
        while life.phase() == Phase::Finalizing {
            life.answer("remove_ingest", still_live());
            life.wait(8);
        }
        assert!((60..=80).contains(&life.since(from).num_seconds()));
        let id = "input".into();
        assert_eq!(life.cleanup_jobs(), [Cleanup::RemoveIngest { id }]);
    });
}

#[test]
fn without_a_renewal_an_egress_that_is_proved_gone_is_replaced_on_the_same_key() {
    without(no_renewal, |spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Exited);
        life.called.clear();
        life.wait(16);
        life.accept("second");
        assert!(!life.called.contains(&"renew_ingest_key"));
        life.feed = Some(true);
        life.egress = Some(EgressReading::Publishing);
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);
        assert_eq!(life.relay.durable().replacements, 1);
    });
}

#[test]
fn without_a_renewal_an_egress_that_was_stopped_is_replaced() {
    without(no_renewal, |spec| {
        let mut life = Life::without_feed(spec);
        until_waiting(&mut life, "stop_egress");
        life.answer("stop_egress", Answer::Stopped);
        life.accept("second");
        assert_eq!(life.relay.durable().replacements, 1);
    });
}

#[test]
fn without_a_renewal_an_egress_that_may_come_back_is_waited_for_and_not_replaced() {
    without(no_renewal, |spec| {
        let mut life = Life::live(spec);
        life.egress = Some(EgressReading::NotFound);
        life.feed = Some(false);
        life.handle(Event::Hint(Hint::FeedDisconnected));
        life.wait(170);
        assert_eq!(life.phase(), Phase::Interrupted, "it may be back in time");
        until_waiting(&mut life, "stop_egress");
        let from = life.now;
        while life.phase() == Phase::Interrupted {
            if life.waiting("stop_egress").is_some() {
                life.answer("stop_egress", Answer::NotFound);
            }
            life.wait(1);
        }
        assert!((60..=122).contains(&life.since(from).num_seconds()));
        assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
        assert_eq!(life.relay.durable().replacements, 0);
        assert!(matches!(life.cleanup_jobs()[..], [Cleanup::StopEgress(_)]));
        let closed = life.waiting("close_ingest");
        assert!(
            matches!(closed, Some(Call::CloseIngest { urgent: true, .. })),
            "it must not publish when it is back"
        );
    });
}

#[test]
fn where_there_are_no_recordings_none_is_searched_for_or_missed() {
    for kept in [RecordingsKept::Nowhere, RecordingsKept::Unread] {
        let change = |c: &mut Capabilities| c.recordings = kept;
        without(change, |spec| {
            let mut life = Life::live(spec);
            life.handle(Event::Stop);
            life.answer("stop_egress", Answer::Stopped);
            life.answer("close_ingest", Answer::Closed);
            life.answer("remove_ingest", Answer::Removed);
            assert_eq!(life.phase(), Phase::Ended);
            assert!(!life.called.contains(&"poll_recordings"));
            assert!(!life.announced.contains(&Announcement::RecordingMissing));
        });
    }
}

#[test]
fn a_recording_has_a_location_and_no_url_where_another_service_plays_it() {
    let mut kept = recording("video", RecordingState::Ready, 40);
    let location = "s3://bucket/shows/2026".into();
    kept.place = Some(RecordingPlace::Elsewhere { location });
    assert_eq!(
        (kept.hls_url(), kept.dash_url(), kept.thumbnail_url()),
        (None, None, None)
    );
    assert!(!kept.is_open());
}

#[test]
fn a_recording_that_is_ready_and_not_final_is_polled_until_it_is() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.handle(Event::Stop);
        life.answer("stop_egress", Answer::Stopped);
        life.answer("close_ingest", Answer::Closed);
        let mut growing = recording("video", RecordingState::Ready, 30);
        growing.is_final = false;
        life.answer("poll_recordings", Answer::Recordings(vec![growing]));
        assert!(life.waiting("remove_ingest").is_none(), "it is still open");
        until_waiting(&mut life, "poll_recordings");
        let last = vec![recording("video", RecordingState::Ready, 40)];
        life.answer("poll_recordings", Answer::Recordings(last));
        assert!(life.waiting("remove_ingest").is_some());
        assert_eq!(life.relay.durable().recorded_seconds(), Some(40));
        let ready = life.announced.iter();
        let ready = ready.filter(|a| **a == Announcement::RecordingReady);
        assert_eq!(ready.count(), 1);
    });
}
