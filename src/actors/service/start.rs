//! Starts relays: stores the relay, spawns its actor, waits for the egress.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::RelayService;
use super::keys::{Earlier, start_failed};
#[cfg(feature = "sandbox")]
use crate::actors::crash::{self, CrashOperation, CrashPoint};
use crate::actors::directory::RelaySnapshot;
use crate::actors::messages::{Adopt, Spawn};
use crate::actors::records;
use crate::actors::relay_metrics;
use crate::actors::requests::{RequestError, StartAnswer, StartError, StartRequest};
use crate::actors::spec::spec;
use crate::actors::status::Readiness;
use crate::relay::{Durable, Phase, RecordingsKept, Relay};
use crate::store::{Created, NewRelay, Projection, StoreError, StoredRelay, until_done};

const STILL_TAKEN: &str =
    "the channel's last relay still stops, or its key is still taken; try again";
const LEASE_EXPIRED: &str = "this process's lease was not renewed";
const PENDING_STOP_WAIT: Duration = Duration::from_secs(3);
/// Without a signal, which may be lost.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// The longest wait of a new egress after its predecessor's stop.
const PREDECESSOR_WAIT: TimeDelta = TimeDelta::seconds(10);

impl RelayService {
    /// Starts a relay on a channel.
    pub async fn start(&self, request: StartRequest) -> Result<StartAnswer, StartError> {
        match self.readiness() {
            Readiness::Draining => return Err(StartError::ShuttingDown),
            Readiness::Ready if !self.lease_holds() => {
                return Err(RequestError::Database(LEASE_EXPIRED.to_owned()).into());
            }
            Readiness::Ready | Readiness::Starting => {}
        }
        if let Some(earlier) = self.prelude(request.request_key.as_ref()).await?
            && let Some(answer) = self.repeated(earlier).await?
        {
            return Ok(answer);
        }
        // Continues if the caller disconnects: a stored relay must get its actor.
        let service = self.clone();
        let create = async move { service.create(&request).await };
        let created = self.context.runtime.spawn(create.in_current_span()).await;
        created.map_err(|error| RequestError::Internal(error.to_string()))?
    }

    /// Waits while the slot holder has a pending stop, and for the egress.
    async fn create(&self, request: &StartRequest) -> Result<StartAnswer, StartError> {
        let deadline = Instant::now() + PENDING_STOP_WAIT;
        loop {
            // Before the attempt: the owner may act at once.
            let mut stops = self.context.store.stop_signals();
            match self.try_create(request).await? {
                Attempt::Created(relay_id) => {
                    return self.wait_for_egress(relay_id, request.wait).await;
                }
                Attempt::Repeated(earlier) => {
                    if let Some(answer) = self.repeated(earlier).await? {
                        return Ok(answer);
                    }
                }
                Attempt::SlotTaken(holder) => {
                    let relay_id = holder.spec.relay_id;
                    let stored = self.context.cluster.relay(relay_id).await;
                    let stored = stored.map_err(RequestError::from)?;
                    if stored.is_none_or(|stored| stored.stop_requested_at.is_none()) {
                        return self.existing(request, *holder).await;
                    }
                    let _ = tokio::time::timeout(TRY_AGAIN, stops.next(relay_id)).await;
                }
            }
            if Instant::now() > deadline {
                return Err(RequestError::Database(STILL_TAKEN.to_owned()).into());
            }
        }
    }

