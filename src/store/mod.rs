//! The database, SQLite or PostgreSQL: the only room that knows SQL.
//!
//! Reads use a pool. Writes go to one task, the writer, which commits all waiting operations in one transaction and
//! answers after the commit. After `Ok` a write is on disk; after [`StoreError::Unavailable`] its outcome is unknown,
//! and repeating the same request is safe.
//!
//! Every [`Save`] carries the fencing token (epoch) of its process. On SQLite the holder of the [`DatabaseLock`] owns
//! all relays ([`Store::take_epoch`]); on PostgreSQL each relay belongs to one of several nodes ([`Store::join`]).

mod columns;
mod connect;
#[allow(missing_docs, reason = "the columns' names suffice")]
mod entities;
mod error;
mod file;
mod fleet;
mod last_recordings;
mod lock;
mod migrations;
mod operations;
mod page;
mod queries;
mod retry;
#[allow(missing_docs, reason = "the names suffice")]
mod rows;
mod sessions;
mod sql;
mod writer;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use sea_orm::DbBackend;
use tokio::sync::broadcast;
use uuid::Uuid;

pub use columns::{ClosedList, Id, JsonText, Named};
pub use entities::alarm::Model as AlarmRow;
pub use entities::cleanup_job::Model as CleanupJobRow;
pub use entities::cost::Model as LedgerRow;
pub use entities::ended_session::Model as EndedSession;
pub use entities::idempotency_key::Model as IdempotencyRecord;
pub use entities::instance::Model as Instance;
pub use entities::kept_ingest::{KeptIngestOptions, Model as KeptIngestRow};
pub use entities::outbox::Model as OutboxMessage;
pub use entities::recording::Model as RecordingRow;
pub use entities::relay::{Model as StoredRelay, Unreadable};
pub use error::StoreError;
pub use fleet::{
    Fleet, FleetListener, FleetSignal, Node, PollTurn, Share, ShareChange, SharedPoll, Shares,
    StopSignals,
};
pub use lock::{DatabaseLock, HeldBy};
pub use migrations::MigrationStatus;
pub use operations::create::{Created, NewRelay};
pub use operations::deliveries::{Attempt, AttemptResult};
pub use operations::end_by_force::ForcedEnd;
pub use operations::kept_ingests::{
    CleanedUp, GivenUp, Holder, KeptIngestChange, KeptIngestClaim, KeptIngestWrite,
};
pub use operations::purge::Purge;
pub use operations::save::{Save, Saved};
pub use page::{Page, PageRequest};
pub use queries::{DeliveryFilter, RelayFilter};
pub use retry::{until_answered, until_done};
pub use rows::*;

use connect::{Pools, Target};
use last_recordings::LastRecordings;
use operations::alarms::{ClearAlarm, Forget, RaiseAlarm, Remember};
use operations::cleanup_jobs::{AddCleanupJobs, PostponeCleanupJob, SettleCleanupJob};
use operations::deliveries::{Redeliver, SetDelivers};
use operations::instance::{DrawInstance, PingWriter, TakeEpoch, TryWrite};
use operations::kept_ingests::{
    ClaimKeptIngest, GiveUpKeptIngest, MarkKeyStale, ReleaseKeptIngest,
};
use sql::OwnSql;
use writer::Writer;

use crate::config::DatabaseSettings;

/// A receiver that lags further behind checks its relay.
const WAITING_STOPS: usize = 256;

/// A handle to the database, cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<StoreInner>,
}

