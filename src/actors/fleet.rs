//! This process as a node of a fleet: several processes on one PostgreSQL, each driving the relays that bear its epoch.
//!
//! Everything here is done again and again and starts from what the database says: who the nodes are, which relays are
//! free, what was asked of this node. Being told at once (NOTIFY) saves time and is never needed. The lease in front of
//! vendors' calls (`vendors::lease`) is kept in this process's own time and counts from the moment a renewal was sent, so
//! that it ends here before it can have ended in the database.

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

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// Between two looks for stops and mail while nothing is heard.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// So long a node waits to hear itself before it takes it that it listen_works nothing.
const DEAF_AFTER: Duration = Duration::from_secs(2);
/// A node that listen_works nothing listens anew so often.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);
/// How long calls under way have to come home before their relay is another's.
const COME_HOME: Duration = Duration::from_secs(5);
/// The same for relays that are given to a node that has fewer: they are on air, and what they do is look.
const POLL_HOME: Duration = Duration::from_secs(1);
/// A round that takes so long hangs: PostgreSQL itself ends a statement sooner.
const HANGS_AFTER: Duration = Duration::from_secs(20);

/// This process, as long as it is a node.
pub(super) struct NodeSession {
    shared: Arc<Shared>,
    epoch: i64,
    /// When the last renewal that is known to have been done was sent.
    renewed: LeaseInstant,
    /// Whether it was said that this node goes.
    announced: bool,
    balance: Balance,
    /// What is done once for all, while it is this node that does it.
    leader: Option<JoinSet<()>>,
    /// What every node does for itself.
    own: JoinSet<()>,
    /// Relays on their way to other nodes.
    releases: JoinSet<()>,
    listener: FleetListener,
    listening_since: Instant,
    /// When it last told itself something, and whether that was heard.
    pinged: Option<Instant>,
    listen_works: bool,
    reconciled_at: Instant,
}

