//! Stops relays.

use std::time::Duration;

use tokio::sync::oneshot;
use tracing::Span;
use uuid::Uuid;

use super::RelayService;
use crate::actors::messages::Deliver;
use crate::actors::requests::{RequestError, StopAnswer, StopError, StopRequest};
use crate::relay::{Durable, Event, Phase};

const STORED_WITHIN: Duration = Duration::from_secs(5);
const STOP_AGAIN: Duration = Duration::from_millis(500);

impl RelayService {
    /// Stops a channel's relay. Returns once the stop is stored.
    pub async fn stop(&self, request: StopRequest) -> Result<StopAnswer, StopError> {
        let request_key = request.request_key.as_ref();
        if let Some(earlier) = self.prelude(request_key).await? {
            return match earlier.relay {
                _ if !earlier.is_same => Err(RequestError::KeyMismatch.into()),
                Some(durable) => Ok(StopAnswer::NotRunning(*durable)),
                // A later relay must not be stopped instead.
                None => Err(StopError::NotFound),
            };
        }
        let answer = self.stop_one(&request).await?;
        let (StopAnswer::Accepted(durable) | StopAnswer::NotRunning(durable)) = &answer;
        let remembered = self.remember(request_key, durable.spec.relay_id).await;
        remembered.map_err(RequestError::unconfirmed)?;
        Ok(answer)
    }

    async fn stop_one(&self, request: &StopRequest) -> Result<StopAnswer, StopError> {
        let relay = match (request.relay_id, request.channel_id) {
            (Some(relay_id), channel_id) => {
                let relay = self.find(relay_id).await.map_err(RequestError::from)?;
                relay.filter(|durable| {
                    channel_id.is_none_or(|channel_id| channel_id == durable.spec.channel_id)
                })
            }
            (None, Some(channel_id)) => self.newest(channel_id).await?,
            (None, None) => None,
        };
        let durable = relay.ok_or(StopError::NotFound)?;
        let relay_id = durable.spec.relay_id;
        if !durable.phase.holds_slot() {
            return Ok(StopAnswer::NotRunning(durable));
        }
        match self.context.directory.get(relay_id) {
            Some(_) => self.stop_running(relay_id).await,
            None => self.stop_remote(relay_id).await,
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
            Ok(Err(_)) => self.stop_remote(relay_id).await,
            Err(_) => Err(RequestError::Unconfirmed("the stop is not stored yet".into()).into()),
        }
    }

    async fn stop_remote(&self, relay_id: Uuid) -> Result<StopAnswer, StopError> {
        let now = self.context.clock.now();
        self.context.cluster.stop(relay_id, now).await
    }

    /// The channel's slot holder, or else its newest relay.
    async fn newest(&self, channel_id: i64) -> Result<Option<Durable>, RequestError> {
        let here = self.channel(channel_id);
        let here = here.map(|relay| (*relay.durable).clone());
        if here.as_ref().is_some_and(|here| here.phase.holds_slot()) {
            return Ok(here);
        }
        self.context.cluster.newest_relay(channel_id, here).await
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
