//! Deadlines: what ends or settles a relay when an answer does not come, and what they wait for.

use super::driver::*;
use super::ending::{finalizing, stopped};
use crate::relay::*;

/// Lets this call fail again and again, until the condition holds. Returns how long that took, in seconds.
fn failing(life: &mut Life, call: &str, class: Class, until: impl Fn(&Life) -> bool) -> i64 {
    let from = life.now;
    while !until(life) {
        if life.waiting(call).is_some() {
            life.fail(call, class, true);
        }
        life.wait(1);
    }
    life.since(from).num_seconds()
}

#[test]
fn a_poll_lets_deadlines_fire_again_after_a_recovery() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.seller = Some(false);
        life.wait(50);
        life.crash(600);
        life.wait(6);
        assert_eq!(life.outcome(), Some(OutcomeCode::SellerLeft));
    });
}

#[test]
fn any_answer_lets_deadlines_fire_again_before_the_relay_is_watched() {
    on_both(|spec| {
        let mut life = Life::begin(spec);
        life.crash(600);
        assert_eq!(life.outcome(), None);
        life.answer_create();
        assert_eq!(life.outcome(), Some(OutcomeCode::ProvisioningTimeout));
    });
}

#[test]
fn a_wake_up_is_late_after_more_than_thirty_seconds() {
    for (late, outcome) in [(30, Some(OutcomeCode::MaxDuration)), (31, None)] {
        let mut spec = push();
        spec.timing.max_duration = secs(300);
        let mut life = Life::live(spec);
        let end = life.relay.durable().live_at.unwrap() + secs(300);
        // All polls are open: the deadline is all that is left to wake up for.
        while life.relay.wake_at(life.now) != Some(end) {
            life.now = life.relay.wake_at(life.now).unwrap();
            life.handle(Event::Tick);
        }
        life.now = end + secs(late);
        life.handle(Event::Tick);
        assert_eq!(life.outcome(), outcome, "{late} s");
    }
}

#[test]
fn a_provisioning_timeout_has_the_code_of_the_last_failure_if_that_may_have_gone_on() {
    for (class, code) in [
        (Class::Conflict, OutcomeCode::ProvisioningTimeout),
        (Class::Unauthorized, OutcomeCode::VendorUnauthorized),
        (Class::RateLimited, OutcomeCode::VendorRateLimited),
    ] {
        let mut life = Life::begin(push());
        life.fail("create_ingest", class, false);
        life.wait(120);
        assert_eq!(life.outcome(), Some(code), "{class:?}");
    }
}

#[test]
fn a_stop_that_is_under_way_is_waited_for_and_becomes_a_cleanup_job_when_it_fails() {
    on_both(|spec| {
        let mut life = stopped(spec);
        life.wait(5);
        life.answer("close_ingest", Answer::Closed);
        life.wait(60);
        assert_eq!(
            (life.phase(), life.cleanup_jobs().len()),
            (Phase::Stopping, 0)
        );
        life.fail("stop_egress", Class::Timeout, true);
        assert_eq!(
            (life.phase(), life.cleanup_jobs().len()),
            (Phase::Finalizing, 1)
        );
    });
}

#[test]
fn an_ingest_that_may_have_been_created_becomes_a_cleanup_job_after_30_s() {
    let mut life = Life::begin(push());
    life.handle(Event::Stop);
    let ended = |life: &Life| life.phase() == Phase::Ended;
    let took = failing(&mut life, "create_ingest", Class::Timeout, ended);
    assert!((30..=45).contains(&took), "{took}");
    let tag = life.relay.durable().spec.tag(1).to_string();
    assert_eq!(life.cleanup_jobs(), [Cleanup::FindIngest { tag }]);
}

#[test]
fn a_search_for_recordings_that_hangs_is_waited_for_and_then_given_up() {
    on_both(|spec| {
        let mut life = finalizing(spec);
        life.wait(3000);
        assert_eq!(life.cleanup_jobs(), []);
        life.fail("poll_recordings", Class::Timeout, false);
        assert!(life.waiting("remove_ingest").is_some());
    });
}

#[test]
fn a_search_for_recordings_without_an_answer_is_given_up_after_twice_the_timeout() {
    on_both(|spec| {
        let mut life = finalizing(spec);
        let over = |life: &Life| life.waiting("remove_ingest").is_some();
        let took = failing(&mut life, "poll_recordings", Class::Unavailable, over);
        assert!((1200..=1201).contains(&took), "{took}");
        let jobs = life.journal.iter().filter_map(|(at, fact)| match fact {
            Fact::CleanupAdded { cleanup_job } => Some((*at, cleanup_job)),
            _ => None,
        });
        let [(given_up, job)] = jobs.collect::<Vec<_>>()[..] else {
            panic!("{:?}", life.cleanup_jobs());
        };
        assert_eq!(job.due, given_up + secs(3600), "it is searched for later");
        assert_eq!(job.expires, Some(given_up + secs(25 * 3600)));
    });
}

#[test]
fn a_recording_that_was_seen_before_the_relay_was_live_is_missed() {
    on_both(|spec| {
        let mut life = Life::awaiting(spec);
        let reading = streaming(Some(false), Some("video"));
        life.answer("poll_feed", Answer::Feed(reading));
        life.handle(Event::Stop);
        life.answer("stop_egress", Answer::Stopped);
        life.answer("close_ingest", Answer::Closed);
        while life.waiting("remove_ingest").is_none() {
            if life.waiting("poll_recordings").is_some() {
                let processing = recording("video", RecordingState::Processing, 0);
                life.answer("poll_recordings", Answer::Recordings(vec![processing]));
            }
            life.wait(1);
        }
        assert_eq!(life.announced.last(), Some(&Announcement::RecordingMissing));
    });
}

#[test]
fn a_stop_for_a_replacement_that_keeps_failing_ends_the_relay_at_feed_timeout() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        while life.waiting("stop_egress").is_none() {
            life.wait(1);
        }
        let over = |life: &Life| life.outcome().is_some();
        let took = failing(&mut life, "stop_egress", Class::Unavailable, over);
        assert!((180..=182).contains(&took), "{took}");
        assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
    });
}

#[test]
fn a_third_egress_without_a_feed_ends_the_relay() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        for id in ["second", "third"] {
            life.egress = Some(EgressReading::Exited);
            life.wait(16);
            life.egress = Some(EgressReading::Connecting);
            life.answer("renew_ingest_key", Answer::KeyRenewed);
            life.accept(id);
        }
        life.wait(179);
        assert_eq!(life.phase(), Phase::Interrupted);
        life.wait(1);
        assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
    });
}
