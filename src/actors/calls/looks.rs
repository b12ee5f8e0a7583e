//! Looks: at the feed, at the seller, for recordings.

use super::{Caller, asks, failure, video};
use crate::relay::{Answer, Durable, Failure, FeedReading};
use crate::vendors::Class;
use crate::vendors::agora::channel::Hosts;
use crate::vendors::cloudflare::Manifest;
use crate::vendors::governor::Priority;

impl Caller {
    /// Asks the public host, which no API budget counts; the API only when no such host is known.
    pub(super) async fn look_at_feed(
        &self,
        durable: &Durable,
        live_input: &str,
        probe_manifest: bool,
    ) -> Result<Answer, Failure> {
        let asks = asks(Priority::Recover);
        let customer = self.vendors.cloudflare.customer();
        if customer.base_url().is_none() {
            // After a restart nothing is learnt yet; what was learnt at the start stands in the relay.
            if let Some(url) = &durable.live_input.hls_url {
                customer.learn(url);
            }
        }
        let lifecycle = customer
            .lifecycle(asks, live_input)
            .await
            .map_err(failure)?;
        let playable = match (probe_manifest, lifecycle.live) {
            (false, _) => None,
            (true, false) => Some(false),
            (true, true) => Some(
                customer.manifest(asks, live_input).await.map_err(failure)? == Manifest::Playable,
            ),
        };
        Ok(Answer::Feed(FeedReading {
            live: lifecycle.live,
            playable,
            video_uid: lifecycle.video_uid,
        }))
    }

    pub(super) async fn look_at_hosts(&self, durable: &Durable) -> Result<Answer, Failure> {
        let spec = &durable.spec;
        let hosts = self
            .vendors
            .agora
            .channel()
            .hosts(asks(Priority::Recover), &spec.channel_name)
            .await;
        let present = match hosts.map_err(failure)? {
            Hosts::NoChannel => false,
            Hosts::Uids(uids) => uids.contains(&spec.seller_uid),
        };
        Ok(Answer::Hosts { present })
    }

    /// Looks for recordings: in the list all relays share, or, where that is not enough, in the live input's own.
    pub(super) async fn look_for_recordings(
        &self,
        durable: &Durable,
        live_input: &str,
        thorough: bool,
    ) -> Result<Answer, Failure> {
        let asks = asks(Priority::Finalize);
        let cloudflare = &self.vendors.cloudflare;
        let found = if thorough {
            match cloudflare.videos_of(asks, live_input).await {
                Err(error) if error.class == Class::NotFound => {
                    cloudflare.videos_by_input(asks, live_input).await
                }
                found => found,
            }
        } else {
            self.vendors
                .recordings
                .look(live_input, durable.spec.requested_at)
                .await
        };
        let videos = found.map_err(failure)?;
        Ok(Answer::Recordings(videos.into_iter().map(video).collect()))
    }
}