    async fn try_create(&self, request: &StartRequest) -> Result<Attempt, StartError> {
        let platforms = &self.context.vendors.platforms;
        let platform = platforms.choose(request.platform.as_deref());
        let platform = platform.ok_or_else(|| StartError::PlatformOff {
            on: platforms.names_of_all(),
        })?;
        let capabilities = platform.capabilities();
        let lacks = |capability, remedy| StartError::Unsupported {
            platform: platform.name(),
            capability,
            remedy,
        };
        if request.enable_recording && capabilities.recordings == RecordingsKept::Nowhere {
            return Err(lacks("recordings", "Set enable_recording to false"));
        }
        if capabilities.low_latency.choose(request.latency).is_none() {
            return Err(lacks("low latency", "Leave latency out"));
        }
        // The insert decides. But a conflict there repeats its whole batch of writes, and a repeated start must not meet the quota.
        let channel_id = request.channel_id;
        let here = self.channel(channel_id);
        if let Some(holder) = here.filter(|relay| relay.durable.phase.holds_slot()) {
            return Ok(Attempt::SlotTaken(Box::new((*holder.durable).clone())));
        }
        let (cluster, directory) = (&self.context.cluster, &self.context.directory);
        let remote = cluster.relays_of(channel_id, directory).await;
        let remote = remote.map_err(RequestError::from)?;
        if let Some(holder) = remote.iter().find(|stored| stored.holds_slot()) {
            return Ok(Attempt::slot_taken(holder)?);
        }
        self.within_quota().await?;
        let context = &self.context;
        let namespace = self.status.namespace().ok_or(RequestError::Starting)?;
        let now = context.clock.now();
        let egress_not_before = self.egress_not_before(channel_id, &remote, now);
        let settings = &context.settings;
        let spec = spec(
            settings,
            platform.as_ref(),
            context.vendors.egresses.chosen(),
            namespace,
            request,
            now,
            egress_not_before,
        );
        let relay_id = spec.relay_id;
        let (relay, step) =
            Relay::request(spec, 1).map_err(|error| RequestError::Internal(error.to_string()))?;
        let durable = relay.durable();
        let epoch = self.status.epoch();
        let request_key = request.request_key.as_ref();
        let new = NewRelay {
            row: StoredRelay::of(durable, epoch, 0),
            journal: records::journal(durable, &step, now),
            outbox: records::outbox(durable, &step, now, now),
            projection: Projection::of(durable),
            idempotency: request_key.map(|request_key| self.record(request_key, relay_id)),
        };
        #[cfg(feature = "sandbox")]
        crash::point(CrashPoint::Before(CrashOperation::StoreRelay));
        let created = context.store.create(new).await;
        #[cfg(feature = "sandbox")]
        crash::point(CrashPoint::After(CrashOperation::StoreRelay));
        match created {
            Ok(Created::Created) => {
                self.status.note_database(true);
                let revision = i64::try_from(step.facts.len()).unwrap_or(i64::MAX);
                relay_metrics::relay_started(&step);
                tracing::info!(%relay_id, channel_id, "relay started");
                let snapshot = RelaySnapshot::before_its_actor(&relay, now);
                context.directory.publish(snapshot);
                self.mailboxes.spawn.do_send(Spawn {
                    relay,
                    actions: step.actions,
                    revision,
                    epoch,
                    parent: Span::current(),
                });
                Ok(Attempt::Created(relay_id))
            }
            Ok(Created::SlotTaken(holder)) => Ok(Attempt::slot_taken(&holder)?),
            Ok(Created::Replayed(record)) => match request_key {
                Some(request_key) => {
                    let earlier = self.earlier(request_key, record).await?;
                    Ok(Attempt::Repeated(earlier))
                }
                None => Err(RequestError::KeyMismatch.into()),
            },
            Ok(Created::Fenced) => Err(RequestError::Starting.into()),
            Err(StoreError::Unavailable(error)) => {
                self.status.note_database(false);
                self.adopt_later(relay_id, channel_id, epoch);
                Err(RequestError::Unconfirmed(error).into())
            }
            Err(error) => Err(RequestError::Internal(error.to_string()).into()),
        }
    }

    /// The backend would refuse too, but only after the ingest was created.
    async fn within_quota(&self) -> Result<(), StartError> {
        let (setting, limit) = self.context.vendors.egresses.chosen().max_concurrent();
        if limit > 0 && self.egresses().await? >= u64::from(limit) {
            return Err(StartError::Quota { setting, limit });
        }
        Ok(())
    }

