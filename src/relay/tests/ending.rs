//! Stops, and taking egress and ingest down.

use super::driver::*;
use crate::relay::*;

pub(super) fn stopped(spec: Spec) -> Life {
    let mut life = Life::live(spec);
    life.wait(60);
    life.handle(Event::Stop);
    life
}

/// Egress and ingest are down, and a poll for recordings is open.
pub(super) fn finalizing(spec: Spec) -> Life {
    let mut life = stopped(spec);
    life.answer("stop_egress", Answer::Stopped);
    life.answer("close_ingest", Answer::Closed);
    assert_eq!(life.phase(), Phase::Finalizing);
    life
}

#[test]
fn a_stop_ends_a_relay_in_every_phase_and_a_second_stop_is_ignored() {
    type Before = fn(Spec) -> Life;
    let phases: [(Before, OutcomeCode); 5] = [
        (Life::begin, OutcomeCode::Cancelled),
        (Life::starting, OutcomeCode::Cancelled),
        (Life::awaiting, OutcomeCode::Cancelled),
        (Life::live, OutcomeCode::StoppedByRequest),
        (Life::without_feed, OutcomeCode::StoppedByRequest),
    ];
    for (before, code) in phases {
        on_both(|spec| {
            let mut life = before(spec);
            life.handle(Event::Stop);
            assert_eq!(
                (life.phase(), life.outcome()),
                (Phase::Stopping, Some(code))
            );
            let again = life.handle(Event::Stop);
            assert_eq!(again.ignored, Some(Ignored::Inapplicable));
            assert_eq!(life.announced.last(), Some(&Announcement::Stopped));
        });
    }
}

#[test]
fn the_egress_is_stopped_before_the_ingest_is_closed() {
    on_both(|spec| {
        let mut life = stopped(spec);
        assert_eq!(life.called.last(), Some(&"stop_egress"));
        assert!(!life.relay.egress_is_down());
        life.answer("stop_egress", Answer::Stopped);
        assert!(life.relay.egress_is_down());
        assert_eq!(life.called.last(), Some(&"close_ingest"));
    });
}

#[test]
fn a_stop_without_an_answer_does_not_keep_the_ingest_open() {
    on_both(|spec| {
        let mut life = stopped(spec);
        life.now += secs(5);
        life.handle(Event::Tick);
        let close = life.waiting("close_ingest");
        assert!(matches!(
            close,
            Some(Call::CloseIngest { urgent: true, .. })
        ));
    });
}

#[test]
fn what_is_not_down_after_30_s_becomes_a_cleanup_job_and_the_relay_goes_on() {
    on_both(|spec| {
        let mut life = stopped(spec);
        let from = life.now;
        while life.phase() == Phase::Stopping {
            for call in ["stop_egress", "close_ingest"] {
                if life.waiting(call).is_some() {
                    life.fail(call, Class::Unavailable, true);
                }
            }
            life.wait(1);
        }
        assert!((30..=31).contains(&life.since(from).num_seconds()));
        let cleanup_jobs = life.cleanup_jobs();
        let [Cleanup::StopEgress(_), Cleanup::CloseIngest { .. }] = &cleanup_jobs[..] else {
            panic!("{cleanup_jobs:?}");
        };
    });
}

#[test]
fn an_egress_that_is_not_found_when_it_is_stopped_is_polled_for_again_by_a_cleanup_job() {
    let polled_for_again_after = |spec: Spec| {
        let mut life = stopped(spec);
        life.answer("stop_egress", Answer::NotFound);
        let close = life.waiting("close_ingest");
        let urgent = matches!(close, Some(Call::CloseIngest { urgent: true, .. }));
        assert!(urgent, "it may still run");
        let due = life.journal.iter().find_map(|(_, fact)| match fact {
            Fact::CleanupAdded { cleanup_job } => Some(cleanup_job.due),
            _ => None,
        });
        (due.unwrap() - life.now).num_milliseconds()
    };
    on_both(|mut spec| {
        assert_eq!(polled_for_again_after(spec.clone()), 30_000);
        spec.timing.not_found_backoff = [1, 1, 3].map(secs).to_vec();
        assert_eq!(
            polled_for_again_after(spec),
            1_250,
            "a quarter of its own back-off"
        );
    });
}

