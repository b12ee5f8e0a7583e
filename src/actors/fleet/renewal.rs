//! Renews the node's lease.

use std::sync::Arc;

use tokio::time::Instant;

use super::ROUND;
use crate::actors::context::NodeContext;
use crate::actors::status::NodeStatus;
use crate::vendors::lease::LeaseInstant;

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub(in crate::actors) enum LeaseLost {
    /// Another node removed this one, because its lease had expired.
    Removed,
    /// No renewal succeeded in time.
    Expired,
}

pub(super) async fn renew_forever(
    context: Arc<NodeContext>,
    status: Arc<NodeStatus>,
    epoch: i64,
    renewed: LeaseInstant,
) -> LeaseLost {
    let (lease, every) = (context.settings.fleet.lease, context.settings.fleet.renewal);
    let mut renewed = renewed.at();
    let mut next = renewed + every;
    loop {
        let expires = renewed + lease;
        tokio::time::sleep_until(next.min(expires)).await;
        let sent = LeaseInstant::now();
        if sent.at() >= expires {
            return LeaseLost::Expired;
        }
        // A hanging renewal is cancelled when the next one is due.
        let deadline = expires.min(sent.at() + every);
        let renewal = context.store.renew(epoch, lease);
        match tokio::time::timeout_at(deadline, renewal).await {
            Ok(Ok(true)) => {
                context.vendors.lease.renewed(sent, lease);
                renewed = sent.at();
                next = renewed + every;
            }
            Ok(Ok(false)) => return LeaseLost::Removed,
            failed => {
                let reason = match failed {
                    Ok(Err(error)) => error.to_string(),
                    Ok(Ok(_)) | Err(_) => {
                        context.store.reconnect();
                        "no answer in time".to_owned()
                    }
                };
                let seconds = renewed.elapsed().as_secs();
                tracing::warn!(reason, seconds, "lease not renewed; retrying");
                status.note_database(false);
                next = Instant::now() + ROUND.min(every);
            }
        }
    }
}
