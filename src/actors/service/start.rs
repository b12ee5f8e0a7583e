//! Starts relays: stores the relay, spawns its actor, waits for the egress.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::keys::{KeyStatus, record, start_failed};
use super::{NO_ANSWER, RelayService};
#[cfg(feature = "sandbox")]
use crate::actors::crash::{self, CrashOperation, CrashPoint};
use crate::actors::directory::RelaySnapshot;
use crate::actors::messages::{Adopt, Spawn};
use crate::actors::records;
use crate::actors::relay_metrics;
use crate::actors::requests::{StartAnswer, StartError, StartRequest};
use crate::actors::spec::spec;
use crate::actors::status::Readiness;
use crate::config::AgoraBackend;
use crate::relay::{Durable, Phase, Relay};
use crate::store::{Created, NewRelay, Projection, StoreError, StoredRelay, until_done};

const STOP_PENDING: &str = "the channel's last relay is still stopping; try again";
const LEASE_EXPIRED: &str = "this process's lease was not renewed";
const PENDING_STOP_WAIT: Duration = Duration::from_secs(3);
/// The longest wait of a new egress after its predecessor's stop.
const PREDECESSOR_WAIT: TimeDelta = TimeDelta::seconds(10);

impl RelayService {
    /// Starts a relay on a channel.
    pub async fn start(&self, request: StartRequest) -> Result<StartAnswer, StartError> {
        match self.status.readiness() {
            Readiness::Starting if !self.status.database_answers() => {
                return Err(StartError::Database(NO_ANSWER.to_owned()));
            }
            Readiness::Starting => return Err(StartError::Starting),
            Readiness::Draining => return Err(StartError::ShuttingDown),
            Readiness::Ready if !self.lease_holds() => {
                return Err(StartError::Database(LEASE_EXPIRED.to_owned()));
            }
            Readiness::Ready => {}
        }
        let key = self.key(request.request_key.as_ref()).await;
        if let Some(answer) = repeated(key.map_err(start_error)?)? {
            return Ok(answer);
        }
        if let Some(holder) = self
            .channel(request.channel_id)
            .filter(|relay| relay.durable.phase.holds_slot())
            && !self.stop_is_pending(holder.durable.spec.relay_id).await?
        {
            return self.existing(&request, (*holder.durable).clone()).await;
        }
        self.within_quota().await?;
        let wait = request.wait;
        // Continues if the caller disconnects: a stored relay must get its actor.
        let service = self.clone();
        let created = self
            .context
            .runtime
            .spawn(async move { service.create(request).await }.in_current_span());
        match created
            .await
            .map_err(|error| StartError::Internal(error.to_string()))??
        {
            Creation::New(relay_id) => self.wait_for_egress(relay_id, wait).await,
            Creation::Existing(answer) => Ok(*answer),
        }
    }

    /// Agora would refuse too, but only after the ingest was created.
    async fn within_quota(&self) -> Result<(), StartError> {
        let agora = &self.context.settings.agora;
        let (setting, limit) = match agora.backend {
            AgoraBackend::CloudRecording => (
                "agora.cloud_recording.max_concurrent",
                agora.cloud_recording.max_concurrent,
            ),
            AgoraBackend::MediaPush => (
                "agora.media_push.max_concurrent",
                agora.media_push.max_concurrent,
            ),
        };
        if limit > 0 && self.egresses().await? >= u64::from(limit) {
            return Err(StartError::Quota { setting, limit });
        }
        Ok(())
    }

    /// On all nodes. Of two simultaneous starts Agora may have to refuse one.
    async fn egresses(&self) -> Result<u64, StartError> {
        let store = &self.context.store;
        if store.is_shared() {
            return store.egresses().await.map_err(start_error);
        }
        let all = self.context.directory.all();
        let running = all.iter().filter(|relay| !relay.egress_is_down);
        Ok(u64::try_from(running.count()).unwrap_or(u64::MAX))
    }

