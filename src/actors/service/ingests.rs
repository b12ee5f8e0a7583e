//! Gives up ingests that channels keep.

use super::RelayService;
use crate::actors::requests::{GiveUpError, RequestError};
use crate::relay::{Cleanup, Durable, IngestOwner, ResourceTag};
use crate::store::{CleanupJobRow, GivenUp, KeptIngestRow};

impl RelayService {
    /// Gives up the ingest that a channel keeps at a platform, by default at the platform of starts that name none. A
    /// cleanup job removes it.
    pub async fn give_up_ingest(
        &self,
        channel_id: i64,
        platform: Option<&str>,
    ) -> Result<KeptIngestRow, GiveUpError> {
        let context = &self.context;
        let default = &context.settings.platforms.default;
        let platform = platform.unwrap_or(default);
        let kept = context.store.kept_ingest(channel_id, platform).await;
        let kept = kept.map_err(RequestError::from)?;
        let platforms = &context.vendors.platforms;
        // One that is off may still have an ingest of the channel.
        let row = kept.ok_or_else(|| match platforms.get(platform) {
            Some(_) => GiveUpError::NothingKept,
            None => GiveUpError::PlatformOff {
                on: platforms.names_of_all(),
            },
        })?;
        if self.may_use(&row).await? {
            return Err(GiveUpError::InUse);
        }
        let tag = row.tag.parse::<ResourceTag>();
        let tag = tag.map_err(|error| RequestError::Internal(error.to_string()))?;
        let cleanup = Cleanup::RemoveIngest {
            id: row.ingest_id.clone(),
        };
        let now = context.clock.now();
        let cleanup_job = CleanupJobRow::of(&cleanup, tag.relay, channel_id, &row.platform, now);
        let given_up = context.store.give_up_kept_ingest(&row, cleanup_job).await;
        match given_up.map_err(RequestError::unconfirmed)? {
            GivenUp::GivenUp => {
                tracing::info!(channel_id, ingest = row.ingest_id, "kept ingest given up");
                self.mailboxes.new_cleanup_jobs.notify_one();
                Ok(row)
            }
            GivenUp::Held => Err(GiveUpError::InUse),
            GivenUp::NothingKept => Err(GiveUpError::NothingKept),
        }
    }

    /// Whether a relay may claim it: its claim would fail, and the relay would make another ingest.
    async fn may_use(&self, row: &KeptIngestRow) -> Result<bool, RequestError> {
        let (cluster, directory) = (&self.context.cluster, &self.context.directory);
        let uses = |relay: &Durable| {
            let spec = &relay.spec;
            relay.phase.holds_slot()
                && spec.ingest_owner == IngestOwner::Channel
                && spec.platform.as_str() == row.platform
        };
        let here = directory.of_channel(row.channel_id);
        if here.iter().any(|relay| uses(&relay.durable)) {
            return Ok(true);
        }
        let elsewhere = cluster.relays_of(row.channel_id, directory).await?;
        let mut elsewhere = elsewhere.iter().filter_map(|stored| stored.durable().ok());
        Ok(elsewhere.any(|relay| uses(&relay)))
    }
}
