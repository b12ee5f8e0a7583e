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
            life.fail("start_egress", class, false);
            assert_eq!(life.outcome(), Some(code));
            let failure = life.detail().failure.unwrap();
            assert_eq!((failure.class, &*failure.message), (class, "words"));
            life.take_down(&[]);
            assert_eq!(life.phase(), Phase::Ended);
            assert!(life.called.contains(&"remove_ingest"));
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
        let call = "start_egress";
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
            life.fail("prepare_egress", Class::Unauthorized, false);
            life.wait(2);
            life.answer_acquire("resource");
        }
        let call = "start_egress";
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

#[test]
fn a_start_that_created_an_ingest_is_not_untried() {
    let mut life = Life::begin(push());
    life.answer_create();
    while life.phase() == Phase::Provisioning {
        if life.waiting("start_egress").is_some() {
            life.fail("start_egress", Class::RateLimited, false);
        }
        life.wait(1);
    }
    assert_eq!(life.outcome(), Some(OutcomeCode::VendorRateLimited));
    assert!(!life.detail().untried);
}

#[test]
fn only_refused_credentials_are_kept_for_a_second_before_the_next_try() {
    for (class, wait) in [(Class::Unavailable, 500), (Class::Unauthorized, 1000)] {
        let mut life = Life::begin(push());
        life.draw = 0;
        life.fail("create_ingest", class, false);
        let next = life.relay.wake_at(life.now).unwrap();
        assert_eq!((next - life.now).num_milliseconds(), wait, "{class:?}");
    }
}

#[test]
fn a_refused_start_is_journaled_as_gone_before_the_end() {
    on_both(|spec| {
        let mut life = Life::starting(spec);
        life.fail("start_egress", Class::Rejected, false);
        let mut facts = life.journal.iter().rev().map(|(_, fact)| fact);
        assert!(matches!(facts.next(), Some(Fact::Ending { .. })));
        let gone = facts.next();
        assert!(
            matches!(gone, Some(Fact::EgressGone { proof }) if proof == "its start was refused"),
            "{gone:?}"
        );
    });
}

#[test]
fn a_start_in_doubt_that_is_refused_is_looked_for_while_stopping() {
    let mut life = Life::starting(push());
    life.crash(1);
    life.fail("start_egress", Class::Rejected, false);
    assert_eq!(life.outcome(), Some(OutcomeCode::VendorRejected));
    life.wait(2);
    life.accept("found");
    assert!(life.waiting("stop_egress").is_some());
}

#[test]
fn a_start_that_is_refused_while_stopping_leaves_a_cleanup_job_only_if_it_is_in_doubt() {
    on_both(|spec| {
        for in_doubt in [false, true] {
            let mut life = Life::starting(spec.clone());
            life.handle(Event::Stop);
            life.fail("start_egress", Class::Rejected, in_doubt);
            assert_eq!(life.cleanup_jobs().len(), usize::from(in_doubt));
            assert!(life.waiting("close_ingest").is_some());
        }
    });
}

#[test]
fn a_replacement_in_doubt_whose_repeat_is_refused_is_tried_on_one_more_resource() {
    let mut life = Life::without_feed(web());
    life.egress = Some(EgressReading::Exited);
    life.wait(16);
    life.answer("renew_ingest_key", Answer::KeyRenewed);
    life.answer_acquire("second");
    life.fail("start_egress", Class::Timeout, true);
    life.wait(2);
    life.fail("start_egress", Class::Rejected, false);
    assert_eq!(life.phase(), Phase::Interrupted);
    life.wait(5);
    life.answer_acquire("another");
    life.fail("start_egress", Class::Rejected, false);
    assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
}

#[test]
fn a_search_for_the_ingest_is_repeated_and_ends_the_start_only_if_it_is_refused() {
    let searching = || {
        let mut spec = push();
        spec.timing.provisioning_timeout = secs(8 * 3600);
        let mut life = Life::begin(spec);
        life.crash(6 * 3600);
        assert_eq!(life.called, ["create_ingest"], "the key is still valid");
        life.crash(1);
        assert_eq!(life.called, ["find_ingest"]);
        life
    };
    let mut life = searching();
    life.fail("find_ingest", Class::Unavailable, false);
    life.wait(2);
    life.fail("find_ingest", Class::Rejected, false);
    assert_eq!(life.outcome(), Some(OutcomeCode::VendorRejected));
    assert_eq!(life.cleanup_jobs(), [], "it is looked for once more");

    let mut life = searching();
    life.handle(Event::Stop);
    life.fail("find_ingest", Class::Rejected, false);
    let tag = life.relay.durable().spec.tag(1).to_string();
    assert_eq!(life.cleanup_jobs(), [Cleanup::FindIngest { tag }]);

    let mut life = searching();
    life.handle(Event::Stop);
    life.answer("find_ingest", Answer::NotFound);
    assert_eq!(life.phase(), Phase::Ended);
    assert_eq!(life.relay.durable().ingest.attempt, 1, "nothing is created");
}

#[test]
fn a_key_whose_ingest_is_gone_is_followed_by_the_next_number() {
    let mut life = Life::begin(push());
    life.fail("create_ingest", Class::Conflict, false);
    let again = life.waiting("create_ingest");
    assert_eq!(again, Some(&Call::CreateIngest { attempt: 2 }));
}
