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
    life.answer("disable_ingest", Answer::Disabled);
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
fn the_egress_is_stopped_before_the_ingest_is_disabled() {
    on_both(|spec| {
        let mut life = stopped(spec);
        assert_eq!(life.called.last(), Some(&"stop_egress"));
        assert!(!life.relay.egress_is_down());
        life.answer("stop_egress", Answer::Stopped);
        assert!(life.relay.egress_is_down());
        assert_eq!(life.called.last(), Some(&"disable_ingest"));
    });
}

#[test]
fn a_stop_without_an_answer_does_not_keep_the_ingest_open() {
    on_both(|spec| {
        let mut life = stopped(spec);
        life.now += secs(5);
        life.handle(Event::Tick);
        let disable = life.waiting("disable_ingest");
        assert!(matches!(
            disable,
            Some(Call::DisableIngest { urgent: true, .. })
        ));
    });
}

#[test]
fn what_is_not_down_after_30_s_becomes_a_cleanup_job_and_the_relay_goes_on() {
    on_both(|spec| {
        let mut life = stopped(spec);
        let from = life.now;
        while life.phase() == Phase::Stopping {
            for call in ["stop_egress", "disable_ingest"] {
                if life.waiting(call).is_some() {
                    life.fail(call, Class::Unavailable, true);
                }
            }
            life.wait(1);
        }
        assert!((30..=31).contains(&life.since(from).num_seconds()));
        let cleanup_jobs = life.cleanup_jobs();
        let [
            Cleanup::StopEgress { .. } | Cleanup::DeleteConverter { .. },
            Cleanup::DisableIngest { .. },
        ] = &cleanup_jobs[..]
        else {
            panic!("{cleanup_jobs:?}");
        };
    });
}

#[test]
fn an_egress_that_is_not_found_when_it_is_stopped_is_polled_for_again_by_a_cleanup_job() {
    let polled_for_again_after = |spec: Spec| {
        let mut life = stopped(spec);
        life.answer("stop_egress", Answer::NotFound);
        let disable = life.waiting("disable_ingest");
        let urgent = matches!(disable, Some(Call::DisableIngest { urgent: true, .. }));
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
fn an_ingest_that_is_to_be_kept_is_disabled_and_not_deleted() {
    on_both(|mut spec| {
        spec.keep_ingest = true;
        let mut life = stopped(spec);
        life.take_down(&[recording("video", RecordingState::Ready, 40)]);
        assert_eq!(life.phase(), Phase::Ended);
        assert!(!life.called.contains(&"delete_ingest"));
    });
}

#[test]
fn an_ingest_that_cannot_be_deleted_becomes_a_cleanup_job() {
    let mut life = finalizing(push());
    life.answer(
        "poll_recordings",
        Answer::Recordings(vec![recording("video", RecordingState::Ready, 40)]),
    );
    while life.phase() != Phase::Ended {
        if life.waiting("delete_ingest").is_some() {
            life.fail("delete_ingest", Class::Unavailable, true);
        }
        life.wait(1);
    }
    assert!(matches!(
        life.cleanup_jobs()[..],
        [Cleanup::DeleteIngest { .. }]
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
            for call in ["stop_egress", "disable_ingest"] {
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
