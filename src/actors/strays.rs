//! Handles notifications about objects that no relay in work uses. They are not trusted: an ingest is probed first, and only
//! objects with our tag are changed.

mod reads;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use self::reads::StrayReads;
use super::calls::permit_request;
use super::context::NodeContext;
use super::messages::Mailboxes;
use super::status::NodeStatus;
use crate::platforms::Platform;
use crate::relay::{
    Cleanup, CleanupKind, EgressHandle, EgressRef, Hint, Notice, Phase, PlatformName, ResourceTag,
    Subject,
};
use crate::store::{CleanupJobRow, GivenUp, KeptIngestRow, Named, StoreError};
use crate::vendors::governor::Priority;
use crate::vendors::{Class, VendorError};

#[derive(Debug, thiserror::Error)]
enum StrayError {
    #[error(transparent)]
    Vendor(#[from] VendorError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Longer ids are ignored: a platform's are shorter.
const LONGEST_ID: usize = 256;

#[derive(Debug)]
pub(super) struct Strays {
    context: Arc<NodeContext>,
    status: Arc<NodeStatus>,
    mailboxes: Arc<Mailboxes>,
    /// By platform: each has a quota of its own.
    reads: BTreeMap<&'static str, StrayReads>,
}

impl Strays {
    pub(super) fn new(
        context: Arc<NodeContext>,
        status: Arc<NodeStatus>,
        mailboxes: Arc<Mailboxes>,
    ) -> Self {
        let platforms = context.vendors.platforms.names();
        let reads = platforms
            .map(|name| (name, StrayReads::default()))
            .collect();
        Self {
            context,
            status,
            mailboxes,
            reads,
        }
    }

    /// Ignores notices that report no activity.
    pub(super) async fn handle(&self, notice: Notice) {
        let handled = match (notice.subject, notice.hint) {
            (Subject::Ingest { platform, id }, Hint::FeedConnected) => {
                self.feed_connected(&platform, id, notice.at).await
            }
            (Subject::Tag(tag), Hint::EgressNamed { handle, .. }) => {
                self.egress(tag, handle, notice.is_end).await
            }
            _ => return,
        };
        if let Err(error) = handled {
            tracing::warn!(%error, "stray activity not handled");
        }
    }

    /// Most ingests are not ours: reads are rare and have the lowest priority.
    async fn feed_connected(
        &self,
        platform: &PlatformName,
        ingest: String,
        at: Option<DateTime<Utc>>,
    ) -> Result<(), StrayError> {
        let (context, name) = (&self.context, platform.as_str());
        let on = context.vendors.platforms.get(name);
        let Some((platform, reads)) = on.zip(self.reads.get(name)) else {
            return Ok(());
        };
        let Some(namespace) = self.status.namespace() else {
            return Ok(());
        };
        if ingest.len() > LONGEST_ID || !reads.begin(&ingest, Instant::now()) {
            return Ok(());
        }
        let phases = context.store.phases_with_ingest(name, &ingest).await?;
        let holds_slot = |phase: &Named<Phase>| phase.known().is_some_and(Phase::holds_slot);
        if phases.iter().any(holds_slot) {
            // Its relay was started or moved meanwhile.
            return Ok(());
        }
        let kept = context.store.kept_ingest_with_id(platform.name(), &ingest);
        if let Some(kept) = kept.await? {
            return self.kept_ingest(platform.as_ref(), kept, at).await;
        }
        let governors = platform.governors();
        let quota = governors.first().map_or(0, |reads| reads.snapshot().quota);
        if phases.is_empty() && !reads.take_unknown(quota, Instant::now()) {
            tracing::debug!(
                ingest,
                "ignoring an encoder at an unknown ingest; too many of those were read recently"
            );
            return Ok(());
        }
        let permit = permit_request(Priority::Janitor);
        let found = match platform.read_ingest(permit, &ingest).await {
            Err(error) if error.class == Class::NotFound => {
                reads.not_ours(&ingest, Instant::now());
                return Ok(());
            }
            found => found?,
        };
        let tag = found
            .tag
            .as_deref()
            .and_then(|tag| tag.parse::<ResourceTag>().ok())
            .filter(|tag| tag.namespace == namespace);
        let Some(tag) = tag else {
            reads.not_ours(&ingest, Instant::now());
            return Ok(());
        };
        if found.is_closed {
            return Ok(());
        }
        if context
            .directory
            .get(tag.relay)
            .is_some_and(|relay| relay.durable.phase.holds_slot())
        {
            return Ok(());
        }
        let Some(stored) = context.store.relay(tag.relay).await? else {
            return Ok(());
        };
        if stored.holds_slot() {
            // Its actor is starting, or on another node.
            return Ok(());
        }
        tracing::error!(ingest, relay_id = %tag.relay, channel_id = stored.channel_id, "stray: an encoder publishes into an ingest whose relay is over");
        let cleanup = Cleanup::CloseStray { id: ingest };
        let now = context.clock.now();
        let channel_id = stored.channel_id;
        let cleanup_job = CleanupJobRow::of(&cleanup, tag.relay, channel_id, name, now);
        self.add_cleanup_job(cleanup_job).await
    }

    /// Something publishes between shows: its key is renewed. Does nothing while a relay holds the ingest.
    async fn kept_ingest(
        &self,
        platform: &dyn Platform,
        kept: KeptIngestRow,
        at: Option<DateTime<Utc>>,
    ) -> Result<(), StrayError> {
        // A late notification of the last show.
        let is_late = at
            .zip(kept.quiet_since)
            .is_some_and(|(at, quiet)| at <= quiet);
        let Ok(tag) = kept.tag.parse::<ResourceTag>() else {
            return Ok(());
        };
        if is_late {
            return Ok(());
        }
        let (id, now) = (kept.ingest_id.clone(), self.context.clock.now());
        let job =
            |cleanup| CleanupJobRow::of(&cleanup, tag.relay, kept.channel_id, &kept.platform, now);
        let store = &self.context.store;
        let is_stray = if platform.capabilities().renews_key {
            let job = job(Cleanup::RenewIngestKey { id });
            store.mark_key_stale(&kept, now, job).await?
        } else {
            let job = job(Cleanup::RemoveIngest { id });
            store.give_up_kept_ingest(&kept, job).await? == GivenUp::GivenUp
        };
        if is_stray {
            tracing::error!(
                ingest = kept.ingest_id,
                channel_id = kept.channel_id,
                "stray: an encoder publishes into a kept ingest between shows"
            );
            self.mailboxes.new_cleanup_jobs.notify_one();
        }
        Ok(())
    }

    /// The notification names the egress for which a cleanup job may wait: the job can stop it now.
    async fn egress(
        &self,
        tag: ResourceTag,
        handle: EgressHandle,
        is_end: bool,
    ) -> Result<(), StrayError> {
        if self.status.namespace().as_ref() != Some(&tag.namespace) {
            return Ok(());
        }
        let (store, target) = (&self.context.store, tag.to_string());
        let cleanup_jobs = store.cleanup_jobs_of(tag.relay).await?;
        let waiting = cleanup_jobs
            .iter()
            .find(|open| open.kind == CleanupKind::FindEgress && open.target == target);
        let Some(open) = waiting else { return Ok(()) };
        if !is_end && let Ok(Cleanup::FindEgress(egress)) = open.cleanup() {
            let cleanup = Cleanup::StopEgress(EgressRef {
                handle: Some(handle),
                ..egress
            });
            let (now, platform) = (self.context.clock.now(), &open.platform);
            let cleanup_job =
                CleanupJobRow::of(&cleanup, tag.relay, open.channel_id, platform, now);
            self.add_cleanup_job(cleanup_job).await?;
        }
        store.settle_cleanup_job(*open.id).await?;
        Ok(())
    }

    async fn add_cleanup_job(&self, cleanup_job: CleanupJobRow) -> Result<(), StrayError> {
        self.context
            .store
            .add_cleanup_jobs(vec![cleanup_job])
            .await?;
        self.mailboxes.new_cleanup_jobs.notify_one();
        Ok(())
    }
}
