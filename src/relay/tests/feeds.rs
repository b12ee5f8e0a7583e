//! Readings of the feed as platforms give them, and what polls cost.

use super::driver::*;
use crate::relay::*;

/// Gives a live relay this reading until it is confirmed or `seconds` have passed.
fn read(life: &mut Life, publishing: Option<bool>, watchable: Option<bool>, seconds: u64) {
    let until = life.now + secs(seconds);
    while life.now < until {
        if life.waiting("poll_feed").is_some() {
            let reading = FeedReading {
                publishing,
                watchable,
                session: None,
            };
            life.answer("poll_feed", Answer::Feed(reading));
        }
        life.poll_others();
        life.now += secs(1);
        life.handle(Event::Tick);
    }
}

#[test]
fn a_feed_without_a_publisher_is_lost_even_if_it_can_be_watched() {
    let mut life = Life::live(push());
    read(&mut life, Some(false), Some(true), 60);
    assert_eq!(life.phase(), Phase::Interrupted);
}

#[test]
fn where_the_publisher_is_unknown_what_buyers_can_watch_decides() {
    let mut life = Life::awaiting(push());
    read(&mut life, None, Some(false), 20);
    assert_eq!(life.phase(), Phase::AwaitingLive);
    read(&mut life, None, Some(true), 10);
    assert_eq!(life.phase(), Phase::Live);
    read(&mut life, None, Some(false), 60);
    assert_eq!(life.phase(), Phase::Interrupted);
    read(&mut life, None, Some(true), 10);
    assert_eq!(life.phase(), Phase::Live);
}

/// A broadcast that is served on without its publisher.
fn held(egress: EgressReading, hints: &[Hint]) -> Life {
    let mut spec = push();
    spec.timing.reconnect_window = secs(6000);
    let mut life = Life::live(spec);
    for hint in hints {
        life.handle(Event::Hint(hint.clone()));
    }
    life.egress = Some(egress);
    read(&mut life, None, Some(true), 20);
    life
}

#[test]
fn where_the_publisher_is_unknown_a_notification_and_a_bad_egress_interrupt_together() {
    let left = Hint::FeedDisconnected;
    for (egress, hints, phase) in [
        (EgressReading::NotFound, [].as_slice(), Phase::Live),
        (
            EgressReading::Publishing,
            std::slice::from_ref(&left),
            Phase::Live,
        ),
        (
            EgressReading::Connecting,
            std::slice::from_ref(&left),
            Phase::Live,
        ),
        (
            EgressReading::NotFound,
            &[left.clone(), Hint::FeedConnected],
            Phase::Live,
        ),
        (
            EgressReading::NotFound,
            std::slice::from_ref(&left),
            Phase::Interrupted,
        ),
        (
            EgressReading::Disconnected,
            std::slice::from_ref(&left),
            Phase::Interrupted,
        ),
    ] {
        assert_eq!(held(egress, hints).phase(), phase, "{egress:?} {hints:?}");
    }
}

#[test]
fn an_egress_that_publishes_again_restores_a_broadcast_that_is_served_on() {
    let mut life = held(EgressReading::NotFound, &[Hint::FeedDisconnected]);
    life.egress = Some(EgressReading::Publishing);
    read(&mut life, None, Some(true), 60);
    assert_eq!(life.phase(), Phase::Live);
    life.egress = Some(EgressReading::NotFound);
    read(&mut life, None, Some(true), 600);
    assert_eq!(life.phase(), Phase::Live);
}

#[test]
fn an_egress_that_is_not_found_is_replaced_where_the_broadcast_is_served_on() {
    let mut life = held(EgressReading::NotFound, &[Hint::FeedDisconnected]);
    let from = life.now;
    while life.waiting("renew_ingest_key").is_none() {
        assert!(life.since(from).num_seconds() < 130, "{:?}", life.phase());
        read(&mut life, None, Some(true), 1);
    }
}

