//! Looks: at the feed, at the seller, for recordings.

use tokio::time::Instant;

use super::lifecycle::FeedSource;
use super::{VendorCalls, failure, permit_request, recording, unexpected};
use crate::relay::{Answer, Durable, Failure, FeedReading};
use crate::vendors::Class;
use crate::vendors::agora::channel::Hosts;
use crate::vendors::cloudflare::{FeedState, Lifecycle, Manifest};
use crate::vendors::governor::{self, Priority};

impl VendorCalls {
    /// Asks the public host, which no API budget counts; the API only while that host cannot be believed.
    pub(super) async fn poll_feed(
        &self,
        durable: &Durable,
        ingest: &str,
        (probe_manifest, manifest_first): (bool, bool),
    ) -> Result<Answer, Failure> {
        // Until a buyer can press play somebody waits for it.
        let permit = permit_request(match durable.live_at {
            None => Priority::Start,
            Some(_) => Priority::Recover,
        });
        let customer = self.vendors.cloudflare.customer();
        if customer.base_url().is_none() {
            // After a restart nothing is learnt yet; what was learnt at the start stands in the relay.
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

    /// Whether the ingest streams, from whoever can be believed. `None`: the API says that there is no such ingest.
    async fn lifecycle(
        &self,
        permit: governor::PermitRequest,
        ingest: &str,
    ) -> Result<Option<Lifecycle>, Failure> {
        let (cloudflare, trust) = (&self.vendors.cloudflare, &self.vendors.lifecycle);
        if trust.source(Instant::now()) == FeedSource::Lifecycle {
            let said = cloudflare.customer().lifecycle(permit, ingest).await;
            match &said {
                Ok(_) => trust.documented(),
                Err(error) if matches!(error.class, Class::Unexpected | Class::NotFound) => {
                    trust.odd(&error.message);
                }
                Err(_) => {}
            }
            match said {
                // What the host answers where there is no ingest is not documented: the API tells.
                Err(error) if error.class == Class::NotFound => {}
                said => return said.map(Some).map_err(failure),
            }
        }
        // Starts come before looks in the API's budget.
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
            let message = format!("a state nobody documented: {word}");
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
                let message = "entries of a shape nobody documented may name the seller";
                return Err(Failure {
                    vendor: "agora".into(),
                    ..unexpected("channel.hosts", message)
                });
            }
        };
        Ok(Answer::Hosts { present })
    }

    /// Looks for recordings: in the list all relays share, or, where that is not enough, in the ingest's own.
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
