//! Polls keep the minimum intervals, and drift apart.

use chrono::{DateTime, TimeDelta, Utc};

use super::driver::*;
use crate::relay::*;

const MINUTE: u64 = 60;

/// The same minimum interval for all polls.
fn floor(seconds: u64) -> Intervals {
    Intervals {
        feed: secs(seconds),
        hosts: secs(seconds),
        egress: secs(seconds),
    }
}

fn count(life: &Life, poll: &str) -> usize {
    life.polls.iter().filter(|other| **other == poll).count()
}

#[test]
fn a_live_relay_polls_no_more_often_than_its_part_of_the_budgets_allows() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.wait(2 * MINUTE);
        life.relay.set_pace(Pace {
            live: floor(300),
            urgent: Intervals::default(),
        });
        // Polls that were due already stay so.
        life.wait(2 * MINUTE);
        life.polls.clear();
        life.wait(30 * MINUTE);
        for poll in ["poll_feed", "poll_hosts", "poll_egress"] {
            let polls = count(&life, poll);
            assert!((5..=7).contains(&polls), "{poll}: {polls} in half an hour");
        }
    });
}

#[test]
fn an_interrupted_relay_polls_at_the_urgent_pace() {
    let mut life = Life::live(push());
    life.relay.set_pace(Pace {
        live: floor(50),
        urgent: floor(2),
    });
    life.feed = Some(false);
    life.wait(90);
    assert_eq!(life.phase(), Phase::Interrupted);
    life.polls.clear();
    life.wait(MINUTE);
    let polls = count(&life, "poll_feed");
    assert!((11..=13).contains(&polls), "every 5 s: {polls}");
}

/// An encoder, a seller or an egress that comes and goes causes any number of hints.
#[test]
fn repeated_notifications_bring_a_poll_forward_once_per_half_second() {
    let hints = [
        (Hint::FeedConnected, "poll_feed"),
        (Hint::FeedDisconnected, "poll_feed"),
        (Hint::SellerJoined, "poll_hosts"),
        (Hint::SellerLeft, "poll_hosts"),
        (Hint::ConverterChanged, "poll_egress"),
    ];
    for (hint, poll) in hints {
        let mut life = Life::live(push());
        life.wait(MINUTE);
        life.polls.clear();
        for _ in 0..100 {
            life.handle(Event::Hint(hint.clone()));
            life.now += TimeDelta::milliseconds(100);
            life.handle(Event::Tick);
            life.wait(0);
        }
        let polls = count(&life, poll);
        assert!((5..=21).contains(&polls), "{hint:?}: {polls} in 10 s");
    }
}

#[test]
fn a_relay_that_is_not_live_yet_keeps_the_minimum_interval() {
    let mut life = Life::awaiting(push());
    life.relay.set_pace(Pace {
        live: Intervals::default(),
        urgent: floor(20),
    });
    life.wait(10);
    life.polls.clear();
    life.wait(MINUTE);
    assert_eq!(count(&life, "poll_feed"), 3);
}

/// The first poll of a relay that recovers with this jitter.
fn first_poll(draw: u16, pace: Pace) -> DateTime<Utc> {
    let life = Life::live(push());
    let mut relay = Relay::load(life.relay.durable().clone(), 2);
    relay.set_pace(pace);
    let jitter = Jitter::new(draw);
    relay.handle(Event::Recovered { jitter }, life.now).unwrap();
    relay.wake_at(life.now).unwrap()
}

#[test]
fn the_first_polls_after_a_recovery_are_spread_over_the_minimum_interval() {
    let pace = Pace {
        live: floor(100),
        urgent: Intervals::default(),
    };
    let begin = first_poll(1, pace);
    let half = first_poll(500, pace);
    let last = first_poll(999, pace);
    assert_eq!((half - begin).num_seconds(), 49);
    assert!((last - begin).num_seconds() >= 99);
    let few = first_poll(998, Pace::default());
    assert!((few - begin).num_seconds() < 5, "a few poll at once");
}

#[test]
fn a_recovered_relay_close_to_a_deadline_polls_before_it() {
    let mut spec = push();
    spec.timing.max_duration = secs(50);
    let mut life = Life::live(spec);
    life.wait(30);
    let mut relay = Relay::load(life.relay.durable().clone(), 2);
    relay.set_pace(Pace {
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
fn after_a_notification_the_manifest_alone_is_polled_every_half_second() {
    let mut life = Life::awaiting(push());
    life.poll();
    life.handle(Event::Hint(Hint::FeedConnected));
    for _ in 0..6 {
        let Some(Call::PollFeed { manifest_first, .. }) = life.waiting("poll_feed") else {
            panic!("no poll of the feed");
        };
        assert!(manifest_first);
        life.answer("poll_feed", Answer::NotYetPlayable);
        assert_eq!(life.phase(), Phase::AwaitingLive);
        life.now += secs(1) / 2;
        life.handle(Event::Tick);
    }
    let reading = FeedReading {
        live: true,
        playable: Some(true),
        recording_uid: None,
    };
    life.answer("poll_feed", Answer::Feed(reading));
    life.poll();
    assert_eq!(life.phase(), Phase::Live);
}
