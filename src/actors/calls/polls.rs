//! Polls of the feed, the channel's hosts and the recordings.

use super::{VendorCalls, failure, permit_request, unexpected};
use crate::platforms::{FeedQuestion, RecordingsSearch, WatchedIngest};
use crate::relay::{Answer, Durable, Failure};
use crate::vendors::agora::channel::Hosts;
use crate::vendors::governor::Priority;

impl VendorCalls {
    pub(super) async fn poll_feed(
        &self,
        durable: &Durable,
        ingest: &str,
        question: FeedQuestion,
    ) -> Result<Answer, Failure> {
        let permit = permit_request(match durable.live_at {
            None => Priority::Start,
            Some(_) => Priority::Recover,
        });
        let ingest = WatchedIngest {
            id: ingest,
            hls_url: durable.ingest.hls_url.as_deref(),
        };
        let platform = self.platform()?;
        let seen = platform.observe(permit, ingest, question).await;
        let Some(seen) = seen.map_err(failure)? else {
            return Ok(Answer::NotFound);
        };
        let is_early = question == FeedQuestion::WatchableFirst
            && (seen.publishing, seen.watchable) == (None, Some(false));
        Ok(match is_early {
            true => Answer::NotYetWatchable,
            false => Answer::Feed(seen),
        })
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
                return Err(unexpected("agora", "channel.hosts", message));
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
        let search = match thorough {
            true => RecordingsSearch::Thorough(permit_request(Priority::Finalize)),
            false => RecordingsSearch::Shared {
                since: durable.spec.requested_at,
            },
        };
        let found = self.platform()?.recordings(ingest, search).await;
        Ok(Answer::Recordings(found.map_err(failure)?))
    }
}