#[test]
fn an_ingest_that_is_to_be_kept_is_closed_and_not_removed() {
    on_both(|mut spec| {
        spec.keep_ingest = true;
        let mut life = stopped(spec);
        life.take_down(&[recording("video", RecordingState::Ready, 40)]);
        assert_eq!(life.phase(), Phase::Ended);
        assert!(!life.called.contains(&"remove_ingest"));
    });
}

#[test]
fn an_ingest_that_cannot_be_removed_becomes_a_cleanup_job() {
    let mut life = finalizing(push());
    life.answer(
        "poll_recordings",
        Answer::Recordings(vec![recording("video", RecordingState::Ready, 40)]),
    );
    while life.phase() != Phase::Ended {
        if life.waiting("remove_ingest").is_some() {
            life.fail("remove_ingest", Class::Unavailable, true);
        }
        life.wait(1);
    }
    assert!(matches!(
        life.cleanup_jobs()[..],
        [Cleanup::RemoveIngest { .. }]
    ));
}

#[test]
fn an_egress_is_charged_from_acceptance_to_its_end() {
    let mut life = Life::live(web());
    let accepted = life.relay.durable().started_at.unwrap();
    life.wait(300);
    life.handle(Event::Stop);
    life.answer("stop_egress", Answer::Stopped);
    let ran = u64::try_from((life.now - accepted).num_seconds()).unwrap();
    assert_eq!(life.relay.durable().egress_seconds, ran);
}

#[test]
fn a_stop_with_refused_credentials_is_retried_for_30_s_before_it_becomes_a_cleanup_job() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.handle(Event::Stop);
        let stopped = life.now;
        while life.phase() == Phase::Stopping {
            for call in ["stop_egress", "close_ingest"] {
                if life.waiting(call).is_some() {
                    life.fail(call, Class::Unauthorized, false);
                }
            }
            life.wait(1);
        }
        assert!((30..=32).contains(&life.since(stopped).num_seconds()));
        assert_eq!(life.cleanup_jobs().len(), 2);
    });
}

#[test]
fn the_channels_next_relay_may_start_its_egress_when_this_ones_can_be_no_more() {
    assert!(!Life::live(push()).relay.egress_is_down());
    let mut life = Life::begin(web());
    life.handle(Event::Stop);
    assert!(!life.relay.egress_is_down(), "a call is under way");
    life.answer_acquire("resource");
    assert!(life.relay.egress_is_down());
}

#[test]
fn the_ingest_is_closed_at_once_when_the_stop_of_the_egress_has_failed() {
    on_both(|spec| {
        let mut life = stopped(spec);
        assert_eq!(life.waiting("close_ingest"), None);
        life.fail("stop_egress", Class::Unavailable, false);
        assert!(life.waiting("close_ingest").is_some());
    });
}

#[test]
fn what_a_vendor_refuses_to_take_down_becomes_a_cleanup_job_at_once() {
    on_both(|spec| {
        let mut life = stopped(spec);
        life.fail("stop_egress", Class::Rejected, false);
        assert_eq!(life.cleanup_jobs().len(), 1);
        life.fail("close_ingest", Class::Rejected, false);
        assert_eq!(life.cleanup_jobs().len(), 2);
        assert_eq!(life.phase(), Phase::Finalizing);
        let recordings = vec![recording("video", RecordingState::Ready, 40)];
        life.answer("poll_recordings", Answer::Recordings(recordings));
        life.fail("remove_ingest", Class::Rejected, false);
        assert_eq!(life.cleanup_jobs().len(), 3);
        assert_eq!(life.phase(), Phase::Ended);
    });
}

#[test]
fn an_ingest_is_removed_in_three_tries_before_that_becomes_a_cleanup_job() {
    let mut life = finalizing(push());
    let recordings = vec![recording("video", RecordingState::Ready, 40)];
    life.answer("poll_recordings", Answer::Recordings(recordings));
    for _ in 0..3 {
        assert_eq!(life.phase(), Phase::Finalizing);
        life.fail("remove_ingest", Class::Unavailable, true);
        life.wait(5);
    }
    assert_eq!(life.phase(), Phase::Ended);
}

