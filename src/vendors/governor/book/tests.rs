use proptest::prelude::*;

use super::*;

fn book(quota: u32, length: Duration) -> Book {
    Book::new(Window::new(quota, length, 1.0, true))
}

fn caller(priority: Priority, until: Instant) -> Caller {
    Caller { priority, until }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Asks and has the calls come home at once for as long as there are permits.
fn drain(book: &mut Book, priority: Priority, now: Instant) -> u32 {
    let mut calls = 0;
    while book.ask(caller(priority, now), 1, now) == Ok(Asked::Granted) {
        book.lost(priority, 1, now);
        calls += 1;
    }
    calls
}

#[test]
fn with_thousands_of_starts_waiting_a_fifth_of_the_budget_goes_to_stops_at_once() {
    let now = Instant::now();
    let mut book = book(960, seconds(300));
    let patient = now + seconds(3600);
    for _ in 0..2000 {
        let _ = book.ask(caller(Priority::Start, patient), 1, now);
    }
    assert!(book.waiting() > 1000);
    assert_eq!(drain(&mut book, Priority::Stop, now), 192);
}

#[test]
fn with_thousands_of_disables_waiting_starts_get_their_share() {
    let start = Instant::now();
    let length = seconds(300);
    let mut book = book(960, length);
    let patient = start + seconds(36_000);
    drain(&mut book, Priority::Janitor, start);
    let mut starts = std::collections::HashSet::new();
    for turn in 0..12_000 {
        let priority = match turn % 6 {
            0 => Priority::Start,
            _ => Priority::Finalize,
        };
        if let Ok(Asked::Waiting(ticket)) = book.ask(caller(priority, patient), 1, start)
            && priority == Priority::Start
        {
            starts.insert(ticket);
        }
    }
    // All have waited five minutes by now: both weigh 4.
    let served = book.serve(start + length);
    assert_eq!(served.len(), 768);
    let served_starts = served.iter().filter(|id| starts.contains(id)).count();
    assert_eq!(served_starts, 384);
}

#[test]
fn a_caller_who_cannot_be_served_in_time_is_told_so_at_once() {
    let now = Instant::now();
    let mut book = book(10, seconds(300));
    assert_eq!(drain(&mut book, Priority::Start, now), 8);
    assert_eq!(
        book.ask(caller(Priority::Start, now + seconds(299)), 1, now),
        Err(Denied {
            retry_after: seconds(300)
        })
    );
    assert_eq!(book.waiting(), 0);
    assert!(matches!(
        book.ask(caller(Priority::Start, now + seconds(300)), 1, now),
        Ok(Asked::Waiting(_))
    ));
}

#[test]
fn those_ahead_in_the_same_queue_count_in_what_a_caller_is_told() {
    let now = Instant::now();
    let mut book = book(10, seconds(100));
    drain(&mut book, Priority::Start, now);
    let until = now + seconds(100);
    for _ in 0..8 {
        assert!(book.ask(caller(Priority::Start, until), 1, now).is_ok());
    }
    assert_eq!(
        book.ask(caller(Priority::Start, until), 1, now),
        Err(Denied {
            retry_after: seconds(200)
        })
    );
}

#[test]
fn two_permits_are_given_together_and_nobody_overtakes_who_waits_for_them() {
    let now = Instant::now();
    let second = seconds(1);
    let mut book = book(4, second);
    let patient = now + seconds(60);
    for _ in 0..3 {
        assert_eq!(
            book.ask(caller(Priority::Janitor, patient), 1, now),
            Ok(Asked::Granted)
        );
    }
    for half in [0, 1] {
        // One comes home now, two later.
        book.lost(Priority::Janitor, 1 + half, now + second / 2 * half);
    }
    let Ok(Asked::Waiting(pair)) = book.ask(caller(Priority::Start, patient), 2, now + second / 2)
    else {
        panic!("one is free, two are asked for");
    };
    let Ok(Asked::Waiting(single)) =
        book.ask(caller(Priority::Start, patient), 1, now + second / 2)
    else {
        panic!("it does not overtake");
    };
    assert_eq!(book.serve(now + second), vec![pair]);
    assert_eq!(book.serve(now + second * 3 / 2), vec![single]);
}

#[test]
fn what_a_waiter_was_given_goes_back_when_it_goes() {
    let now = Instant::now();
    let mut book = book(1, seconds(1));
    drain(&mut book, Priority::Start, now);
    let until = now + seconds(10);
    let Ok(Asked::Waiting(first)) = book.ask(caller(Priority::Start, until), 1, now) else {
        panic!("the permit is gone");
    };
    let Ok(Asked::Waiting(second)) = book.ask(caller(Priority::Start, until), 1, now) else {
        panic!("the permit is gone");
    };
    let later = now + seconds(1);
    assert_eq!(book.serve(later), vec![first]);
    book.withdraw(Priority::Start, first);
    assert_eq!(book.serve(later), vec![second]);
}

/// What happens next in a random history.
#[derive(Debug, Clone)]
enum Happens {
    Time(u64),
    Ask(Priority, u32, u64),
    /// A call comes home, having arrived at some part (of 100) of its way.
    Home(prop::sample::Index, u64),
    Gone(prop::sample::Index),
}

fn happens() -> impl Strategy<Value = Happens> {
    let priority = prop_oneof![
        Just(Priority::Stop),
        Just(Priority::Start),
        Just(Priority::Recover),
        Just(Priority::Finalize),
        Just(Priority::Janitor),
    ];
    prop_oneof![
        3 => (0u64..400).prop_map(Happens::Time),
        4 => (priority, 1u32..=2, 0u64..5000).prop_map(|(p, n, until)| Happens::Ask(p, n, until)),
        3 => (any::<prop::sample::Index>(), 0u64..=100).prop_map(|(i, at)| Happens::Home(i, at)),
        1 => any::<prop::sample::Index>().prop_map(Happens::Gone),
    ]
}

fn is_stop(priority: Priority) -> bool {
    priority == Priority::Stop
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is asked, cancelled and delayed: what arrives at the vendor in any window is at most what is allowed,
    /// and others than stops never touch the fifth that is kept.
    #[test]
    fn no_window_of_the_vendors_ever_holds_more_than_allowed(
        quota in 3u32..20,
        story in prop::collection::vec(happens(), 1..300),
    ) {
        let length = Duration::from_secs(1);
        let mut book = book(quota, length);
        let mut now = Instant::now();
        let mut waiting: Vec<Waiter> = Vec::new();
        let mut flying: Vec<(Priority, u32, Instant)> = Vec::new();
        let mut arrived: Vec<(Instant, u32, bool)> = Vec::new();
        for event in story {
            match event {
                Happens::Time(millis) => now += Duration::from_millis(millis),
                Happens::Ask(priority, permits, patience) => {
                    let until = now + Duration::from_millis(patience);
                    match book.ask(caller(priority, until), permits, now) {
                        Ok(Asked::Granted) => flying.push((priority, permits, now)),
                        Ok(Asked::Waiting(ticket)) => {
                            waiting.push(Waiter { ticket, priority, permits, since: now });
                        }
                        Err(denied) => prop_assert!(now + denied.retry_after > until || patience == 0),
                    }
                }
                Happens::Home(index, part) => if !flying.is_empty() {
                    let (priority, permits, sent) = flying.swap_remove(index.index(flying.len()));
                    let at = sent + (now - sent) * u32::try_from(part).unwrap() / 100;
                    arrived.push((at, permits, is_stop(priority)));
                    book.answered(priority, permits, sent, now, None);
                },
                Happens::Gone(index) => if !waiting.is_empty() {
                    let waiter = waiting.swap_remove(index.index(waiting.len()));
                    book.withdraw(waiter.priority, waiter.ticket);
                },
            }
            for ticket in book.serve(now) {
                let waiter = book.collect(ticket).unwrap();
                waiting.retain(|other| other.ticket != ticket);
                flying.push((waiter.priority, waiter.permits, now));
            }
            if let Some(wake_at) = book.wake_at(now) {
                prop_assert!(wake_at > now, "nobody spins");
            }
        }
        for (priority, permits, _) in flying {
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

    /// Whoever waits long enough is served, all by the clock the book names.
    #[test]
    fn everybody_who_waits_is_served(
        quota in 1u32..6,
        asked in prop::collection::vec((0u8..5, 1u32..=2), 1..60),
    ) {
        let mut book = book(quota, Duration::from_secs(1));
        let mut now = Instant::now();
        let patient = now + Duration::from_secs(36_000);
        let mut open = 0usize;
        for (kind, permits) in asked {
            let priority = [Priority::Stop, Priority::Start, Priority::Recover, Priority::Finalize, Priority::Janitor][usize::from(kind)];
            match book.ask(caller(priority, patient), permits, now).unwrap() {
                Asked::Granted => book.lost(priority, permits, now),
                Asked::Waiting(_) => open += 1,
            }
        }
        while open > 0 {
            now = book.wake_at(now).expect("somebody waits");
            let served = book.serve(now);
            for ticket in served {
                let waiter = book.collect(ticket).unwrap();
                book.lost(waiter.priority, waiter.permits, now);
                open -= 1;
            }
        }
    }
}
