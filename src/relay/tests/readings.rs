//! Readings of feed, seller and egress: which count, for how long, and which confirm each other.

use chrono::TimeDelta;

use super::driver::*;
use crate::relay::*;

fn page(seq: u64, present: bool) -> Event {
    Event::Page {
        attempt: 1,
        report: PageReport::Seller { seq, present },
    }
}

/// Polls the feed now, as a hint asks for it.
fn poll_feed(life: &mut Life) {
    life.handle(Event::Hint(Hint::FeedConnected));
    life.poll();
}

/// Lets time pass until this poll is open.
fn until_open(life: &mut Life, poll: &str) {
    while life.waiting(poll).is_none() {
        life.now = life.relay.wake_at(life.now).unwrap();
        life.handle(Event::Tick);
    }
}

fn count(life: &Life, kind: &str) -> usize {
    let kinds = life.journal.iter().map(|(_, fact)| <&str>::from(fact));
    kinds.filter(|other| *other == kind).count()
}

#[test]
fn a_report_of_the_page_is_valid_for_45_seconds_and_the_hosts_for_three_polls_and_ten_seconds() {
    let mut life = Life::awaiting(web());
    life.poll();
    let read = life.now;
    let presence = |life: &Life, after| life.relay.presence(read + secs(after));
    assert_eq!(presence(&life, 99), Presence::Present);
    assert_eq!(presence(&life, 100), Presence::Unknown);
    assert!(!life.relay.page_is_fresh(read));
    life.handle(page(1, false));
    assert_eq!(presence(&life, 44), Presence::Absent);
    assert_eq!(presence(&life, 45), Presence::Present, "the hosts");
    assert!(life.relay.page_is_fresh(read + secs(44)));
    assert!(!life.relay.page_is_fresh(read + secs(45)));
}

#[test]
fn an_absence_that_the_page_reports_once_is_confirmed_by_the_next_reading_of_the_feed() {
    let mut life = Life::live(web());
    life.handle(page(1, false));
    assert_eq!(life.phase(), Phase::Live);
    life.wait(5);
    assert_eq!(life.phase(), Phase::Interrupted);
}

#[test]
fn a_notification_that_contradicts_the_page_has_the_hosts_polled() {
    for (hint, present) in [(Hint::SellerLeft, true), (Hint::SellerJoined, false)] {
        let mut life = Life::live(web());
        life.poll();
        life.now += secs(1);
        life.handle(page(1, present));
        assert_eq!(life.waiting("poll_hosts"), None);
        life.handle(Event::Hint(hint));
        life.seller = Some(!present);
        life.poll();
        let seen = life.relay.presence(life.now) == Presence::Present;
        assert_eq!(seen, !present, "the hosts decide");
    }
}

#[test]
fn two_bad_readings_count_if_nearly_a_poll_interval_and_at_most_three_lie_between_them() {
    for (apart, phase) in [
        (3_999, Phase::Live),
        (4_000, Phase::Interrupted),
        (60_000, Phase::Interrupted),
        (89_000, Phase::Interrupted),
        (90_000, Phase::Live),
    ] {
        let mut life = Life::live(push());
        life.feed = Some(false);
        poll_feed(&mut life);
        let first = life.now;
        life.feed = None;
        life.wait(apart / 1000);
        life.now = first + TimeDelta::milliseconds(apart.cast_signed());
        life.feed = Some(false);
        poll_feed(&mut life);
        assert_eq!(life.phase(), phase, "{apart} ms apart");
    }
}

#[test]
fn a_failed_poll_of_the_hosts_does_not_make_the_feed_good() {
    let mut life = Life::awaiting(push());
    life.seller = None;
    life.wait(60);
    assert_eq!(life.phase(), Phase::AwaitingLive);
}

#[test]
fn no_relay_goes_live_on_a_reading_from_before_a_failed_poll() {
    on_both(|spec| {
        let mut life = Life::awaiting(spec);
        (life.feed, life.seller) = (Some(true), Some(false));
        life.wait(10);
        life.feed = None;
        life.wait(10);
        life.seller = Some(true);
        life.wait(10);
        assert_eq!(life.phase(), Phase::AwaitingLive);
        life.feed = Some(true);
        life.wait(6);
        assert_eq!(life.phase(), Phase::Live);
    });
}

