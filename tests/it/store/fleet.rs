//! Several nodes on one PostgreSQL.

use relaykeeper::store::{Fleet, FleetSignal, PollTurn, ShareChange, SharedPoll, StopSignals};

use super::*;
use crate::support::database::on;

const LEASE: Duration = Duration::from_secs(30);
const OVER: Duration = Duration::ZERO;

async fn on_postgres<F>(test: impl FnOnce(TestDatabase) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    on(TestDatabase::postgres().await, test).await;
}

async fn joined(store: &Store) -> i64 {
    store.join("here/1", LEASE).await.unwrap()
}

async fn driven(store: &Store, epoch: i64, channels: std::ops::Range<i64>) -> Vec<StoredRelay> {
    let mut rows = Vec::new();
    for channel in channels {
        rows.push(made(store, row(channel), epoch).await);
    }
    rows
}

fn counts(fleet: &Fleet) -> Vec<(i64, u64)> {
    let count = |node: &relaykeeper::store::Node| (node.epoch, node.relays);
    fleet.nodes.iter().map(count).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn the_relays_of_an_expired_lease_are_unowned_and_claimed_once() {
    on_postgres(async |database: TestDatabase| {
        let (one, other) = (database.store().await, database.store().await);
        let dead = joined(&one).await;
        driven(&one, dead, 1..21).await;
        let (a, b) = (joined(&one).await, joined(&other).await);
        assert_eq!(
            counts(&one.fleet().await.unwrap()),
            [(dead, 20), (a, 0), (b, 0)]
        );
        assert_eq!(one.claim(a, 20).await.unwrap(), [], "nothing is free");
        assert!(one.renew(dead, OVER).await.unwrap());
        let fleet = other.fleet().await.unwrap();
        assert_eq!((counts(&fleet), fleet.free), (vec![(a, 0), (b, 0)], 20));
        assert!(!one.renew(dead, LEASE).await.unwrap(), "it is removed");
        // Both claim all: each relay gets one owner.
        let (of_a, of_b) = tokio::join!(one.claim(a, 20), other.claim(b, 20));
        let (of_a, of_b) = (of_a.unwrap(), of_b.unwrap());
        let ids: std::collections::BTreeSet<_> =
            of_a.iter().chain(&of_b).map(|relay| *relay.id).collect();
        assert_eq!((of_a.len() + of_b.len(), ids.len()), (20, 20));
        assert!(of_a.iter().all(|relay| relay.epoch == a));
        let mut stored = one.driven_by(b).await.unwrap();
        stored.sort();
        let mut released: Vec<_> = of_b.iter().map(|relay| *relay.id).collect();
        released.sort();
        assert_eq!(stored, released);
        // The two meet at a different moment each time.
        let (mut of_a, mut of_b) = (of_a, of_b);
        for _ in 0..30 {
            for (epoch, relays) in [(a, of_a), (b, of_b)] {
                let ids: Vec<_> = relays.iter().map(|relay| *relay.id).collect();
                one.release(epoch, &ids).await.unwrap();
            }
            let claims = tokio::join!(one.claim(a, 20), other.claim(b, 20));
            (of_a, of_b) = (claims.0.unwrap(), claims.1.unwrap());
            let stored = one.driven_by(a).await.unwrap().len();
            assert_eq!((stored, of_a.len() + of_b.len()), (of_a.len(), 20));
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_removed_node_creates_saves_and_claims_nothing() {
    on_postgres(async |database: TestDatabase| {
        let store = database.store().await;
        let old = joined(&store).await;
        let rows = driven(&store, old, 1..3).await;
        store.renew(old, OVER).await.unwrap();
        // Its lease expired, but its row is still there: it keeps its relays.
        let saved = store.save(next(rows[0].clone(), 1, old)).await;
        assert_eq!(saved, Ok(Saved::Saved));
        let new = joined(&store).await;
        store.fleet().await.unwrap();
        assert_eq!(store.claim(old, 9).await.unwrap(), []);
        assert_eq!(store.claim(new, 9).await.unwrap().len(), 2);
        let saved = store.save(next(rows[0].clone(), 2, old)).await;
        assert_eq!(saved, Ok(Saved::Fenced));
        let saved = store.save(next(rows[0].clone(), 2, new)).await;
        assert_eq!(saved, Ok(Saved::Saved));
        let created = store.create(super::new(row(9), old)).await;
        assert_eq!(created, Ok(Created::Fenced));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_leaving_node_frees_all_its_relays_and_a_release_frees_only_its_own() {
    on_postgres(async |database: TestDatabase| {
        let store = database.store().await;
        let (a, b) = (joined(&store).await, joined(&store).await);
        let of_a: Vec<_> = driven(&store, a, 1..5)
            .await
            .iter()
            .map(|r| *r.id)
            .collect();
        let of_b: Vec<_> = driven(&store, b, 5..7)
            .await
            .iter()
            .map(|r| *r.id)
            .collect();
        let both: Vec<_> = of_a[..2].iter().chain(&of_b).copied().collect();
        store.release(a, &both).await.unwrap();
        let fleet = store.fleet().await.unwrap();
        assert_eq!((counts(&fleet), fleet.free), (vec![(a, 2), (b, 2)], 2));
        store.announce_leaving(a).await.unwrap();
        assert!(store.fleet().await.unwrap().nodes[0].leaving);
        store.leave(a).await.unwrap();
        let fleet = store.fleet().await.unwrap();
        assert_eq!((counts(&fleet), fleet.free), (vec![(b, 2)], 4));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn one_node_is_the_leader() {
    on_postgres(async |database: TestDatabase| {
        let (one, other) = (database.store().await, database.store().await);
        let (a, b) = (joined(&one).await, joined(&other).await);
        let (of_a, of_b) = tokio::join!(one.succeed_leader(a, 0), other.succeed_leader(b, 0));
        assert_ne!(of_a, of_b, "one of them");
        let (leader, heir) = if of_a.unwrap() { (a, b) } else { (b, a) };
        assert_eq!(one.fleet().await.unwrap().leader, leader);
        one.leave(leader).await.unwrap();
        assert!(other.succeed_leader(heir, leader).await.unwrap());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_stop_is_kept_for_the_owner_and_signalled_at_once() {
    on_postgres(async |database: TestDatabase| {
        let (one, other) = (database.store().await, database.store().await);
        let (a, b) = (joined(&one).await, joined(&other).await);
        let rows = driven(&one, a, 1..3).await;
        let mut hears = one.listen(a);
        assert_eq!(hears.next().await, FleetSignal::Resubscribed);
        assert!(other.request_stop(*rows[0].id, at(50)).await.unwrap());
        assert_eq!(hears.next().await, FleetSignal::Stop);
        assert_eq!(one.stops_requested(a).await.unwrap(), [*rows[0].id]);
        let is_requested = async |row: &StoredRelay| {
            let stored = one.relay(*row.id).await.unwrap().unwrap();
            stored.stop_requested_at.is_some()
        };
        assert!(is_requested(&rows[0]).await);
        assert!(!is_requested(&rows[1]).await);
        // No node received the signal: the next owner finds the stop.
        one.leave(a).await.unwrap();
        other.claim(b, 9).await.unwrap();
        assert_eq!(other.stops_requested(b).await.unwrap(), [*rows[0].id]);
        // The owner acts on it and saves a phase that holds no slot.
        let mut row = rows[0].clone();
        row.phase = "stopping".into();
        assert_eq!(other.save(next(row, 1, b)).await, Ok(Saved::Saved));
        assert_eq!(other.stops_requested(b).await.unwrap().len(), 0);
        assert!(!other.request_stop(*rows[0].id, at(60)).await.unwrap());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_requested_stop_is_signalled_to_the_other_nodes_once_it_is_stored() {
    on_postgres(async |database: TestDatabase| {
        let (one, other) = (database.store().await, database.store().await);
        let (a, b) = (joined(&one).await, joined(&other).await);
        let rows = driven(&one, a, 1..3).await;
        let (of_itself, requested) = (*rows[0].id, *rows[1].id);
        let mut hears = other.listen(b);
        assert_eq!(hears.next().await, FleetSignal::Resubscribed);
        let (mut waiting, mut unasked) = (other.stop_signals(), other.stop_signals());
        assert!(other.request_stop(requested, at(50)).await.unwrap());
        let is_told = async |signals: &mut StopSignals, id: Uuid, within: Duration| {
            let told = tokio::time::timeout(within, signals.next(id));
            told.await.is_ok()
        };
        let (soon, long) = (Duration::from_millis(50), Duration::from_secs(5));
        assert!(!is_told(&mut waiting, requested, soon).await, "not yet");
        for row in rows {
            let stopped = StoredRelay {
                phase: "stopping".into(),
                ..row
            };
            let save = Save {
                outbox: vec![message(Some(2), "relay.stopped")],
                ..next(stopped, 1, a)
            };
            assert_eq!(one.save(save).await, Ok(Saved::Saved));
        }
        assert!(is_told(&mut waiting, requested, long).await);
        assert!(!is_told(&mut unasked, of_itself, soon).await);
        other.recheck_stops();
        assert!(is_told(&mut unasked, of_itself, long).await);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn peer_messages_are_read_once_in_order_and_those_to_removed_nodes_are_dropped() {
    on_postgres(async |database: TestDatabase| {
        let store = database.store().await;
        let (a, b) = (joined(&store).await, joined(&store).await);
        for peer_message in ["one", "two"] {
            store
                .send_peer_message(a, peer_message.into())
                .await
                .unwrap();
        }
        store.send_peer_message(b, "three".into()).await.unwrap();
        assert_eq!(store.take_peer_messages(a).await.unwrap(), ["one", "two"]);
        assert_eq!(store.take_peer_messages(a).await.unwrap(), [""; 0]);
        store.leave(b).await.unwrap();
        assert_eq!(store.take_peer_messages(b).await.unwrap(), [""; 0]);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn one_node_polls_for_all_and_an_unfinished_poll_is_taken_over() {
    on_postgres(async |database: TestDatabase| {
        let (one, other) = (database.store().await, database.store().await);
        let mut poll = SharedPoll {
            name: "recordings",
            since: at(100),
            interval: Duration::from_millis(200),
            patience: Duration::from_secs(30),
            asked: Duration::from_secs(30),
        };
        assert_eq!(one.shared_poll(1, &poll).await, Ok(PollTurn::Yours));
        assert_eq!(other.shared_poll(2, &poll).await, Ok(PollTurn::NotYet));
        let found = || "found".to_owned();
        one.finish_shared_poll(1, "recordings", at(100), found())
            .await
            .unwrap();
        assert_eq!(
            other.shared_poll(2, &poll).await,
            Ok(PollTurn::Found(found()))
        );
        // The result does not reach back far enough.
        poll.since = at(99);
        let until = Instant::now() + Duration::from_secs(10);
        while other.shared_poll(2, &poll).await != Ok(PollTurn::Yours) {
            assert!(Instant::now() < until);
        }
        poll.patience = Duration::from_millis(300);
        let until = Instant::now() + Duration::from_secs(10);
        while one.shared_poll(1, &poll).await != Ok(PollTurn::Yours) {
            assert!(Instant::now() < until);
        }
        // The other node's late result is ignored.
        other
            .finish_shared_poll(2, "recordings", at(99), "late".into())
            .await
            .unwrap();
        assert_eq!(other.shared_poll(2, &poll).await, Ok(PollTurn::NotYet));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn quota_shares_are_changed_one_at_a_time_and_only_by_nodes() {
    on_postgres(async |database: TestDatabase| {
        let (one, other) = (database.store().await, database.store().await);
        let (a, b) = (joined(&one).await, joined(&other).await);
        let hold = |permits| ShareChange::Hold {
            budget: "cloudflare".into(),
            permits,
        };
        // Each node takes what the other has left of ten.
        let take = |store: Store, epoch: i64| async move {
            let decide = |shares: &relaykeeper::store::Shares| {
                let taken: u32 = shares.all.iter().map(|share| share.permits).sum();
                vec![hold((10 - taken).min(7))]
            };
            store.change_shares(epoch, decide).await.unwrap()
        };
        let (of_a, of_b) = tokio::join!(take(one.clone(), a), take(other.clone(), b));
        assert!(of_a && of_b);
        let sum = |shares: relaykeeper::store::Shares| -> u32 {
            shares.all.iter().map(|share| share.permits).sum()
        };
        assert_eq!(sum(one.shares().await.unwrap()), 10);
        one.leave(a).await.unwrap();
        assert!(!one.change_shares(a, |_| vec![hold(10)]).await.unwrap());
        let shares = one.shares().await.unwrap();
        assert!(
            shares
                .all
                .iter()
                .any(|share| share.epoch == a && share.orphaned)
        );
        let gone = |after| ShareChange::Expire {
            budget: "cloudflare".into(),
            epoch: a,
            after,
        };
        let forget = || ShareChange::Forget {
            budget: "cloudflare".into(),
            epoch: a,
        };
        let later = Duration::from_secs(60);
        one.change_shares(b, |_| vec![gone(later), forget()])
            .await
            .unwrap();
        assert_eq!(sum(one.shares().await.unwrap()), 10, "it is not old yet");
        let pause = ShareChange::Pause {
            budget: "cloudflare".into(),
            pause: later,
        };
        one.change_shares(b, |_| vec![pause]).await.unwrap();
        let paused = one.shares().await.unwrap().pauses["cloudflare"];
        assert!(paused > later / 2 && paused <= later, "{paused:?}");
    })
    .await;
}
