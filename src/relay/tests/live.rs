//! From the accepted egress through live and interrupted: readings and their effects.

use super::driver::*;
use crate::relay::*;

#[test]
fn live_is_announced_when_a_buyer_can_press_play_and_not_before() {
    on_both(|spec| {
        let mut life = Life::awaiting(spec.clone());
        life.wait(20);
        assert_eq!(life.phase(), Phase::AwaitingLive, "nothing streams");
        life.seller = Some(false);
        life.wait(10);
        life.feed = Some(true);
        life.wait(20);
        assert_eq!(life.phase(), Phase::AwaitingLive, "the seller is not there");
        life.seller = Some(true);
        life.wait(6);
        assert_eq!(life.phase(), Phase::Live);
        assert_eq!(life.announced, [Announcement::Starting, Announcement::Live]);
    });
}

#[test]
fn streaming_without_a_manifest_is_not_live() {
    let mut life = Life::awaiting(push());
    life.poll();
    let reading = streaming(Some(false), None);
    life.now += secs(5);
    life.handle(Event::Tick);
    life.answer("poll_feed", Answer::Feed(reading));
    life.poll();
    assert_eq!(life.phase(), Phase::AwaitingLive);
}

#[test]
fn a_seller_of_unknown_presence_counts_as_present() {
    let mut life = Life::awaiting(push());
    life.feed = Some(true);
    life.seller = None;
    life.wait(10);
    assert_eq!(life.phase(), Phase::Live);
}

#[test]
fn a_seller_who_never_comes_is_live_timeout_after_one_last_poll_and_the_detail_says_so() {
    on_both(|spec| {
        let mut life = Life::awaiting(spec);
        let from = life.now;
        life.seller = Some(false);
        life.feed = Some(true);
        life.wait(119);
        assert_eq!(life.phase(), Phase::AwaitingLive);
        life.polls.clear();
        life.wait(10);
        for poll in ["poll_feed", "poll_hosts", "poll_egress"] {
            assert!(life.polls.contains(&poll), "{poll}");
        }
        assert_eq!(life.outcome(), Some(OutcomeCode::LiveTimeout));
        let stopped_at = life.relay.durable().stopped_at.unwrap();
        assert_eq!((stopped_at - from).num_seconds(), 120);
        let detail = life.detail();
        assert_eq!(detail.seller.as_deref(), Some("not in the channel"));
        assert_eq!(detail.egress.as_deref(), Some("publishing"));
        assert_eq!(detail.feed.as_deref(), Some("streaming"));
    });
}

#[test]
fn polls_that_hang_do_not_hold_live_timeout_for_more_than_five_seconds() {
    let mut life = Life::awaiting(push());
    life.wait(119);
    life.now += secs(2);
    life.handle(Event::Tick);
    assert!(life.waiting("poll_feed").is_some());
    life.now += secs(5);
    life.handle(Event::Tick);
    assert_eq!(life.outcome(), Some(OutcomeCode::LiveTimeout));
}

#[test]
fn a_seller_who_returns_within_the_window_keeps_the_same_egress() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.seller = Some(false);
        life.wait(45);
        assert_eq!(life.phase(), Phase::Interrupted);
        life.seller = Some(true);
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);
        life.wait(120);
        assert_eq!(life.phase(), Phase::Live);
        use Announcement::*;
        assert_eq!(life.announced, [Starting, Live, Interrupted, Resumed]);
        assert_eq!(life.relay.durable().replacements, 0);
    });
}

#[test]
fn a_seller_who_leaves_for_good_ends_it_after_the_window() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.seller = Some(false);
        life.wait(120);
        assert_eq!(life.outcome(), Some(OutcomeCode::SellerLeft));
        let away = life.journal.iter().find_map(|(_, fact)| match fact {
            Fact::SellerAway { since } => Some(*since),
            _ => None,
        });
        let stopped_at = life.relay.durable().stopped_at.unwrap();
        assert_eq!((stopped_at - away.unwrap()).num_seconds(), 60);
        life.take_down(&[recording("video", RecordingState::Ready, 30)]);
        assert_eq!(life.phase(), Phase::Ended);
    });
}

#[test]
fn one_bad_reading_interrupts_nothing_and_a_failed_poll_is_no_reading() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.feed = Some(false);
        life.seller = Some(false);
        while life.waiting("poll_feed").is_none() {
            life.now = life.relay.wake_at(life.now).unwrap();
            life.handle(Event::Tick);
        }
        life.poll();
        assert_eq!(life.phase(), Phase::Live, "one");
        life.feed = None;
        life.seller = None;
        life.wait(60);
        assert_eq!(life.phase(), Phase::Live, "errors");
        life.feed = Some(true);
        life.seller = Some(true);
        life.wait(40);
        assert_eq!(life.phase(), Phase::Live);
        assert_eq!(life.relay.durable().replacements, 0);
    });
}

