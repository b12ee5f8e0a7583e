//! Calls on the ingest.

use super::{VendorCalls, failure, lacks, permit_request, start_permit_request, unexpected};
use crate::platforms::{NewIngest, Removal};
use crate::relay::{Answer, Class, Durable, Failure};
use crate::vendors::governor::Priority;

impl VendorCalls {
    pub(super) async fn create_ingest(
        &self,
        durable: &Durable,
        attempt: u32,
    ) -> Result<Answer, Failure> {
        let spec = &durable.spec;
        let new = NewIngest {
            tag: spec.tag(attempt).to_string(),
            title: format!("{} (channel {})", spec.channel_name, spec.channel_id),
            feed_timeout_seconds: self.vendors.settings.relay.feed_timeout_seconds(),
            delete_recording_after_days: spec.delete_recording_after_days,
        };
        let platform = self.platform();
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
        self.keep_publish_url(ingest.publish_url);
        Ok(Answer::Ingest {
            uid: ingest.id,
            hls_url: ingest.playback.hls_url,
            dash_url: ingest.playback.dash_url.unwrap_or_default(),
            echo_differs: ingest.ignored_settings,
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
        let platform = self.platform();
        let list = platform.list_tagged(permit).await.map_err(failure)?;
        let Some(found) = list.find(&tag) else {
            if list.may_be_cut {
                return Err(unexpected(
                    platform.name(),
                    "list_tagged",
                    "the list may be cut, and the tag is not in it",
                ));
            }
            return Ok(Answer::NotFound);
        };
        let ingest = platform.read_ingest(permit, &found.id).await;
        let ingest = ingest.map_err(failure)?;
        if let Some(url) = ingest.publish_url {
            self.keep_publish_url(url);
        }
        let playback = ingest
            .playback
            .ok_or_else(|| lacks(platform.name(), "read_ingest", "a playback URL"))?;
        Ok(Answer::Ingest {
            uid: found.id.clone(),
            hls_url: playback.hls_url,
            dash_url: playback.dash_url.unwrap_or_default(),
            echo_differs: Vec::new(),
        })
    }

    pub(super) async fn renew_key(
        &self,
        durable: &Durable,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let permit = start_permit_request(durable);
        let renewed = self.platform().renew_key(permit, ingest).await;
        match renewed.map_err(failure) {
            Ok(url) => {
                self.keep_publish_url(url);
                Ok(Answer::KeysRotated)
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
        match self.platform().close(permit, ingest).await.map_err(failure) {
            Ok(()) => Ok(Answer::Disabled),
            Err(failure) if failure.class == Class::NotFound => Ok(Answer::NotFound),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn remove_ingest(&self, ingest: &str) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Finalize);
        let platform = self.platform();
        match platform.remove(permit, ingest).await.map_err(failure)? {
            Removal::Gone => Ok(Answer::Deleted),
            Removal::StillLive { retry_after } => Err(still_live(platform.name(), retry_after)),
        }
    }
}

/// The platform removes an ingest only after its broadcast.
fn still_live(platform: &str, retry_after: std::time::Duration) -> Failure {
    Failure {
        class: Class::Unavailable,
        maybe_done: false,
        retry_after_ms: u64::try_from(retry_after.as_millis()).ok(),
        ..unexpected(platform, "remove", "the broadcast has not ended")
    }
}