#[test]
fn readings_that_change_nothing_while_a_relay_is_interrupted_are_not_journaled() {
    on_both(|mut spec| {
        spec.timing.reconnect_window = secs(600);
        let mut away = Life::live(spec.clone());
        away.seller = Some(false);
        away.wait(60);
        for mut life in [away, Life::without_feed(spec)] {
            assert_eq!(life.phase(), Phase::Interrupted);
            let facts = life.journal.len();
            life.wait(60);
            assert_eq!(life.journal.len(), facts, "{:?}", life.journal.last());
        }
    });
}

#[test]
fn a_relay_without_seller_and_feed_is_resumed_once_both_are_back() {
    on_both(|mut spec| {
        spec.timing.reconnect_window = secs(600);
        let mut life = Life::live(spec);
        life.seller = Some(false);
        life.wait(60);
        assert_eq!(life.relay.durable().feed_gone_since, None);
        life.feed = Some(false);
        life.wait(15);
        assert!(life.relay.durable().feed_gone_since.is_some());
        life.feed = Some(true);
        life.wait(15);
        assert_eq!(life.relay.durable().feed_gone_since, None);
        assert_eq!(life.phase(), Phase::Interrupted, "the seller is away");
        life.seller = Some(true);
        life.wait(15);
        assert_eq!(life.phase(), Phase::Live);
        use Announcement::*;
        assert_eq!(life.announced, [Starting, Live, Interrupted, Resumed]);
    });
}

#[test]
fn each_recording_in_progress_is_seen_once() {
    let mut life = Life::live(push());
    life.wait(120);
    for _ in 0..2 {
        until_open(&mut life, "poll_feed");
        let reading = streaming(None, Some("after a break"));
        life.answer("poll_feed", Answer::Feed(reading));
        life.poll();
    }
    let recordings = &life.relay.durable().recordings;
    let uids: Vec<&str> = recordings.iter().map(|r| &*r.id).collect();
    assert_eq!(uids, ["video", "after a break"]);
    assert_eq!(count(&life, "session_seen"), 2);
}

#[test]
fn the_manifest_is_polled_unless_live_and_first_only_after_a_hint_before_that() {
    let poll = |life: &mut Life| {
        until_open(life, "poll_feed");
        let Some(Call::PollFeed {
            probe_manifest,
            manifest_first,
            ..
        }) = life.waiting("poll_feed")
        else {
            panic!("no poll of the feed")
        };
        (*probe_manifest, *manifest_first)
    };
    let mut life = Life::awaiting(push());
    assert_eq!(poll(&mut life), (true, false));
    life.wait(118);
    life.handle(Event::Hint(Hint::FeedConnected));
    assert_eq!(poll(&mut life), (true, true));
    life.wait(2);
    assert_eq!(life.outcome(), Some(OutcomeCode::LiveTimeout));

    let mut life = Life::live(push());
    life.handle(Event::Hint(Hint::FeedConnected));
    assert_eq!(poll(&mut life), (false, false));
    let mut life = Life::without_feed(push());
    assert_eq!(poll(&mut life), (true, false));
    life.poll();
    life.handle(Event::Hint(Hint::FeedConnected));
    assert_eq!(poll(&mut life), (true, false));
}

#[test]
fn the_last_poll_before_live_timeout_asks_for_the_feed_first_even_after_a_hint() {
    let mut life = Life::awaiting(push());
    life.wait(119);
    life.handle(Event::Hint(Hint::FeedConnected));
    life.poll();
    life.now += secs(1);
    life.handle(Event::Tick);
    let poll = life.waiting("poll_feed");
    assert!(matches!(
        poll,
        Some(Call::PollFeed {
            manifest_first: false,
            ..
        })
    ));
}

#[test]
fn an_egress_that_is_not_found_while_the_feed_goes_on_is_not_replaced() {
    on_both(|mut spec| {
        spec.timing.reconnect_window = secs(6000);
        for seller in [true, false] {
            let mut life = Life::live(spec.clone());
            life.egress = Some(EgressReading::NotFound);
            life.seller = Some(seller);
            life.wait(1000);
            assert_eq!(life.phase() == Phase::Live, seller);
            assert_eq!(life.relay.durable().replacements, 0);
        }
    });
}

