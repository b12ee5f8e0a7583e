//! Calls on an ingest that the channel keeps.

use secrecy::SecretString;

use super::{VendorCalls, failure, start_permit_request, unexpected};
use crate::actors::clock::wall_now;
use crate::actors::kept_ingests::{as_claimed, settings};
use crate::relay::{Answer, Class, Durable, Failure};
use crate::store::{Holder, KeptIngestClaim, StoreError};

impl VendorCalls {
    pub(super) async fn claim_ingest(&self, durable: &Durable) -> Result<Answer, Failure> {
        let (spec, now) = (&durable.spec, wall_now());
        let holder = Holder::Relay(spec.relay_id);
        let claim = self
            .store
            .claim_kept_ingest(spec.channel_id, self.platform.as_str(), holder, now)
            .await;
        match claim.map_err(not_stored)? {
            KeptIngestClaim::NothingKept => Ok(Answer::NothingKept),
            // Tried again, at once when the channel's last relay has released it.
            KeptIngestClaim::Held => Err(Failure {
                class: Class::Unavailable,
                maybe_done: false,
                ..unexpected(
                    "relaykeeper",
                    "claim_ingest",
                    "the channel's last relay still uses its ingest, or its key is being renewed",
                )
            }),
            KeptIngestClaim::Claimed(row) => Ok(Answer::Claimed {
                kept: as_claimed(&row, spec, now),
                id: row.ingest_id,
                hls_url: row.hls_url,
                dash_url: row.dash_url,
                key_stale: row.key_stale,
            }),
        }
    }

    pub(super) async fn end_broadcast(
        &self,
        durable: &Durable,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let (store, platform) = (&self.store, self.platform()?);
        let row = store.kept_ingest_with_id(platform.name(), ingest).await;
        let row = row.map_err(not_stored)?;
        let row = row.ok_or_else(|| Failure {
            maybe_done: false,
            ..unexpected("relaykeeper", "end_broadcast", "the ingest is not kept")
        })?;
        let settings = settings(&durable.spec, row.tag);
        let permit = start_permit_request(durable);
        let ended = platform.end_broadcast(permit, ingest, &settings).await;
        match ended.map_err(failure) {
            Ok(session) => Ok(Answer::BroadcastEnded { session }),
            Err(failure) if failure.class == Class::NotFound => Ok(Answer::NotFound),
            Err(failure) => Err(failure),
        }
    }

    /// The URL, if this process knows it.
    pub(super) fn known_publish_url(
        &self,
        durable: &Durable,
        ingest: &str,
    ) -> Option<SecretString> {
        let own = self.publish_url.lock().clone();
        own.or_else(|| {
            let kept = durable.ingest.kept.as_ref()?;
            let urls = &self.vendors.publish_urls;
            urls.get(self.platform.as_str(), ingest, kept.key_version)
        })
    }

    /// `version`: the key's, if the channel keeps the ingest.
    pub(super) fn keep_publish_url(&self, ingest: &str, version: Option<u32>, url: SecretString) {
        if let Some(version) = version {
            let urls = &self.vendors.publish_urls;
            urls.keep(self.platform.as_str(), ingest, version, url.clone());
        }
        *self.publish_url.lock() = Some(url);
    }

    /// The egress does not publish: perhaps an operator has rotated the key.
    pub(super) fn distrust_publish_url(&self, durable: &Durable, ingest: &str) {
        if durable.ingest.kept.is_some() {
            self.vendors
                .publish_urls
                .forget(self.platform.as_str(), ingest);
            *self.publish_url.lock() = None;
        }
    }
}

/// Nothing was sent to a platform.
pub(super) fn not_stored(error: StoreError) -> Failure {
    Failure {
        class: Class::Unavailable,
        maybe_done: false,
        ..unexpected("relaykeeper", "database", &error.to_string())
    }
}
