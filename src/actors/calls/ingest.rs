//! Calls on the ingest.

use super::{VendorCalls, failure, permit_request, start_permit_request, unexpected};
use crate::relay::{Answer, Class, Durable, Failure};
use crate::vendors::cloudflare::{CreatedLiveInput, NewLiveInput};
use crate::vendors::governor::Priority;

impl VendorCalls {
    pub(super) async fn create_ingest(
        &self,
        durable: &Durable,
        attempt: u32,
    ) -> Result<Answer, Failure> {
        let spec = &durable.spec;
        let new = NewLiveInput {
            tag: spec.tag(attempt).to_string(),
            name: format!("{} (channel {})", spec.channel_name, spec.channel_id),
            timeout_seconds: self.vendors.settings.relay.feed_timeout_seconds(),
            delete_recording_after_days: spec.delete_recording_after_days,
        };
        let made = self
            .vendors
            .cloudflare
            .create_live_input(start_permit_request(durable), &new)
            .await;
        let CreatedLiveInput {
            live_input: ingest,
            echo_differs,
        } = made.map_err(failure)?;
        if !echo_differs.is_empty() {
            tracing::error!(
                ingest = ingest.uid,
                fields = ?echo_differs,
                "Cloudflare did not store an ingest's settings, although sent twice"
            );
        }
        let Some(target) = &ingest.rtmps else {
            return Err(unexpected("live_inputs.create", "the ingest has no rtmps"));
        };
        self.keep_publish_url(target.publish_url());
        let Some(playback) = ingest.playback else {
            // Buyers could not watch; only the setting helps.
            return Err(Failure {
                class: Class::Rejected,
                ..unexpected(
                    "live_inputs.create",
                    "no answer names the customer host: set cloudflare.customer_base_url",
                )
            });
        };
        Ok(Answer::Ingest {
            uid: ingest.uid,
            hls_url: playback.hls_url,
            dash_url: playback.dash_url,
            echo_differs,
        })
    }

    /// Needed once Cloudflare has forgotten the idempotency key, after 6 hours.
    pub(super) async fn find_ingest(
        &self,
        durable: &Durable,
        attempt: u32,
    ) -> Result<Answer, Failure> {
        let tag = durable.spec.tag(attempt).to_string();
        let permit = start_permit_request(durable);
        let list = self
            .vendors
            .cloudflare
            .list_live_inputs(permit)
            .await
            .map_err(failure)?;
        let found = list
            .live_inputs
            .into_iter()
            .find(|input| input.tag.as_ref() == Some(&tag));
        let Some(found) = found else {
            if list.may_be_cut {
                return Err(unexpected(
                    "live_inputs.list",
                    "the list may be cut, and the tag is not in it",
                ));
            }
            return Ok(Answer::NotFound);
        };
        let ingest = self
            .vendors
            .cloudflare
            .get_live_input(permit, &found.uid)
            .await
            .map_err(failure)?;
        if let Some(target) = &ingest.rtmps {
            self.keep_publish_url(target.publish_url());
        }
        let playback = ingest
            .playback
            .ok_or_else(|| unexpected("live_inputs.get", "no playback URL"))?;
        Ok(Answer::Ingest {
            uid: ingest.uid,
            hls_url: playback.hls_url,
            dash_url: playback.dash_url,
            echo_differs: Vec::new(),
        })
    }

    pub(super) async fn rotate_keys(
        &self,
        durable: &Durable,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let permit = start_permit_request(durable);
        let rotated = match self
            .vendors
            .cloudflare
            .rotate_keys(permit, ingest)
            .await
            .map_err(failure)
        {
            Err(failure) if failure.class == Class::NotFound => return Ok(Answer::NotFound),
            rotated => rotated?,
        };
        let target = rotated
            .rtmps
            .ok_or_else(|| unexpected("live_inputs.rotate_keys", "no rtmps"))?;
        self.keep_publish_url(target.publish_url());
        Ok(Answer::KeysRotated)
    }

    pub(super) async fn disable_ingest(
        &self,
        ingest: &str,
        urgent: bool,
    ) -> Result<Answer, Failure> {
        let priority = if urgent {
            Priority::Stop
        } else {
            Priority::Finalize
        };
        match self
            .vendors
            .cloudflare
            .disable_live_input(permit_request(priority), ingest)
            .await
            .map_err(failure)
        {
            Ok(()) => Ok(Answer::Disabled),
            Err(failure) if failure.class == Class::NotFound => Ok(Answer::NotFound),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn delete_ingest(&self, ingest: &str) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Finalize);
        self.vendors
            .cloudflare
            .delete_live_input(permit, ingest)
            .await
            .map_err(failure)?;
        Ok(Answer::Deleted)
    }
}