    async fn remote(&self, channel_id: i64) -> Result<Vec<StoredRelay>, StartError> {
        let context = &self.context;
        if !context.store.is_shared() {
            return Ok(Vec::new());
        }
        let all = context.store.unfinished_of_channel(channel_id).await;
        let mut remote = all.map_err(start_error)?;
        remote.retain(|stored| context.directory.get(*stored.id).is_none());
        Ok(remote)
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

    /// Waits while the slot holder has a pending stop.
    async fn create(&self, request: StartRequest) -> Result<Creation, StartError> {
        let deadline = tokio::time::Instant::now() + PENDING_STOP_WAIT;
        loop {
            let Some(creation) = self.try_create(&request).await? else {
                continue;
            };
            if let Creation::Existing(answer) = &creation
                && let StartAnswer::Existing(durable) = &**answer
                && durable.phase.holds_slot()
                && self.stop_is_pending(durable.spec.relay_id).await?
            {
                if tokio::time::Instant::now() > deadline {
                    return Err(StartError::Database(STOP_PENDING.to_owned()));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            return Ok(creation);
        }
    }

    async fn stop_is_pending(&self, relay_id: Uuid) -> Result<bool, StartError> {
        let store = &self.context.store;
        if !store.is_shared() {
            return Ok(false);
        }
        let pending = store.stop_is_requested(relay_id).await;
        pending.map_err(start_error)
    }

    /// `None`: the key was just freed; try again.
    async fn try_create(&self, request: &StartRequest) -> Result<Option<Creation>, StartError> {
        let context = &self.context;
        let namespace = self.status.namespace().ok_or(StartError::Starting)?;
        let now = context.clock.now();
        let remote = self.remote(request.channel_id).await?;
        // A conflict in the insert would repeat the whole batch of writes.
        if let Some(holder) = remote.iter().find(|stored| stored.holds_slot()) {
            let durable = read(holder)?;
            return self
                .existing(request, durable)
                .await
                .map(Creation::existing);
        }
        let egress_not_before = self.egress_not_before(request.channel_id, &remote, now);
        let spec = spec(
            &context.settings,
            namespace,
            request,
            now,
            egress_not_before,
        );
        let relay_id = spec.relay_id;
        let (relay, step) =
            Relay::request(spec, 1).map_err(|error| StartError::Internal(error.to_string()))?;
        let durable = relay.durable();
        let epoch = self.status.epoch();
        let new = NewRelay {
            row: StoredRelay::of(durable, epoch, 0),
            journal: records::journal(durable, &step, now),
            outbox: records::outbox(durable, &step, now, now),
            projection: Projection::of(durable),
            idempotency: request
                .request_key
                .as_ref()
                .map(|request_key| record(request_key, relay_id, now)),
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
                tracing::info!(%relay_id, channel_id = request.channel_id, "relay started");
                let snapshot = RelaySnapshot::before_its_actor(&relay, now);
                context.directory.publish(snapshot);
                self.mailboxes.spawn.do_send(Spawn {
                    relay,
                    actions: step.actions,
                    revision,
                    epoch,
                    parent: Span::current(),
                });
                Ok(Some(Creation::New(relay_id)))
            }
            Ok(Created::SlotTaken(holder)) => {
                let durable = read(&holder)?;
                self.existing(request, durable)
                    .await
                    .map(Creation::existing)
            }
            Ok(Created::Replayed(record)) => match &request.request_key {
                Some(request_key) => {
                    let key = self.recorded(request_key, record).await;
                    Ok(repeated(key.map_err(start_error)?)?.and_then(Creation::existing))
                }
                None => Err(StartError::KeyMismatch),
            },
            Ok(Created::Fenced) => Err(StartError::Starting),
            Err(StoreError::Unavailable(error)) => {
                self.status.note_database(false);
                self.adopt_later(relay_id, request.channel_id, epoch);
                Err(StartError::Unconfirmed(error))
            }
            Err(error) => Err(StartError::Internal(error.to_string())),
        }
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
        if let Some(request_key) = &request.request_key {
            let record = record(request_key, spec.relay_id, self.context.clock.now());
            self.context
                .store
                .remember_idempotency(record)
                .await
                .map_err(start_error)?;
        }
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
}

impl RelayService {
    async fn moved_away(&self, relay_id: Uuid) -> Result<StartAnswer, StartError> {
        match self.find(relay_id).await.map_err(start_error)? {
            Some(durable) => Ok(StartAnswer::Pending(durable)),
            None => Err(StartError::Internal("the relay is gone".into())),
        }
    }
}

enum Creation {
    New(Uuid),
    Existing(Box<StartAnswer>),
}

impl Creation {
    fn existing(answer: StartAnswer) -> Option<Self> {
        Some(Self::Existing(Box::new(answer)))
    }
}

fn repeated(key: KeyStatus) -> Result<Option<StartAnswer>, StartError> {
    match key {
        KeyStatus::Free => Ok(None),
        KeyStatus::Mismatch => Err(StartError::KeyMismatch),
        KeyStatus::Used(durable) if start_failed(&durable) => Err(StartError::Failed(durable)),
        KeyStatus::Used(durable) => Ok(Some(StartAnswer::Existing(*durable))),
    }
}

fn read(stored: &StoredRelay) -> Result<Durable, StartError> {
    stored
        .durable()
        .map_err(|error| StartError::Internal(error.to_string()))
}

fn start_error(error: StoreError) -> StartError {
    match error {
        StoreError::Unavailable(ref reason) => StartError::Database(reason.clone()),
        StoreError::Refused(_)
        | StoreError::Corrupt(_)
        | StoreError::BadCursor
        | StoreError::BadUrl(_) => StartError::Internal(error.to_string()),
    }
}
