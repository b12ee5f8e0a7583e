//! This process as a node of a fleet on one PostgreSQL. Each round reads the fleet's state anew; NOTIFY only saves time.

mod balance;
mod renewal;
mod sharing;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::cluster::PeerMessage;
use super::context::NodeContext;
use super::janitor::{self, Sweep};
use super::messages::{DropAll, Mailboxes};
use super::notices::Notices;
use super::status::{NodeStatus, Readiness};
use super::{alarms, cleanup_jobs, dispatcher, quota_shares};
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
    context: Arc<NodeContext>,
    status: Arc<NodeStatus>,
    mailboxes: Arc<Mailboxes>,
    notices: Arc<Notices>,
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
    pub(super) async fn join(
        context: Arc<NodeContext>,
        status: Arc<NodeStatus>,
        mailboxes: Arc<Mailboxes>,
        notices: Arc<Notices>,
    ) -> Result<Self, StoreError> {
        let lease = context.settings.fleet.lease;
        let sent = LeaseInstant::now();
        let epoch = context.store.join(&context.node, lease).await?;
        status.set_epoch(epoch);
        let mut session = Self {
            listener: context.store.listen(epoch),
            context,
            status,
            mailboxes,
            notices,
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
                let store = session.context.store.clone();
                store.reconnect();
                session.drop_all().await;
                let _ = tokio::time::timeout(CALLS_END_WITHIN, store.leave(epoch)).await;
                Err(error)
            }
        }
    }

    async fn start(&mut self) -> Result<(), StoreError> {
        let context = &self.context;
        let fleet = context.store.fleet().await?;
        // No call may start before this node's quota shares are known.
        quota_shares::update(context, &fleet, self.epoch).await?;
        context.vendors.governors().for_each(Governor::open);
        let lease = context.settings.fleet.lease;
        context.vendors.lease.renewed(self.renewed, lease);
        self.own.spawn(alarms::watch_own_forever(context.clone()));
        self.round().await
    }

    pub(super) async fn run(&mut self) -> LeaseLost {
        let (context, status) = (self.context.clone(), self.status.clone());
        let renewals = renew_forever(context, status, self.epoch, self.renewed);
        tokio::select! {
            lost = renewals => lost,
            never = self.run_rounds() => match never {},
        }
    }

    pub(super) async fn drop_all(mut self) {
        // The registry drops messages that still carry the old epoch.
        self.status.set_epoch(0);
        self.status.set_fleet(Fleet::default());
        self.releases.shutdown().await;
        self.stop_all_work(Duration::ZERO).await;
    }

    pub(super) async fn leave(mut self) {
        if let Err(error) = self.context.store.announce_leaving(self.epoch).await {
            tracing::warn!(%error, "cannot announce that this node leaves");
        }
        let released = async { while self.releases.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(POLLS_END_WITHIN, released).await;
        self.stop_all_work(CALLS_END_WITHIN).await;
        match self.context.store.leave(self.epoch).await {
            Ok(()) => tracing::info!(epoch = self.epoch, "left the fleet; its relays are unowned"),
            Err(error) => tracing::warn!(%error, "cannot delete this node's row"),
        }
    }

    async fn stop_all_work(&mut self, limit: Duration) {
        self.context.vendors.lease.revoke();
        self.context.vendors.governors().for_each(Governor::close);
        self.own.shutdown().await;
        if let Some(mut leader) = self.leader.take() {
            leader.shutdown().await;
        }
        let calls = self.mailboxes.drop_all.send(DropAll).await;
        let calls = calls.unwrap_or_default();
        join_all(calls.iter().map(|calls| calls.wind_up(limit))).await;
    }

    async fn run_rounds(&mut self) -> std::convert::Infallible {
        let store = self.context.store.clone();
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let poll = if self.listen_works { ROUND } else { POLL_EVERY };
            let done = tokio::select! {
                _ = rounds.tick() => in_time(&store, self.round()).await,
                heard = self.listener.next() => in_time(&store, self.handle_signal(heard)).await,
                () = tokio::time::sleep(poll) => in_time(&store, self.poll()).await,
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
        self.poll().await?;
        let fleet = self.context.store.fleet().await?;
        if !fleet.nodes.iter().any(|node| node.epoch == self.epoch) {
            // The next renewal fails and ends the session.
            return Ok(());
        }
        self.announce_if_draining().await?;
        quota_shares::update(&self.context, &fleet, self.epoch).await?;
        self.take_leadership(&fleet).await?;
        let fleet = self.balance(fleet).await?;
        self.status.set_fleet(fleet);
        self.reconcile().await?;
        self.ping().await
    }

    async fn announce_if_draining(&mut self) -> Result<(), StoreError> {
        if !self.announced && self.status.readiness() == Readiness::Draining {
            self.context.store.announce_leaving(self.epoch).await?;
            self.announced = true;
        }
        Ok(())
    }

    /// Finds what lost signals told.
    async fn poll(&self) -> Result<(), StoreError> {
        self.context.store.recheck_stops();
        self.take_requests().await
    }

    async fn take_requests(&self) -> Result<(), StoreError> {
        for relay_id in self.context.store.stops_requested(self.epoch).await? {
            self.mailboxes.deliver(relay_id, Event::Stop);
        }
        for peer_message in self.context.store.take_peer_messages(self.epoch).await? {
            if let Some(peer_message) = PeerMessage::read(&peer_message) {
                self.receive(peer_message);
            }
        }
        Ok(())
    }

    fn receive(&self, peer_message: PeerMessage) {
        match peer_message {
            PeerMessage::PageReport {
                relay_id,
                attempt,
                report,
            } => {
                let event = Event::Page { attempt, report };
                self.mailboxes.deliver(relay_id, event);
            }
            PeerMessage::PredecessorDown { relay_id } => {
                self.mailboxes.deliver(relay_id, Event::PredecessorDown);
            }
            PeerMessage::Notice(notice) => self.notices.take_forwarded(notice),
        }
    }

    async fn take_leadership(&mut self, fleet: &Fleet) -> Result<(), StoreError> {
        let has_one = fleet.nodes.iter().any(|node| node.epoch == fleet.leader);
        let seen = fleet.leader;
        if seen == self.epoch {
            self.lead();
        } else if !has_one && self.context.store.succeed_leader(self.epoch, seen).await? {
            tracing::info!(epoch = self.epoch, "became the leader");
            self.lead();
        } else if let Some(mut leader) = self.leader.take() {
            leader.shutdown().await;
        }
        Ok(())
    }

    fn lead(&mut self) {
        self.leader
            .get_or_insert_with(|| spawn_singletons(&self.context, &self.status, &self.mailboxes));
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
                self.listener = self.context.store.listen(self.epoch);
                self.listening_since = Instant::now();
            }
            Some(_) | None => {}
        }
        self.pinged = Some(Instant::now());
        self.context
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

pub(super) fn spawn_singletons(
    context: &Arc<NodeContext>,
    status: &Arc<NodeStatus>,
    mailboxes: &Mailboxes,
) -> JoinSet<()> {
    let mut work = JoinSet::new();
    let (sender, last_sweep) = watch::channel(Sweep::default());
    let new_cleanup_jobs = mailboxes.new_cleanup_jobs.clone();
    work.spawn(cleanup_jobs::run_forever(context.clone(), new_cleanup_jobs));
    work.spawn(janitor::sweep_forever(
        context.clone(),
        status.clone(),
        sender,
    ));
    work.spawn(alarms::watch_forever(context.clone(), last_sweep));
    work.spawn(dispatcher::deliver_forever(context.clone()));
    work
}
