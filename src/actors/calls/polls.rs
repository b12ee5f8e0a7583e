//! Polls of the feed, the channel's hosts and the recordings.

use super::kept::not_stored;
use super::{VendorCalls, failure, permit_request};
use crate::actors::kept_ingests::{own_recordings, used_since};
use crate::platforms::{FeedQuestion, RecordingsSearch, WatchedIngest};
use crate::relay::{Answer, Durable, Failure, IngestOwner};
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
        let (spec, permit) = (&durable.spec, permit_request(Priority::Recover));
        let presence = &self.vendors.presence;
        let present = presence.has(permit, &spec.channel_name, spec.seller_uid);
        let present = present.await.map_err(failure)?;
        Ok(Answer::Hosts { present })
    }

    pub(super) async fn poll_recordings(
        &self,
        durable: &Durable,
        ingest: &str,
        thorough: bool,
    ) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Finalize);
        let search = match (thorough, durable.spec.ingest_owner) {
            (true, IngestOwner::Relay) => RecordingsSearch::Thorough(permit),
            (true, IngestOwner::Channel) => RecordingsSearch::Since(permit, used_since(durable)),
            (false, _) => RecordingsSearch::Shared {
                since: durable.spec.requested_at,
            },
        };
        let found = self.platform()?.recordings(ingest, search).await;
        let found = found.map_err(failure)?;
        let own = own_recordings(&self.store, durable, ingest, found).await;
        Ok(Answer::Recordings(own.map_err(not_stored)?))
    }
}
