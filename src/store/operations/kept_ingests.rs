//! Kept ingests: claim, release, give up. What a relay does with the one that it holds is written with the relay's saves.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use super::parts::add_cleanup_jobs;
use crate::store::entities::kept_ingest::{self, CLEANUP, Column as C, Entity};
use crate::store::entities::relay;
use crate::store::writer::{Operation, OperationError, Tx};
use crate::store::{CleanupJobRow, Id, JsonText, KeptIngestRow, StoredRelay};

/// Who claims a kept ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A relay.
    Relay(Uuid),
    /// A cleanup job.
    Cleanup,
}

impl Holder {
    fn text(self) -> String {
        match self {
            Self::Relay(id) => id.to_string(),
            Self::Cleanup => CLEANUP.to_owned(),
        }
    }
}

/// The result of [`Store::claim_kept_ingest`](crate::store::Store::claim_kept_ingest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptIngestClaim {
    /// The channel keeps none.
    NothingKept,
    /// An unfinished relay or the cleanup holds it.
    Held,
    /// The claim is stored, now or by an earlier try.
    Claimed(Box<KeptIngestRow>),
}

/// The result of [`Store::give_up_kept_ingest`](crate::store::Store::give_up_kept_ingest).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// The channel keeps none.
    NothingKept,
    /// A relay or the cleanup holds it.
    Held,
    /// Its row is deleted, and the cleanup job is stored.
    GivenUp,
}

/// What a save writes about the kept ingest that its relay holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptIngestWrite {
    /// The channel keeps the relay's ingest from now on.
    Keep(Box<KeptIngestRow>),
    /// Its state. Writes nothing unless the relay holds the ingest.
    Change(KeptIngestChange),
    /// The platform does not have it any more, or the relay removes it.
    Forget,
}

/// The state of a held ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the entity describes the columns")]
pub struct KeptIngestChange {
    pub key_stale: bool,
    pub key_version: i32,
    pub reopen: bool,
    pub last_sessions: JsonText,
    /// Settings that the platform took with the end of a broadcast.
    pub options: Option<JsonText>,
    /// When the relay releases it: its last publisher is gone.
    pub released_at: Option<DateTime<Utc>>,
}

/// Runs in the transaction of a save.
pub(crate) async fn write(
    tx: &Tx<'_>,
    relay: &StoredRelay,
    writes: &[KeptIngestWrite],
) -> Result<(), OperationError> {
    let held = || {
        Condition::all()
            .add(C::ChannelId.eq(relay.channel_id))
            .add(C::Platform.eq(&relay.platform))
            .add(C::Holder.eq(relay.id.to_string()))
    };
    for write in writes {
        match write {
            KeptIngestWrite::Keep(row) => {
                Entity::insert(row.as_ref().clone().into_active_model())
                    .on_conflict(OnConflict::new().do_nothing().to_owned())
                    .exec_without_returning(&tx.sql)
                    .await?;
            }
            KeptIngestWrite::Change(change) => {
                let mut update = Entity::update_many()
                    .col_expr(C::KeyStale, Expr::val(change.key_stale))
                    .col_expr(C::KeyVersion, Expr::val(change.key_version))
                    .col_expr(C::Reopen, Expr::val(change.reopen))
                    .col_expr(C::LastSessions, Expr::val(change.last_sessions.clone()))
                    .filter(held());
                if let Some(options) = &change.options {
                    update = update.col_expr(C::Options, Expr::val(options.clone()));
                }
                if let Some(at) = change.released_at {
                    update = update
                        .col_expr(C::Holder, Expr::val(Option::<String>::None))
                        .col_expr(C::HeldSince, Expr::val(Option::<DateTime<Utc>>::None))
                        .col_expr(C::QuietSince, Expr::val(at));
                }
                update.exec(&tx.sql).await?;
            }
            KeptIngestWrite::Forget => {
                Entity::delete_many().filter(held()).exec(&tx.sql).await?;
            }
        }
    }
    Ok(())
}

pub(crate) struct ClaimKeptIngest {
    pub(crate) channel_id: i64,
    pub(crate) platform: String,
    pub(crate) holder: Holder,
    pub(crate) at: DateTime<Utc>,
}

impl Operation for ClaimKeptIngest {
    type Output = KeptIngestClaim;

    /// One statement decides, so two nodes cannot both claim.
    async fn run(&self, tx: &Tx<'_>) -> Result<KeptIngestClaim, OperationError> {
        let (platform, wanted) = (&self.platform, self.holder.text());
        let Some(row) = find(tx, self.channel_id, platform).await? else {
            return Ok(KeptIngestClaim::NothingKept);
        };
        if row.holder.as_ref() == Some(&wanted) {
            return Ok(KeptIngestClaim::Claimed(Box::new(row)));
        }
        // Its egress may come back, and its broadcast may go on.
        let is_abandoned = row.holder.is_some();
        if is_abandoned && !holder_has_ended(tx, &row).await? {
            return Ok(KeptIngestClaim::Held);
        }
        let claimed = kept_ingest::Model {
            holder: Some(wanted),
            held_since: Some(self.at),
            key_stale: row.key_stale || is_abandoned,
            quiet_since: if is_abandoned {
                Some(self.at)
            } else {
                row.quiet_since
            },
            ..row.clone()
        };
        let update = Entity::update_many()
            .col_expr(C::Holder, Expr::val(claimed.holder.clone()))
            .col_expr(C::HeldSince, Expr::val(claimed.held_since))
            .col_expr(C::KeyStale, Expr::val(claimed.key_stale))
            .col_expr(C::QuietSince, Expr::val(claimed.quiet_since))
            .filter(C::ChannelId.eq(self.channel_id))
            .filter(C::Platform.eq(platform))
            .filter(C::IngestId.eq(&row.ingest_id))
            .filter(held_by(row.holder.as_deref()));
        Ok(match update.exec(&tx.sql).await?.rows_affected {
            0 => KeptIngestClaim::Held,
            _ => KeptIngestClaim::Claimed(Box::new(claimed)),
        })
    }
}

