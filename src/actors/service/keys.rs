//! Idempotency keys. They are in the database, so any node gives the same answer.

use uuid::Uuid;

use super::RelayService;
use crate::actors::requests::{RequestError, RequestKey, StartAnswer, StartError};
use crate::actors::status::Readiness;
use crate::relay::Durable;
use crate::store::{IdempotencyRecord, StoreError};

/// The earlier request with the same key.
pub(super) struct Earlier {
    record: IdempotencyRecord,
    pub(super) is_same: bool,
    /// `None`: purged.
    pub(super) relay: Option<Box<Durable>>,
}

impl RelayService {
    /// Refuses requests until relays are loaded, and finds the earlier request with this key.
    pub(super) async fn prelude(
        &self,
        request_key: Option<&RequestKey>,
    ) -> Result<Option<Earlier>, RequestError> {
        if self.readiness() == Readiness::Starting {
            return Err(match self.database_answers() {
                true => RequestError::Starting,
                false => RequestError::Database("no answer".to_owned()),
            });
        }
        let Some(request_key) = request_key else {
            return Ok(None);
        };
        match self.context.store.idempotency(&request_key.key).await? {
            Some(record) => Ok(Some(self.earlier(request_key, record).await?)),
            None => Ok(None),
        }
    }

    pub(super) async fn earlier(
        &self,
        request_key: &RequestKey,
        record: IdempotencyRecord,
    ) -> Result<Earlier, RequestError> {
        Ok(Earlier {
            is_same: record.request_hash == request_key.request_hash,
            relay: self.find(*record.relay_id).await?.map(Box::new),
            record,
        })
    }

    /// The answer to a repeated start. Frees the key of a start that reached no vendor.
    pub(super) async fn repeated(
        &self,
        earlier: Earlier,
    ) -> Result<Option<StartAnswer>, StartError> {
        match earlier.relay {
            Some(durable) if !is_untried(&durable) => match earlier.is_same {
                false => Err(RequestError::KeyMismatch.into()),
                true if start_failed(&durable) => Err(StartError::Failed(durable)),
                true => Ok(Some(StartAnswer::Existing(*durable))),
            },
            Some(_) | None => {
                let freed = self.context.store.forget_idempotency(earlier.record).await;
                freed.map_err(RequestError::from)?;
                Ok(None)
            }
        }
    }

    pub(super) async fn remember(
        &self,
        request_key: Option<&RequestKey>,
        relay_id: Uuid,
    ) -> Result<(), StoreError> {
        if let Some(request_key) = request_key {
            let record = self.record(request_key, relay_id);
            self.context.store.remember_idempotency(record).await?;
        }
        Ok(())
    }

    pub(super) fn record(&self, request_key: &RequestKey, relay_id: Uuid) -> IdempotencyRecord {
        IdempotencyRecord {
            key: request_key.key.clone(),
            request_hash: request_key.request_hash.clone(),
            relay_id: relay_id.into(),
            created_at: self.context.clock.now(),
        }
    }
}

fn is_untried(durable: &Durable) -> bool {
    let outcome = durable.outcome.as_ref();
    outcome.is_some_and(|outcome| outcome.detail.untried)
}

pub(super) fn start_failed(durable: &Durable) -> bool {
    let outcome = durable.outcome.as_ref();
    outcome.is_some_and(|outcome| !outcome.code.ended_well()) && durable.started_at.is_none()
}
