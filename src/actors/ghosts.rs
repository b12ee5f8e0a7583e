//! What a vendor's notification spoke of and no relay in work drives. A notification is never trusted alone: a live input
//! is looked at first, and only what bears our own mark is touched.

mod reads;

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

pub(super) use self::reads::StrayReads;
use super::calls::asks;
use super::rows;
use super::shared::Shared;
use crate::relay::{Mark, Owed};
use crate::store::{SLOT_PHASES, StoreError};
use crate::vendors::governor::Priority;
use crate::vendors::{Class, VendorError};

/// Why a ghost could not be dealt with.
#[derive(Debug, thiserror::Error)]
pub(super) enum GhostError {
    /// It could not be looked at.
    #[error(transparent)]
    Vendor(#[from] VendorError),
    /// What the database knows of it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A Cloudflare uid has 32 characters; a longer one is not remembered.
const LONGEST_UID: usize = 64;

/// An encoder has connected to a live input whose relay is stopping, over or unknown. Mostly it is somebody else's live input:
/// each is read rarely, and behind every call of a relay.
pub(super) async fn feed_connected(
    shared: &Arc<Shared>,
    live_input: String,
) -> Result<(), GhostError> {
    let (reads, cloudflare) = (&shared.stray_reads, &shared.vendors.cloudflare);
    let Some(owner) = shared.owner() else {
        return Ok(());
    };
    if live_input.len() > LONGEST_UID || !reads.begin(&live_input, Instant::now()) {
        return Ok(());
    }
    let phases = shared.store.phases_with_live_input(&live_input).await?;
    if phases
        .iter()
        .any(|phase| SLOT_PHASES.contains(&phase.as_str()))
    {
        // Another node's, which was told.
        return Ok(());
    }
    if phases.is_empty() && !reads.take_unknown(cloudflare.budget().quota, Instant::now()) {
        tracing::debug!(
            live_input,
            "an encoder connected to an unknown live input; too many of those were read of late"
        );
        return Ok(());
    }
    let asks = asks(Priority::Janitor);
    let found = match cloudflare.get_live_input(asks, &live_input).await {
        Err(error) if error.class == Class::NotFound => {
            reads.not_ours(&live_input, Instant::now());
            return Ok(());
        }
        found => found?,
    };
    let mark = found
        .mark
        .as_deref()
        .and_then(|mark| mark.parse::<Mark>().ok())
        .filter(|mark| mark.owner == owner);
    let Some(mark) = mark else {
        reads.not_ours(&live_input, Instant::now());
        return Ok(());
    };
    if found.enabled == Some(false) {
        return Ok(());
    }
    if shared
        .directory
        .get(mark.relay)
        .is_some_and(|relay| relay.durable.phase.holds_slot())
    {
        return Ok(());
    }
    let Some(stored) = shared.store.relay(mark.relay).await? else {
        return Ok(());
    };
    if SLOT_PHASES.contains(&stored.row.phase.as_str()) {
        // Its actor is just being made, or is another process's.
        return Ok(());
    }
    tracing::error!(live_input, relay_id = %mark.relay, channel_id = stored.row.channel_id, "a ghost: something publishes into a live input whose relay is over");
    owe(
        shared,
        mark.relay,
        stored.row.channel_id,
        Owed::DisableGhost { uid: live_input },
    )
    .await
}

/// A recorder of ours that no relay in work watches.
pub(super) async fn recorder(
    shared: &Arc<Shared>,
    mark: Mark,
    sid: String,
    is_over: bool,
) -> Result<(), GhostError> {
    if shared.owner().as_ref() != Some(&mark.owner) {
        return Ok(());
    }
    let cname = mark.to_string();
    let debts = shared.store.debts_of(mark.relay).await?;
    let waiting = debts
        .iter()
        .find(|open| open.debt.kind == "unknown_recorder" && open.debt.target == cname);
    let Some(open) = waiting else { return Ok(()) };
    if !is_over
        && let Ok(Owed::UnknownRecorder {
            resource_id,
            other_resources,
            cname,
            uid,
        }) = serde_json::from_value(open.debt.data.clone())
    {
        // What was waited for: with its session's name it can be stopped.
        owe(
            shared,
            mark.relay,
            open.debt.channel_id,
            Owed::StopRecorder {
                resource_id,
                other_resources,
                sid,
                cname,
                uid,
            },
        )
        .await?;
    }
    shared.store.settle_debt(open.debt.id).await?;
    Ok(())
}

async fn owe(
    shared: &Arc<Shared>,
    relay_id: Uuid,
    channel_id: i64,
    owed: Owed,
) -> Result<(), GhostError> {
    let debt = rows::debt(&owed, relay_id, channel_id, shared.clock.now());
    shared.store.add_debts(vec![debt]).await?;
    shared.debts_changed();
    Ok(())
}
