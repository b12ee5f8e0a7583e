//! This process as a node of a fleet on one PostgreSQL. Each round reads the fleet's state anew; NOTIFY only saves time.

mod balance;
pub(super) mod peer_messages;
mod renewal;
mod sharing;
pub(super) mod status;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::registry::{DeliverTo, DropAll};
use super::relay_actor::Deliver;
use super::shared::{Readiness, Shared};
use super::{alarms, cleanup_jobs, dispatcher, janitor, quota_shares};
use crate::relay::Event;
use crate::store::{Fleet, FleetListener, FleetSignal, Store, StoreError};
use crate::vendors::governor::Governor;
use crate::vendors::lease::LeaseInstant;
use balance::Balance;
pub(super) use renewal::LeaseLost;
use renewal::renew_forever;

const ROUND: Duration = Duration::from_secs(1);
/// While LISTEN does not work.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// A ping unanswered for this long means that LISTEN does not work.
const DEAF_AFTER: Duration = Duration::from_secs(2);
/// While LISTEN does not work.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);
/// On leaving.
const CALLS_END_WITHIN: Duration = Duration::from_secs(5);
/// On a hand-off: the relays are live, their calls are polls.
const POLLS_END_WITHIN: Duration = Duration::from_secs(1);
/// A round that takes longer hangs: PostgreSQL's statement timeout is shorter.
const HANGS_AFTER: Duration = Duration::from_secs(20);

/// Membership of the fleet, from joining until leaving or losing the lease.
pub(super) struct NodeSession {
    shared: Arc<Shared>,
    epoch: i64,
    renewed: LeaseInstant,
    announced: bool,
    balance: Balance,
    leader: Option<JoinSet<()>>,
    own: JoinSet<()>,
    releases: JoinSet<()>,
    listener: FleetListener,
    listening_since: Instant,
    /// When the unanswered ping to itself was sent.
    pinged: Option<Instant>,
    listen_works: bool,
    reconciled_at: Instant,
}

