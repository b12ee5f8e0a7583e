//! Where state is kept: the only room that knows SQL, on SQLite and PostgreSQL alike.
//!
//! A [`Store`] is a handle that is cheap to clone. What is read comes from a pool; what is written goes to one task, the
//! writer, which commits all that wait in one transaction and answers after the commit. *Write first, act second* rests
//! on that answer: `Ok` means that it is on disk, [`StoreError::Unavailable`] that nobody knows, and a repeat of the same
//! request finds out.
//!
//! Which process may write what is said by the epoch it drew, which every [`Save`] carries: on SQLite the one process that
//! holds the [`DatabaseLock`] takes all ([`Store::take_epoch`]); on PostgreSQL there may be several ([`Store::join`]), and
//! each relay belongs to one of them.

mod connect;
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
mod rows;
mod sessions;
mod sql;
mod writer;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use sea_orm::DbBackend;
use uuid::Uuid;

pub use error::StoreError;
pub use fleet::{Fleet, Heard, Listener, Node, Poll, Polled, Share, ShareChange, Shares};
pub use lock::{DatabaseLock, HeldBy};
pub use migrations::MigrationStatus;
pub use operations::create::{Created, NewRelay};
pub use operations::deliveries::{Attempt, AttemptResult};
pub use operations::end_by_force::ForcedEnd;
pub use operations::purge::Purge;
pub use operations::save::{Save, Saved};
pub use page::{Page, PageRequest};
pub use queries::{DeliveryFilter, RelayFilter};
pub use retry::{until_answered, until_done};
pub use rows::*;
pub use sessions::EndedSession;

use connect::{Pools, Target};
use last_recordings::LastRecordings;
use operations::alarms::{ClearAlarm, Forget, RaiseAlarm, Remember};
use operations::cleanup_jobs::{AddCleanupJobs, PostponeCleanupJob, SettleCleanupJob};
use operations::deliveries::{Redeliver, SetDelivers};
use operations::instance::{DrawInstance, Probe, TakeEpoch, TryWrite};
use sql::OwnSql;
use writer::Writer;

use crate::config::DatabaseSettings;

/// The phases in which a relay holds its channel's slot: at most one relay of a channel is in one of them.
pub const SLOT_PHASES: [&str; 4] = ["provisioning", "awaiting_live", "live", "interrupted"];