/// What the cleanup did with an ingest that it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanedUp {
    /// Nothing, as far as is known.
    Nothing,
    /// It renewed the key.
    KeyRenewed,
    /// It found that the platform does not have it any more.
    Gone,
}

pub(crate) struct ReleaseKeptIngest {
    pub(crate) ingest_id: String,
    pub(crate) platform: String,
    pub(crate) cleaned_up: CleanedUp,
}

impl Operation for ReleaseKeptIngest {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        let held = Condition::all()
            .add(C::IngestId.eq(&self.ingest_id))
            .add(C::Platform.eq(&self.platform))
            .add(C::Holder.eq(CLEANUP));
        let release = Entity::update_many()
            .col_expr(C::Holder, Expr::val(Option::<String>::None))
            .col_expr(C::HeldSince, Expr::val(Option::<DateTime<Utc>>::None))
            .filter(held.clone());
        match self.cleaned_up {
            CleanedUp::Nothing => release.exec(&tx.sql).await?.rows_affected,
            CleanedUp::KeyRenewed => {
                let release = release
                    .col_expr(C::KeyStale, Expr::val(false))
                    .col_expr(C::KeyVersion, Expr::col(C::KeyVersion).add(1));
                release.exec(&tx.sql).await?.rows_affected
            }
            CleanedUp::Gone => {
                let delete = Entity::delete_many().filter(held);
                delete.exec(&tx.sql).await?.rows_affected
            }
        };
        Ok(())
    }
}

/// Something publishes into it although no relay holds it.
pub(crate) struct MarkKeyStale {
    pub(crate) ingest_id: String,
    pub(crate) platform: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) cleanup_job: CleanupJobRow,
}

impl Operation for MarkKeyStale {
    type Output = bool;

    async fn run(&self, tx: &Tx<'_>) -> Result<bool, OperationError> {
        let marked = Entity::update_many()
            .col_expr(C::KeyStale, Expr::val(true))
            .col_expr(C::QuietSince, Expr::val(self.at))
            .filter(C::IngestId.eq(&self.ingest_id))
            .filter(C::Platform.eq(&self.platform))
            .filter(C::Holder.is_null())
            .exec(&tx.sql)
            .await?;
        if marked.rows_affected == 0 {
            return Ok(false);
        }
        add_cleanup_jobs(tx, std::slice::from_ref(&self.cleanup_job)).await?;
        Ok(true)
    }
}

pub(crate) struct GiveUpKeptIngest {
    pub(crate) ingest_id: String,
    pub(crate) platform: String,
    pub(crate) cleanup_job: CleanupJobRow,
}

impl Operation for GiveUpKeptIngest {
    type Output = GivenUp;

    async fn run(&self, tx: &Tx<'_>) -> Result<GivenUp, OperationError> {
        let found = Entity::find()
            .filter(C::IngestId.eq(&self.ingest_id))
            .filter(C::Platform.eq(&self.platform))
            .one(&tx.sql)
            .await?;
        let Some(row) = found else {
            return Ok(GivenUp::NothingKept);
        };
        if row.holder.is_some() && !holder_has_ended(tx, &row).await? {
            return Ok(GivenUp::Held);
        }
        let delete = Entity::delete_many()
            .filter(C::IngestId.eq(&self.ingest_id))
            .filter(C::Platform.eq(&self.platform))
            .filter(held_by(row.holder.as_deref()));
        if delete.exec(&tx.sql).await?.rows_affected == 0 {
            return Ok(GivenUp::Held);
        }
        add_cleanup_jobs(tx, std::slice::from_ref(&self.cleanup_job)).await?;
        Ok(GivenUp::GivenUp)
    }
}

async fn find(
    tx: &Tx<'_>,
    channel_id: i64,
    platform: &str,
) -> Result<Option<KeptIngestRow>, OperationError> {
    let found = Entity::find_by_id((channel_id, platform.to_owned()));
    Ok(found.one(&tx.sql).await?)
}

/// Whether the relay that holds it has ended, or does not exist.
async fn holder_has_ended(tx: &Tx<'_>, row: &KeptIngestRow) -> Result<bool, OperationError> {
    let Some(relay_id) = row.relay_id() else {
        return Ok(false);
    };
    let found = relay::Entity::find_by_id(Id(relay_id)).one(&tx.sql).await?;
    Ok(found.is_none_or(|relay| relay.ended_at.is_some()))
}

fn held_by(holder: Option<&str>) -> Condition {
    Condition::all().add(match holder {
        Some(holder) => C::Holder.eq(holder),
        None => C::Holder.is_null(),
    })
}
