//! What a vendor's notification spoke of and no relay in work drives. A notification is never trusted alone: a live input
//! is looked at first, and only what bears our own mark is touched.

use std::sync::Arc;

use uuid::Uuid;

use super::calls::asks;
use super::shared::Shared;
use crate::relay::{Mark, Owed};
use crate::store::{NewDebt, SLOT_PHASES, StoreError};
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

/// An encoder has connected to a live input whose relay is stopping, over or unknown.
pub(super) async fn feed_connected(
    shared: &Arc<Shared>,
    live_input: String,
) -> Result<(), GhostError> {
    if shared.store.is_shared() && shared.store.is_live_input_of_a_holder(&live_input).await? {
        // Another node's, which was told.
        return Ok(());
    }
    let cloudflare = &shared.vendors.cloudflare;
    let found = match cloudflare
        .get_live_input(asks(Priority::Stop), &live_input)
        .await
    {
        Err(error) if error.class == Class::NotFound => return Ok(()),
        found => found?,
    };
    let Some(mark) = found
        .mark
        .as_deref()
        .and_then(|mark| mark.parse::<Mark>().ok())
    else {
        return Ok(());
    };
    if shared.owner().as_ref() != Some(&mark.owner) || found.enabled == Some(false) {
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
    let now = shared.clock.now();
    let debt = NewDebt {
        id: Uuid::now_v7(),
        relay_id,
        channel_id,
        kind: owed.to_string(),
        target: owed.target().to_owned(),
        data: serde_json::to_value(&owed).unwrap_or_default(),
        created_at: now,
        next_attempt_at: now,
        expires_at: None,
    };
    shared.store.add_debts(vec![debt]).await?;
    shared.debts_changed();
    Ok(())
}