#[test]
fn a_creation_in_doubt_is_repeated_after_a_stop_and_what_it_created_is_closed() {
    let mut life = Life::begin(push());
    life.handle(Event::Stop);
    life.fail("create_ingest", Class::Timeout, true);
    assert_eq!(life.cleanup_jobs(), []);
    life.wait(2);
    life.answer_create();
    assert!(life.waiting("close_ingest").is_some());

    let mut life = Life::begin(push());
    life.fail("create_ingest", Class::Timeout, true);
    life.wait(2);
    life.handle(Event::Stop);
    life.fail("create_ingest", Class::Rejected, false);
    assert!(matches!(
        life.cleanup_jobs()[..],
        [Cleanup::FindIngest { .. }]
    ));
}

#[test]
fn a_relay_is_not_taken_down_while_a_call_is_under_way() {
    let mut life = Life::begin(web());
    life.handle(Event::Stop);
    life.fail("create_ingest", Class::Rejected, false);
    assert_eq!(life.phase(), Phase::Stopping, "the acquire is under way");
    life.answer_acquire("resource");
    assert_eq!(life.phase(), Phase::Ended);

    let mut life = Life::begin(web());
    life.handle(Event::Stop);
    life.answer_acquire("resource");
    assert_eq!(life.phase(), Phase::Stopping, "the creation is under way");
    life.fail("create_ingest", Class::Rejected, false);
    assert_eq!(life.phase(), Phase::Ended);
}

#[test]
fn an_egress_is_stopped_by_its_ids_and_its_cleanup_job_expires_an_hour_after_its_backend_ends_it() {
    let mut life = Life::live(web());
    let accepted = life.relay.durable().started_at.unwrap();
    life.handle(Event::Stop);
    let Some(Call::StopEgress(egress)) = life.waiting("stop_egress") else {
        panic!("{:?}", life.open);
    };
    let expected = EgressRef {
        backend: life.relay.durable().spec.egress.backend.clone(),
        tag: life.relay.durable().spec.tag(1).to_string(),
        preparations: vec![handle("resource-first")],
        handle: Some(handle("first")),
    };
    assert_eq!(*egress, expected);
    let step = life.fail("stop_egress", Class::Rejected, false);
    let jobs: Vec<&CleanupJob> = step.cleanup_jobs().collect();
    let [job] = jobs[..] else {
        panic!("{jobs:?}");
    };
    assert_eq!(job.cleanup.target(), "first");
    assert_eq!(job.expires, Some(accepted + secs(4 * 3600)));
}

#[test]
fn the_time_of_a_phase_is_that_of_its_beginning() {
    let mut life = Life::live(push());
    let live_at = life.relay.durable().live_at;
    life.wait(60);
    life.handle(Event::Hint(Hint::SellerJoined));
    assert_eq!(Some(life.relay.durable().phase_since), live_at);
    life.handle(Event::Stop);
    assert_eq!(life.relay.durable().phase_since, life.now);
}

#[test]
fn the_status_follows_the_phase_and_then_the_outcome() {
    let status = |life: &Life| life.relay.durable().relay_status();
    assert_eq!(status(&Life::begin(push())), RelayStatus::Starting);
    assert_eq!(status(&Life::awaiting(push())), RelayStatus::Starting);
    assert_eq!(status(&Life::live(push())), RelayStatus::Active);
    assert_eq!(status(&Life::without_feed(push())), RelayStatus::Active);
    assert_eq!(status(&stopped(push())), RelayStatus::Stopped);
    let mut life = Life::begin(push());
    life.fail("create_ingest", Class::Rejected, false);
    assert_eq!(status(&life), RelayStatus::Failed);
}

#[test]
fn messages_are_numbered_without_a_gap() {
    let mut life = stopped(push());
    assert_eq!(life.relay.durable().announced, 3);
    life.answer("stop_egress", Answer::Stopped);
    life.answer("close_ingest", Answer::Closed);
    let recordings = vec![recording("video", RecordingState::Ready, 40)];
    let step = life.answer("poll_recordings", Answer::Recordings(recordings));
    assert_eq!(step.announcements, [(4, Announcement::RecordingReady)]);
    let step = life.answer("remove_ingest", Answer::Removed);
    assert_eq!(step.announcements, [(5, Announcement::Ended)]);
}
