//! From the request to the accepted egress.

use super::driver::*;
use crate::relay::*;

#[test]
fn the_ingest_and_the_resource_are_requested_side_by_side_and_the_intent_is_stored_first() {
    let life = Life::begin(web());
    assert_eq!(life.called, ["create_ingest", "prepare_egress"]);
    let kinds: Vec<&str> = life.journal.iter().map(|(_, fact)| fact.into()).collect();
    assert_eq!(kinds, ["requested", "ingest_requested"]);
    assert_eq!(Life::begin(push()).called, ["create_ingest"]);
}

#[test]
fn the_egress_starts_on_its_resource_when_the_ingest_is_ready() {
    let life = Life::starting(web());
    let call = life.waiting("start_egress").unwrap();
    let expected = Call::StartEgress {
        attempt: 1,
        preparation: Some(handle("resource")),
        ingest: "input".into(),
    };
    assert_eq!(*call, expected);
}

#[test]
fn a_resource_acquired_long_before_the_ingest_is_dropped_and_acquired_anew() {
    let mut life = Life::begin(web());
    life.answer_acquire("too old");
    life.wait(10);
    assert_eq!(
        life.called,
        ["create_ingest", "prepare_egress"],
        "it waits for the ingest"
    );
    life.answer_create();
    assert_eq!(
        life.called,
        ["create_ingest", "prepare_egress", "prepare_egress"]
    );
    life.answer_acquire("new");
    let start = life.waiting("start_egress");
    assert!(
        matches!(start, Some(Call::StartEgress { preparation, .. }) if *preparation == Some(handle("new")))
    );
}

#[test]
fn an_egress_waits_a_limited_time_for_its_predecessor() {
    on_both(|mut spec| {
        spec.egress_not_before = Some(spec.requested_at + secs(10));
        let mut life = Life::begin(spec.clone());
        life.answer_create();
        life.wait(9);
        assert_eq!(
            life.called,
            ["create_ingest"],
            "the ingest waits for nobody"
        );
        life.wait(1);
        assert_eq!(life.called.len(), 2);

        let mut life = Life::begin(spec);
        life.answer_create();
        life.handle(Event::PredecessorDown);
        assert_eq!(life.called.len(), 2, "it is down: ours starts at once");
    });
}

#[test]
fn a_start_whose_answer_was_lost_is_settled_by_the_same_start() {
    on_both(|spec| {
        let mut life = Life::starting(spec);
        let call = "start_egress";
        let first = life.waiting(call).cloned().unwrap();
        life.fail(call, Class::Timeout, true);
        life.wait(5);
        let again = life.waiting(call).cloned().unwrap();
        assert_eq!(first, again);
        life.accept("found");
        assert_eq!(life.phase(), Phase::AwaitingLive);
        assert_eq!(life.relay.durable().egress.as_ref().unwrap().attempt, 1);
    });
}

#[test]
fn a_refused_resource_is_replaced_at_once_and_further_ones_with_growing_waits() {
    let mut life = Life::starting(web());
    let begun = life.now;
    life.answer("start_egress", Answer::PreparationExpired);
    life.answer_acquire("second");
    assert_eq!(life.now, begun, "a resource may have been too old");
    let mut waits = Vec::new();
    for _ in 0..6 {
        life.answer("start_egress", Answer::PreparationExpired);
        let refused = life.now;
        while life.waiting("prepare_egress").is_none() {
            life.wait(1);
        }
        waits.push(life.since(refused).num_seconds());
        life.answer_acquire("another");
    }
    assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
    life.accept("started");
    assert_eq!(life.phase(), Phase::AwaitingLive);
}

#[test]
fn a_key_whose_ingest_is_gone_is_replaced_at_once_and_further_ones_with_growing_waits() {
    let mut spec = push();
    spec.timing.provisioning_timeout = secs(3600);
    let mut life = Life::begin(spec);
    let begun = life.now;
    life.fail("create_ingest", Class::Conflict, false);
    assert!(life.waiting("create_ingest").is_some());
    assert_eq!(life.now, begun, "a new key is expected to do");
    let mut waits = Vec::new();
    for _ in 0..6 {
        life.fail("create_ingest", Class::Conflict, false);
        let refused = life.now;
        while life.waiting("create_ingest").is_none() {
            life.wait(1);
        }
        waits.push(life.since(refused).num_seconds());
    }
    assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
    life.answer_create();
    assert!(life.waiting("start_egress").is_some());
}