/// The database.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    target: Target,
    /// The most connections that read.
    readers: u32,
    writer: Writer,
    /// Replaced when they seem to hang.
    pools: RwLock<Pools>,
    last_recordings: Arc<LastRecordings>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database, makes its file when it is missing (unless the URL says `mode=rw`), and starts the writer on the runtime this is
    /// called on. The schema is left as it is: see [`Store::migrate`].
    ///
    /// # Errors
    /// [`StoreError::BadUrl`]; [`StoreError::Unavailable`] when nobody answers within five seconds.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let target = Target::of(settings)?;
        target.check_folder()?;
        if let Some(path) = target.file().filter(|_| !settings.must_exist()) {
            file::make(&path);
        }
        target.answers().await?;
        let connection = target.writer();
        // SQLite makes the file, and switches it to WAL, on the first connection that may write.
        connection.ping().await?;
        let pools = target.pools(&connection, settings.read_connections);
        pools.reader.ping().await?;
        let last_recordings = Arc::<LastRecordings>::default();
        let writer = Writer::start(target.clone(), connection, last_recordings.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                target,
                readers: settings.read_connections,
                writer,
                pools: RwLock::new(pools),
                last_recordings,
            }),
        })
    }

    /// Finishes what was asked of the writer, and closes every connection. Requests that come later are told
    /// [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.inner.writer.close().await;
        // Whether the last connections say good-bye changes nothing.
        let pools = self.pools();
        for pool in [pools.reader, pools.fleet, pools.renewals] {
            let _ = pool.close_by_ref().await;
        }
    }

    fn pools(&self) -> Pools {
        self.inner.pools.read().clone()
    }

    /// Takes new connections to a PostgreSQL: those there are may hang, when its machine has gone without a word, for as long
    /// as the network waits for it. The writer does so by itself.
    pub fn reconnect(&self) {
        if let Target::Postgres(_) = self.inner.target {
            let mut pools = self.inner.pools.write();
            *pools = self.inner.target.pools(&pools.reader, self.inner.readers);
        }
    }

    /// Asks the database whether it is there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it is not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.pools().reader.ping().await?)
    }

    /// Asks the database whether it takes writes; returns after everything that was asked of the writer before is done,
    /// or was not.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping_writer(&self) -> Result<(), StoreError> {
        self.inner.writer.run(Probe).await
    }

    /// Asks the database whether it takes writes again after it did not: something is written, which a full disk refuses.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        self.inner.writer.run(TryWrite).await
    }

    /// Which database this is, and its epoch; drawn the first time it is asked.
    ///
    /// # Errors
    /// As every write here: [`StoreError::Unavailable`] (the outcome is unknown), [`StoreError::Refused`] (nothing was
    /// written).
    pub async fn instance(&self) -> Result<Instance, StoreError> {
        use sea_orm::EntityTrait;
        let known = entities::instance::Entity::find_by_id(1)
            .one(&self.read())
            .await?;
        match known {
            Some(known) => Ok(known.into()),
            None => self.inner.writer.run(DrawInstance).await,
        }
    }

    /// Takes the database over: one higher epoch, for this process, which is the only node from now on, and for all
    /// unfinished relays. Saves under any other are fenced.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn take_epoch(&self) -> Result<i64, StoreError> {
        let epoch = self.inner.writer.run(TakeEpoch).await?;
        if !self.is_shared() {
            self.inner.last_recordings.alone();
        }
        Ok(epoch)
    }

    /// Brings a relay into being, if its channel's slot is free.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn create(&self, relay: NewRelay) -> Result<Created, StoreError> {
        self.inner.writer.run(relay).await
    }

    /// Stores a relay's next state and all that follows from it.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn save(&self, save: Save) -> Result<Saved, StoreError> {
        self.inner.writer.run(save).await
    }

    /// Ends a relay that cannot end itself. One that has ended already is left as it is.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn end_by_force(&self, end: ForcedEnd) -> Result<Saved, StoreError> {
        self.inner.writer.run(end).await
    }

    /// Takes cleanup jobs on; what is owed already is not owed twice.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn add_cleanup_jobs(
        &self,
        cleanup_jobs: Vec<NewCleanupJob>,
    ) -> Result<(), StoreError> {
        self.inner.writer.run(AddCleanupJobs(cleanup_jobs)).await
    }

    /// Strikes a cleanup job off: it is paid, or the vendor's own limit has passed.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn settle_cleanup_job(&self, id: Uuid) -> Result<(), StoreError> {
        self.inner.writer.run(SettleCleanupJob(id)).await
    }

    /// Puts a cleanup job off after an attempt in vain, and counts it.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn postpone_cleanup_job(
        &self,
        id: Uuid,
        next_attempt_at: DateTime<Utc>,
        error: String,
    ) -> Result<(), StoreError> {
        let put_off = PostponeCleanupJob {
            id,
            next_attempt_at,
            error,
        };
        self.inner.writer.run(put_off).await
    }

    /// Remembers what a key was used for; answers what is remembered, which is an earlier use if there was one.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn remember_idempotency(
        &self,
        record: IdempotencyRecord,
    ) -> Result<IdempotencyRecord, StoreError> {
        self.inner.writer.run(Remember(record)).await
    }

    /// Frees a key, unless it was used again since it was read.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn forget_idempotency(&self, record: IdempotencyRecord) -> Result<(), StoreError> {
        self.inner.writer.run(Forget(record)).await
    }

    /// Raises an alarm, or says that its cause was seen again.
    ///
    /// # Errors
    /// As [`Store::instance`].
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

    /// Takes an alarm away: its cause is gone.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn clear_alarm(&self, key: AlarmKey) -> Result<(), StoreError> {
        self.inner.writer.run(ClearAlarm(key)).await
    }

    /// Says whether messages are to be delivered: those that come to be from now on. Saying no forgets that the endpoint
    /// was disabled.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn deliver_messages(&self, delivers: bool) -> Result<(), StoreError> {
        self.inner.writer.run(SetDelivers(delivers)).await
    }

    /// Writes down what came of an attempt to deliver a message.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn note_attempt(&self, attempt: Attempt) -> Result<(), StoreError> {
        self.inner.writer.run(attempt).await
    }

    /// Has a message delivered again, in its channel's order, and counts the endpoint as enabled; answers whether the
    /// message is kept.
    ///
    /// # Errors
    /// As [`Store::instance`].
    pub async fn redeliver(&self, id: i64, at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.inner.writer.run(Redeliver { id, at }).await
    }

    /// Lets a bounded piece go of what has been kept long enough; answers how many rows. Ask again until it is 0.
    ///
    /// # Errors
    /// As [`Store::instance`].
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