    /// On all nodes. Of two simultaneous starts the backend may have to refuse one.
    async fn egresses(&self) -> Result<u64, RequestError> {
        let all = self.context.directory.all();
        let running = all.iter().filter(|relay| !relay.egress_is_down);
        let here = u64::try_from(running.count()).unwrap_or(u64::MAX);
        Ok(self.context.cluster.egresses(here).await?)
    }

    fn egress_not_before(
        &self,
        channel_id: i64,
        remote: &[StoredRelay],
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let here = self.context.directory.of_channel(channel_id);
        let blocked = here.iter().filter(|relay| !relay.egress_is_down);
        let here = blocked.map(|relay| relay.durable.stopped_at);
        let remote = remote
            .iter()
            .filter(|stored| stored.phase == Phase::Stopping)
            .map(|stored| stored.stopped_at);
        here.chain(remote)
            .map(|stopped_at| stopped_at.unwrap_or(now) + PREDECESSOR_WAIT)
            .filter(|at| *at > now)
            .max()
    }

    /// Adopts the relay if it was committed although the answer was lost.
    fn adopt_later(&self, relay_id: Uuid, channel_id: i64, epoch: i64) {
        let (context, mailboxes) = (self.context.clone(), self.mailboxes.clone());
        let poll = async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let stored = until_done("look up a new relay", || context.store.relay(relay_id)).await;
            if let Some(stored) = stored.filter(|stored| stored.epoch == epoch) {
                mailboxes.adopt.do_send(Adopt {
                    relays: vec![stored.into()],
                });
            }
        };
        let span = tracing::error_span!("relay", %relay_id, channel_id);
        self.context.runtime.spawn(poll.instrument(span));
    }

    async fn existing(
        &self,
        request: &StartRequest,
        durable: Durable,
    ) -> Result<StartAnswer, StartError> {
        let spec = &durable.spec;
        if spec.channel_name != request.channel_name || spec.seller_uid != request.seller_uid {
            return Err(StartError::Conflict(Box::new(durable)));
        }
        let request_key = request.request_key.as_ref();
        let remembered = self.remember(request_key, spec.relay_id).await;
        remembered.map_err(RequestError::from)?;
        Ok(StartAnswer::Existing(durable))
    }

    async fn wait_for_egress(
        &self,
        relay_id: Uuid,
        wait: Duration,
    ) -> Result<StartAnswer, StartError> {
        let Some(mut relay) = self.context.directory.follow(relay_id) else {
            return self.moved_away(relay_id).await;
        };
        let decided = relay.wait_for(|relay| relay.durable.phase != Phase::Provisioning);
        let durable = tokio::select! {
            decided = tokio::time::timeout(wait, decided) => decided.ok().map(|decided| {
                decided.map(|relay| relay.durable.clone())
            }),
            () = self.status.draining() => None,
        };
        let durable = match durable {
            None => return Ok(StartAnswer::Pending((*relay.borrow().durable).clone())),
            Some(Ok(durable)) => durable,
            // The relay ended between two reads.
            Some(Err(_)) => relay.borrow().durable.clone(),
        };
        let durable = (*durable).clone();
        if durable.phase == Phase::Provisioning {
            return self.moved_away(relay_id).await;
        }
        if start_failed(&durable) {
            return Err(StartError::Failed(Box::new(durable)));
        }
        let stopped = durable.outcome.as_ref();
        Ok(
            match stopped.is_some_and(|outcome| outcome.code.ended_well()) {
                true => StartAnswer::Existing(durable),
                false => StartAnswer::Started(durable),
            },
        )
    }

    async fn moved_away(&self, relay_id: Uuid) -> Result<StartAnswer, StartError> {
        match self.find(relay_id).await.map_err(RequestError::from)? {
            Some(durable) => Ok(StartAnswer::Pending(durable)),
            None => Err(RequestError::Internal("the relay is gone".into()).into()),
        }
    }
}

enum Attempt {
    Created(Uuid),
    SlotTaken(Box<Durable>),
    Repeated(Earlier),
}

impl Attempt {
    fn slot_taken(holder: &StoredRelay) -> Result<Self, RequestError> {
        Ok(Self::SlotTaken(Box::new(holder.durable()?)))
    }
}
