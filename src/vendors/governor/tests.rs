use super::*;

fn within(priority: Priority, patience: Duration) -> PermitRequest {
    PermitRequest {
        priority,
        until: Instant::now() + patience,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const START: Priority = Priority::Start;

#[tokio::test(start_paused = true)]
async fn a_per_second_governor_grants_no_more_than_its_quota_in_any_second() {
    let governor = Governor::per_second("test", 10);
    let begin = Instant::now();
    let mut given = Vec::new();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let governor = governor.clone();
            tokio::spawn(async move {
                governor
                    .permits(within(START, seconds(60)), 1)
                    .await
                    .unwrap();
                Instant::now()
            })
        })
        .collect();
    for request in callers {
        given.push(request.await.unwrap());
    }
    for end in &given {
        let inside = given
            .iter()
            .filter(|at| **at <= *end && **at + seconds(1) > *end)
            .count();
        assert!(inside <= 10);
    }
    // 8 at a time, since 2 of 10 are reserved for stops.
    assert!(begin.elapsed() >= 6 * seconds(1));
    assert!(begin.elapsed() < 7 * seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_no_longer_than_its_deadline() {
    let governor = Governor::per_second("test", 1);
    governor
        .permits(within(START, seconds(0)), 1)
        .await
        .unwrap();
    let held = governor.permits(within(START, seconds(1) / 2), 1).await;
    assert!(held.is_err(), "the next one is a second away");
    assert_eq!(governor.snapshot().waiting, 0);
    let begin = Instant::now();
    governor
        .permits(within(START, seconds(2)), 1)
        .await
        .unwrap();
    assert_eq!(begin.elapsed(), seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_deadline_passes_in_the_queue_is_denied_then() {
    let governor = Governor::sliding_window("test", 10, seconds(300), 1.0);
    let _alone = governor.permit(within(START, seconds(0))).await.unwrap();
    let begin = Instant::now();
    let denied = governor.permit(within(START, seconds(7))).await;
    assert!(denied.is_err());
    assert_eq!(begin.elapsed(), seconds(7));
    assert_eq!(governor.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_leaves_the_queue() {
    let governor = Governor::per_second("test", 1);
    governor
        .permits(within(START, seconds(0)), 1)
        .await
        .unwrap();
    let first = tokio::spawn({
        let governor = governor.clone();
        async move { governor.permits(within(START, seconds(60)), 1).await }
    });
    let second = tokio::spawn({
        let governor = governor.clone();
        async move {
            governor
                .permits(within(START, seconds(60)), 1)
                .await
                .unwrap();
            Instant::now()
        }
    });
    tokio::task::yield_now().await;
    assert_eq!(governor.snapshot().waiting, 2);
    let begin = Instant::now();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(second.await.unwrap() - begin, seconds(1));
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_granted_until_a_pause_has_passed() {
    let governor = Governor::per_second("test", 100);
    governor.pause(seconds(30));
    assert_eq!(governor.snapshot().paused_for, Some(seconds(30)));
    assert_eq!(governor.snapshot().left, 0);
    let soon = governor.permits(within(START, seconds(29)), 1).await;
    assert_eq!(
        soon.err(),
        Some(Denied {
            retry_after: seconds(30)
        })
    );
    let begin = Instant::now();
    governor
        .permits(within(Priority::Stop, seconds(60)), 1)
        .await
        .unwrap();
    assert_eq!(begin.elapsed(), seconds(30));
}

#[tokio::test(start_paused = true)]
async fn the_first_call_of_a_process_goes_alone_and_its_answer_lets_the_others_go() {
    let governor = Governor::sliding_window("test", 1200, seconds(300), 0.8);
    let first = governor.permit(within(START, seconds(0))).await.unwrap();
    let others: Vec<_> = (0..100)
        .map(|_| {
            let governor = governor.clone();
            tokio::spawn(async move {
                let permit = governor.permit(within(START, seconds(60))).await;
                permit.map(|permit| permit.answered(None))
            })
        })
        .collect();
    tokio::time::sleep(seconds(5)).await;
    assert_eq!(governor.snapshot().waiting, 100);
    // 460 of 1,200 are left: 220 of our 960, of which 192 are reserved for stops.
    first.answered(Some(QuotaReport {
        remaining: 460,
        quota: None,
    }));
    let mut served = 0;
    for other in others {
        served += usize::from(other.await.unwrap().is_ok());
    }
    assert_eq!(served, 28);
    assert_eq!(governor.snapshot().used, 768);
    assert_eq!(governor.snapshot().left, 192);
}

#[tokio::test(start_paused = true)]
async fn a_first_call_that_is_cut_off_lets_the_next_go_alone() {
    let governor = Governor::sliding_window("test", 1200, seconds(300), 0.8);
    let first = governor.permit(within(START, seconds(0))).await.unwrap();
    let next = tokio::spawn({
        let governor = governor.clone();
        async move { governor.permit(within(START, seconds(60))).await }
    });
    tokio::task::yield_now().await;
    drop(first);
    let next = next.await.unwrap().unwrap();
    assert!(governor.permit(within(START, seconds(1))).await.is_err());
    next.answered(None);
    assert!(governor.permit(within(START, seconds(1))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_exact_window_holds_at_every_moment_of_a_long_rush() {
    let window = seconds(300);
    let governor = Governor::sliding_window("test", 100, window, 0.8);
    let tasks: Vec<_> = (0..400u64)
        .map(|number| {
            let governor = governor.clone();
            tokio::spawn(async move {
                let permit = governor.permit(within(START, seconds(3600))).await.unwrap();
                let sent = Instant::now();
                tokio::time::sleep(Duration::from_millis(number * 7 % 900)).await;
                permit.answered(None);
                sent
            })
        })
        .collect();
    let mut sent = Vec::new();
    for task in tasks {
        sent.push(task.await.unwrap());
    }
    for end in &sent {
        let inside = sent
            .iter()
            .filter(|at| **at <= *end && **at + window > *end)
            .count();
        assert!(inside <= 64, "80 less the 16 kept for stops, not {inside}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_that_are_served_by_another_request_are_woken() {
    let governor = Governor::per_second("test", 10);
    let ask = || governor.enqueue(within(START, seconds(60)), 1).unwrap();
    for _ in 0..8 {
        assert!(ask().is_none());
        governor.issue(START, 1).answered(None);
    }
    let waiting: Vec<_> = (0..3).map(|_| ask().unwrap()).collect();
    // The window is free again; another request comes before any timer fires.
    tokio::time::advance(seconds(1)).await;
    assert!(ask().is_none());
    for pending in &waiting {
        let called = tokio::time::timeout(Duration::ZERO, pending.wake.notified());
        assert!(called.await.is_ok());
        assert_eq!(pending.poll(), Ok(None));
    }
}

/// The vendor counts a call when it arrives, some time between its permit and its answer.
#[tokio::test(start_paused = true)]
async fn no_second_at_the_vendor_holds_more_calls_than_the_quota_however_long_they_take() {
    let governor = Governor::polls_per_second("test", 20);
    let calls = (0..200u64).map(|number| {
        let governor = governor.clone();
        tokio::spawn(async move {
            let permit = governor.permit(within(START, seconds(600))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(number * 389 % 900)).await;
            let arrived = Instant::now();
            tokio::time::sleep(Duration::from_millis(number * 53 % 100)).await;
            permit.answered(None);
            arrived
        })
    });
    let mut arrivals = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        arrivals.push(call.await.unwrap());
    }
    for end in &arrivals {
        let inside = |at: &&Instant| **at <= *end && **at + seconds(1) > *end;
        let inside = arrivals.iter().filter(inside).count();
        assert!(inside <= 20, "{inside}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_permits_each_counts_until_a_second_after_its_own_answer() {
    let governor = Governor::polls_per_second("test", 2);
    let mut first = governor
        .permits(within(START, seconds(0)), 2)
        .await
        .unwrap();
    let second = first.split();
    first.answered(None);
    tokio::time::sleep(seconds(5)).await;
    assert_eq!(governor.snapshot().left, 1);
    second.answered(None);
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(governor.snapshot().left, 2);
}
