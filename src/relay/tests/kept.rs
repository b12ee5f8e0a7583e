//! An ingest that the channel keeps.

use super::driver::*;
use crate::relay::*;

fn of_channel(spec: Spec) -> Spec {
    Spec {
        ingest_owner: IngestOwner::Channel,
        ..spec
    }
}

fn claimed(life: &Life, key_stale: bool, broadcast_open: bool) -> Answer {
    Answer::Claimed {
        id: "kept".into(),
        hls_url: "https://platform.example/kept.m3u8".into(),
        dash_url: None,
        key_stale,
        kept: KeptIngest {
            broadcast_open,
            foreign_sessions: vec!["earlier".into()],
            ..KeptIngest::fresh(life.now)
        },
    }
}

/// A relay whose channel keeps an ingest, before any call on it.
fn claiming(spec: Spec, key_stale: bool, broadcast_open: bool) -> Life {
    let mut life = Life::begin(of_channel(spec));
    let answer = claimed(&life, key_stale, broadcast_open);
    life.answer("claim_ingest", answer);
    life
}

fn awaiting(spec: Spec) -> Life {
    let mut life = claiming(spec, false, false);
    life.accept("first");
    assert_eq!(life.phase(), Phase::AwaitingLive);
    life
}

fn live(spec: Spec) -> Life {
    let mut life = awaiting(spec);
    life.feed = Some(true);
    life.wait(10);
    assert_eq!(life.phase(), Phase::Live);
    life
}

fn stopping(spec: Spec) -> Life {
    let mut life = live(spec);
    life.handle(Event::Stop);
    life
}

fn stage(life: &Life) -> IngestStage {
    life.relay.durable().ingest.stage
}

#[test]
fn an_ordinary_show_makes_no_call_on_its_ingest() {
    on_both(|spec| {
        let mut life = stopping(spec);
        life.answer("stop_egress", Answer::Stopped);
        assert_eq!(stage(&life), IngestStage::Released);
        let ready = recording("video", RecordingState::Ready, 10);
        life.take_down(&[ready]);
        assert_eq!(life.phase(), Phase::Ended);
        let ours = [
            "claim_ingest",
            "prepare_egress",
            "start_egress",
            "stop_egress",
        ];
        let others = life.called.iter().filter(|call| !ours.contains(call));
        assert_eq!(others.collect::<Vec<_>>(), [&"poll_recordings"]);
    });
}

#[test]
fn the_first_show_creates_the_ingest_and_leaves_it_to_the_channel() {
    on_both(|spec| {
        let mut life = Life::begin(of_channel(spec));
        life.answer("claim_ingest", Answer::NothingKept);
        life.answer_create();
        assert!(life.relay.durable().holds_kept_ingest());
        life.accept("first");
        life.handle(Event::Stop);
        life.answer("stop_egress", Answer::Stopped);
        assert_eq!(stage(&life), IngestStage::Released);
        life.take_down(&[]);
        assert!(!life.called.contains(&"close_ingest"));
        assert!(!life.called.contains(&"remove_ingest"));
    });
}

#[test]
fn an_ingest_that_is_created_while_stopping_is_removed_with_its_relay() {
    on_both(|spec| {
        let mut life = Life::begin(of_channel(spec));
        life.answer("claim_ingest", Answer::NothingKept);
        if life.is_web() {
            life.answer_acquire("resource");
        }
        life.handle(Event::Stop);
        life.answer_create();
        assert!(!life.relay.durable().holds_kept_ingest());
        life.take_down(&[]);
        assert!(life.called.contains(&"remove_ingest"));
    });
}

#[test]
fn a_stale_key_is_renewed_and_an_open_broadcast_ended_before_the_egress_starts() {
    on_both(|spec| {
        let mut life = claiming(spec, true, true);
        assert!(life.waiting("renew_ingest_key").is_some());
        life.answer("renew_ingest_key", Answer::KeyRenewed);
        assert!(life.waiting("end_broadcast").is_some());
        assert!(life.waiting("start_egress").is_none());
        let session = Some("other".into());
        life.answer("end_broadcast", Answer::BroadcastEnded { session });
        life.accept("first");
        let kept = life.relay.durable().ingest.kept.clone().unwrap();
        assert_eq!(kept.key_version, 1);
        assert_eq!(kept.foreign_sessions, ["earlier", "other"]);
    });
}

#[test]
fn the_last_shows_broadcast_is_not_this_one() {
    on_both(|spec| {
        let mut life = awaiting(spec);
        life.poll_others();
        let earlier = streaming(Some(true), Some("earlier"));
        life.answer("poll_feed", Answer::Feed(earlier));
        assert_eq!(life.phase(), Phase::AwaitingLive);
        assert_eq!(life.relay.durable().recordings, []);
        life.feed = Some(true);
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);
    });
}

#[test]
fn a_manifest_without_a_publisher_or_a_session_proves_nothing() {
    on_both(|spec| {
        let mut life = awaiting(spec);
        life.poll_others();
        let manifest = FeedReading {
            publishing: None,
            watchable: Some(true),
            session: None,
        };
        life.answer("poll_feed", Answer::Feed(manifest));
        assert_eq!(life.phase(), Phase::AwaitingLive);
    });
}

