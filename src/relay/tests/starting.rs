//! From the request to the accepted egress.

use super::driver::*;
use crate::relay::*;

#[test]
fn the_ingest_and_the_resource_are_requested_side_by_side_and_the_intent_is_stored_first() {
    let life = Life::begin(web());
    assert_eq!(life.called, ["create_ingest", "acquire"]);
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
        resource_id: "resource".into(),
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
        ["create_ingest", "acquire"],
        "it waits for the ingest"
    );
    life.answer_create();
    assert_eq!(life.called, ["create_ingest", "acquire", "acquire"]);
    life.answer_acquire("new");
    let start = life.waiting("start_egress");
    assert!(matches!(start, Some(Call::StartEgress { resource_id, .. }) if resource_id == "new"));
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
        let call = life.start_call();
        let first = life.waiting(call).cloned().unwrap();
        life.fail(call, Class::Timeout, true);
        life.wait(5);
        let again = life.waiting(call).cloned().unwrap();
        match (first, again) {
            (
                Call::StartEgress {
                    resource_id: one,
                    attempt: 1,
                    ..
                },
                Call::StartEgress {
                    resource_id: other,
                    attempt: 1,
                    ..
                },
            ) => assert_eq!(one, other),
            (first, again) => assert_eq!(first, again),
        }
        life.accept("found");
        assert_eq!(life.phase(), Phase::AwaitingLive);
        assert_eq!(life.relay.durable().egress.as_ref().unwrap().attempt, 1);
    });
}

#[test]
fn a_refused_resource_is_replaced_at_once_and_further_ones_with_growing_waits() {
    let mut life = Life::starting(web());
    let begun = life.now;
    life.answer("start_egress", Answer::ResourceExpired);
    life.answer_acquire("second");
    assert_eq!(life.now, begun, "a resource may have been too old");
    let mut waits = Vec::new();
    for _ in 0..6 {
        life.answer("start_egress", Answer::ResourceExpired);
        let refused = life.now;
        while life.waiting("acquire").is_none() {
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
    assert!(life.waiting("create_converter").is_some());
}

#[test]
fn a_start_that_was_certainly_refused_is_repeated_under_the_same_name() {
    on_both(|spec| {
        let mut life = Life::starting(spec);
        life.fail(life.start_call(), Class::Unavailable, false);
        life.wait(5);
        if life.is_web() {
            assert!(matches!(
                life.waiting("acquire"),
                Some(Call::Acquire { attempt: 1 })
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
    life.answer("start_egress", Answer::EgressRunning { sid: None });
    assert_eq!(life.phase(), Phase::AwaitingLive);
    life.feed = Some(true);
    life.wait(10);
    assert_eq!(life.phase(), Phase::Live);
    assert!(
        !life.polls.contains(&"poll_egress"),
        "there is no session to ask for"
    );
    let cname = life.relay.durable().spec.tag(1).to_string();
    let sid = "session".into();
    life.handle(Event::Hint(Hint::EgressChanged { cname, sid }));
    assert!(life.polls.contains(&"poll_egress"));
    life.poll();
    life.handle(Event::Stop);
    let stop = life.waiting("stop_egress");
    assert!(
        matches!(stop, Some(Call::StopEgress(EgressRef::CloudRecording(task))) if task.sid == "session")
    );
}

#[test]
fn an_egress_of_unknown_session_becomes_a_cleanup_job_and_its_ingest_is_closed() {
    let mut life = Life::starting(web());
    life.fail("start_egress", Class::Timeout, true);
    life.wait(5);
    life.answer("start_egress", Answer::EgressRunning { sid: None });
    life.handle(Event::Stop);
    assert!(matches!(
        life.cleanup_jobs()[..],
        [Cleanup::UnknownEgress { .. }]
    ));
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
    let cname = life.relay.durable().spec.tag(1).to_string();
    let other = life.relay.durable().spec.tag(2).to_string();
    let sid = "another's".to_owned();
    life.handle(Event::Hint(Hint::EgressChanged { cname: other, sid }));
    assert_eq!(life.phase(), Phase::Provisioning, "another identity's");
    let sid = "session".to_owned();
    life.handle(Event::Hint(Hint::EgressChanged { cname, sid }));
    assert_eq!(life.phase(), Phase::AwaitingLive);
    let egress = life.relay.durable().egress.clone().unwrap();
    assert_eq!(egress.sid.as_deref(), Some("session"));
}

#[test]
fn after_five_minutes_a_lost_start_is_settled_on_a_new_resource_of_the_same_identity() {
    let mut life = Life::starting(web());
    life.crash(301);
    assert!(matches!(
        life.waiting("acquire"),
        Some(Call::Acquire { attempt: 1 })
    ));
    life.answer_acquire("new");
    let start = life.waiting("start_egress").unwrap();
    assert!(
        matches!(start, Call::StartEgress { attempt: 1, resource_id, .. } if resource_id == "new")
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
    let cname = life.relay.durable().spec.tag(1).to_string();
    let sid = "session".into();
    life.handle(Event::Hint(Hint::EgressChanged { cname, sid }));
    life.handle(Event::Stop);
    let stop = life.waiting("stop_egress");
    let on_it = |r: &EgressRef| matches!(r, EgressRef::CloudRecording(task) if task.resource_id == "resource");
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
        assert!(!life.called.contains(&life.start_call()));
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
        life.fail(life.start_call(), Class::Timeout, true);
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
    let cname = life.relay.durable().spec.tag(1).to_string();
    let sid = "of the first start".into();
    life.handle(Event::Hint(Hint::EgressChanged { cname, sid }));
    life.wait(5);
    // The second start was carried out as well, in a session that no notification names.
    life.answer("start_egress", Answer::EgressRunning { sid: None });
    assert_eq!(life.phase(), Phase::AwaitingLive);
    life.handle(Event::Stop);
    life.answer("stop_egress", Answer::NotFound);
    let cleanup_jobs = life.cleanup_jobs();
    assert!(
        matches!(
            cleanup_jobs[..],
            [Cleanup::StopEgress { .. }, Cleanup::UnknownEgress { .. }]
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
    let cname = life.relay.durable().spec.tag(1).to_string();
    let sid = "of the first start".into();
    life.handle(Event::Hint(Hint::EgressChanged { cname, sid }));
    life.wait(5);
    life.accept("session");
    life.handle(Event::Stop);
    life.answer("stop_egress", Answer::NotFound);
    let cleanup_jobs = life.cleanup_jobs();
    assert!(
        matches!(&cleanup_jobs[..], [Cleanup::StopEgress { sid, .. }] if sid == "session"),
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
    let cname = life.relay.durable().spec.tag(1).to_string();
    let sid = "session".into();
    life.handle(Event::Hint(Hint::EgressChanged { cname, sid }));
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
        Cleanup::StopEgress {
            resource_id,
            other_resources,
            ..
        },
        // The session may be that of the start on the previous resource, which has ended.
        Cleanup::UnknownEgress { .. },
    ] = &cleanup_jobs[..]
    else {
        panic!("{cleanup_jobs:?}");
    };
    assert_eq!(
        (&**resource_id, &other_resources[..]),
        ("new", &["resource".to_owned()][..])
    );
}
