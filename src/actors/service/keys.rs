//! Idempotency keys: what a repeated request is answered from. It comes from what is stored, so that a restart or another
//! node answers the same.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::RelayService;
use crate::actors::requests::{KeyedBy, StopError};
use crate::relay::Durable;
use crate::store::{IdempotencyRecord, StoreError};

/// What a key stands for.
pub(super) enum Key {
    /// The key was not used, or its start never reached a vendor.
    Free,
    /// The same request came before: the relay it made or met, as it is now.
    Used(Box<Durable>),
    /// The key came with another request.
    Mismatch,
}

impl RelayService {
    /// Looks a start's key up. A request without a key has a free one.
    pub(super) async fn key(&self, keyed_by: Option<&KeyedBy>) -> Result<Key, StoreError> {
        let Some(keyed_by) = keyed_by else {
            return Ok(Key::Free);
        };
        match self.shared.store.idempotency(&keyed_by.key).await? {
            Some(record) => self.recorded(keyed_by, record).await,
            None => Ok(Key::Free),
        }
    }

    /// The relay that a stop with this key came to, if there was one: that stop is not carried out again, even when the
    /// relay is not kept any more.
    pub(super) async fn stop_key(&self, keyed_by: &KeyedBy) -> Result<Option<Durable>, StopError> {
        let record = self.shared.store.idempotency(&keyed_by.key).await;
        let Some(record) = record? else {
            return Ok(None);
        };
        if record.request_hash != keyed_by.request_hash {
            return Err(StopError::KeyMismatch);
        }
        let durable = self.find(record.relay_id).await?;
        durable.map(Some).ok_or(StopError::NotFound)
    }

    /// What a stored key stands for. Frees the key of a start that reached no vendor.
    pub(super) async fn recorded(
        &self,
        keyed_by: &KeyedBy,
        record: IdempotencyRecord,
    ) -> Result<Key, StoreError> {
        let same = record.request_hash == keyed_by.request_hash;
        match self.find(record.relay_id).await? {
            Some(durable) if !is_untried(&durable) => Ok(match same {
                true => Key::Used(Box::new(durable)),
                false => Key::Mismatch,
            }),
            Some(_) | None => {
                self.shared.store.forget_idempotency(record).await?;
                Ok(Key::Free)
            }
        }
    }
}

fn is_untried(durable: &Durable) -> bool {
    let outcome = durable.outcome.as_ref();
    outcome.is_some_and(|outcome| outcome.detail.untried)
}

/// Whether the relay's start failed: it ended in failure before its egress accepted.
pub(super) fn start_failed(durable: &Durable) -> bool {
    let outcome = durable.outcome.as_ref();
    outcome.is_some_and(|outcome| !outcome.code.ended_well()) && durable.started_at.is_none()
}

/// What a key is remembered by.
pub(super) fn record(keyed_by: &KeyedBy, relay_id: Uuid, now: DateTime<Utc>) -> IdempotencyRecord {
    IdempotencyRecord {
        key: keyed_by.key.clone(),
        request_hash: keyed_by.request_hash.clone(),
        relay_id,
        created_at: now,
    }
}
