//! Stops relays.

use std::time::Duration;

use tokio::sync::oneshot;
use tracing::Span;
use uuid::Uuid;

use super::keys::record;
use super::{NO_ANSWER, RelayService};
use crate::actors::messages::Deliver;
use crate::actors::requests::{StopAnswer, StopError, StopRequest};
use crate::actors::status::Readiness;
use crate::relay::{Durable, Event, Phase};
use crate::store::StoreError;

const STORED_WITHIN: Duration = Duration::from_secs(5);
const STOP_AGAIN: Duration = Duration::from_millis(500);

impl RelayService {
    /// Stops a channel's relay. Returns once the stop is stored.
    pub async fn stop(&self, request: StopRequest) -> Result<StopAnswer, StopError> {
        if self.status.readiness() == Readiness::Starting {
            return Err(if self.status.database_answers() {
                StopError::Starting
            } else {
                StopError::Database(NO_ANSWER.to_owned())
            });
        }
        if let Some(request_key) = &request.request_key
            && let Some(durable) = self.stop_key(request_key).await?
        {
            return Ok(StopAnswer::NotRunning(durable));
        }
        let request_key = request.request_key.clone();
        let answer = self.stop_one(request).await?;
        if let (
            Some(request_key),
            StopAnswer::Accepted(durable) | StopAnswer::NotRunning(durable),
        ) = (request_key, &answer)
        {
            let record = record(
                &request_key,
                durable.spec.relay_id,
                self.context.clock.now(),
            );
            self.context
                .store
                .remember_idempotency(record)
                .await
                .map_err(unconfirmed)?;
        }
        Ok(answer)
    }

    async fn stop_one(&self, request: StopRequest) -> Result<StopAnswer, StopError> {
        let named = match request.relay_id {
            Some(relay_id) => {
                let durable = self.find(relay_id).await?.ok_or(StopError::NotFound)?;
                if request
                    .channel_id
                    .is_some_and(|channel_id| channel_id != durable.spec.channel_id)
                {
                    return Err(StopError::NotFound);
                }
                Some(durable)
            }
            None => None,
        };
        let running = match (&named, request.channel_id) {
            (Some(durable), _) => self.context.directory.get(durable.spec.relay_id),
            (None, Some(channel_id)) => self.channel(channel_id),
            (None, None) => None,
        };
        match running.filter(|relay| relay.durable.phase.holds_slot()) {
            Some(relay) => self.stop_running(relay.durable.spec.relay_id).await,
            None => match (named, request.channel_id) {
                (Some(durable), _) => self.stop_stored(durable).await,
                (None, Some(channel_id)) => {
                    let newest = self.newest(channel_id).await?.ok_or(StopError::NotFound)?;
                    self.stop_stored(newest).await
                }
                (None, None) => Err(StopError::NotFound),
            },
        }
    }

    /// Stops a relay without a snapshot here: over, remote, or about to start.
    async fn stop_stored(&self, durable: Durable) -> Result<StopAnswer, StopError> {
        let relay_id = durable.spec.relay_id;
        match durable.phase.holds_slot() {
            false => Ok(StopAnswer::NotRunning(durable)),
            true if self.context.store.is_shared() => self.stop_remote(relay_id).await,
            true => self.stop_running(relay_id).await,
        }
    }

    async fn stop_running(&self, relay_id: Uuid) -> Result<StopAnswer, StopError> {
        let (stored, is_stored) = oneshot::channel();
        let message = Deliver {
            event: Event::Stop,
            stored: Some(stored),
            parent: Span::current(),
        };
        self.mailboxes.deliver(relay_id, message);
        match tokio::time::timeout(STORED_WITHIN, is_stored).await {
            Ok(Ok(durable)) => Ok(StopAnswer::Accepted((*durable).clone())),
            // The actor ended first: the relay is over, or moved.
            Ok(Err(_)) if self.context.store.is_shared() => self.stop_remote(relay_id).await,
            Ok(Err(_)) => match self.find(relay_id).await? {
                Some(durable) if !durable.phase.holds_slot() => Ok(StopAnswer::NotRunning(durable)),
                _ => Err(StopError::Unconfirmed(
                    "the relay's actor ended while the stop waited".into(),
                )),
            },
            Err(_) => Err(StopError::Unconfirmed("the stop is not stored yet".into())),
        }
    }

    async fn newest(&self, channel_id: i64) -> Result<Option<Durable>, StopError> {
        let store = &self.context.store;
        if !store.is_shared()
            && let Some(relay) = self.channel(channel_id)
        {
            return Ok(Some((*relay.durable).clone()));
        }
        let stored = store.newest_relay(channel_id).await?;
        stored
            .map(|stored| {
                stored
                    .durable()
                    .map_err(|error| StopError::Internal(error.to_string()))
            })
            .transpose()
    }

    /// Stops every relay and waits until all are down. Returns false if `limit` passes first.
    pub async fn stop_all(&self, limit: Duration) -> bool {
        let all_down = async {
            loop {
                let relays = self.context.directory.all();
                let phases = relays.iter().map(|relay| relay.durable.phase);
                if !phases
                    .into_iter()
                    .any(|phase| phase.holds_slot() || phase == Phase::Stopping)
                {
                    return;
                }
                // Repeated: a start in progress may add a relay.
                for relay in relays
                    .iter()
                    .filter(|relay| relay.durable.phase.holds_slot())
                {
                    let relay_id = relay.durable.spec.relay_id;
                    self.mailboxes.deliver(relay_id, Event::Stop);
                }
                tokio::time::sleep(STOP_AGAIN).await;
            }
        };
        tokio::time::timeout(limit, all_down).await.is_ok()
    }
}

/// After a write the stop may be stored.
pub(super) fn unconfirmed(error: StoreError) -> StopError {
    let error = StopError::from(error);
    if let StopError::Database(reason) = error {
        return StopError::Unconfirmed(reason);
    }
    error
}