#[test]
fn a_reading_that_tells_nothing_neither_begins_nor_interrupts_a_broadcast() {
    let mut life = Life::awaiting(push());
    read(&mut life, None, None, 20);
    assert_eq!(life.phase(), Phase::AwaitingLive);
    life.feed = Some(true);
    life.wait(10);
    read(&mut life, None, None, 120);
    assert_eq!(life.phase(), Phase::Live);
}

fn is_thorough(life: &mut Life) -> bool {
    life.handle(Event::Stop);
    life.answer("stop_egress", Answer::Stopped);
    life.answer("close_ingest", Answer::Closed);
    match life.waiting("poll_recordings") {
        Some(Call::PollRecordings { thorough, .. }) => *thorough,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_session_means_that_an_interruption_was_not_seen() {
    let mut life = Life::live(push());
    for session in ["video", "video", "another"] {
        assert!(!life.relay.durable().was_interrupted);
        until_waiting_for_feed(&mut life);
        let reading = streaming(None, Some(session));
        life.answer("poll_feed", Answer::Feed(reading));
    }
    assert!(life.relay.durable().was_interrupted);
    assert!(is_thorough(&mut life));
}

fn until_waiting_for_feed(life: &mut Life) {
    while life.waiting("poll_feed").is_none() {
        life.now += secs(1);
        life.handle(Event::Tick);
    }
}

#[test]
fn where_a_return_begins_another_recording_the_ingests_own_list_is_requested() {
    let longest = secs(300);
    for (reconnect, expected) in [
        (Reconnect::Held { longest }, false),
        (Reconnect::RecordingsMerged { longest }, true),
        (Reconnect::Anew, true),
    ] {
        let mut spec = push();
        spec.capabilities.reconnect = reconnect;
        assert_eq!(is_thorough(&mut Life::live(spec)), expected);
    }
}

/// The polls of the feed within a second of a hint about a connect, and whether each begins with the manifest.
fn eager_polls(change: impl Fn(&mut Capabilities)) -> (usize, bool) {
    let mut spec = push();
    change(&mut spec.capabilities);
    let mut life = Life::awaiting(spec);
    life.poll();
    life.handle(Event::Hint(Hint::FeedConnected));
    let (mut polls, mut all_first) = (0, true);
    for _ in 0..11 {
        if let Some(Call::PollFeed { manifest_first, .. }) = life.waiting("poll_feed") {
            all_first &= *manifest_first;
            polls += 1;
            life.feed = Some(false);
        }
        life.poll();
        life.now += secs(1) / 10;
        life.handle(Event::Tick);
    }
    (polls, all_first)
}

#[test]
fn polls_after_a_connect_are_frequent_only_if_they_cost_no_api_call() {
    assert_eq!(eager_polls(|_| ()), (3, true));
    assert_eq!(eager_polls(|c| c.manifest_first = false), (3, false));
    for cost in [FeedPollCost::Bulk, FeedPollCost::Each] {
        assert_eq!(eager_polls(|c| c.feed_poll = cost), (3, true));
        let polls = eager_polls(|c| {
            c.feed_poll = cost;
            c.manifest_first = false;
        });
        assert_eq!(polls, (1, false));
    }
}

#[test]
fn hints_bring_polls_forward_only_once_in_an_interval_if_each_costs_an_api_call() {
    let polls = |cost| {
        let mut spec = push();
        spec.capabilities.feed_poll = cost;
        let mut life = Life::live(spec);
        life.feed = Some(true);
        life.wait(60);
        life.polls.clear();
        for _ in 0..10 {
            life.handle(Event::Hint(Hint::FeedDisconnected));
            life.poll();
            life.wait(1);
        }
        let feed = life.polls.iter().filter(|poll| **poll == "poll_feed");
        feed.count()
    };
    assert!(polls(FeedPollCost::Public) >= 9);
    assert!((2..=4).contains(&polls(FeedPollCost::Each)));
    assert!((2..=4).contains(&polls(FeedPollCost::Bulk)));
}