#[test]
fn a_bad_reading_long_after_another_counts_as_the_first() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        for what in ["the first", "one after half an hour without readings"] {
            (life.feed, life.seller) = (Some(false), Some(false));
            while life.waiting("poll_feed").is_none() || life.waiting("poll_hosts").is_none() {
                life.now = life.relay.wake_at(life.now).unwrap();
                life.handle(Event::Tick);
            }
            life.poll();
            assert_eq!(life.phase(), Phase::Live, "{what}");
            (life.feed, life.seller) = (None, None);
            life.wait(1800);
            assert_eq!(life.phase(), Phase::Live, "{what}");
        }
    });
}

#[test]
fn two_bad_readings_with_a_good_one_between_them_interrupt_nothing() {
    let mut life = Life::live(push());
    for good in [false, true, false, true] {
        life.feed = Some(good);
        life.handle(Event::Hint(Hint::FeedConnected));
        life.poll();
        life.now += secs(5);
    }
    assert_eq!(life.phase(), Phase::Live);
}

#[test]
fn a_notification_and_one_reading_are_enough() {
    let mut life = Life::live(push());
    life.feed = Some(false);
    life.handle(Event::Hint(Hint::FeedDisconnected));
    assert_eq!(life.phase(), Phase::Live, "a notification alone is not");
    life.poll();
    assert_eq!(life.phase(), Phase::Interrupted);

    let mut life = Life::live(push());
    life.seller = Some(false);
    life.handle(Event::Hint(Hint::SellerLeft));
    assert_eq!(life.phase(), Phase::Live);
    life.poll();
    assert_eq!(life.phase(), Phase::Interrupted);
}

#[test]
fn a_notification_that_led_to_a_poll_is_journaled_and_by_itself_changes_nothing() {
    let mut life = Life::live(push());
    let before = life.relay.durable().clone();
    let step = life.handle(Event::Hint(Hint::SellerLeft));
    let hint = Hint::SellerLeft;
    assert_eq!(step.facts, [Fact::Notified { hint }]);
    assert_eq!(*life.relay.durable(), before);
    let step = life.handle(Event::Hint(Hint::RecordingDone));
    assert_eq!(step.ignored, Some(Ignored::Inapplicable));
    assert_eq!(step.facts, [], "an inapplicable hint is not journaled");
}

#[test]
fn a_notification_that_a_reading_contradicts_changes_nothing() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.handle(Event::Hint(Hint::FeedDisconnected));
        life.handle(Event::Hint(Hint::SellerLeft));
        let reason = "ERR_GOP_OUT_OF_RANGE".into();
        life.handle(Event::Hint(Hint::FeedErrored { reason }));
        life.poll();
        life.wait(120);
        assert_eq!(life.phase(), Phase::Live);
        assert_eq!(life.announced, [Announcement::Starting, Announcement::Live]);
    });
}

#[test]
fn a_feed_that_the_platform_refuses_ends_the_relay_with_its_message() {
    on_both(|spec| {
        let mut life = Life::awaiting(spec);
        life.poll();
        let reason = "ERR_GOP_OUT_OF_RANGE".to_owned();
        life.handle(Event::Hint(Hint::FeedErrored { reason }));
        life.poll();
        assert_eq!(life.outcome(), Some(OutcomeCode::IngestErrored));
        assert_eq!(life.detail().feed.as_deref(), Some("ERR_GOP_OUT_OF_RANGE"));
    });
}

#[test]
fn the_pages_reports_override_the_hosts_and_are_taken_in_order_only() {
    let mut life = Life::live(web());
    let page = |attempt, seq, present| Event::Page {
        attempt,
        report: PageReport::Seller { seq, present },
    };
    life.handle(page(1, 5, true));
    life.seller = Some(false);
    let before = life.polls.iter().filter(|l| **l == "poll_hosts").count();
    life.wait(30);
    let after = life.polls.iter().filter(|l| **l == "poll_hosts").count();
    assert_eq!(
        before, after,
        "the hosts are not polled while the page reports"
    );
    assert_eq!(life.phase(), Phase::Live);
    let step = life.handle(page(1, 4, false));
    assert_eq!(step.ignored, Some(Ignored::Duplicate), "an older report");
    let step = life.handle(page(2, 9, false));
    assert_eq!(
        step.ignored,
        Some(Ignored::Inapplicable),
        "another recorder's page"
    );
    assert_eq!(life.relay.presence(life.now), Presence::Present);
    life.handle(page(1, 6, false));
    assert_eq!(life.phase(), Phase::Live, "one report");
    life.now += secs(5);
    life.handle(page(1, 7, false));
    assert_eq!(life.phase(), Phase::Interrupted);
}

