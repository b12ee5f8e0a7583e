//! Idempotency keys. They are in the database, so any node gives the same answer.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::RelayService;
use crate::actors::requests::{RequestKey, StopError};
use crate::relay::Durable;
use crate::store::{IdempotencyRecord, StoreError};

pub(super) enum KeyStatus {
    /// The key is unused, or its start never reached a vendor.
    Free,
    /// The same request came before. Holds its relay's current state.
    Used(Box<Durable>),
    Mismatch,
}

impl RelayService {
    pub(super) async fn key(
        &self,
        request_key: Option<&RequestKey>,
    ) -> Result<KeyStatus, StoreError> {
        let Some(request_key) = request_key else {
            return Ok(KeyStatus::Free);
        };
        match self.context.store.idempotency(&request_key.key).await? {
            Some(record) => self.recorded(request_key, record).await,
            None => Ok(KeyStatus::Free),
        }
    }

    /// `NotFound` if the earlier stop's relay was purged: the stop is not repeated.
    pub(super) async fn stop_key(
        &self,
        request_key: &RequestKey,
    ) -> Result<Option<Durable>, StopError> {
        let record = self.context.store.idempotency(&request_key.key).await;
        let Some(record) = record? else {
            return Ok(None);
        };
        if record.request_hash != request_key.request_hash {
            return Err(StopError::KeyMismatch);
        }
        let durable = self.find(*record.relay_id).await?;
        durable.map(Some).ok_or(StopError::NotFound)
    }

    /// Frees the key of a start that reached no vendor.
    pub(super) async fn recorded(
        &self,
        request_key: &RequestKey,
        record: IdempotencyRecord,
    ) -> Result<KeyStatus, StoreError> {
        let same = record.request_hash == request_key.request_hash;
        match self.find(*record.relay_id).await? {
            Some(durable) if !is_untried(&durable) => Ok(match same {
                true => KeyStatus::Used(Box::new(durable)),
                false => KeyStatus::Mismatch,
            }),
            Some(_) | None => {
                self.context.store.forget_idempotency(record).await?;
                Ok(KeyStatus::Free)
            }
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

pub(super) fn record(
    request_key: &RequestKey,
    relay_id: Uuid,
    now: DateTime<Utc>,
) -> IdempotencyRecord {
    IdempotencyRecord {
        key: request_key.key.clone(),
        request_hash: request_key.request_hash.clone(),
        relay_id: relay_id.into(),
        created_at: now,
    }
}
