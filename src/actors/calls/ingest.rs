//! Calls on the ingest.

use super::{VendorCalls, failure, lacks, permit_request, start_permit_request, unexpected};
use crate::actors::kept_ingests::settings;
use crate::platforms::Removal;
use crate::relay::{Answer, Class, Durable, Failure, IngestOwner};
use crate::vendors::governor::Priority;

impl VendorCalls {
    pub(super) async fn create_ingest(
        &self,
        durable: &Durable,
        attempt: u32,
    ) -> Result<Answer, Failure> {
        let spec = &durable.spec;
        let new = settings(spec, spec.tag(attempt).to_string());
        let platform = self.platform()?;
        let permit = start_permit_request(durable);
        let ingest = platform.ensure_ingest(permit, &new).await;
        let ingest = ingest.map_err(failure)?;
        if !ingest.ignored_settings.is_empty() {
            tracing::error!(
                platform = platform.name(),
                ingest = ingest.id,
                fields = ?ingest.ignored_settings,
                "the platform did not store an ingest's settings"
            );
        }
        // If the channel keeps it, this is its first key.
        let first = (spec.ingest_owner == IngestOwner::Channel).then_some(0);
        self.keep_publish_url(&ingest.id, first, ingest.publish_url);
        Ok(Answer::Ingest {
            id: ingest.id,
            hls_url: ingest.playback.hls_url,
            dash_url: ingest.playback.dash_url,
            settings_refused: ingest.ignored_settings,
            others: Vec::new(),
        })
    }

    /// Needed where a creation cannot be repeated, or no longer.
    pub(super) async fn find_ingest(
        &self,
        durable: &Durable,
        attempt: u32,
    ) -> Result<Answer, Failure> {
        let tag = durable.spec.tag(attempt).to_string();
        let permit = start_permit_request(durable);
        let platform = self.platform()?;
        let list = platform.find_tagged(permit, &tag).await.map_err(failure)?;
        let found = list.with_tag(&tag);
        let [oldest, others @ ..] = &found[..] else {
            if list.may_be_cut {
                return Err(unexpected(
                    platform.name(),
                    "list_tagged",
                    "the list may be cut, and the tag is not in it",
                ));
            }
            return Ok(Answer::NotFound);
        };
        let ingest = platform.read_ingest(permit, &oldest.id).await;
        let ingest = ingest.map_err(failure)?;
        let publish_url = match ingest.publish_url {
            None if platform.capabilities().renews_key => {
                let renewed = platform.renew_key(permit, &oldest.id).await;
                Some(renewed.map_err(failure)?)
            }
            known => known,
        };
        if let Some(url) = publish_url {
            self.keep_publish_url(&oldest.id, None, url);
        }
        let playback = ingest
            .playback
            .ok_or_else(|| lacks(platform.name(), "read_ingest", "a playback URL"))?;
        Ok(Answer::Ingest {
            id: oldest.id.clone(),
            hls_url: playback.hls_url,
            dash_url: playback.dash_url,
            settings_refused: Vec::new(),
            others: others.iter().map(|other| other.id.clone()).collect(),
        })
    }

    pub(super) async fn renew_key(
        &self,
        durable: &Durable,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let permit = start_permit_request(durable);
        let renewed = self.platform()?.renew_key(permit, ingest).await;
        match renewed.map_err(failure) {
            Ok(url) => {
                let kept = durable.ingest.kept.as_ref();
                let version = kept.map(|kept| kept.key_version + 1);
                self.keep_publish_url(ingest, version, url);
                Ok(Answer::KeyRenewed)
            }
            Err(failure) if failure.class == Class::NotFound => Ok(Answer::NotFound),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn close_ingest(&self, ingest: &str, urgent: bool) -> Result<Answer, Failure> {
        let permit = permit_request(if urgent {
            Priority::Stop
        } else {
            Priority::Finalize
        });
        match self
            .platform()?
            .close(permit, ingest)
            .await
            .map_err(failure)
        {
            Ok(()) => Ok(Answer::Closed),
            Err(failure) if failure.class == Class::NotFound => Ok(Answer::NotFound),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn remove_ingest(&self, ingest: &str) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Finalize);
        let removal = self.platform()?.remove(permit, ingest).await;
        Ok(match removal.map_err(failure)? {
            Removal::Gone => Answer::Removed,
            Removal::StillLive { retry_after } => Answer::StillLive { retry_after },
        })
    }
}