impl NodeSession {
    pub(super) async fn join(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let lease = shared.settings.fleet.lease;
        let sent = LeaseInstant::now();
        let epoch = shared.store.join(&shared.node, lease).await?;
        shared.set_epoch(epoch);
        let mut session = Self {
            listener: shared.store.listen(epoch),
            shared,
            epoch,
            renewed: sent,
            announced: false,
            balance: Balance::default(),
            leader: None,
            own: JoinSet::new(),
            releases: JoinSet::new(),
            listening_since: Instant::now(),
            pinged: None,
            listen_works: true,
            reconciled_at: Instant::now(),
        };
        // A dead connection may hang for 15 minutes.
        let started = tokio::time::timeout(lease, session.start()).await;
        match started.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into()))) {
            Ok(()) => {
                tracing::info!(epoch, "joined");
                Ok(session)
            }
            Err(error) => {
                // The other nodes must not count this one meanwhile.
                let store = session.shared.store.clone();
                store.reconnect();
                session.drop_all().await;
                let _ = tokio::time::timeout(CALLS_END_WITHIN, store.leave(epoch)).await;
                Err(error)
            }
        }
    }

    async fn start(&mut self) -> Result<(), StoreError> {
        let shared = &self.shared;
        let fleet = shared.store.fleet().await?;
        // No call may start before this node's quota shares are known.
        quota_shares::update(shared, &fleet, self.epoch).await?;
        shared.vendors.governors().for_each(Governor::open);
        let lease = shared.settings.fleet.lease;
        shared.vendors.lease.renewed(self.renewed, lease);
        self.own.spawn(alarms::watch_own_forever(shared.clone()));
        self.round().await
    }

    pub(super) async fn run(&mut self) -> LeaseLost {
        let renewals = renew_forever(self.shared.clone(), self.epoch, self.renewed);
        tokio::select! {
            lost = renewals => lost,
            never = self.run_rounds() => match never {},
        }
    }

    pub(super) async fn drop_all(mut self) {
        // The registry drops messages that still carry the old epoch.
        self.shared.set_epoch(0);
        self.shared.fleet.clear();
        self.releases.shutdown().await;
        self.stop_all_work(Duration::ZERO).await;
    }

    pub(super) async fn leave(mut self) {
        if let Err(error) = self.shared.store.announce_leaving(self.epoch).await {
            tracing::warn!(%error, "cannot announce that this node leaves");
        }
        let released = async { while self.releases.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(POLLS_END_WITHIN, released).await;
        self.stop_all_work(CALLS_END_WITHIN).await;
        match self.shared.store.leave(self.epoch).await {
            Ok(()) => tracing::info!(epoch = self.epoch, "left the fleet; its relays are unowned"),
            Err(error) => tracing::warn!(%error, "cannot delete this node's row"),
        }
    }

    async fn stop_all_work(&mut self, limit: Duration) {
        self.shared.vendors.lease.revoke();
        self.shared.vendors.governors().for_each(Governor::close);
        self.own.shutdown().await;
        if let Some(mut leader) = self.leader.take() {
            leader.shutdown().await;
        }
        let Some(registry) = self.shared.registry() else {
            return;
        };
        let calls = registry.send(DropAll).await.unwrap_or_default();
        join_all(calls.iter().map(|calls| calls.wind_up(limit))).await;
    }

    async fn run_rounds(&mut self) -> std::convert::Infallible {
        let store = self.shared.store.clone();
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let poll = if self.listen_works { ROUND } else { POLL_EVERY };
            let done = tokio::select! {
                _ = rounds.tick() => in_time(&store, self.round()).await,
                heard = self.listener.next() => in_time(&store, self.handle_signal(heard)).await,
                () = tokio::time::sleep(poll) => in_time(&store, self.take_requests()).await,
            };
            if let Err(error) = done {
                // The next round retries; the lease covers lasting failures.
                tracing::debug!(%error, "round failed");
            }
        }
    }

    async fn handle_signal(&mut self, signal: FleetSignal) -> Result<(), StoreError> {
        match signal {
            FleetSignal::Free | FleetSignal::Resubscribed => self.round().await,
            FleetSignal::Stop | FleetSignal::PeerMessages => self.take_requests().await,
            FleetSignal::Ping => {
                self.pinged = None;
                if !std::mem::replace(&mut self.listen_works, true) {
                    tracing::info!("LISTEN works again");
                }
                Ok(())
            }
            FleetSignal::Outbox => Ok(()),
        }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        self.take_requests().await?;
        let fleet = self.shared.store.fleet().await?;
        if !fleet.nodes.iter().any(|node| node.epoch == self.epoch) {
            // The next renewal fails and ends the session.
            return Ok(());
        }
        self.announce_if_draining().await?;
        quota_shares::update(&self.shared, &fleet, self.epoch).await?;
        self.take_leadership(&fleet).await?;
        let fleet = self.balance(fleet).await?;
        self.shared.fleet.set(fleet);
        self.reconcile().await?;
        self.ping().await
    }

    async fn announce_if_draining(&mut self) -> Result<(), StoreError> {
        if !self.announced && self.shared.readiness() == Readiness::Draining {
            self.shared.store.announce_leaving(self.epoch).await?;
            self.announced = true;
        }
        Ok(())
    }

    async fn take_requests(&self) -> Result<(), StoreError> {
        for relay_id in self.shared.store.stops_requested(self.epoch).await? {
            let message = Deliver::from(Event::Stop);
            self.shared
                .send_to_registry(DeliverTo { relay_id, message });
        }
        for peer_message in self.shared.store.take_peer_messages(self.epoch).await? {
            peer_messages::read(&self.shared, &peer_message);
        }
        Ok(())
    }

    async fn take_leadership(&mut self, fleet: &Fleet) -> Result<(), StoreError> {
        let has_one = fleet.nodes.iter().any(|node| node.epoch == fleet.leader);
        let seen = fleet.leader;
        if seen == self.epoch {
            self.lead();
        } else if !has_one && self.shared.store.succeed_leader(self.epoch, seen).await? {
            tracing::info!(epoch = self.epoch, "became the leader");
            self.lead();
        } else if let Some(mut leader) = self.leader.take() {
            leader.shutdown().await;
        }
        Ok(())
    }

    fn lead(&mut self) {
        self.leader
            .get_or_insert_with(|| spawn_singletons(&self.shared));
    }

    /// Notifies itself, to learn whether LISTEN works.
    async fn ping(&mut self) -> Result<(), StoreError> {
        match self.pinged {
            Some(at) if at.elapsed() < DEAF_AFTER => return Ok(()),
            Some(_) if self.listen_works => {
                self.listen_works = false;
                tracing::warn!(
                    "LISTEN does not work (a pooler in between?); polling every 250 ms instead"
                );
            }
            Some(_) if self.listening_since.elapsed() > LISTEN_AGAIN => {
                self.listener = self.shared.store.listen(self.epoch);
                self.listening_since = Instant::now();
            }
            Some(_) | None => {}
        }
        self.pinged = Some(Instant::now());
        self.shared
            .store
            .notify(Some(self.epoch), FleetSignal::Ping)
            .await
    }
}

async fn in_time(
    store: &Store,
    work: impl Future<Output = Result<(), StoreError>>,
) -> Result<(), StoreError> {
    let done = tokio::time::timeout(HANGS_AFTER, work).await;
    done.unwrap_or_else(|_| {
        store.reconnect();
        Err(StoreError::Unavailable("no answer in time".into()))
    })
}

pub(super) fn spawn_singletons(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut work = JoinSet::new();
    work.spawn(cleanup_jobs::run_forever(shared.clone()));
    work.spawn(janitor::sweep_forever(shared.clone()));
    work.spawn(alarms::watch_forever(shared.clone()));
    work.spawn(dispatcher::deliver_forever(shared.clone()));
    work
}