#[test]
fn a_page_that_cannot_join_is_journaled_once_a_minute() {
    let mut life = Life::awaiting(web());
    let trouble = PageTrouble::Timeout;
    let cannot_join = |attempt| Event::Page {
        attempt,
        report: PageReport::CannotJoin(trouble),
    };
    life.feed = Some(false);
    let is_journaled = |step: Step| {
        step.facts
            == [Fact::Notified {
                hint: Hint::PageCannotJoin { trouble },
            }]
    };
    assert!(is_journaled(life.handle(cannot_join(1))));
    assert!(
        life.relay
            .last_failure()
            .unwrap()
            .message
            .contains("cannot join")
    );
    life.wait(59);
    assert_eq!(
        life.handle(cannot_join(1)).ignored,
        Some(Ignored::Duplicate)
    );
    life.wait(1);
    assert_eq!(
        life.handle(cannot_join(2)).ignored,
        Some(Ignored::Inapplicable)
    );
    assert!(is_journaled(life.handle(cannot_join(1))));
    assert_eq!(
        life.relay.presence(life.now),
        Presence::Present,
        "as the hosts say"
    );
    life.handle(Event::Page {
        attempt: 1,
        report: PageReport::Seller {
            seq: 1,
            present: true,
        },
    });
    assert_eq!(life.relay.last_failure(), None, "the page has joined");
    // The journal has a report of the last minute; only the last error is updated.
    assert_eq!(
        life.handle(cannot_join(1)).ignored,
        Some(Ignored::Duplicate)
    );
    let failure = life.relay.last_failure().unwrap();
    assert!(failure.message.contains("cannot join"));
}

#[test]
fn the_hosts_are_polled_when_the_page_stops_reporting() {
    let mut life = Life::live(web());
    life.handle(Event::Page {
        attempt: 1,
        report: PageReport::Seller {
            seq: 1,
            present: true,
        },
    });
    life.seller = Some(false);
    life.wait(44);
    assert_eq!(life.relay.presence(life.now), Presence::Present);
    life.wait(20);
    assert_eq!(life.relay.presence(life.now), Presence::Absent);
    assert_eq!(life.phase(), Phase::Interrupted);
}

#[test]
fn max_duration_includes_interruptions() {
    on_both(|mut spec| {
        spec.timing.max_duration = secs(300);
        let mut life = Life::live(spec);
        let live_at = life.relay.durable().live_at.unwrap();
        life.wait(240);
        life.seller = Some(false);
        life.wait(120);
        assert_eq!(life.outcome(), Some(OutcomeCode::MaxDuration));
        let stopped_at = life.relay.durable().stopped_at.unwrap();
        assert_eq!((stopped_at - live_at).num_seconds(), 300);
    });
}

#[test]
fn a_live_relay_polls_without_writing_anything() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        let facts = life.journal.len();
        life.wait(600);
        assert_eq!(life.journal.len(), facts);
        assert!(life.polls.len() > 40);
    });
}

/// Lets time pass as [`Life::wait`] does, while the platform does not know the ingest.
fn wait_without_ingest(life: &mut Life, seconds: u64) {
    for _ in 0..seconds {
        if life.waiting("poll_feed").is_some() {
            life.answer("poll_feed", Answer::NotFound);
        }
        life.wait(0);
        life.now += secs(1);
        life.handle(Event::Tick);
    }
}

#[test]
fn an_ingest_that_two_polls_do_not_find_is_gone_and_nothing_is_left() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        life.egress = Some(EgressReading::NotFound);
        // Until the next poll, and the one that follows it.
        while life.waiting("poll_feed").is_none() {
            life.now += secs(1);
            life.handle(Event::Tick);
        }
        life.answer("poll_feed", Answer::NotFound);
        assert_eq!(life.phase(), Phase::Live, "one answer decides nothing");
        life.poll();
        wait_without_ingest(&mut life, 7);
        assert_eq!(life.outcome(), Some(OutcomeCode::IngestGone));
        assert!(life.waiting("close_ingest").is_none());
        life.take_down(&[recording("video", RecordingState::Ready, 10)]);
        assert_eq!(life.phase(), Phase::Ended);
    });
}

#[test]
fn an_ingest_that_is_found_again_is_not_gone() {
    on_both(|spec| {
        let mut life = Life::live(spec);
        for _ in 0..5 {
            while life.waiting("poll_feed").is_none() {
                life.now += secs(1);
                life.handle(Event::Tick);
            }
            life.answer("poll_feed", Answer::NotFound);
            life.wait(20);
        }
        assert_eq!(life.phase(), Phase::Live);
    });
}
