//! A lost egress and its replacement.

use super::driver::*;
use crate::relay::*;

/// Answers the calls of a replacement, up to the start.
fn replace(life: &mut Life, id: &str) {
    life.answer("renew_ingest_key", Answer::KeyRenewed);
    life.accept(id);
}

#[test]
fn the_egress_is_polled_at_once_when_the_feed_is_lost() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.wait(60);
        life.polls.clear();
        life.feed = Some(false);
        life.handle(Event::Hint(Hint::FeedDisconnected));
        life.poll();
        assert_eq!(life.phase(), Phase::Interrupted);
        assert!(life.polls.contains(&"poll_egress"));
    });
}

#[test]
fn an_egress_without_a_feed_is_replaced_after_feed_timeout_with_a_new_key() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        let gone = life.relay.durable().feed_gone_since.unwrap();
        while life.waiting("stop_egress").is_none() {
            life.wait(1);
        }
        assert!((180..=181).contains(&life.since(gone).num_seconds()));
        life.called.clear();
        life.answer("stop_egress", Answer::Stopped);
        assert_eq!(
            life.called,
            ["renew_ingest_key"],
            "nothing starts on the old key"
        );
        replace(&mut life, "second");
        life.feed = Some(true);
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);
        let durable = life.relay.durable();
        assert_eq!(
            (durable.replacements, durable.ingest.id.as_deref()),
            (1, Some("input"))
        );
        assert_eq!(durable.egress.as_ref().unwrap().attempt, 2);
    });
}

#[test]
fn an_egress_that_is_not_found_is_replaced_only_after_the_whole_back_off() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.egress = Some(EgressReading::NotFound);
        life.feed = Some(false);
        life.handle(Event::Hint(Hint::FeedDisconnected));
        let from = life.now;
        while life.waiting("renew_ingest_key").is_none() {
            life.wait(1);
        }
        assert!(
            (120..=122).contains(&life.since(from).num_seconds()),
            "{}",
            life.since(from)
        );
        let [cleanup_job] = &life.cleanup_jobs()[..] else {
            panic!()
        };
        assert!(
            matches!(cleanup_job, Cleanup::StopEgress(_)),
            "it may come back"
        );
    });
}

#[test]
fn an_egress_that_is_back_within_the_back_off_is_kept() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.egress = Some(EgressReading::NotFound);
        life.feed = Some(false);
        life.wait(110);
        life.egress = Some(EgressReading::Publishing);
        life.feed = Some(true);
        life.wait(60);
        assert_eq!(life.phase(), Phase::Live);
        assert_eq!(life.relay.durable().replacements, 0);
        assert!(!life.called.contains(&"stop_egress"));
    });
}

#[test]
fn polls_out_of_turn_do_not_shorten_the_back_off() {
    let mut life = Life::live(push());
    life.egress = Some(EgressReading::NotFound);
    let from = life.now;
    life.wait(70);
    assert_eq!(
        life.phase(),
        Phase::Live,
        "while the feed goes on somebody publishes"
    );
    life.feed = Some(false);
    life.handle(Event::Hint(Hint::FeedDisconnected));
    life.poll();
    while life.relay.durable().replacements == 0 {
        life.wait(1);
    }
    assert!(
        life.since(from).num_seconds() >= 120,
        "{}",
        life.since(from)
    );
}

#[test]
fn an_egress_that_has_exited_is_replaced_at_once() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Exited);
        life.wait(16);
        assert!(life.waiting("renew_ingest_key").is_some());
        assert_eq!(life.cleanup_jobs(), []);
    });
}

#[test]
fn an_egress_that_has_failed_is_stopped_before_another_starts() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Failed);
        life.wait(16);
        assert!(life.waiting("stop_egress").is_some());
        assert!(life.waiting("renew_ingest_key").is_none());
        life.answer("stop_egress", Answer::Stopped);
        assert!(life.waiting("renew_ingest_key").is_some());
    });
}

