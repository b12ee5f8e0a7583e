//! The door to the actors: what the API asks of them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;

#[cfg(feature = "sandbox")]
use super::crash::{self, CrashPoint, Deed};
use super::directory::{Directory, Snapshot};
use super::ghosts;
use super::janitor::{self, Sweep, SweepError};
use super::registry::{Begin, TellRelay};
use super::relay_actor::Tell;
use super::requests::{
    Ghost, KeyedBy, StartAnswer, StartError, StartRequest, StopAnswer, StopError, StopRequest,
};
use super::rows;
use super::shared::{Readiness, Shared};
use super::spec::spec;
use crate::config::AgoraBackend;
use crate::relay::{Durable, Event, Hint, OutcomeCode, Phase, Relay};
use crate::store::{Created, IdempotencyRecord, NewRelay, StoreError, StoredRelay};

/// How long a new relay's recorder waits for that of the channel's last relay.
const PREDECESSOR: TimeDelta = TimeDelta::seconds(10);
/// How long a stop waits to hear that its wish is stored.
const STORED_WITHIN: Duration = Duration::from_secs(5);

/// Between two rounds of stopping everything.
const STOP_AGAIN: Duration = Duration::from_millis(500);

/// The actors' door. Cheap to clone; works from any thread. The default one never acts: it is that of a process that does
/// not hold the database.
#[derive(Debug, Clone)]
pub struct Keeper {
    shared: Arc<Shared>,
}

impl Keeper {
    /// The door to the actors that share this.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What is in work.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// What the actors share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The channel's newest relay in work: the one that holds its slot, if one does.
    #[must_use]
    pub fn channel(&self, channel_id: i64) -> Option<Arc<Snapshot>> {
        let relays = self.shared.directory.of_channel(channel_id);
        relays
            .iter()
            .find(|relay| relay.durable.phase.holds_slot())
            .or_else(|| relays.first())
            .cloned()
    }

