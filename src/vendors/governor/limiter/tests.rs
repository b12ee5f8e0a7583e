use proptest::prelude::*;

use super::*;

fn limiter(quota: u32, length: Duration) -> Limiter {
    Limiter::new(SlidingWindow::new(quota, length, 1.0, true))
}

fn request(priority: Priority, until: Instant) -> PermitRequest {
    PermitRequest { priority, until }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Requests permits until one is denied; each call ends at once.
fn drain(limiter: &mut Limiter, priority: Priority, now: Instant) -> u32 {
    let mut calls = 0;
    while limiter.request(request(priority, now), 1, now) == Ok(Admission::Granted) {
        limiter.lost(priority, 1, now);
        calls += 1;
    }
    calls
}

#[test]
fn with_thousands_of_starts_waiting_a_fifth_of_the_budget_goes_to_stops_at_once() {
    let now = Instant::now();
    let mut limiter = limiter(960, seconds(300));
    let patient = now + seconds(3600);
    for _ in 0..2000 {
        let _ = limiter.request(request(Priority::Start, patient), 1, now);
    }
    assert!(limiter.waiting() > 1000);
    assert_eq!(drain(&mut limiter, Priority::Stop, now), 192);
}

#[test]
fn with_thousands_of_disables_waiting_starts_get_their_share() {
    let start = Instant::now();
    let length = seconds(300);
    let mut limiter = limiter(960, length);
    let patient = start + seconds(36_000);
    drain(&mut limiter, Priority::Janitor, start);
    let mut starts = std::collections::HashSet::new();
    for turn in 0..12_000 {
        let priority = match turn % 6 {
            0 => Priority::Start,
            _ => Priority::Finalize,
        };
        if let Ok(Admission::Waiting(id)) = limiter.request(request(priority, patient), 1, start)
            && priority == Priority::Start
        {
            starts.insert(id);
        }
    }
    // After five minutes of waiting both classes weigh 4.
    let served = limiter.serve(start + length);
    assert_eq!(served.len(), 768);
    let served_starts = served.iter().filter(|id| starts.contains(id)).count();
    assert_eq!(served_starts, 384);
}

#[test]
fn a_request_that_cannot_be_served_in_time_is_denied_at_once() {
    let now = Instant::now();
    let mut limiter = limiter(10, seconds(300));
    assert_eq!(drain(&mut limiter, Priority::Start, now), 8);
    assert_eq!(
        limiter.request(request(Priority::Start, now + seconds(299)), 1, now),
        Err(Denied {
            retry_after: seconds(300)
        })
    );
    assert_eq!(limiter.waiting(), 0);
    assert!(matches!(
        limiter.request(request(Priority::Start, now + seconds(300)), 1, now),
        Ok(Admission::Waiting(_))
    ));
}

#[test]
fn waiters_ahead_in_the_same_class_count_in_a_denials_wait() {
    let now = Instant::now();
    let mut limiter = limiter(10, seconds(100));
    drain(&mut limiter, Priority::Start, now);
    let until = now + seconds(100);
    for _ in 0..8 {
        assert!(
            limiter
                .request(request(Priority::Start, until), 1, now)
                .is_ok()
        );
    }
    assert_eq!(
        limiter.request(request(Priority::Start, until), 1, now),
        Err(Denied {
            retry_after: seconds(200)
        })
    );
}

#[test]
fn two_permits_are_given_together_and_nothing_overtakes_a_request_for_two() {
    let now = Instant::now();
    let second = seconds(1);
    let mut limiter = limiter(4, second);
    let patient = now + seconds(60);
    for _ in 0..3 {
        assert_eq!(
            limiter.request(request(Priority::Janitor, patient), 1, now),
            Ok(Admission::Granted)
        );
    }
    for half in [0, 1] {
        // One call ends now, two later.
        limiter.lost(Priority::Janitor, 1 + half, now + second / 2 * half);
    }
    let Ok(Admission::Waiting(pair)) =
        limiter.request(request(Priority::Start, patient), 2, now + second / 2)
    else {
        panic!("one is free, two are asked for");
    };
    let Ok(Admission::Waiting(single)) =
        limiter.request(request(Priority::Start, patient), 1, now + second / 2)
    else {
        panic!("it does not overtake");
    };
    assert_eq!(limiter.serve(now + second), vec![pair]);
    assert_eq!(limiter.serve(now + second * 3 / 2), vec![single]);
}

#[test]
fn a_withdrawn_waiter_returns_its_permits() {
    let now = Instant::now();
    let mut limiter = limiter(1, seconds(1));
    drain(&mut limiter, Priority::Start, now);
    let until = now + seconds(10);
    let Ok(Admission::Waiting(first)) = limiter.request(request(Priority::Start, until), 1, now)
    else {
        panic!("the permit is gone");
    };
    let Ok(Admission::Waiting(second)) = limiter.request(request(Priority::Start, until), 1, now)
    else {
        panic!("the permit is gone");
    };
    let later = now + seconds(1);
    assert_eq!(limiter.serve(later), vec![first]);
    limiter.withdraw(Priority::Start, first);
    assert_eq!(limiter.serve(later), vec![second]);
}

#[derive(Debug, Clone)]
enum Event {
    Advance(u64),
    Request(Priority, u32, u64),
    /// A call is answered, having arrived at this percentage of its flight.
    Answer(prop::sample::Index, u64),
    Withdraw(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    let priority = prop_oneof![
        Just(Priority::Stop),
        Just(Priority::Start),
        Just(Priority::Recover),
        Just(Priority::Finalize),
        Just(Priority::Janitor),
    ];
    prop_oneof![
        3 => (0u64..400).prop_map(Event::Advance),
        4 => (priority, 1u32..=2, 0u64..5000).prop_map(|(p, n, until)| Event::Request(p, n, until)),
        3 => (any::<prop::sample::Index>(), 0u64..=100).prop_map(|(i, at)| Event::Answer(i, at)),
        1 => any::<prop::sample::Index>().prop_map(Event::Withdraw),
    ]
}

fn is_stop(priority: Priority) -> bool {
    priority == Priority::Stop
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_window_at_the_vendor_exceeds_the_limit_and_only_stops_use_the_reserve(
        quota in 3u32..20,
        events in prop::collection::vec(event(), 1..300),
    ) {
        let length = Duration::from_secs(1);
        let mut limiter = limiter(quota, length);
        let mut now = Instant::now();
        let mut waiting: Vec<Waiter> = Vec::new();
        let mut in_flight: Vec<(Priority, u32, Instant)> = Vec::new();
        let mut arrived: Vec<(Instant, u32, bool)> = Vec::new();
        for event in events {
            match event {
                Event::Advance(millis) => now += Duration::from_millis(millis),
                Event::Request(priority, permits, patience) => {
                    let until = now + Duration::from_millis(patience);
                    match limiter.request(request(priority, until), permits, now) {
                        Ok(Admission::Granted) => in_flight.push((priority, permits, now)),
                        Ok(Admission::Waiting(id)) => {
                            waiting.push(Waiter { id, priority, permits, since: now });
                        }
                        Err(denied) => prop_assert!(now + denied.retry_after > until || patience == 0),
                    }
                }
                Event::Answer(index, part) => if !in_flight.is_empty() {
                    let (priority, permits, sent) = in_flight.swap_remove(index.index(in_flight.len()));
                    let at = sent + (now - sent) * u32::try_from(part).unwrap() / 100;
                    arrived.push((at, permits, is_stop(priority)));
                    limiter.answered(priority, permits, sent, now, None);
                },
                Event::Withdraw(index) => if !waiting.is_empty() {
                    let waiter = waiting.swap_remove(index.index(waiting.len()));
                    limiter.withdraw(waiter.priority, waiter.id);
                },
            }
            for id in limiter.serve(now) {
                let waiter = limiter.collect(id).unwrap();
                waiting.retain(|other| other.id != id);
                in_flight.push((waiter.priority, waiter.permits, now));
            }
            if let Some(wake_at) = limiter.wake_at(now) {
                prop_assert!(wake_at > now, "no busy loop");
            }
        }
        for (priority, permits, _) in in_flight {
            arrived.push((now, permits, is_stop(priority)));
        }
        for (end, _, _) in &arrived {
            let inside = |(at, permits, _): &&(Instant, u32, bool)| {
                let _ = permits;
                *at <= *end && *at + length > *end
            };
            let all: u32 = arrived.iter().filter(inside).map(|(_, permits, _)| permits).sum();
            let rest: u32 = arrived.iter().filter(inside).filter(|(_, _, stop)| !stop).map(|(_, permits, _)| permits).sum();
            prop_assert!(all <= quota, "{all} of {quota} in one window");
            prop_assert!(rest <= quota - quota / 5, "{rest} of {quota} that were no stops");
        }
    }

    #[test]
    fn every_waiter_is_served(
        quota in 1u32..6,
        asked in prop::collection::vec((0u8..5, 1u32..=2), 1..60),
    ) {
        let mut limiter = limiter(quota, Duration::from_secs(1));
        let mut now = Instant::now();
        let patient = now + Duration::from_secs(36_000);
        let mut open = 0usize;
        for (kind, permits) in asked {
            let priority = [Priority::Stop, Priority::Start, Priority::Recover, Priority::Finalize, Priority::Janitor][usize::from(kind)];
            match limiter.request(request(priority, patient), permits, now).unwrap() {
                Admission::Granted => limiter.lost(priority, permits, now),
                Admission::Waiting(_) => open += 1,
            }
        }
        while open > 0 {
            now = limiter.wake_at(now).expect("a waiter is queued");
            let served = limiter.serve(now);
            for id in served {
                let waiter = limiter.collect(id).unwrap();
                limiter.lost(waiter.priority, waiter.permits, now);
                open -= 1;
            }
        }
    }
}