#[test]
fn refused_credentials_end_a_relay_on_air_only_at_a_deadline() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Failed);
        life.wait(16);
        life.egress = Some(EgressReading::Publishing);
        let refused = |life: &mut Life, call: &str| {
            for _ in 0..3 {
                life.fail(call, Class::Unauthorized, false);
                life.wait(8);
            }
            assert_eq!(life.phase(), Phase::Interrupted, "{call}");
        };
        refused(&mut life, "stop_egress");
        life.answer("stop_egress", Answer::Stopped);
        refused(&mut life, "renew_ingest_key");
        life.answer("renew_ingest_key", Answer::KeyRenewed);
        if life.is_web() {
            refused(&mut life, "prepare_egress");
            life.answer_acquire("resource");
        }
        let call = "start_egress";
        life.fail(call, Class::Unauthorized, false);
        life.wait(8);
        if life.is_web() {
            life.answer_acquire("another");
        }
        life.fail(call, Class::Unauthorized, false);
        life.wait(8);
        life.accept("second");
        life.feed = Some(true);
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);

        let mut life = Life::without_feed(life.relay.durable().spec.clone());
        life.egress = Some(EgressReading::Exited);
        life.wait(16);
        while life.phase() == Phase::Interrupted {
            if life.waiting("renew_ingest_key").is_some() {
                life.fail("renew_ingest_key", Class::Unauthorized, false);
            }
            life.wait(1);
        }
        assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
        let failure = life.detail().failure.unwrap();
        assert_eq!(failure.class, Class::Unauthorized);
    });
}

#[test]
fn an_exhausted_quota_ends_a_relay_on_air_only_at_a_deadline() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Failed);
        life.wait(16);
        life.egress = Some(EgressReading::Publishing);
        life.fail("stop_egress", Class::Quota, false);
        life.wait(8);
        life.answer("stop_egress", Answer::Stopped);
        life.fail("renew_ingest_key", Class::Quota, false);
        life.wait(8);
        life.answer("renew_ingest_key", Answer::KeyRenewed);
        if life.is_web() {
            life.fail("prepare_egress", Class::Quota, false);
            life.wait(8);
        }
        life.accept("second");
        life.feed = Some(true);
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);
    });
}

#[test]
fn two_egresses_are_replaced_and_the_third_loss_ends_the_relay() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        for id in ["second", "third"] {
            life.egress = Some(EgressReading::Exited);
            life.wait(16);
            life.egress = Some(EgressReading::Connecting);
            replace(&mut life, id);
        }
        life.egress = Some(EgressReading::Exited);
        life.wait(16);
        let close = life.waiting("close_ingest");
        let calm = matches!(close, Some(Call::CloseIngest { urgent: false, .. }));
        assert!(calm, "it is proved gone");
        assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
        assert_eq!(life.detail().egress.as_deref(), Some("exited"));
        assert_eq!(life.relay.durable().replacements, 2);
    });
}

#[test]
fn feed_timeout_restarts_when_a_replacement_is_accepted() {
    let mut life = Life::without_feed(push());
    life.egress = Some(EgressReading::Exited);
    life.wait(100);
    life.egress = Some(EgressReading::Publishing);
    replace(&mut life, "second");
    let accepted = life.now;
    while life.waiting("stop_egress").is_none() {
        life.wait(1);
    }
    assert!((180..=181).contains(&life.since(accepted).num_seconds()));
}

#[test]
fn a_late_reading_of_a_replaced_egress_is_ignored() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        while life.waiting("poll_egress").is_none() {
            life.now = life.relay.wake_at(life.now).unwrap();
            life.handle(Event::Tick);
        }
        let asked = life
            .open
            .iter()
            .position(|a| name(&a.call) == "poll_egress")
            .unwrap();
        let late = life.open.remove(asked);
        life.poll();
        while life.waiting("stop_egress").is_none() {
            life.wait(1);
        }
        life.answer("stop_egress", Answer::Stopped);
        replace(&mut life, "second");
        let answer = Answer::Egress(EgressReading::Exited);
        let step = life.handle(Event::Answered {
            action: late.id,
            answer,
            jitter: jitter(),
        });
        assert_eq!(step.ignored, Some(Ignored::Stale));
        assert_eq!(life.relay.durable().replacements, 1, "the second runs on");
    });
}