#[test]
fn a_start_that_was_certainly_refused_is_repeated_under_the_same_name() {
    on_both(|spec| {
        let mut life = Life::starting(spec);
        life.fail("start_egress", Class::Unavailable, false);
        life.wait(5);
        if life.is_web() {
            assert!(matches!(
                life.waiting("prepare_egress"),
                Some(Call::PrepareEgress { attempt: 1 })
            ));
        }
        life.accept("second");
        assert_eq!(life.phase(), Phase::AwaitingLive);
        assert_eq!(life.relay.durable().egress.as_ref().unwrap().attempt, 1);
    });
}

#[test]
fn an_egress_that_runs_under_an_unknown_session_is_kept() {
    let mut life = Life::starting(web());
    life.fail("start_egress", Class::Timeout, true);
    life.wait(5);
    life.answer("start_egress", Answer::EgressRunning(None));
    assert_eq!(life.phase(), Phase::AwaitingLive);
    life.feed = Some(true);
    life.wait(10);
    assert_eq!(life.phase(), Phase::Live);
    assert!(
        !life.polls.contains(&"poll_egress"),
        "there is no session to ask for"
    );
    life.handle(life.named("session"));
    assert!(life.polls.contains(&"poll_egress"));
    life.poll();
    life.handle(Event::Stop);
    let stop = life.waiting("stop_egress");
    assert!(
        matches!(stop, Some(Call::StopEgress(egress)) if egress.handle == Some(handle("session")))
    );
}

#[test]
fn an_egress_of_unknown_session_becomes_a_cleanup_job_and_its_ingest_is_closed() {
    let mut life = Life::starting(web());
    life.fail("start_egress", Class::Timeout, true);
    life.wait(5);
    life.answer("start_egress", Answer::EgressRunning(None));
    life.handle(Event::Stop);
    assert!(matches!(life.cleanup_jobs()[..], [Cleanup::FindEgress(_)]));
    assert!(
        matches!(
            life.waiting("close_ingest"),
            Some(Call::CloseIngest { urgent: true, .. })
        ),
        "at once: nothing else stops it"
    );
}

#[test]
fn a_notification_answers_a_start_whose_answer_was_lost() {
    let mut life = Life::starting(web());
    life.fail("start_egress", Class::Timeout, true);
    let other = life.relay.durable().spec.tag(2).to_string();
    life.handle(Event::Hint(Hint::EgressNamed {
        tag: other,
        handle: handle("another's"),
    }));
    assert_eq!(life.phase(), Phase::Provisioning, "another identity's");
    life.handle(life.named("session"));
    assert_eq!(life.phase(), Phase::AwaitingLive);
    let egress = life.relay.durable().egress.clone().unwrap();
    assert_eq!(egress.handle, Some(handle("session")));
}

#[test]
fn after_five_minutes_a_lost_start_is_settled_on_a_new_resource_of_the_same_identity() {
    let mut life = Life::starting(web());
    life.crash(301);
    assert!(matches!(
        life.waiting("prepare_egress"),
        Some(Call::PrepareEgress { attempt: 1 })
    ));
    life.answer_acquire("new");
    let start = life.waiting("start_egress").unwrap();
    assert!(
        matches!(start, Call::StartEgress { attempt: 1, preparation, .. } if *preparation == Some(handle("new")))
    );
}

#[test]
fn an_egress_that_runs_on_an_earlier_resource_is_stopped_on_that_one() {
    let mut spec = web();
    spec.timing.provisioning_timeout = secs(600);
    let mut life = Life::starting(spec);
    life.crash(301);
    life.answer_acquire("new");
    life.answer("start_egress", Answer::EgressElsewhere);
    assert_eq!(life.phase(), Phase::AwaitingLive);
    life.handle(life.named("session"));
    life.handle(Event::Stop);
    let stop = life.waiting("stop_egress");
    let on_it = |egress: &EgressRef| egress.preparations == [handle("resource")];
    assert!(
        matches!(stop, Some(Call::StopEgress(r)) if on_it(r)),
        "{stop:?}"
    );
}

#[test]
fn an_ingest_whose_answer_was_lost_is_requested_under_the_same_key() {
    on_both(|spec| {
        let mut life = Life::begin(spec);
        life.fail("create_ingest", Class::Timeout, true);
        life.wait(5);
        let again = life.waiting("create_ingest");
        assert_eq!(again, Some(&Call::CreateIngest { attempt: 1 }));
    });
}

#[test]
fn after_six_hours_an_ingest_is_searched_by_its_tag_and_only_then_created_anew() {
    let mut spec = push();
    spec.timing.provisioning_timeout = secs(8 * 3600);
    let mut life = Life::begin(spec);
    life.crash(6 * 3600 + 1);
    assert_eq!(life.called, ["find_ingest"]);
    life.answer("find_ingest", Answer::NotFound);
    let again = life.waiting("create_ingest");
    assert_eq!(again, Some(&Call::CreateIngest { attempt: 2 }));
}