#[test]
fn an_egress_that_is_not_found_before_the_relay_is_live_is_replaced_after_the_back_off() {
    on_both(|mut spec| {
        spec.timing.live_timeout = secs(600);
        let mut life = Life::awaiting(spec);
        life.egress = Some(EgressReading::NotFound);
        let from = life.now;
        while life.waiting("renew_ingest_key").is_none() {
            life.wait(1);
        }
        assert!((125..=127).contains(&life.since(from).num_seconds()));
    });
}

#[test]
fn each_back_off_after_a_404_has_its_own_time() {
    let mut life = Life::live(push());
    life.egress = Some(EgressReading::NotFound);
    life.wait(60);
    life.egress = Some(EgressReading::Publishing);
    life.wait(120);
    until_open(&mut life, "poll_egress");
    life.egress = Some(EgressReading::NotFound);
    let from = life.now;
    life.poll();
    life.wait(50);
    life.feed = Some(false);
    // The loss of the feed causes a poll out of turn, which uses up one of the waits.
    life.handle(Event::Hint(Hint::FeedDisconnected));
    life.poll();
    while life.relay.durable().replacements == 0 {
        life.wait(1);
    }
    assert!(life.since(from).num_seconds() >= 120);
}

#[test]
fn a_reading_of_an_egress_that_is_being_stopped_is_ignored() {
    on_both(|spec| {
        for reading in [EgressReading::Exited, EgressReading::Failed] {
            let mut life = Life::live(spec.clone());
            until_open(&mut life, "poll_egress");
            life.handle(Event::Stop);
            let step = life.answer("poll_egress", Answer::Egress(reading));
            assert_eq!(step.ignored, Some(Ignored::Inapplicable));

            let mut life = Life::without_feed(spec.clone());
            life.egress = Some(EgressReading::Connecting);
            while life.since(life.relay.durable().feed_gone_since.unwrap())
                < TimeDelta::seconds(150)
            {
                life.wait(1);
            }
            until_open(&mut life, "poll_egress");
            let polled = life.land("poll_egress");
            while life.waiting("stop_egress").is_none() {
                life.wait(1);
            }
            let step = life.handle(Event::Answered {
                action: polled,
                answer: Answer::Egress(reading),
                jitter: jitter(),
            });
            assert_eq!(step.ignored, Some(Ignored::Inapplicable));
        }
    });
}

#[test]
fn an_egress_that_is_stopped_for_a_replacement_is_not_polled() {
    on_both(|spec| {
        let mut life = Life::without_feed(spec);
        while life.waiting("stop_egress").is_none() {
            life.wait(1);
        }
        life.poll();
        life.polls.clear();
        life.wait(150);
        assert!(life.polls.contains(&"poll_feed"));
        assert!(!life.polls.contains(&"poll_egress"));
    });
}

#[test]
fn a_relay_that_is_stopping_polls_nothing() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.handle(Event::Stop);
        life.poll();
        life.polls.clear();
        life.wait(300);
        assert!(life.polls.is_empty(), "{:?}", life.polls);
    });
}

#[test]
fn an_egress_whose_backend_cannot_update_it_gets_no_target_again_and_a_known_handle_stays() {
    let mut life = Life::live(push());
    life.egress = Some(EgressReading::Disconnected);
    life.wait(120);
    assert!(!life.called.contains(&"update_egress"));
    life.handle(life.named("session"));
    assert_eq!(count(&life, "egress_discovered"), 0);
}

#[test]
fn an_egress_that_got_its_target_again_is_polled_after_a_poll_interval() {
    let mut life = Life::live(web());
    life.egress = Some(EgressReading::Disconnected);
    while life.waiting("update_egress").is_none() {
        life.wait(1);
    }
    life.polls.clear();
    life.answer("update_egress", Answer::Updated);
    life.wait(4);
    assert!(!life.polls.contains(&"poll_egress"));
    life.wait(1);
    assert!(life.polls.contains(&"poll_egress"));
}
