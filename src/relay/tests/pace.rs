//! Looks keep the pace that the budgets leave, and drift apart.

use chrono::{DateTime, TimeDelta, Utc};

use super::driver::*;
use crate::relay::*;

const MINUTE: u64 = 60;

/// All that is looked at, no more often than every so many seconds.
fn floor(seconds: u64) -> Intervals {
    Intervals {
        feed: secs(seconds),
        hosts: secs(seconds),
        recorder: secs(seconds),
    }
}

fn count(life: &Life, look: &str) -> usize {
    life.looks.iter().filter(|other| **other == look).count()
}

#[test]
fn a_live_relay_looks_no_more_often_than_its_part_of_the_budgets_allows() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.wait(2 * MINUTE);
        life.relay.keep_pace(Pace {
            live: floor(300),
            urgent: Intervals::default(),
        });
        // What was due already stays so.
        life.wait(2 * MINUTE);
        life.looks.clear();
        life.wait(30 * MINUTE);
        for look in ["look_at_feed", "look_at_hosts", "look_at_recorder"] {
            let looks = count(&life, look);
            assert!((5..=7).contains(&looks), "{look}: {looks} in half an hour");
        }
    });
}

#[test]
fn an_interrupted_relay_does_not_wait_with_those_that_are_well() {
    let mut life = Life::live(push());
    life.relay.keep_pace(Pace {
        live: floor(50),
        urgent: floor(2),
    });
    life.feed = Some(false);
    life.wait(90);
    assert_eq!(life.phase(), Phase::Interrupted);
    life.looks.clear();
    life.wait(MINUTE);
    let looks = count(&life, "look_at_feed");
    assert!((11..=13).contains(&looks), "every 5 s: {looks}");
}

/// An encoder, a seller or a recorder that comes and goes all the time is notified all the time.
#[test]
fn notifications_without_end_hasten_a_look_once_in_half_a_second() {
    let hints = [
        (Hint::FeedConnected, "look_at_feed"),
        (Hint::FeedDisconnected, "look_at_feed"),
        (Hint::SellerJoined, "look_at_hosts"),
        (Hint::SellerLeft, "look_at_hosts"),
        (Hint::ConverterChanged, "look_at_recorder"),
    ];
    for (hint, look) in hints {
        let mut life = Life::live(push());
        life.wait(MINUTE);
        life.looks.clear();
        for _ in 0..100 {
            life.tell(Event::Hint(hint.clone()));
            life.now += TimeDelta::milliseconds(100);
            life.tell(Event::Tick);
            life.wait(0);
        }
        let looks = count(&life, look);
        assert!((5..=21).contains(&looks), "{hint:?}: {looks} in 10 s");
    }
}

#[test]
fn many_that_wait_to_be_live_share_what_there_is() {
    let mut life = Life::awaiting(push());
    life.relay.keep_pace(Pace {
        live: Intervals::default(),
        urgent: floor(20),
    });
    life.wait(10);
    life.looks.clear();
    life.wait(MINUTE);
    assert_eq!(count(&life, "look_at_feed"), 3);
}

/// When a relay that was recovered with this draw looks first.
fn first_look(draw: u16, pace: Pace) -> DateTime<Utc> {
    let life = Life::live(push());
    let mut relay = Relay::load(life.relay.durable().clone(), 2);
    relay.keep_pace(pace);
    let jitter = Jitter::new(draw);
    relay.handle(Event::Recovered { jitter }, life.now).unwrap();
    relay.wake_at(life.now).unwrap()
}

#[test]
fn recovered_relays_look_spread_over_as_long_as_all_of_them_take() {
    let pace = Pace {
        live: floor(100),
        urgent: Intervals::default(),
    };
    let begin = first_look(1, pace);
    let half = first_look(500, pace);
    let last = first_look(999, pace);
    assert_eq!((half - begin).num_seconds(), 49);
    assert!((last - begin).num_seconds() >= 99);
    let few = first_look(998, Pace::default());
    assert!((few - begin).num_seconds() < 5, "a few look at once");
}

#[test]
fn one_about_to_be_ended_by_a_deadline_looks_before() {
    let mut spec = push();
    spec.timing.max_duration = secs(50);
    let mut life = Life::live(spec);
    life.wait(30);
    let mut relay = Relay::load(life.relay.durable().clone(), 2);
    relay.keep_pace(Pace {
        live: floor(100),
        urgent: Intervals::default(),
    });
    let jitter = Jitter::new(999);
    relay.handle(Event::Recovered { jitter }, life.now).unwrap();
    let first = relay.wake_at(life.now).unwrap();
    assert!((first - life.now).num_seconds() < 5);
}

#[test]
fn relays_that_went_live_together_drift_apart() {
    let mut ends = Vec::new();
    for draw in [0, 999] {
        let mut life = Life::awaiting(push());
        life.feed = Some(true);
        life.draw = draw;
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);
        ends.push(life.relay.wake_at(life.now).unwrap());
    }
    assert_ne!(ends[0], ends[1]);
}

#[test]
fn after_a_notification_the_manifest_alone_is_asked_for_every_half_second() {
    let mut life = Life::awaiting(push());
    life.look();
    life.tell(Event::Hint(Hint::FeedConnected));
    for _ in 0..6 {
        let Some(Call::LookAtFeed { manifest_first, .. }) = life.waiting("look_at_feed") else {
            panic!("no look at the feed");
        };
        assert!(manifest_first);
        life.answer("look_at_feed", Answer::NotYetPlayable);
        assert_eq!(life.phase(), Phase::AwaitingLive);
        life.now += secs(1) / 2;
        life.tell(Event::Tick);
    }
    let reading = FeedReading {
        live: true,
        playable: Some(true),
        video_uid: None,
    };
    life.answer("look_at_feed", Answer::Feed(reading));
    life.look();
    assert_eq!(life.phase(), Phase::Live);
}