#[test]
fn a_stop_before_anything_exists_cancels_and_leaves_nothing() {
    on_both(|spec| {
        let mut life = Life::begin(spec);
        life.handle(Event::Stop);
        assert_eq!(life.outcome(), Some(OutcomeCode::Cancelled));
        assert_eq!(life.phase(), Phase::Stopping, "the creation is waited for");
        if life.is_web() {
            life.answer_acquire("resource");
        }
        life.answer_create();
        life.take_down(&[]);
        assert_eq!(life.phase(), Phase::Ended);
        assert!(life.called.contains(&"remove_ingest"));
        assert!(!life.called.contains(&"start_egress"));
    });
}

#[test]
fn a_stop_while_the_start_is_under_way_stops_what_it_started() {
    on_both(|spec| {
        let mut life = Life::starting(spec.clone());
        life.handle(Event::Stop);
        life.accept("late");
        assert!(life.waiting("stop_egress").is_some());
        life.take_down(&[]);
        assert_eq!(life.phase(), Phase::Ended);

        let mut life = Life::starting(spec);
        life.handle(Event::Stop);
        life.fail("start_egress", Class::Timeout, true);
        life.wait(5);
        life.accept("found");
        assert!(
            life.waiting("stop_egress").is_some(),
            "repeated, and stopped"
        );
    });
}

#[test]
fn a_session_that_may_be_an_earlier_starts_leaves_a_second_cleanup_job() {
    let mut spec = web();
    spec.timing.provisioning_timeout = secs(600);
    let mut life = Life::starting(spec);
    // The first start was carried out, its session has ended, and its notification comes late.
    life.crash(301);
    life.answer_acquire("new");
    life.fail("start_egress", Class::Timeout, true);
    life.handle(life.named("of the first start"));
    life.wait(5);
    // The second start was carried out as well, in a session that no notification names.
    life.answer("start_egress", Answer::EgressRunning(None));
    assert_eq!(life.phase(), Phase::AwaitingLive);
    life.handle(Event::Stop);
    life.answer("stop_egress", Answer::NotFound);
    let cleanup_jobs = life.cleanup_jobs();
    assert!(
        matches!(
            cleanup_jobs[..],
            [Cleanup::StopEgress(_), Cleanup::FindEgress(_)]
        ),
        "{cleanup_jobs:?}"
    );
}

#[test]
fn a_session_in_the_answer_to_the_start_is_no_guess() {
    let mut spec = web();
    spec.timing.provisioning_timeout = secs(600);
    let mut life = Life::starting(spec);
    life.crash(301);
    life.answer_acquire("new");
    life.fail("start_egress", Class::Timeout, true);
    life.handle(life.named("of the first start"));
    life.wait(5);
    life.accept("session");
    life.handle(Event::Stop);
    life.answer("stop_egress", Answer::NotFound);
    let cleanup_jobs = life.cleanup_jobs();
    assert!(
        matches!(&cleanup_jobs[..], [Cleanup::StopEgress(egress)] if egress.handle == Some(handle("session"))),
        "{cleanup_jobs:?}"
    );
}

#[test]
fn the_cleanup_job_of_a_session_whose_resource_is_in_doubt_names_every_possible_resource() {
    let mut spec = web();
    spec.timing.provisioning_timeout = secs(600);
    let mut life = Life::starting(spec);
    life.crash(301);
    life.answer_acquire("new");
    life.fail("start_egress", Class::Timeout, true);
    life.handle(life.named("session"));
    assert_eq!(
        life.phase(),
        Phase::Provisioning,
        "only a start can tell where it runs"
    );
    life.handle(Event::Stop);
    for _ in 0..32 {
        if life.waiting("start_egress").is_some() {
            life.fail("start_egress", Class::Unavailable, false);
        }
        if life.waiting("close_ingest").is_some() {
            life.answer("close_ingest", Answer::Closed);
        }
        life.wait(1);
    }
    let cleanup_jobs = life.cleanup_jobs();
    let [
        Cleanup::StopEgress(egress),
        // The handle may be that of the start on the previous preparation, which has ended.
        Cleanup::FindEgress(unnamed),
    ] = &cleanup_jobs[..]
    else {
        panic!("{cleanup_jobs:?}");
    };
    let every = [handle("new"), handle("resource")];
    assert_eq!(
        (&egress.preparations[..], &unnamed.preparations[..]),
        (&every[..], &every[..])
    );
}
