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
        (Hint::EgressChanged, "poll_egress"),
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
        life.answer("poll_feed", Answer::NotYetWatchable);
        assert_eq!(life.phase(), Phase::AwaitingLive);
        life.now += secs(1) / 2;
        life.handle(Event::Tick);
    }
    let reading = streaming(Some(true), None);
    life.answer("poll_feed", Answer::Feed(reading));
    life.poll();
    assert_eq!(life.phase(), Phase::Live);
}

/// When this poll is made, in milliseconds from now.
fn times(life: &mut Life, poll: &str, seconds: u64) -> Vec<i64> {
    let from = life.now;
    let mut times = Vec::new();
    while let Some(at) = life.relay.wake_at(life.now) {
        if at > from + secs(seconds) {
            break;
        }
        life.now = at;
        life.handle(Event::Tick);
        if life.waiting(poll).is_some() {
            times.push(life.since(from).num_milliseconds());
        }
        life.poll();
    }
    times
}

/// A relay with answers of this jitter that went live as its egress was accepted.
fn live_at_once(spec: Spec, draw: u16) -> Life {
    let mut life = Life::begin(spec);
    life.draw = draw;
    life.feed = Some(true);
    life.answer_create();
    life.accept("first");
    life.poll();
    assert_eq!(life.phase(), Phase::Live);
    life
}

#[test]
fn polls_of_feed_and_hosts_come_half_to_one_interval_after_going_live_and_then_drift_by_a_quarter()
{
    for poll in ["poll_feed", "poll_hosts"] {
        on_both(|spec| {
            let polls = |draw| times(&mut live_at_once(spec.clone(), draw), poll, 90);
            assert_eq!(polls(0), [15_000, 37_500, 60_000, 82_500], "{poll}");
            assert_eq!(polls(500), [22_500, 52_500, 82_500], "{poll}");
            assert_eq!(polls(999), [29_985, 67_470], "{poll}");
        });
    }
}

#[test]
fn an_egress_is_polled_5_15_and_45_seconds_after_its_acceptance_and_then_drifts() {
    let polls = |draw| times(&mut live_at_once(web(), draw), "poll_egress", 300);
    assert_eq!(polls(0), [5_000, 15_000, 45_000, 135_000, 225_000]);
    assert_eq!(polls(500), [5_500, 15_500, 45_500, 165_500, 285_500]);
}

#[test]
fn polls_before_a_relay_is_live_do_not_drift() {
    for poll in ["poll_feed", "poll_hosts"] {
        let mut life = Life::awaiting(push());
        life.draw = 0;
        life.poll();
        assert_eq!(
            times(&mut life, poll, 16),
            [5_000, 10_000, 15_000],
            "{poll}"
        );
    }
}

#[test]
fn the_egress_of_a_relay_without_a_feed_is_polled_every_three_poll_intervals() {
    let mut life = Life::without_feed(web());
    let polls = times(&mut life, "poll_egress", 60);
    assert_eq!(polls.len(), 4, "{polls:?}");
    assert_eq!(polls[3] - polls[0], 45_000);
}

#[test]
fn two_hints_at_once_cause_two_polls_half_a_second_apart() {
    let mut life = Life::awaiting(push());
    life.wait(14);
    life.handle(Event::Hint(Hint::FeedDisconnected));
    life.handle(Event::Hint(Hint::FeedDisconnected));
    life.polls.clear();
    life.poll();
    assert!(life.polls.is_empty());
    assert_eq!(times(&mut life, "poll_feed", 5), [500]);
}

#[test]
fn a_hint_during_a_poll_causes_another_right_after_it() {
    let mut life = live_at_once(push(), 0);
    life.now += secs(15);
    life.handle(Event::Tick);
    life.handle(Event::Hint(Hint::FeedConnected));
    life.polls.clear();
    life.poll();
    assert_eq!(life.polls, ["poll_feed"]);
}

#[test]
fn a_hint_during_the_poll_of_another_keeps_its_own_poll_while_live() {
    let mut life = Life::live(push());
    life.wait(MINUTE);
    for _ in 0..2 {
        life.handle(Event::Hint(Hint::FeedConnected));
    }
    assert!(life.waiting("poll_feed").is_some());
    life.poll();
    assert_eq!(times(&mut life, "poll_feed", 5), [500]);
}

#[test]
fn polls_after_hints_keep_half_the_minimum_interval() {
    for (hint, poll) in [
        (Hint::FeedConnected, "poll_feed"),
        (Hint::SellerJoined, "poll_hosts"),
        (Hint::EgressChanged, "poll_egress"),
    ] {
        let mut life = Life::live(push());
        life.wait(MINUTE);
        life.relay.set_pace(Pace {
            live: floor(100),
            urgent: Intervals::default(),
        });
        life.handle(Event::Hint(hint.clone()));
        assert!(life.waiting(poll).is_some());
        life.poll();
        life.now += secs(1);
        life.handle(Event::Hint(hint));
        assert_eq!(life.waiting(poll), None);
        assert_eq!(times(&mut life, poll, 60), [49_000], "{poll}");
    }
}

#[test]
fn polls_after_hints_keep_a_fifth_of_a_short_poll_interval() {
    let mut spec = push();
    spec.timing.poll_interval = secs(1);
    let mut life = Life::live(spec);
    life.wait(10);
    life.handle(Event::Hint(Hint::FeedConnected));
    life.poll();
    life.handle(Event::Hint(Hint::FeedConnected));
    assert_eq!(times(&mut life, "poll_feed", 5), [200]);
}

/// When a relay that awaits its feed polls it within 20 s after the encoder connected.
fn polls_after_a_connect(urgent: u64) -> Vec<i64> {
    let mut life = Life::awaiting(push());
    life.poll();
    life.relay.set_pace(Pace {
        live: Intervals::default(),
        urgent: floor(urgent),
    });
    life.handle(Event::Hint(Hint::FeedConnected));
    life.poll();
    times(&mut life, "poll_feed", 19)
}

#[test]
fn polls_are_frequent_for_15_seconds_after_the_encoder_connected() {
    let mut expected: Vec<i64> = (1..=30).map(|poll| poll * 500).collect();
    assert_eq!(polls_after_a_connect(0), expected);
    expected = vec![2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 14_000, 16_000];
    assert_eq!(polls_after_a_connect(4), expected, "one call, not two");
}

#[test]
fn polls_of_a_live_relay_do_not_become_frequent_when_the_encoder_connects() {
    let mut life = live_at_once(push(), 500);
    life.handle(Event::Hint(Hint::FeedConnected));
    life.poll();
    assert_eq!(times(&mut life, "poll_feed", 59), [30_000]);
}

#[test]
fn a_search_for_recordings_goes_on_within_its_interval_after_a_recovery() {
    let mut life = super::ending::finalizing(push());
    life.crash(1);
    assert_eq!(life.waiting("poll_recordings"), None);
    life.wait(10);
    assert!(life.waiting("poll_recordings").is_some());
}

#[test]
fn an_egress_that_is_not_found_is_polled_again_after_each_wait_of_the_back_off() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        life.egress = Some(EgressReading::NotFound);
        let polls = times(&mut life, "poll_egress", 150);
        let waits: Vec<i64> = polls.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits, [5_000, 10_000, 15_000, 30_000, 60_000]);
        assert!(life.waiting("renew_ingest_key").is_some());
    });
}
