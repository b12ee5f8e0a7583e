//! The dispatcher: messages of the outbox, signed and posted to the marketplace's endpoint, at least once.
//!
//! In each channel a message waits for the one before it, until that one was taken or given up; channels do not wait for
//! each other. What is to be delivered is written with the message itself and struck off after the answer, so a process
//! that dies in between has the next one deliver it, maybe a second time: with the same id and body. Reads the database,
//! nudged by its commits; keeps nothing of its own but who is under way.

mod address;
mod backoff;
mod endpoint;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

pub use endpoint::{DeliveryError, Endpoint, EndpointError, EndpointResponse, PrivateAddressError};

use super::shared::Shared;
use crate::store::{Attempt, AttemptResult, DueDelivery, StoreError, until_done};
use crate::telemetry::metrics;

/// So many messages are under way at once, each of another channel.
const AT_ONCE: usize = 32;
/// Between two looks for what is due.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// While the endpoint counts as disabled, one message is tried so often.
const PROBE_EVERY: Duration = Duration::from_secs(3600);

/// Delivers what is due, forever; returns at once when there is no endpoint.
pub(super) async fn deliver_forever(shared: Arc<Shared>) {
    let endpoint = match Endpoint::of(&shared.settings.webhooks) {
        Ok(Some(endpoint)) => Arc::new(endpoint),
        Ok(None) => return,
        Err(error) => {
            tracing::error!(%error, "nothing is delivered to the marketplace");
            return;
        }
    };
    Dispatcher {
        shared,
        endpoint,
        under_way: JoinSet::new(),
        channels: HashMap::new(),
        probed_at: None,
    }
    .run()
    .await;
}

struct Dispatcher {
    shared: Arc<Shared>,
    endpoint: Arc<Endpoint>,
    /// Ended with this.
    under_way: JoinSet<()>,
    channels: HashMap<Id, i64>,
    probed_at: Option<Instant>,
}

impl Dispatcher {
    async fn run(mut self) {
        let mut nudges = self.shared.store.outbox_changes();
        loop {
            match self.due().await {
                Ok(due) => due.into_iter().for_each(|message| self.send(message)),
                Err(error) => tracing::debug!(%error, "what is to be delivered was not read"),
            }
            tokio::select! {
                Some(done) = self.under_way.join_next_with_id() => {
                    let id = match done {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "a delivery broke off; it is tried again");
                            error.id()
                        }
                    };
                    self.channels.remove(&id);
                }
                Ok(()) = nudges.changed() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
    }

    async fn due(&mut self) -> Result<Vec<DueDelivery>, StoreError> {
        let mut free = AT_ONCE - self.channels.len().min(AT_ONCE);
        let disabled = self.shared.store.endpoint_disabled().await?.is_some();
        if disabled {
            let probed_lately = self.probed_at.is_some_and(|at| at.elapsed() < PROBE_EVERY);
            free = usize::from(!probed_lately && self.channels.is_empty());
        }
        if free == 0 {
            return Ok(Vec::new());
        }
        let busy = self.channels.values().copied().collect();
        let now = self.shared.clock.due();
        let limit = u64::try_from(free).unwrap_or(u64::MAX);
        let due = self.shared.store.due_deliveries(now, busy, limit).await?;
        if disabled && !due.is_empty() {
            self.probed_at = Some(Instant::now());
        }
        Ok(due)
    }

    fn send(&mut self, message: DueDelivery) {
        let (shared, endpoint) = (self.shared.clone(), self.endpoint.clone());
        let channel_id = message.channel_id;
        let task = self.under_way.spawn(async move {
            deliver(&shared, &endpoint, message).await;
        });
        self.channels.insert(task.id(), channel_id);
    }
}

/// What came of each attempt that is counted.
pub const DELIVERY_RESULTS: [&str; 3] = ["delivered", "failed", "given_up"];

fn counted(result: &AttemptResult) -> &'static str {
    let [delivered, failed, given_up] = DELIVERY_RESULTS;
    match result {
        AttemptResult::Delivered => delivered,
        AttemptResult::Again { .. } => failed,
        AttemptResult::GivenUp { .. } => given_up,
    }
}

/// One attempt, and what came of it written down.
async fn deliver(shared: &Shared, endpoint: &Endpoint, message: DueDelivery) {
    let DueDelivery {
        id,
        webhook_id,
        channel_id,
        body,
        attempts,
        give_up_at,
    } = message;
    let begun = Instant::now();
    let answer = endpoint
        .send(&webhook_id.to_string(), body, shared.clock.now())
        .await;
    metrics::DELIVERY_DURATION.observe(begun.elapsed().as_secs_f64(), []);
    let at = shared.clock.now();
    let (response_status, result) = match answer {
        Ok(answered) if answered.was_taken() => (Some(answered.status), AttemptResult::Delivered),
        untaken => {
            let (status, error) = match untaken {
                Ok(answered) => (
                    Some(answered.status),
                    format!("it answered {}", answered.status),
                ),
                Err(untaken) => (None, untaken.to_string()),
            };
            let result = match backoff::next_attempt(attempts, shared.clock.due(), give_up_at) {
                Some(at) => AttemptResult::Again { at, error },
                None => AttemptResult::GivenUp { error },
            };
            (status, result)
        }
    };
    metrics::DELIVERIES.add(1, [counted(&result)]);
    match &result {
        AttemptResult::Delivered => {
            tracing::debug!(id, channel_id, attempts, "a message was taken")
        }
        AttemptResult::Again { error, .. } if attempts == 0 => {
            tracing::warn!(
                id,
                channel_id,
                error,
                "the marketplace did not take a message; it is tried again"
            );
        }
        AttemptResult::Again { error, .. } => {
            tracing::debug!(
                id,
                channel_id,
                attempts,
                error,
                "the marketplace did not take a message; it is tried again"
            );
        }
        AttemptResult::GivenUp { error } => {
            tracing::error!(
                id,
                channel_id,
                attempts,
                error,
                "a message to the marketplace is given up"
            );
        }
    }
    let attempt = Attempt {
        id,
        at,
        response_status,
        result,
    };
    let note = || shared.store.record_attempt(attempt.clone());
    until_done("note a delivery", note).await;
}
