//! Polls of the feed, the channel's hosts and the recordings.

use tokio::time::Instant;

use super::lifecycle::FeedSource;
use super::{VendorCalls, failure, permit_request, recording, unexpected};
use crate::relay::{Answer, Durable, Failure, FeedReading};
use crate::vendors::Class;
use crate::vendors::agora::channel::Hosts;
use crate::vendors::cloudflare::{FeedState, Lifecycle, Manifest};
use crate::vendors::governor::{self, Priority};

impl VendorCalls {
    pub(super) async fn poll_feed(
        &self,
        durable: &Durable,
        ingest: &str,
        (probe_manifest, manifest_first): (bool, bool),
    ) -> Result<Answer, Failure> {
        let permit = permit_request(match durable.live_at {
            None => Priority::Start,
            Some(_) => Priority::Recover,
        });
        let customer = self.vendors.cloudflare.customer();
        if customer.base_url().is_none() {
            // After a restart only the relay's URL names the host.
            if let Some(url) = &durable.ingest.hls_url {
                customer.learn(url);
            }
        }
        let manifest = async || {
            let manifest = customer.manifest(permit, ingest).await;
            manifest
                .map(|manifest| manifest == Manifest::Playable)
                .map_err(failure)
        };
        if manifest_first && !manifest().await? {
            return Ok(Answer::NotYetPlayable);
        }
        let Some(lifecycle) = self.lifecycle(permit, ingest).await? else {
            return Ok(Answer::NotFound);
        };
        let playable = match (probe_manifest, lifecycle.live) {
            (_, true) if manifest_first => Some(true),
            (false, _) => None,
            (true, false) => Some(false),
            (true, true) => Some(manifest().await?),
        };
        Ok(Answer::Feed(FeedReading {
            live: lifecycle.live,
            playable,
            recording_uid: lifecycle.video_uid,
        }))
    }

    /// `None`: the API does not know the ingest.
    async fn lifecycle(
        &self,
        permit: governor::PermitRequest,
        ingest: &str,
    ) -> Result<Option<Lifecycle>, Failure> {
        let (cloudflare, trust) = (&self.vendors.cloudflare, &self.vendors.lifecycle);
        if trust.source(Instant::now()) == FeedSource::Lifecycle {
            let answer = cloudflare.customer().lifecycle(permit, ingest).await;
            match &answer {
                Ok(_) => trust.documented(),
                Err(error) if matches!(error.class, Class::Unexpected | Class::NotFound) => {
                    trust.odd(&error.message);
                }
                Err(_) => {}
            }
            match answer {
                // Undocumented for an unknown ingest: ask the API.
                Err(error) if error.class == Class::NotFound => {}
                answer => return answer.map(Some).map_err(failure),
            }
        }
        // A poll must not delay starts in the API's budget.
        let permit = super::permit_request(Priority::Recover);
        let state = match cloudflare.get_live_input(permit, ingest).await {
            Err(error) if error.class == Class::NotFound => {
                trust.api_does_not_know();
                return Ok(None);
            }
            found => found.map_err(failure)?.status.state,
        };
        trust.api_knows(Instant::now());
        if let FeedState::Unknown(word) = state {
            let message = format!("undocumented state: {word}");
            return Err(unexpected("live_inputs.get", &message));
        }
        Ok(Some(Lifecycle {
            live: state == FeedState::Connected,
            video_uid: None,
        }))
    }

    pub(super) async fn poll_hosts(&self, durable: &Durable) -> Result<Answer, Failure> {
        let spec = &durable.spec;
        let hosts = self
            .vendors
            .agora
            .channel()
            .hosts(permit_request(Priority::Recover), &spec.channel_name)
            .await;
        let present = match hosts.map_err(failure)? {
            Hosts::NoChannel => false,
            Hosts::Uids(uids) => uids.contains(&spec.seller_uid),
            Hosts::Partly(uids) if uids.contains(&spec.seller_uid) => true,
            Hosts::Partly(_) => {
                let message = "the seller may be among entries of an undocumented form";
                return Err(Failure {
                    vendor: "agora".into(),
                    ..unexpected("channel.hosts", message)
                });
            }
        };
        Ok(Answer::Hosts { present })
    }

    pub(super) async fn poll_recordings(
        &self,
        durable: &Durable,
        ingest: &str,
        thorough: bool,
    ) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Finalize);
        let cloudflare = &self.vendors.cloudflare;
        let found = if thorough {
            match cloudflare.videos_of(permit, ingest).await {
                Err(error) if error.class == Class::NotFound => {
                    cloudflare.videos_by_input(permit, ingest).await
                }
                found => found,
            }
        } else {
            self.vendors
                .recordings
                .poll(ingest, durable.spec.requested_at)
                .await
        };
        let recordings = found.map_err(failure)?;
        Ok(Answer::Recordings(
            recordings.into_iter().map(recording).collect(),
        ))
    }
}
