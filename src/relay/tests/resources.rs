//! Which resource a start is repeated on, and what a stop before a replacement does.

use super::driver::*;
use crate::relay::*;

/// The next call of the egress's lane.
fn next(life: &mut Life) -> &'static str {
    for _ in 0..100 {
        for call in ["start_egress", "prepare_egress"] {
            if life.waiting(call).is_some() {
                return call;
            }
        }
        life.wait(1);
    }
    panic!("neither is called");
}

#[test]
fn a_start_in_doubt_gets_another_resource_after_three_failures() {
    let mut life = Life::starting(web());
    for expected in ["start_egress", "start_egress", "prepare_egress"] {
        life.fail("start_egress", Class::Timeout, true);
        assert_eq!(next(&mut life), expected);
    }
}

#[test]
fn a_start_in_doubt_is_repeated_on_its_resource_while_stopping_or_if_its_session_is_known() {
    let mut life = Life::starting(web());
    life.handle(Event::Stop);
    for _ in 0..5 {
        life.fail("start_egress", Class::Timeout, true);
        if life.phase() == Phase::Stopping {
            assert_eq!(next(&mut life), "start_egress");
        }
    }

    let mut spec = web();
    spec.timing.provisioning_timeout = secs(900);
    let mut life = Life::starting(spec);
    life.crash(301);
    life.answer_acquire("new");
    life.handle(life.named("session"));
    for _ in 0..5 {
        life.fail("start_egress", Class::Timeout, true);
        assert_eq!(next(&mut life), "start_egress");
    }
}

#[test]
fn the_intent_to_create_or_start_is_journaled_once_however_often_it_is_repeated() {
    on_both(|spec| {
        let mut life = Life::begin(spec);
        life.fail("create_ingest", Class::Timeout, true);
        life.wait(2);
        life.answer_create();
        if life.is_web() {
            life.answer_acquire("early");
        }
        let call = "start_egress";
        if life.waiting(call).is_none() {
            life.answer_acquire("resource");
        }
        life.fail(call, Class::Timeout, true);
        life.wait(2);
        life.accept("found");
        for kind in ["ingest_requested", "egress_starting"] {
            let kinds = life.journal.iter().map(|(_, fact)| <&str>::from(fact));
            assert_eq!(kinds.filter(|other| *other == kind).count(), 1, "{kind}");
        }
    });
}

#[test]
fn a_stop_for_a_replacement_that_finds_no_egress_is_repeated_for_the_whole_back_off() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Failed);
        while life.waiting("stop_egress").is_none() {
            life.wait(1);
        }
        let from = life.now;
        while life.waiting("renew_ingest_key").is_none() {
            if life.waiting("stop_egress").is_some() {
                life.answer("stop_egress", Answer::NotFound);
            }
            life.wait(1);
        }
        assert!((120..=122).contains(&life.since(from).num_seconds()));
        assert_eq!(life.cleanup_jobs().len(), 1, "it may come back");
    });
}

#[test]
fn a_stop_for_a_replacement_that_is_refused_ends_the_relay() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Failed);
        life.wait(16);
        life.fail("stop_egress", Class::Rejected, false);
        assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
        assert_eq!(life.detail().failure.unwrap().class, Class::Rejected);
        assert_eq!(life.cleanup_jobs(), [], "it is stopped once more");
    });
}

#[test]
fn an_ingest_that_cannot_be_found_to_renew_its_key_ends_the_relay() {
    let mut life = Life::without_feed(push());
    life.egress = Some(EgressReading::Exited);
    life.wait(16);
    life.fail("renew_ingest_key", Class::NotFound, false);
    assert_eq!(life.outcome(), Some(OutcomeCode::IngestGone));
}
