//! Costs and cleanup jobs.

use super::*;
use crate::on_both_databases;

on_both_databases!(
    a_relay_has_one_cost_row,
    costs_are_summed_by_channel_and_by_utc_day,
    a_cleanup_job_is_stored_once_postponed_and_settled,
);

async fn a_relay_has_one_cost_row(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let mut save = next(relay.clone(), 1, epoch);
    save.cost = Some(cost(&relay, at(0)));
    store.save(save).await.unwrap();
    let mut again = next(relay.clone(), 2, epoch);
    again.cost = Some(LedgerRow {
        cost_cents: 99,
        ..cost(&relay, at(1))
    });
    assert_eq!(store.save(again).await, Ok(Saved::Saved));
    let cents = database.raw().await;
    let cents = cents.number("SELECT cost_cents FROM stream_costs").await;
    assert_eq!(cents, cost(&relay, at(0)).cost_cents);
}

async fn costs_are_summed_by_channel_and_by_utc_day(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    // Sums past 2^53, where a float would round.
    let huge = (1_i64 << 55) + 1;
    for (channel, created_at) in [
        (10, "2026-03-01T00:00:00Z"),
        (10, "2026-03-01T23:59:59.999999Z"),
        (9, "2026-03-02T00:00:00Z"),
        (10, "2026-03-02T12:00:00.5Z"),
        (9, "2026-03-03T00:00:00Z"),
    ] {
        let mut relay = row(channel);
        relay.phase = "ended".into();
        let relay = made(&store, relay, epoch).await;
        let mut save = next(relay.clone(), 1, epoch);
        save.cost = Some(LedgerRow {
            cost_micros: huge,
            ..cost(&relay, time(created_at))
        });
        store.save(save).await.unwrap();
    }
    let sum = |group, relays| CostSum {
        group,
        relays,
        duration_seconds: 1830 * relays,
        cost_cents: 16 * relays,
        cost_micros: huge * relays,
        agora_cost_micros: 434_000 * relays,
    };
    let (from, to) = (time("2026-03-01T00:00:00Z"), time("2026-03-03T00:00:00Z"));
    assert_eq!(
        store.costs(from, to, GroupBy::Channel).await.unwrap(),
        [
            sum(CostGroup::Channel(9), 1),
            sum(CostGroup::Channel(10), 3)
        ]
    );
    let day = |day| CostGroup::Day(NaiveDate::from_ymd_opt(2026, 3, day).unwrap());
    assert_eq!(
        store.costs(from, to, GroupBy::Day).await.unwrap(),
        [sum(day(1), 2), sum(day(2), 2)]
    );
    assert_eq!(store.costs(to, from, GroupBy::Day).await, Ok(vec![]));
}

async fn a_cleanup_job_is_stored_once_postponed_and_settled(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let relay = made(&store, row(1), epoch).await;
    let stop = cleanup_job(&relay, "stop_egress", "sid");
    let mut save = next(relay.clone(), 1, epoch);
    save.cleanup_jobs = vec![stop.clone(), cleanup_job(&relay, "remove_ingest", "input")];
    store.save(save).await.unwrap();
    let again = cleanup_job(&relay, "stop_egress", "sid");
    let mut third = cleanup_job(&relay, "stop_egress", "another sid");
    third.created_at = at(5);
    store
        .add_cleanup_jobs(vec![again, third.clone()])
        .await
        .unwrap();

    let counts = store.cleanup_job_counts().await.unwrap();
    let counts: Vec<_> = counts
        .iter()
        .map(|count| (count.kind.as_str(), count.open, count.oldest))
        .collect();
    assert_eq!(
        counts,
        [("remove_ingest", 1, at(10)), ("stop_egress", 2, at(5))]
    );
    assert_eq!(store.open_cleanup_jobs(at(19), 10).await, Ok(vec![]));
    assert_eq!(store.open_cleanup_jobs(at(20), 10).await.unwrap().len(), 3);
    assert_eq!(store.open_cleanup_jobs(at(20), 2).await.unwrap().len(), 2);

    for n in 0..2 {
        store
            .postpone_cleanup_job(*stop.id, at(60 + n), "503 from the vendor".into())
            .await
            .unwrap();
    }
    assert_eq!(store.open_cleanup_jobs(at(20), 10).await.unwrap().len(), 2);
    let cleanup_jobs = store.open_cleanup_jobs(at(61), 10).await.unwrap();
    let postponed = &cleanup_jobs[2];
    assert_eq!((postponed.id, postponed.attempts), (stop.id, 2));
    assert_eq!(postponed.last_error.as_deref(), Some("503 from the vendor"));

    store.settle_cleanup_job(*stop.id).await.unwrap();
    store.settle_cleanup_job(*stop.id).await.unwrap();
    assert_eq!(store.cleanup_jobs_of(*relay.id).await.unwrap().len(), 2);
}