struct StoreInner {
    target: Target,
    readers: u32,
    writer: Writer,
    pools: RwLock<Pools>,
    last_recordings: Arc<LastRecordings>,
    /// Relays whose requested stop is stored; `None`: perhaps any, as signals may have been lost.
    stops: broadcast::Sender<Option<Uuid>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database, creates its file unless the URL says `mode=rw`, and starts the writer. [`Store::migrate`]
    /// creates the tables.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`]; [`StoreError::Unavailable`] after five seconds without an answer.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let target = Target::of(settings)?;
        target.check_folder()?;
        if let Some(path) = target.file().filter(|_| !settings.must_exist()) {
            file::create_private(&path);
        }
        target.check_answers().await?;
        let connection = target.writer();
        // SQLite creates the file, and switches it to WAL, on the first connection that may write.
        connection.ping().await?;
        let pools = target.pools(&connection, settings.read_connections);
        pools.reader.ping().await?;
        let last_recordings = Arc::<LastRecordings>::default();
        let writer = Writer::start(target.clone(), connection, last_recordings.clone());
        Ok(Self {
            inner: Arc::new(StoreInner {
                target,
                readers: settings.read_connections,
                writer,
                pools: RwLock::new(pools),
                last_recordings,
                stops: broadcast::Sender::new(WAITING_STOPS),
            }),
        })
    }

    /// Finishes queued writes. Later calls fail as [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.inner.writer.close().await;
        let pools = self.pools();
        for pool in [pools.reader, pools.fleet, pools.renewals] {
            let _ = pool.close_by_ref().await;
        }
    }

    fn pools(&self) -> Pools {
        self.inner.pools.read().clone()
    }

    /// Replaces the PostgreSQL pools: after a silent host failure their connections may hang. The writer replaces its
    /// own connection.
    pub fn reconnect(&self) {
        if let Target::Postgres(_) = self.inner.target {
            let mut pools = self.inner.pools.write();
            *pools = self.inner.target.pools(&pools.reader, self.inner.readers);
        }
    }

    /// Reads from the database.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.pools().reader.ping().await?)
    }

    /// Waits for the writes queued before, and checks that a commit succeeds.
    pub async fn ping_writer(&self) -> Result<(), StoreError> {
        self.inner.writer.run(PingWriter).await
    }

    /// Checks that a write succeeds: a full disk accepts an empty commit.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        self.inner.writer.run(TryWrite).await
    }

    /// The identity of this database, created by the first call.
    pub async fn instance(&self) -> Result<Instance, StoreError> {
        use sea_orm::EntityTrait;
        let known = entities::instance::Entity::find_by_id(1)
            .one(&self.read())
            .await?;
        match known {
            Some(known) => Ok(known),
            None => self.inner.writer.run(DrawInstance).await,
        }
    }

    /// Makes this process the only node of a SQLite database, under a new epoch, and the owner of all unfinished relays.
    /// Saves under older epochs are fenced.
    pub async fn take_epoch(&self) -> Result<i64, StoreError> {
        let epoch = self.inner.writer.run(TakeEpoch).await?;
        if !self.is_shared() {
            self.inner.last_recordings.alone();
        }
        Ok(epoch)
    }

    /// Creates a relay if its channel's slot is free.
    pub async fn create(&self, relay: NewRelay) -> Result<Created, StoreError> {
        self.inner.writer.run(relay).await
    }

    /// Stores a relay's next state and what follows from it.
    pub async fn save(&self, save: Save) -> Result<Saved, StoreError> {
        self.inner.writer.run(save).await
    }

    /// Ends a relay without its actor. Does nothing if it has ended.
    pub async fn end_by_force(&self, end: ForcedEnd) -> Result<Saved, StoreError> {
        self.inner.writer.run(end).await
    }

    /// A job of the same kind and target is added once.
    pub async fn add_cleanup_jobs(
        &self,
        cleanup_jobs: Vec<CleanupJobRow>,
    ) -> Result<(), StoreError> {
        self.inner.writer.run(AddCleanupJobs(cleanup_jobs)).await
    }

    /// Deletes a job that is done or no longer needed.
    pub async fn settle_cleanup_job(&self, id: Uuid) -> Result<(), StoreError> {
        self.inner.writer.run(SettleCleanupJob(id)).await
    }

    /// Counts a failed attempt and schedules the next.
    pub async fn postpone_cleanup_job(
        &self,
        id: Uuid,
        next_attempt_at: DateTime<Utc>,
        error: String,
    ) -> Result<(), StoreError> {
        let postpone = PostponeCleanupJob {
            id,
            next_attempt_at,
            error,
        };
        self.inner.writer.run(postpone).await
    }

    /// Makes a relay or the cleanup the holder of a channel's kept ingest. May be repeated. From a holder that has ended
    /// it is taken with a stale key.
    pub async fn claim_kept_ingest(
        &self,
        channel_id: i64,
        platform: &str,
        holder: Holder,
        at: DateTime<Utc>,
    ) -> Result<KeptIngestClaim, StoreError> {
        let claim = ClaimKeptIngest {
            channel_id,
            platform: platform.to_owned(),
            holder,
            at,
        };
        self.inner.writer.run(claim).await
    }

    /// Ends the cleanup's claim.
    pub async fn release_kept_ingest(
        &self,
        row: &KeptIngestRow,
        cleaned_up: CleanedUp,
    ) -> Result<(), StoreError> {
        let release = ReleaseKeptIngest {
            ingest_id: row.ingest_id.clone(),
            platform: row.platform.clone(),
            cleaned_up,
        };
        self.inner.writer.run(release).await
    }

    /// Notes that something publishes into a kept ingest that nothing holds, and adds the job that renews its key.
    /// Returns false if it is held or not kept.
    pub async fn mark_key_stale(
        &self,
        row: &KeptIngestRow,
        at: DateTime<Utc>,
        cleanup_job: CleanupJobRow,
    ) -> Result<bool, StoreError> {
        let mark = MarkKeyStale {
            ingest_id: row.ingest_id.clone(),
            platform: row.platform.clone(),
            at,
            cleanup_job,
        };
        self.inner.writer.run(mark).await
    }

    /// Deletes a kept ingest's row and adds the job that removes the ingest, unless it is held.
    pub async fn give_up_kept_ingest(
        &self,
        row: &KeptIngestRow,
        cleanup_job: CleanupJobRow,
    ) -> Result<GivenUp, StoreError> {
        let give_up = GiveUpKeptIngest {
            ingest_id: row.ingest_id.clone(),
            platform: row.platform.clone(),
            cleanup_job,
        };
        self.inner.writer.run(give_up).await
    }

    /// Stores which relay a key was used for. Returns the key's first use.
    pub async fn remember_idempotency(
        &self,
        record: IdempotencyRecord,
    ) -> Result<IdempotencyRecord, StoreError> {
        self.inner.writer.run(Remember(record)).await
    }

    /// Deletes a key, unless it was used again since it was read.
    pub async fn forget_idempotency(&self, record: IdempotencyRecord) -> Result<(), StoreError> {
        self.inner.writer.run(Forget(record)).await
    }

    /// Raises an alarm, or updates a raised one.
    pub async fn raise_alarm(
        &self,
        key: AlarmKey,
        detail: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let detail = detail.to_owned();
        let alarm = RaiseAlarm { key, detail, at };
        self.inner.writer.run(alarm).await
    }

    /// Clears an alarm, if it is raised.
    pub async fn clear_alarm(&self, key: AlarmKey) -> Result<(), StoreError> {
        self.inner.writer.run(ClearAlarm(key)).await
    }

    /// Turns delivery of new messages on or off; off also enables a disabled endpoint.
    pub async fn deliver_messages(&self, delivers: bool) -> Result<(), StoreError> {
        self.inner.writer.run(SetDelivers(delivers)).await
    }

    /// Stores the result of an attempt to deliver a message.
    pub async fn record_attempt(&self, attempt: Attempt) -> Result<(), StoreError> {
        self.inner.writer.run(attempt).await
    }

    /// Schedules a message to be delivered again, and enables the endpoint. Returns false if the message was purged.
    pub async fn redeliver(&self, id: i64, at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.inner.writer.run(Redeliver { id, at }).await
    }

    /// Deletes some rows whose retention has passed, and returns the count. Repeat until it is 0.
    pub async fn purge(&self, purge: Purge) -> Result<u64, StoreError> {
        self.inner.writer.run(purge).await
    }

    fn read(&self) -> OwnSql {
        OwnSql(self.pools().reader)
    }

    fn backend(&self) -> DbBackend {
        self.pools().reader.get_database_backend()
    }
}