    /// Whether starts and stops are taken.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness()
    }

    /// Stops every relay, and returns when all their recorders are down and their live inputs let nobody in; what of it
    /// a vendor did not answer is a debt by then. False: `limit` was over first.
    pub async fn stop_all(&self, limit: Duration) -> bool {
        let all_down = async {
            loop {
                let relays = self.shared.directory.all();
                let phases = relays.iter().map(|relay| relay.durable.phase);
                if !phases
                    .into_iter()
                    .any(|phase| phase.holds_slot() || phase == Phase::Stopping)
                {
                    return;
                }
                // Again and again: a start that was under way may come late, and hearing it twice changes nothing.
                for relay in relays
                    .iter()
                    .filter(|relay| relay.durable.phase.holds_slot())
                {
                    let (relay_id, tell) = (relay.durable.spec.relay_id, Tell::from(Event::Stop));
                    self.shared.registry_hears(TellRelay { relay_id, tell });
                }
                tokio::time::sleep(STOP_AGAIN).await;
            }
        };
        tokio::time::timeout(limit, all_down).await.is_ok()
    }

    /// Going down: no new starts; stops are still stored.
    pub fn drain(&self) {
        self.shared.set_readiness(Readiness::Draining);
    }

    /// Whether starts are taken and the database answers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.readiness() == Readiness::Ready && self.shared.database_answers()
    }

    /// Puts a channel on air.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(&self, request: StartRequest) -> Result<StartAnswer, StartError> {
        match self.shared.readiness() {
            Readiness::Starting => return Err(StartError::Starting),
            Readiness::Draining => return Err(StartError::ShuttingDown),
            Readiness::Ready => {}
        }
        if let Some(keyed_by) = &request.keyed_by
            && let Some(record) = self
                .shared
                .store
                .idempotency(&keyed_by.key)
                .await
                .map_err(start_error)?
        {
            return self.replayed(keyed_by, &record).await;
        }
        if let Some(holder) = self
            .channel(request.channel_id)
            .filter(|relay| relay.durable.phase.holds_slot())
        {
            return self.existing(&request, (*holder.durable).clone()).await;
        }
        self.within_quota()?;
        let wait = request.wait;
        // Goes on when the caller hangs up: a relay that is stored must begin.
        let keeper = self.clone();
        let created = self
            .shared
            .runtime
            .spawn(async move { keeper.create(request).await });
        match created
            .await
            .map_err(|error| StartError::Internal(error.to_string()))??
        {
            Begun::New(relay_id) => self.wait_for_recorder(relay_id, wait).await,
            Begun::Met(answer) => Ok(*answer),
        }
    }

    /// Refuses a start above the concurrency the vendor grants, where that is known: Agora would refuse it as well, but
    /// only after a live input was made.
    fn within_quota(&self) -> Result<(), StartError> {
        let agora = &self.shared.settings.agora;
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
        let running = || {
            self.shared
                .directory
                .all()
                .iter()
                .filter(|relay| !relay.recorder_is_down)
                .count()
        };
        if limit > 0 && running() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(StartError::Quota { setting, limit });
        }
        Ok(())
    }

    /// Stores a new relay, and has its actor begin.
    async fn create(&self, request: StartRequest) -> Result<Begun, StartError> {
        let shared = &self.shared;
        let owner = shared.owner().ok_or(StartError::Starting)?;
        let now = shared.clock.now();
        let channel = shared.directory.of_channel(request.channel_id);
        let in_the_way = channel.iter().any(|relay| !relay.recorder_is_down);
        let not_before = in_the_way.then(|| now + PREDECESSOR);
        let spec = spec(&shared.settings, owner, &request, now, not_before);
        let relay_id = spec.relay_id;
        let (relay, step) =
            Relay::request(spec, 1).map_err(|error| StartError::Internal(error.to_string()))?;
        let durable = relay.durable();
        let new = NewRelay {
            row: rows::row(durable),
            epoch: shared.epoch(),
            journal: rows::journal(durable, &step, now),
            outbox: rows::outbox(durable, &step, now),
            projection: rows::projection(durable),
            idempotency: request
                .keyed_by
                .as_ref()
                .map(|keyed_by| record(keyed_by, relay_id, now)),
        };
        #[cfg(feature = "sandbox")]
        crash::point(CrashPoint::Before(Deed::StoreRelay));
        let created = shared.store.create(new).await;
        #[cfg(feature = "sandbox")]
        crash::point(CrashPoint::After(Deed::StoreRelay));
        match created {
            Ok(Created::Created) => {
                shared.note_database(true);
                let revision = i64::try_from(step.facts.len()).unwrap_or(i64::MAX);
                tracing::info!(%relay_id, channel_id = request.channel_id, "a relay begins");
                shared.directory.publish(Snapshot {
                    durable: Arc::new(durable.clone()),
                    presence: relay.presence(now),
                    last_event_at: now,
                    next_wake_at: relay.wake_at(now),
                    last_error: None,
                    restarts: 0,
                    recorder_is_down: false,
                });
                shared.registry_hears(Begin {
                    relay,
                    actions: step.actions,
                    revision,
                });
                Ok(Begun::New(relay_id))
            }
            Ok(Created::SlotTaken(holder)) => {
                let durable = read(&holder)?;
                self.existing(&request, durable).await.map(Begun::met)
            }
            Ok(Created::Replayed(record)) => match &request.keyed_by {
                Some(keyed_by) => self.replayed(keyed_by, &record).await.map(Begun::met),
                None => Err(StartError::KeyMismatch),
            },
            Ok(Created::Fenced) => Err(StartError::Starting),
            Err(StoreError::Unavailable(error)) => {
                shared.note_database(false);
                self.look_later(relay_id);
                Err(StartError::Database(error))
            }
            Err(error) => Err(StartError::Internal(error.to_string())),
        }
    }

    /// The answer to a create was lost: if it was committed, the relay is there and must be driven.
    fn look_later(&self, relay_id: Uuid) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn(async move {
            let stored = loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match shared.store.relay(relay_id).await {
                    Ok(stored) => break stored,
                    Err(error) => tracing::debug!(%relay_id, %error, "not looked up yet"),
                }
            };
            if let Some(stored) = stored.filter(|stored| stored.epoch == shared.epoch()) {
                shared.registry_hears(super::registry::Recover {
                    relays: vec![stored],
                });
            }
        });
    }

    /// The channel has a relay: that one, or a conflict.
    async fn existing(
        &self,
        request: &StartRequest,
        durable: Durable,
    ) -> Result<StartAnswer, StartError> {
        let spec = &durable.spec;
        if spec.channel_name != request.channel_name || spec.seller_uid != request.seller_uid {
            return Err(StartError::Conflict(Box::new(durable)));
        }
        if let Some(keyed_by) = &request.keyed_by {
            let record = record(keyed_by, spec.relay_id, self.shared.clock.now());
            self.shared
                .store
                .remember_idempotency(record)
                .await
                .map_err(start_error)?;
        }
        Ok(StartAnswer::Existing(durable))
    }

    async fn replayed(
        &self,
        keyed_by: &KeyedBy,
        record: &IdempotencyRecord,
    ) -> Result<StartAnswer, StartError> {
        if record.request_hash != keyed_by.request_hash {
            return Err(StartError::KeyMismatch);
        }
        match self.find(record.relay_id).await.map_err(start_error)? {
            Some(durable) => Ok(StartAnswer::Existing(durable)),
            None => Err(StartError::Internal("the key's relay is gone".into())),
        }
    }

    /// Waits until the recorder has accepted, the relay has failed, or the wait is over.
    async fn wait_for_recorder(
        &self,
        relay_id: Uuid,
        wait: Duration,
    ) -> Result<StartAnswer, StartError> {
        let Some(mut relay) = self.shared.directory.follow(relay_id) else {
            return Err(StartError::Internal("the relay is gone".into()));
        };
        let decided = relay.wait_for(|relay| relay.durable.phase != Phase::Provisioning);
        let draining = async {
            while self.shared.readiness() != Readiness::Draining {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let durable = tokio::select! {
            decided = tokio::time::timeout(wait, decided) => decided.ok().map(|decided| {
                decided.map(|relay| relay.durable.clone())
            }),
            () = draining => None,
        };
        let durable = match durable {
            None => return Ok(StartAnswer::Pending((*relay.borrow().durable).clone())),
            Some(Ok(durable)) => durable,
            // It ended between two looks; its last word stands.
            Some(Err(_)) => relay.borrow().durable.clone(),
        };
        let durable = (*durable).clone();
        match durable.outcome.as_ref().map(|outcome| outcome.code) {
            None => Ok(StartAnswer::Started(durable)),
            Some(OutcomeCode::Cancelled | OutcomeCode::StoppedByRequest) => {
                Ok(StartAnswer::Existing(durable))
            }
            Some(_) => Err(StartError::Failed(Box::new(durable))),
        }
    }

    /// Takes a channel down. Returns once the wish is stored.
    ///
    /// # Errors
    /// See [`StopError`].
    pub async fn stop(&self, request: StopRequest) -> Result<StopAnswer, StopError> {
        if self.shared.readiness() == Readiness::Starting {
            return Err(StopError::Starting);
        }
        if let Some(keyed_by) = &request.keyed_by
            && let Some(record) = self
                .shared
                .store
                .idempotency(&keyed_by.key)
                .await
                .map_err(stop_error)?
        {
            if record.request_hash != keyed_by.request_hash {
                return Err(StopError::KeyMismatch);
            }
            let durable = self
                .find(record.relay_id)
                .await
                .map_err(stop_error)?
                .ok_or(StopError::NotFound)?;
            return Ok(StopAnswer::NotRunning(durable));
        }
        let keyed_by = request.keyed_by.clone();
        let answer = self.stop_one(request).await?;
        if let (Some(keyed_by), StopAnswer::Accepted(durable) | StopAnswer::NotRunning(durable)) =
            (keyed_by, &answer)
        {
            let record = record(&keyed_by, durable.spec.relay_id, self.shared.clock.now());
            self.shared
                .store
                .remember_idempotency(record)
                .await
                .map_err(stop_error)?;
        }
        Ok(answer)
    }

    async fn stop_one(&self, request: StopRequest) -> Result<StopAnswer, StopError> {
        let named = match request.relay_id {
            Some(relay_id) => {
                let durable = self
                    .find(relay_id)
                    .await
                    .map_err(stop_error)?
                    .ok_or(StopError::NotFound)?;
                if request
                    .channel_id
                    .is_some_and(|channel_id| channel_id != durable.spec.channel_id)
                {
                    return Err(StopError::NotFound);
                }
                Some(durable)
            }
            None => None,
        };
        let running = match (&named, request.channel_id) {
            (Some(durable), _) => self.shared.directory.get(durable.spec.relay_id),
            (None, Some(channel_id)) => self.channel(channel_id),
            (None, None) => None,
        };
        match running.filter(|relay| relay.durable.phase.holds_slot()) {
            Some(relay) => self.stop_running(relay.durable.spec.relay_id).await,
            None => match (named, request.channel_id) {
                (Some(durable), _) => Ok(StopAnswer::NotRunning(durable)),
                (None, Some(channel_id)) => {
                    let newest = self.newest(channel_id).await?.ok_or(StopError::NotFound)?;
                    // Stored, but not in the Directory: its actor is just being made.
                    if newest.phase.holds_slot() {
                        return self.stop_running(newest.spec.relay_id).await;
                    }
                    Ok(StopAnswer::NotRunning(newest))
                }
                (None, None) => Err(StopError::NotFound),
            },
        }
    }

    async fn stop_running(&self, relay_id: Uuid) -> Result<StopAnswer, StopError> {
        let (stored, is_stored) = oneshot::channel();
        let tell = Tell {
            event: Event::Stop,
            stored: Some(stored),
        };
        self.shared.registry_hears(TellRelay { relay_id, tell });
        match tokio::time::timeout(STORED_WITHIN, is_stored).await {
            Ok(Ok(durable)) => Ok(StopAnswer::Accepted((*durable).clone())),
            // Its actor went while the wish waited: either it has ended, or another actor will hear it.
            Ok(Err(_)) => match self.find(relay_id).await.map_err(stop_error)? {
                Some(durable) if !durable.phase.holds_slot() => Ok(StopAnswer::NotRunning(durable)),
                _ => Err(StopError::Database(
                    "the stop could not be stored; ask again".into(),
                )),
            },
            Err(_) => Err(StopError::Database("the stop is not stored yet".into())),
        }
    }

    /// A relay as it is now: in work, or stored.
    ///
    /// # Errors
    /// When the database does not answer, or what it holds cannot be read.
    pub async fn find(&self, relay_id: Uuid) -> Result<Option<Durable>, StoreError> {
        if let Some(relay) = self.shared.directory.get(relay_id) {
            return Ok(Some((*relay.durable).clone()));
        }
        let stored = self.shared.store.relay(relay_id).await?;
        stored
            .map(|stored| {
                rows::durable(&stored).map_err(|error| StoreError::Corrupt(error.to_string()))
            })
            .transpose()
    }

    async fn newest(&self, channel_id: i64) -> Result<Option<Durable>, StopError> {
        if let Some(relay) = self.channel(channel_id) {
            return Ok(Some((*relay.durable).clone()));
        }
        let stored = self
            .shared
            .store
            .newest_relay(channel_id)
            .await
            .map_err(stop_error)?;
        stored
            .map(|stored| {
                rows::durable(&stored).map_err(|error| StopError::Internal(error.to_string()))
            })
            .transpose()
    }

    /// The recorder's page spoke. True: it shall leave.
    pub async fn page_presence(
        &self,
        relay_id: Uuid,
        attempt: u32,
        seq: u64,
        present: bool,
    ) -> bool {
        let leave = self.page_shall_leave(relay_id, attempt);
        if !leave {
            let tell = Tell::from(Event::Page {
                attempt,
                seq,
                present,
            });
            self.shared.registry_hears(TellRelay { relay_id, tell });
        }
        leave
    }

    /// Whether the page of this recorder shall leave the channel: its recorder is not the relay's any more.
    #[must_use]
    pub fn page_shall_leave(&self, relay_id: Uuid, attempt: u32) -> bool {
        let Some(relay) = self.shared.directory.get(relay_id) else {
            // Before the database was read nobody knows; a page that left could not be called back.
            return self.shared.readiness() != Readiness::Starting;
        };
        let recorder = relay.durable.recorder.as_ref();
        let superseded = recorder.is_some_and(|recorder| {
            recorder.attempt > attempt || (recorder.attempt == attempt && !recorder.stage.is_open())
        });
        superseded || !relay.durable.phase.holds_slot()
    }

    /// One pass of the janitor over what the vendors hold; with `dry_run` nothing is removed.
    ///
    /// # Errors
    /// When a list or a deletion fails, or the database does not answer.
    pub async fn sweep(&self, dry_run: bool) -> Result<Sweep, SweepError> {
        janitor::sweep(&self.shared, None, dry_run).await
    }

    /// A vendor's verified notification spoke of something no relay in work drives.
    pub fn ghost(&self, ghost: Ghost) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn(async move {
            let dealt_with = match ghost {
                Ghost::FeedConnected { live_input } => {
                    ghosts::feed_connected(&shared, live_input).await
                }
                Ghost::Recorder { mark, sid, is_over } => {
                    ghosts::recorder(&shared, mark, sid, is_over).await
                }
            };
            if let Err(error) = dealt_with {
                // The janitor is the net.
                tracing::warn!(%error, "a ghost was not dealt with");
            }
        });
    }

    /// A vendor's verified notification about a relay in work.
    pub fn hint(&self, relay_id: Uuid, hint: Hint) {
        let tell = Tell::from(Event::Hint(hint));
        self.shared.registry_hears(TellRelay { relay_id, tell });
    }
}

/// How a start began.
enum Begun {
    /// A new relay.
    New(Uuid),
    /// There was one.
    Met(Box<StartAnswer>),
}

impl Begun {
    fn met(answer: StartAnswer) -> Self {
        Self::Met(Box::new(answer))
    }
}

fn record(keyed_by: &KeyedBy, relay_id: Uuid, now: DateTime<Utc>) -> IdempotencyRecord {
    IdempotencyRecord {
        key: keyed_by.key.clone(),
        request_hash: keyed_by.request_hash.clone(),
        relay_id,
        created_at: now,
    }
}

fn read(stored: &StoredRelay) -> Result<Durable, StartError> {
    rows::durable(stored).map_err(|error| StartError::Internal(error.to_string()))
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

fn stop_error(error: StoreError) -> StopError {
    match error {
        StoreError::Unavailable(ref reason) => StopError::Database(reason.clone()),
        StoreError::Refused(_)
        | StoreError::Corrupt(_)
        | StoreError::BadCursor
        | StoreError::BadUrl(_) => StopError::Internal(error.to_string()),
    }
}
