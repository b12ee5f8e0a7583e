//! The janitor lists what the vendors hold, and removes what is ours and nobody's: objects with our own mark that no
//! unfinished relay owns and no debt names. Marks of others are counted and left alone.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::calls::asks;
use super::rows;
use super::shared::Shared;
use crate::config::AgoraBackend;
use crate::relay::{Mark, Owner};
use crate::store::{Purge, StoreError};
use crate::vendors::governor::Priority;
use crate::vendors::{Class, VendorError};

/// Idempotency keys are kept so long.
const KEYS: TimeDelta = TimeDelta::hours(24);
/// The outbox is kept so long.
const OUTBOX: TimeDelta = TimeDelta::days(7);

/// Why a pass did not get through.
#[derive(Debug, thiserror::Error)]
pub(super) enum SweepError {
    /// A list, or a deletion.
    #[error(transparent)]
    Vendor(#[from] VendorError),
    /// What the database knows of an object's relay.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whose objects are ours is not known yet.
    #[error("the database was not read yet")]
    Starting,
}

/// What a pass found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sweep {
    /// Objects with our own mark.
    pub(super) ours: usize,
    /// Those of them that were removed.
    pub(super) removed: usize,
    /// Objects with a mark of another deployment or database.
    pub(super) foreign: usize,
}

/// An object at a vendor that bears a mark.
struct Marked {
    mark: Mark,
    created: Option<DateTime<Utc>>,
    /// The vendor's id.
    id: String,
}

/// Sweeps at the start and then at every interval, forever.
pub(super) async fn sweep_forever(shared: Arc<Shared>) {
    loop {
        match sweep(&shared).await {
            Ok(Sweep {
                ours,
                removed,
                foreign,
            }) => {
                tracing::info!(ours, removed, foreign, "the janitor has been round");
            }
            Err(error) => tracing::warn!(%error, "the janitor did not get round"),
        }
        let now = shared.clock.now();
        let journal = TimeDelta::from_std(shared.settings.database.journal_retention)
            .unwrap_or(TimeDelta::MAX);
        let purge = Purge {
            journal_before: now
                .checked_sub_signed(journal)
                .unwrap_or(DateTime::UNIX_EPOCH),
            idempotency_before: now - KEYS,
            outbox_before: now - OUTBOX,
        };
        purge_all(&shared, purge).await;
        tokio::time::sleep(shared.settings.janitor.interval).await;
    }
}

/// What was kept long enough goes, piece by piece.
async fn purge_all(shared: &Shared, purge: Purge) {
    loop {
        match shared.store.purge(purge).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "what was kept long enough was not purged");
                return;
            }
        }
    }
}

/// One pass over what the vendors hold.
pub(super) async fn sweep(shared: &Shared) -> Result<Sweep, SweepError> {
    let owner = shared.owner().ok_or(SweepError::Starting)?;
    let mut sweep = Sweep::default();
    sweep_live_inputs(shared, &owner, &mut sweep).await?;
    if shared.settings.agora.backend == AgoraBackend::MediaPush {
        sweep_converters(shared, &owner, &mut sweep).await?;
    }
    Ok(sweep)
}

async fn sweep_live_inputs(
    shared: &Shared,
    owner: &Owner,
    sweep: &mut Sweep,
) -> Result<(), SweepError> {
    let cloudflare = &shared.vendors.cloudflare;
    let list = cloudflare.list_live_inputs(asks(Priority::Janitor)).await?;
    if list.may_be_cut {
        tracing::error!(
            listed = list.live_inputs.len(),
            "the list of live inputs may be cut: what is behind its end is not swept"
        );
    }
    for input in list.live_inputs {
        let Some(mark) = input
            .mark
            .as_deref()
            .and_then(|mark| mark.parse::<Mark>().ok())
        else {
            continue;
        };
        let object = Marked {
            mark,
            created: input.created,
            id: input.uid,
        };
        if is_orphan(shared, owner, &object, Kind::LiveInput, sweep).await? {
            tracing::warn!(live_input = object.id, mark = %object.mark, "an orphan: a live input nobody owns is deleted");
            cloudflare
                .delete_live_input(asks(Priority::Janitor), &object.id)
                .await?;
            sweep.removed += 1;
        }
    }
    Ok(())
}

async fn sweep_converters(
    shared: &Shared,
    owner: &Owner,
    sweep: &mut Sweep,
) -> Result<(), SweepError> {
    let media_push = shared.vendors.agora.media_push();
    let list = match media_push.list(asks(Priority::Janitor)).await {
        // Media Push is not enabled for this project: then it holds nothing of ours.
        Err(error) if error.class == Class::Unauthorized => return Ok(()),
        list => list?,
    };
    let region = &shared.settings.agora.media_push.region;
    for converter in list {
        let Some(mark) = converter
            .name
            .as_deref()
            .and_then(|name| name.parse::<Mark>().ok())
        else {
            continue;
        };
        let object = Marked {
            mark,
            created: converter.created_at,
            id: converter.id,
        };
        if is_orphan(shared, owner, &object, Kind::Converter, sweep).await? {
            tracing::warn!(converter = object.id, mark = %object.mark, "an orphan: a converter nobody owns is deleted");
            let region = region_of(shared, &object.mark)
                .await?
                .unwrap_or_else(|| region.clone());
            media_push
                .delete(asks(Priority::Janitor), &region, &object.id)
                .await?;
            sweep.removed += 1;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    LiveInput,
    Converter,
}

/// Whether an object is ours and nobody's.
async fn is_orphan(
    shared: &Shared,
    owner: &Owner,
    object: &Marked,
    kind: Kind,
    sweep: &mut Sweep,
) -> Result<bool, SweepError> {
    if object.mark.owner != *owner {
        sweep.foreign += 1;
        return Ok(false);
    }
    sweep.ours += 1;
    let grace = TimeDelta::from_std(shared.settings.janitor.grace).unwrap_or(TimeDelta::MAX);
    let Some(age) = object.created.map(|created| shared.clock.now() - created) else {
        return Ok(false);
    };
    if age < grace || shared.directory.get(object.mark.relay).is_some() {
        return Ok(false);
    }
    let Some(stored) = shared.store.relay(object.mark.relay).await? else {
        // Our own database, and it does not know the relay: its start was never stored, or it was restored from a backup.
        return Ok(true);
    };
    if stored.row.ended_at.is_none() {
        return Ok(false);
    }
    let owes = shared.store.debts_of(object.mark.relay).await?;
    if owes.iter().any(|open| open.debt.target == object.id) {
        return Ok(false);
    }
    let kept = rows::durable(&stored).is_ok_and(|durable| {
        durable.spec.keep_live_input
            && durable.live_input.uid.as_deref() == Some(object.id.as_str())
    });
    Ok(!(kind == Kind::LiveInput && kept))
}

/// Where a relay's converters run.
async fn region_of(shared: &Shared, mark: &Mark) -> Result<Option<String>, SweepError> {
    Ok(shared
        .store
        .relay(mark.relay)
        .await?
        .and_then(|stored| stored.row.region))
}
