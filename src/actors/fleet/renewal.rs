//! The lease, renewed until it is lost.

use std::sync::Arc;

use tokio::time::Instant;

use super::ROUND;
use crate::actors::shared::Shared;
use crate::vendors::lease::LeaseInstant;

/// Why a node is none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub(in crate::actors) enum LeaseLost {
    /// Another node found its lease over.
    Removed,
    /// The lease ended without a renewal.
    Expired,
}

/// Renews the lease until it is lost.
pub(super) async fn renew_forever(
    shared: Arc<Shared>,
    epoch: i64,
    renewed: LeaseInstant,
) -> LeaseLost {
    let (lease, every) = (shared.settings.fleet.lease, shared.settings.fleet.renewal);
    let mut renewed = renewed.at();
    let mut next = renewed + every;
    loop {
        let expires = renewed + lease;
        tokio::time::sleep_until(next.min(expires)).await;
        let sent = LeaseInstant::now();
        if sent.at() >= expires {
            return LeaseLost::Expired;
        }
        // One that hangs is not waited for longer than until the next would be due.
        let patience = expires.min(sent.at() + every);
        let renewal = shared.store.renew(epoch, lease);
        match tokio::time::timeout_at(patience, renewal).await {
            Ok(Ok(true)) => {
                shared.vendors.lease.renewed(sent, lease);
                renewed = sent.at();
                next = renewed + every;
            }
            Ok(Ok(false)) => return LeaseLost::Removed,
            failed => {
                let reason = match failed {
                    Ok(Err(error)) => error.to_string(),
                    Ok(Ok(_)) | Err(_) => {
                        shared.store.reconnect();
                        "no answer in time".to_owned()
                    }
                };
                let silent = renewed.elapsed().as_secs();
                tracing::warn!(reason, silent, "the lease was not renewed; tried again");
                shared.note_database(false);
                next = Instant::now() + ROUND.min(every);
            }
        }
    }
}
