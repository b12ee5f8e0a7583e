//! A relay after a crash or a pause of its process.

use super::driver::*;
use crate::relay::*;

#[test]
fn a_live_relay_is_recovered_without_a_call_that_costs_api_budget() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.crash(20);
        assert!(
            life.called.is_empty() && life.polls.is_empty(),
            "{:?}",
            life.open
        );
        life.wait(5);
        assert!(life.called.is_empty());
        assert!(life.polls.contains(&"poll_feed") && life.polls.contains(&"poll_hosts"));
        assert!(!life.polls.contains(&"poll_egress"));
        assert_eq!(life.phase(), Phase::Live);
    });
}

#[test]
fn an_open_intent_is_settled_by_repeating_its_call() {
    on_both(|spec| {
        let mut life = Life::begin(spec.clone());
        life.crash(5);
        let create = life.waiting("create_ingest");
        assert_eq!(create, Some(&Call::CreateIngest { attempt: 1 }));

        let mut life = Life::starting(spec);
        life.crash(5);
        assert_eq!(life.called, ["start_egress"]);
        let call = life.waiting("start_egress").unwrap();
        assert!(matches!(call, Call::StartEgress { attempt: 1, .. }));
    });
}

#[test]
fn a_stop_after_a_crash_takes_down_what_an_open_intent_may_have_started() {
    on_both(|spec| {
        let mut life = Life::starting(spec);
        life.crash(5);
        life.handle(Event::Stop);
        life.accept("found");
        assert!(life.waiting("stop_egress").is_some());
    });
}

#[test]
fn a_deadline_that_passed_while_the_process_was_dead_waits_for_a_poll() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.seller = Some(false);
        life.wait(50);
        assert_eq!(life.phase(), Phase::Interrupted);
        life.seller = Some(true);
        life.crash(600);
        assert_eq!(
            life.phase(),
            Phase::Interrupted,
            "nothing is decided without a poll"
        );
        life.wait(6);
        assert_eq!(life.phase(), Phase::Live, "the seller is back");
    });
}

#[test]
fn the_feeds_answer_does_not_decide_that_the_seller_has_left() {
    let mut life = Life::live(push());
    life.seller = Some(false);
    life.wait(50);
    life.seller = Some(true);
    life.crash(600);
    while life.open.len() < 2 {
        life.now = life.relay.wake_at(life.now).unwrap();
        life.handle(Event::Tick);
    }
    let reading = streaming(Some(true), None);
    life.answer("poll_feed", Answer::Feed(reading));
    assert_eq!(
        life.phase(),
        Phase::Interrupted,
        "the hosts are still being asked"
    );
    life.poll();
    assert_eq!(life.phase(), Phase::Live);
}

#[test]
fn deadlines_wait_for_a_poll_for_fifteen_seconds_at_most() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.seller = Some(false);
        life.wait(50);
        life.crash(600);
        life.feed = None;
        life.seller = None;
        life.wait(14);
        assert_eq!(life.phase(), Phase::Interrupted);
        life.wait(1);
        assert_eq!(life.outcome(), Some(OutcomeCode::SellerLeft));
    });
}

#[test]
fn a_late_wake_up_is_treated_like_a_recovery() {
    let mut life = Life::live(push());
    life.seller = Some(false);
    life.wait(50);
    assert_eq!(life.phase(), Phase::Interrupted);
    life.seller = Some(true);
    life.now += secs(300);
    life.handle(Event::Tick);
    assert_eq!(life.phase(), Phase::Interrupted);
    life.poll();
    assert_eq!(life.phase(), Phase::Live);
}

#[test]
fn a_relay_goes_on_from_every_phase_to_its_end() {
    type Before = fn(Spec) -> Life;
    let phases: [Before; 3] = [Life::awaiting, Life::live, Life::without_feed];
    for before in phases {
        on_both(|spec| {
            let mut life = before(spec);
            life.crash(10);
            life.handle(Event::Stop);
            life.crash(1);
            assert_eq!(life.called, ["stop_egress"]);
            life.answer("stop_egress", Answer::Stopped);
            life.crash(10);
            assert_eq!(life.called, ["close_ingest"]);
            life.answer("close_ingest", Answer::Closed);
            life.crash(10);
            assert_eq!(life.phase(), Phase::Finalizing);
            life.wait(20);
            let recordings = vec![recording("video", RecordingState::Ready, 30)];
            life.answer("poll_recordings", Answer::Recordings(recordings));
            life.crash(10);
            assert_eq!(life.called, ["remove_ingest"]);
            life.answer("remove_ingest", Answer::NotFound);
            assert_eq!(life.phase(), Phase::Ended);
        });
    }
}

#[test]
fn a_replacement_resumes_after_a_crash_and_renews_the_key_first() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Exited);
        life.wait(16);
        life.crash(5);
        assert_eq!(life.called, ["renew_ingest_key"]);
        life.answer("renew_ingest_key", Answer::KeyRenewed);
        life.accept("second");
        assert_eq!(life.relay.durable().egress.as_ref().unwrap().attempt, 2);
    });
}

#[test]
fn an_answer_to_a_call_from_before_a_crash_is_stale() {
    let mut life = Life::begin(push());
    let call = life.open[0].clone();
    life.crash(5);
    let answer = Answer::NotFound;
    let step = life.handle(Event::Answered {
        action: call.id,
        answer,
        jitter: jitter(),
    });
    assert_eq!(step.ignored, Some(Ignored::Stale));
    assert!(step.facts.is_empty());
}

#[test]
fn a_start_in_doubt_whose_repeat_is_refused_is_tried_on_one_more_resource() {
    let mut life = Life::starting(web());
    life.crash(1);
    life.fail("start_egress", Class::Rejected, false);
    assert_eq!(life.phase(), Phase::Provisioning);
    life.wait(5);
    life.answer_acquire("another");
    assert!(life.waiting("start_egress").is_some());
    life.fail("start_egress", Class::Rejected, false);
    assert_eq!(life.phase(), Phase::Stopping);
}

#[test]
fn a_resource_from_before_the_crash_is_not_used() {
    let mut life = Life::begin(web());
    life.answer_acquire("lost");
    life.crash(1);
    assert_eq!(life.called, ["create_ingest", "prepare_egress"]);
}

#[test]
fn an_ingest_that_an_open_intent_may_have_created_is_looked_for_after_a_stop() {
    let mut life = Life::begin(push());
    life.crash(5);
    life.handle(Event::Stop);
    life.fail("create_ingest", Class::Unavailable, false);
    assert_eq!(life.phase(), Phase::Stopping);
    life.wait(2);
    life.answer_create();
    assert!(life.waiting("close_ingest").is_some());
}