#[test]
fn an_egress_that_is_not_proved_gone_costs_a_new_key() {
    on_both(|spec| {
        let mut life = stopping(spec);
        life.answer("stop_egress", Answer::NotFound);
        assert!(life.waiting("renew_ingest_key").is_some());
        assert_eq!(stage(&life), IngestStage::Ready);
        life.answer("renew_ingest_key", Answer::KeyRenewed);
        assert_eq!(stage(&life), IngestStage::Released);
        assert!(!life.relay.durable().ingest.key_stale);
    });
}

#[test]
fn a_stop_without_an_answer_does_not_let_the_egress_publish_on() {
    on_both(|spec| {
        let mut life = stopping(spec);
        life.wait(4);
        assert!(life.waiting("renew_ingest_key").is_none());
        life.wait(2);
        life.answer("renew_ingest_key", Answer::KeyRenewed);
        assert_eq!(stage(&life), IngestStage::Ready, "the egress still runs");
        life.fail("stop_egress", Class::Rejected, false);
        assert_eq!(stage(&life), IngestStage::Released);
        assert_eq!(life.cleanup_jobs().len(), 1, "the egress alone");
    });
}

/// It may have taken the old key and given no new one.
#[test]
fn a_renewal_that_was_begun_is_finished_although_the_egress_is_gone_meanwhile() {
    on_both(|spec| {
        for crashes in [false, true] {
            let mut life = stopping(spec.clone());
            life.wait(6);
            if crashes {
                life.crash(2);
            } else {
                life.fail("renew_ingest_key", Class::Unavailable, true);
            }
            life.answer("stop_egress", Answer::Stopped);
            assert_eq!(stage(&life), IngestStage::Ready);
            life.wait(10);
            life.answer("renew_ingest_key", Answer::KeyRenewed);
            assert_eq!(stage(&life), IngestStage::Released);
        }
    });
}

#[test]
fn a_key_that_cannot_be_renewed_in_time_is_left_to_a_cleanup_job() {
    on_both(|spec| {
        let mut life = stopping(spec);
        life.answer("stop_egress", Answer::NotFound);
        for _ in 0..20 {
            if life.waiting("renew_ingest_key").is_some() {
                life.fail("renew_ingest_key", Class::Unavailable, false);
            }
            life.wait(3);
        }
        let renew = Cleanup::RenewIngestKey { id: "kept".into() };
        assert!(life.cleanup_jobs().contains(&renew));
        assert_eq!(stage(&life), IngestStage::Released);
        assert!(
            life.relay.durable().ingest.key_stale,
            "the next show renews it"
        );
    });
}

#[test]
fn without_renewal_an_ingest_that_may_be_published_into_is_given_up() {
    on_both(|mut spec| {
        spec.capabilities.renews_key = false;
        let mut life = stopping(spec);
        life.answer("stop_egress", Answer::NotFound);
        assert!(life.relay.durable().ingest.kept.is_none());
        life.take_down(&[recording("video", RecordingState::Ready, 10)]);
        assert!(life.called.contains(&"close_ingest"));
        assert!(life.called.contains(&"remove_ingest"));
    });
}

#[test]
fn a_kept_ingest_that_is_gone_is_replaced_in_the_same_start() {
    on_both(|spec| {
        let mut life = claiming(spec, true, false);
        life.answer("renew_ingest_key", Answer::NotFound);
        assert_eq!(life.phase(), Phase::Provisioning);
        life.answer("claim_ingest", Answer::NothingKept);
        life.answer_create();
        assert!(life.relay.durable().holds_kept_ingest());
    });
}

#[test]
fn the_next_relay_waits_until_the_ingest_is_released() {
    on_both(|spec| {
        let mut life = live(spec);
        life.egress = Some(EgressReading::Exited);
        while life.waiting("renew_ingest_key").is_none() {
            life.wait(5);
        }
        life.handle(Event::Stop);
        assert!(!life.relay.egress_is_down());
        life.answer("renew_ingest_key", Answer::KeyRenewed);
        assert!(life.relay.egress_is_down());
        let mut next = Life::begin(of_channel(push()));
        next.fail("claim_ingest", Class::Unavailable, false);
        assert!(next.waiting("claim_ingest").is_none());
        next.handle(Event::PredecessorDown);
        assert!(next.waiting("claim_ingest").is_some());
    });
}

#[test]
fn recordings_are_searched_for_when_the_broadcast_is_over() {
    on_both(|spec| {
        let window = spec.timing.feed_timeout.as_secs();
        let mut life = stopping(spec);
        life.answer("stop_egress", Answer::Stopped);
        assert_eq!(life.phase(), Phase::Finalizing);
        life.wait(window - 1);
        assert!(life.waiting("poll_recordings").is_none());
        life.wait(2);
        assert!(life.waiting("poll_recordings").is_some());
        // The time for an answer counts from then.
        let patience = 2 * life.relay.durable().spec.timing.recording_timeout.as_secs();
        for _ in 0..patience / 100 {
            if life.waiting("poll_recordings").is_some() {
                life.fail("poll_recordings", Class::Unavailable, false);
            }
            assert_eq!(life.cleanup_jobs(), []);
            life.wait(99);
        }
    });
}

#[test]
fn a_crash_while_stopping_forgets_no_renewal() {
    on_both(|spec| {
        let mut life = stopping(spec);
        life.answer("stop_egress", Answer::NotFound);
        life.crash(2);
        assert!(life.waiting("renew_ingest_key").is_some());
    });
}