impl NodeSession {
    /// Joins, and claims this node's share of what nobody drives.
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
        // A connection that hangs may do so for a quarter of an hour.
        let begun = tokio::time::timeout(lease, session.begin()).await;
        match begun.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into()))) {
            Ok(()) => {
                tracing::info!(epoch, "joined");
                Ok(session)
            }
            Err(error) => {
                // Nobody is to count on it meanwhile.
                let store = session.shared.store.clone();
                store.reconnect();
                session.drop_all().await;
                let _ = tokio::time::timeout(COME_HOME, store.leave(epoch)).await;
                Err(error)
            }
        }
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        let shared = &self.shared;
        let fleet = shared.store.fleet().await?;
        // Before its share of the vendors' budgets is known nothing is called.
        quota_shares::update(shared, &fleet, self.epoch).await?;
        shared.vendors.governors().for_each(Governor::open);
        let lease = shared.settings.fleet.lease;
        shared.vendors.lease.renewed(self.renewed, lease);
        self.own.spawn(alarms::watch_own_forever(shared.clone()));
        self.round().await
    }

    /// Acts as a node until it is none any more.
    pub(super) async fn run(&mut self) -> LeaseLost {
        let renewals = renew_forever(self.shared.clone(), self.epoch, self.renewed);
        tokio::select! {
            lost = renewals => lost,
            never = self.run_rounds() => match never {},
        }
    }

    /// The relays are other nodes', or free: everything of this one's ends here.
    pub(super) async fn drop_all(mut self) {
        // What is on its way to the registry under this epoch is dropped there.
        self.shared.set_epoch(0);
        self.shared.fleet.clear();
        self.releases.shutdown().await;
        self.stop_all_work(Duration::ZERO).await;
    }

    /// Goes of its own will: what is under way comes home first, and then everything is free at once.
    pub(super) async fn leave(mut self) {
        if let Err(error) = self.shared.store.announce_leaving(self.epoch).await {
            tracing::warn!(%error, "it was not announced that this node leaves");
        }
        let released = async { while self.releases.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(POLL_HOME, released).await;
        self.stop_all_work(COME_HOME).await;
        match self.shared.store.leave(self.epoch).await {
            Ok(()) => tracing::info!(epoch = self.epoch, "left: what this node drove is free"),
            // Its lease will be over.
            Err(error) => tracing::warn!(%error, "this node's row was not deleted"),
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
                heard = self.listener.next() => in_time(&store, self.hear(heard)).await,
                () = tokio::time::sleep(poll) => in_time(&store, self.take_requests()).await,
            };
            if let Err(error) = done {
                // The next round begins anew; what it cannot do in time the lease stops.
                tracing::debug!(%error, "a round was not finished");
            }
        }
    }

    async fn hear(&mut self, signal: FleetSignal) -> Result<(), StoreError> {
        match signal {
            FleetSignal::Free | FleetSignal::Resubscribed => self.round().await,
            FleetSignal::Stop | FleetSignal::PeerMessages => self.take_requests().await,
            FleetSignal::Ping => {
                self.pinged = None;
                if !std::mem::replace(&mut self.listen_works, true) {
                    tracing::info!("this node listen_works the others again");
                }
                Ok(())
            }
            // Told to whoever waits for the outbox.
            FleetSignal::Outbox => Ok(()),
        }
    }

    /// Everything a node has to see to.
    async fn round(&mut self) -> Result<(), StoreError> {
        self.take_requests().await?;
        let fleet = self.shared.store.fleet().await?;
        if !fleet.nodes.iter().any(|node| node.epoch == self.epoch) {
            // The next renewal says so as well, and ends this.
            return Ok(());
        }
        self.announce().await?;
        quota_shares::update(&self.shared, &fleet, self.epoch).await?;
        self.take_leadership(&fleet).await?;
        let fleet = self.balance(fleet).await?;
        self.shared.fleet.set(fleet);
        self.reconcile().await?;
        self.ping().await
    }

    /// A node that goes down is to be given nothing more.
    async fn announce(&mut self) -> Result<(), StoreError> {
        if !self.announced && self.shared.readiness() == Readiness::Draining {
            self.shared.store.announce_leaving(self.epoch).await?;
            self.announced = true;
        }
        Ok(())
    }

    /// What was asked of this node.
    async fn take_requests(&self) -> Result<(), StoreError> {
        for relay_id in self.shared.store.stops_requested(self.epoch).await? {
            let tell = Deliver::from(Event::Stop);
            self.shared.send_to_registry(DeliverTo { relay_id, tell });
        }
        for peer_message in self.shared.store.take_peer_messages(self.epoch).await? {
            peer_messages::read(&self.shared, &peer_message);
        }
        Ok(())
    }

    /// Does what is done once for all, as soon as nobody else does.
    async fn take_leadership(&mut self, fleet: &Fleet) -> Result<(), StoreError> {
        let has_one = fleet.nodes.iter().any(|node| node.epoch == fleet.leader);
        let seen = fleet.leader;
        if seen == self.epoch {
            self.lead();
        } else if !has_one && self.shared.store.succeed_leader(self.epoch, seen).await? {
            tracing::info!(
                epoch = self.epoch,
                "this node does what is done once for all"
            );
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

    /// Whether this node listen_works what it tells itself.
    async fn ping(&mut self) -> Result<(), StoreError> {
        match self.pinged {
            Some(at) if at.elapsed() < DEAF_AFTER => return Ok(()),
            Some(_) if self.listen_works => {
                self.listen_works = false;
                tracing::warn!(
                    "this node listen_works nothing of the others (LISTEN gets through to no connection of its own: a pooler?): it \
                     looks every 250 ms instead"
                );
            }
            Some(_) if self.listening_since.elapsed() > LISTEN_AGAIN => {
                // Its connection may be one that hangs.
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

/// What hangs is given up, and begun anew on other connections.
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

/// What one node does for all.
pub(super) fn spawn_singletons(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut work = JoinSet::new();
    work.spawn(cleanup_jobs::run_forever(shared.clone()));
    work.spawn(janitor::sweep_forever(shared.clone()));
    work.spawn(alarms::watch_forever(shared.clone()));
    work.spawn(dispatcher::deliver_forever(shared.clone()));
    work
}
