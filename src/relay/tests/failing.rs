//! Starts that are refused, or that get no permit.

use super::driver::*;
use crate::relay::*;

#[test]
fn a_permanent_refusal_ends_a_start_with_its_own_code_and_leaves_nothing() {
    let cases = [
        (Class::Rejected, OutcomeCode::VendorRejected),
        (Class::Quota, OutcomeCode::VendorQuota),
    ];
    for (class, code) in cases {
        on_both(|spec| {
            let mut life = Life::begin(spec.clone());
            life.fail("create_ingest", class, false);
            if life.is_web() {
                life.answer_acquire("resource");
            }
            assert_eq!(life.outcome(), Some(code));
            assert_eq!(life.phase(), Phase::Ended, "there is nothing to take down");

            let mut life = Life::starting(spec);
            life.fail(life.start_call(), class, false);
            assert_eq!(life.outcome(), Some(code));
            let failure = life.detail().failure.unwrap();
            assert_eq!((failure.class, &*failure.message), (class, "words"));
            life.take_down(&[]);
            assert_eq!(life.phase(), Phase::Ended);
            assert!(life.called.contains(&"delete_ingest"));
            assert_eq!(life.cleanup_jobs(), [], "the start was refused for certain");
            assert_eq!(life.relay.durable().cost, None);
        });
    }
}

#[test]
fn credentials_refused_twice_in_a_row_end_a_start_within_two_seconds() {
    let waits = |life: &mut Life, call: &str| {
        let from = life.now;
        life.wait(2);
        life.fail(call, Class::Unauthorized, false);
        assert!(life.since(from).num_seconds() <= 2);
        assert_eq!(life.outcome(), Some(OutcomeCode::VendorUnauthorized));
    };
    on_both(|spec| {
        let mut life = Life::begin(spec.clone());
        life.fail("create_ingest", Class::Unauthorized, false);
        assert_eq!(life.outcome(), None);
        life.now += std::time::Duration::from_millis(999);
        life.handle(Event::Tick);
        assert_eq!(life.waiting("create_ingest"), None, "not so soon again");
        waits(&mut life, "create_ingest");
        if life.is_web() {
            life.answer_acquire("resource");
        }
        assert_eq!(life.phase(), Phase::Ended, "there is nothing to take down");

        let mut life = Life::starting(spec);
        let call = life.start_call();
        life.fail(call, Class::Unauthorized, false);
        life.wait(2);
        if life.is_web() {
            // Each start of an egress needs a resource of its own.
            life.answer_acquire("another");
        }
        waits(&mut life, call);
        life.take_down(&[]);
        assert_eq!(life.cleanup_jobs(), []);
    });
}

#[test]
fn one_refusal_of_valid_credentials_ends_no_start() {
    on_both(|spec| {
        let mut life = Life::begin(spec);
        life.fail("create_ingest", Class::Unauthorized, false);
        life.wait(2);
        life.answer_create();
        if life.is_web() {
            life.fail("acquire", Class::Unauthorized, false);
            life.wait(2);
            life.answer_acquire("resource");
        }
        let call = life.start_call();
        life.fail(call, Class::Unauthorized, false);
        life.wait(2);
        life.accept("first");
        assert_eq!(life.phase(), Phase::AwaitingLive);
    });
}

#[test]
fn refusals_of_credentials_with_another_failure_in_between_are_not_two_in_a_row() {
    for between in [Class::Unavailable, Class::Timeout, Class::Unexpected] {
        let mut life = Life::begin(push());
        for class in [Class::Unauthorized, between, Class::Unauthorized] {
            life.fail("create_ingest", class, false);
            assert_eq!(life.outcome(), None, "{class:?} after {between:?}");
            while life.waiting("create_ingest").is_none() {
                life.wait(1);
            }
        }
        life.fail("create_ingest", Class::Unauthorized, false);
        assert_eq!(life.outcome(), Some(OutcomeCode::VendorUnauthorized));
    }
}

#[test]
fn a_wait_that_a_vendor_asks_for_is_cut_to_five_minutes() {
    for asked in [300_001, 1_800_000_000_000, u64::MAX] {
        let mut spec = push();
        spec.timing.provisioning_timeout = secs(3600);
        let mut life = Life::begin(spec);
        let (action, jitter) = (life.open.remove(0).id, jitter());
        let failure = Failure {
            retry_after_ms: Some(asked),
            ..failure(Class::RateLimited, false)
        };
        life.handle(Event::Failed {
            action,
            failure,
            jitter,
        });
        assert_eq!(life.relay.wake_at(life.now), Some(life.now + secs(300)));
    }
}

#[test]
fn transient_failures_end_a_start_only_at_the_deadline_with_their_own_code() {
    let cases = [
        (Class::Unavailable, OutcomeCode::VendorUnavailable),
        (Class::RateLimited, OutcomeCode::VendorRateLimited),
        (Class::Timeout, OutcomeCode::ProvisioningTimeout),
    ];
    for (class, code) in cases {
        let mut life = Life::begin(push());
        let from = life.now;
        while life.phase() == Phase::Provisioning {
            if life.waiting("create_ingest").is_some() {
                life.fail("create_ingest", class, false);
            }
            life.wait(1);
        }
        assert_eq!(life.outcome(), Some(code));
        assert_eq!(life.since(from).num_seconds(), 120);
    }
}

#[test]
fn a_start_is_untried_if_only_our_own_budget_refused_it_but_not_if_a_vendor_may_know_it() {
    on_both(|spec| {
        let untried = |class, crashes: bool| {
            let mut life = Life::begin(spec.clone());
            if life.is_web() {
                life.answer_acquire("resource");
            }
            life.fail("create_ingest", class, false);
            if crashes {
                life.crash(1);
            }
            while life.phase() == Phase::Provisioning {
                if life.waiting("create_ingest").is_some() {
                    life.fail("create_ingest", Class::RateLimited, false);
                }
                life.wait(1);
            }
            life.detail().untried
        };
        assert!(untried(Class::RateLimited, false));
        assert!(!untried(Class::Unavailable, false));
        assert!(
            !untried(Class::RateLimited, true),
            "what was called before is unknown"
        );
    });
}