#[test]
fn an_ingest_that_is_gone_when_its_key_is_renewed_ends_the_relay() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::Exited);
        life.wait(16);
        life.answer("renew_ingest_key", Answer::NotFound);
        assert_eq!(life.outcome(), Some(OutcomeCode::IngestGone));
        life.take_down(&[recording("video", RecordingState::Ready, 20)]);
        assert_eq!(life.phase(), Phase::Ended);
    });
}

#[test]
fn an_ingest_found_gone_after_a_stop_does_not_change_the_outcome() {
    for failed in [false, true] {
        let mut life = Life::without_feed(push());
        life.egress = Some(EgressReading::Exited);
        life.wait(16);
        life.handle(Event::Stop);
        if failed {
            life.fail("renew_ingest_key", Class::NotFound, false);
        } else {
            life.answer("renew_ingest_key", Answer::NotFound);
        }
        assert_eq!(life.outcome(), Some(OutcomeCode::StoppedByRequest));
        assert_eq!(life.phase(), Phase::Finalizing);
    }
}

#[test]
fn an_egress_with_a_cut_output_gets_its_target_again_a_limited_number_of_times() {
    let mut life = Life::live(web());
    life.egress = Some(EgressReading::Disconnected);
    for _ in 0..6 {
        life.wait(130);
        if life.waiting("update_egress").is_some() {
            life.answer("update_egress", Answer::Updated);
        }
    }
    let updates = life
        .called
        .iter()
        .filter(|c| **c == "update_egress")
        .count();
    assert_eq!(updates, 3);
}

#[test]
fn an_egress_that_may_still_run_has_its_ingest_closed_urgently() {
    let mut life = Life::without_feed(push());
    for id in ["second", "third"] {
        life.egress = Some(EgressReading::Exited);
        life.wait(16);
        life.egress = Some(EgressReading::Connecting);
        replace(&mut life, id);
    }
    life.egress = Some(EgressReading::NotFound);
    life.wait(150);
    assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
    let close = life.waiting("close_ingest");
    let urgent = matches!(close, Some(Call::CloseIngest { urgent: true, .. }));
    assert!(urgent, "it may come back");
}

/// A relay on air whose egress exited: it renews the key.
fn replacing(spec: Spec) -> Life {
    let mut life = Life::without_feed(spec);
    life.egress = Some(EgressReading::Exited);
    life.wait(16);
    assert!(life.waiting("renew_ingest_key").is_some());
    life
}

#[test]
fn a_rejected_call_does_not_end_a_relay_on_air_at_once() {
    on_both(|spec| {
        let start: &[&str] = match spec.egress.capabilities.prepare {
            Some(_) => &["prepare_egress", "start_egress"],
            None => &["start_egress"],
        };
        let mut life = replacing(spec);
        for refused in ["renew_ingest_key"].iter().chain(start) {
            if *refused == "start_egress" && life.is_web() {
                life.answer_acquire("resource-second");
            }
            life.fail(refused, Class::Rejected, false);
            assert_eq!(life.phase(), Phase::Interrupted, "{refused}");
            life.wait(2);
            if *refused == "renew_ingest_key" {
                life.answer("renew_ingest_key", Answer::KeyRenewed);
            }
        }
        life.accept("second");
        life.feed = Some(true);
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);
    });
}

#[test]
fn a_call_that_is_always_rejected_ends_a_relay_on_air_at_feed_timeout() {
    on_both(|spec| {
        let mut life = replacing(spec);
        let from = life.relay.durable().feed_patience_from.unwrap();
        let mut tries = 0;
        while life.outcome().is_none() {
            if life.waiting("renew_ingest_key").is_some() {
                tries += 1;
                life.fail("renew_ingest_key", Class::Rejected, false);
            }
            life.wait(1);
        }
        assert_eq!(life.outcome(), Some(OutcomeCode::EgressLost));
        assert_eq!(life.detail().failure.unwrap().class, Class::Rejected);
        assert!((180..=182).contains(&life.since(from).num_seconds()));
        assert!((10..40).contains(&tries), "it backs off: {tries}");
    });
}
