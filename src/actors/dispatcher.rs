//! Posts the outbox's messages to the marketplace's endpoint: at least once, in order for each channel. A repeated message has
//! the same id and body.

mod address;
mod backoff;
mod endpoint;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

pub use endpoint::{DeliveryError, Endpoint, EndpointError, EndpointResponse, PrivateAddressError};

use super::context::NodeContext;
use crate::store::{Attempt, AttemptResult, DueDelivery, StoreError, until_done};
use crate::telemetry::metrics;

/// Each delivery is of another channel.
const MAX_IN_FLIGHT: usize = 32;
/// A commit wakes the dispatcher earlier.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// The interval of tries while the endpoint counts as disabled.
const PROBE_EVERY: Duration = Duration::from_secs(3600);

pub(super) async fn deliver_forever(context: Arc<NodeContext>) {
    let endpoint = match Endpoint::of(&context.settings.webhooks) {
        Ok(Some(endpoint)) => Arc::new(endpoint),
        Ok(None) => return,
        Err(error) => {
            tracing::error!(%error, "cannot deliver messages to the marketplace");
            return;
        }
    };
    Dispatcher {
        context,
        endpoint,
        in_flight: JoinSet::new(),
        channels: HashMap::new(),
        probed_at: None,
    }
    .run()
    .await;
}

struct Dispatcher {
    context: Arc<NodeContext>,
    endpoint: Arc<Endpoint>,
    /// Aborted on drop.
    in_flight: JoinSet<()>,
    channels: HashMap<Id, i64>,
    probed_at: Option<Instant>,
}

impl Dispatcher {
    async fn run(mut self) {
        let mut commits = self.context.store.outbox_changes();
        loop {
            match self.due().await {
                Ok(due) => due.into_iter().for_each(|message| self.send(message)),
                Err(error) => tracing::debug!(%error, "failed to read due messages"),
            }
            tokio::select! {
                Some(done) = self.in_flight.join_next_with_id() => {
                    let id = match done {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "delivery task failed; retrying");
                            error.id()
                        }
                    };
                    self.channels.remove(&id);
                }
                Ok(()) = commits.changed() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
    }

    async fn due(&mut self) -> Result<Vec<DueDelivery>, StoreError> {
        let mut free = MAX_IN_FLIGHT - self.channels.len().min(MAX_IN_FLIGHT);
        let disabled = self.context.store.endpoint_disabled().await?.is_some();
        if disabled {
            let probed_lately = self.probed_at.is_some_and(|at| at.elapsed() < PROBE_EVERY);
            free = usize::from(!probed_lately && self.channels.is_empty());
        }
        if free == 0 {
            return Ok(Vec::new());
        }
        let busy = self.channels.values().copied().collect();
        let now = self.context.clock.due();
        let limit = u64::try_from(free).unwrap_or(u64::MAX);
        let due = self.context.store.due_deliveries(now, busy, limit).await?;
        if disabled && !due.is_empty() {
            self.probed_at = Some(Instant::now());
        }
        Ok(due)
    }

    fn send(&mut self, message: DueDelivery) {
        let (context, endpoint) = (self.context.clone(), self.endpoint.clone());
        let channel_id = message.channel_id;
        let task = self.in_flight.spawn(async move {
            deliver(&context, &endpoint, message).await;
        });
        self.channels.insert(task.id(), channel_id);
    }
}

/// Values of the metric's label `result`.
pub const DELIVERY_RESULTS: [&str; 3] = ["delivered", "failed", "given_up"];

fn label(result: &AttemptResult) -> &'static str {
    let [delivered, failed, given_up] = DELIVERY_RESULTS;
    match result {
        AttemptResult::Delivered => delivered,
        AttemptResult::Again { .. } => failed,
        AttemptResult::GivenUp { .. } => given_up,
    }
}

async fn deliver(context: &NodeContext, endpoint: &Endpoint, message: DueDelivery) {
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
        .send(&webhook_id.to_string(), body, context.clock.now())
        .await;
    metrics::DELIVERY_DURATION.observe(begun.elapsed().as_secs_f64(), []);
    let at = context.clock.now();
    let (response_status, result) = match answer {
        Ok(response) if response.is_accepted() => (Some(response.status), AttemptResult::Delivered),
        refused => {
            let (status, error) = match refused {
                Ok(response) => (
                    Some(response.status),
                    format!("it answered {}", response.status),
                ),
                Err(error) => (None, error.to_string()),
            };
            let result = match backoff::next_attempt(attempts, context.clock.due(), give_up_at) {
                Some(at) => AttemptResult::Again { at, error },
                None => AttemptResult::GivenUp { error },
            };
            (status, result)
        }
    };
    metrics::DELIVERIES.add(1, [label(&result)]);
    match &result {
        AttemptResult::Delivered => {
            tracing::debug!(id, channel_id, attempts, "message delivered")
        }
        AttemptResult::Again { error, .. } if attempts == 0 => {
            tracing::warn!(
                id,
                channel_id,
                error,
                "message not accepted by the marketplace; retrying"
            );
        }
        AttemptResult::Again { error, .. } => {
            tracing::debug!(
                id,
                channel_id,
                attempts,
                error,
                "message not accepted by the marketplace; retrying"
            );
        }
        AttemptResult::GivenUp { error } => {
            tracing::error!(
                id,
                channel_id,
                attempts,
                error,
                "message to the marketplace given up"
            );
        }
    }
    let attempt = Attempt {
        id,
        at,
        response_status,
        result,
    };
    let note = || context.store.record_attempt(attempt.clone());
    until_done("note a delivery", note).await;
}
