//! What each kind of cleanup job does at its vendor.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::actors::calls::{failure, permit_request};
use crate::actors::context::NodeContext;
#[cfg(feature = "sandbox")]
use crate::actors::crash::{self, CrashOperation, CrashPoint};
use crate::actors::kept_ingests::{own_recordings, used_since};
use crate::actors::records;
use crate::egresses::{EgressFound, EgressStopped};
use crate::platforms::{Platform, RecordingsSearch, Removal};
use crate::relay::{Class, Cleanup, EgressRef, Event, Failure, IngestOwner, Recording, Relay};
use crate::store::{
    CleanedUp, CleanupJobRow, Holder, KeptIngestClaim, Saved, StoreError, StoredRelay,
};
use crate::vendors::governor::Priority;

/// The longest wait, unless the vendor asks for more.
pub(super) const MAX_WAIT: TimeDelta = TimeDelta::seconds(60);
/// The age of a job at which it polls for recordings a last time.
const LAST_POLL: TimeDelta = TimeDelta::hours(24);

pub(super) enum CleanupResult {
    Done,
    /// When to try again, and why.
    RetryAt(DateTime<Utc>, String),
}

pub(super) async fn attempt(
    context: &NodeContext,
    open: &CleanupJobRow,
    cleanup: &Cleanup,
    passed: TimeDelta,
    now: DateTime<Utc>,
) -> Result<CleanupResult, Failure> {
    let permit = permit_request(Priority::Janitor);
    let platform = || context.vendors.platform(&open.platform);
    match cleanup {
        Cleanup::StopEgress(egress) => {
            let backend = context.vendors.egresses.get(&egress.backend.name);
            let stopped = backend.map_err(failure)?.stop(permit, egress).await;
            match stopped.map_err(failure)? {
                EgressStopped::Stopped => Ok(CleanupResult::Done),
                EgressStopped::NotFound => Ok(poll_again(open, not_found_backoff(context), now)),
            }
        }
        Cleanup::FindEgress(egress) => {
            let backend = context.vendors.egresses.get(&egress.backend.name);
            let backend = backend.map_err(failure)?;
            match backend.find(permit, egress).await.map_err(failure)? {
                EgressFound::Running(handle) => {
                    let egress = EgressRef {
                        handle: Some(handle),
                        ..egress.clone()
                    };
                    backend.stop(permit, &egress).await.map_err(failure)?;
                    Ok(CleanupResult::Done)
                }
                EgressFound::NotFound => Ok(poll_again(open, not_found_backoff(context), now)),
                EgressFound::ListCut { ends_idle_after } => {
                    if has_ended_idle(passed, ends_idle_after) {
                        tracing::warn!(
                            tag = egress.tag,
                            "egress not in any list, and the lists may be cut; assuming that it ended when idle"
                        );
                        return Ok(CleanupResult::Done);
                    }
                    Ok(CleanupResult::RetryAt(
                        now + MAX_WAIT,
                        "the list may be cut".into(),
                    ))
                }
                // Until a notification names it there is nothing to call. The egress ends by itself.
                EgressFound::Unlisted => {
                    let at = open.expires_at.unwrap_or(now + TimeDelta::days(1));
                    let at = at.max(now + MAX_WAIT);
                    Ok(CleanupResult::RetryAt(
                        at,
                        "only a notification can name it".into(),
                    ))
                }
            }
        }
        Cleanup::FindIngest { tag } => {
            let backoff = not_found_backoff(context);
            find_ingest(platform()?, open, tag, backoff, now).await
        }
        Cleanup::CloseIngest { id } | Cleanup::CloseStray { id } => {
            match platform()?.close(permit, id).await {
                Ok(()) => Ok(CleanupResult::Done),
                Err(error) if error.class == Class::NotFound => Ok(CleanupResult::Done),
                Err(error) => Err(failure(error)),
            }
        }
        Cleanup::RenewIngestKey { id } => renew_kept_key(context, platform()?, id, now).await,
        Cleanup::RemoveIngest { id } => {
            let removal = platform()?.discard(permit, id).await;
            let removal = removal.map_err(failure)?;
            Ok(removed(removal, now))
        }
        Cleanup::DeleteRecording { id } => {
            let deleted = platform()?.delete_recording(permit, id).await;
            deleted.map_err(failure)?;
            Ok(CleanupResult::Done)
        }
        Cleanup::FindRecordings { ingest } => {
            let relay = stored_relay(context, open).await?;
            let durable = relay.durable().map_err(|error| broken(error.to_string()))?;
            let search = match durable.spec.ingest_owner {
                IngestOwner::Relay => RecordingsSearch::AfterRemoval(permit),
                IngestOwner::Channel => RecordingsSearch::Since(permit, used_since(&durable)),
            };
            let found = platform()?
                .recordings(ingest, search)
                .await
                .map_err(failure)?;
            let own = own_recordings(&context.store, &durable, ingest, found).await;
            let recordings = own.map_err(|error| broken(error.to_string()))?;
            let settled = !recordings.is_empty() && !recordings.iter().any(Recording::is_open);
            record_late_recordings(context, open, recordings).await?;
            let last = open.created_at + LAST_POLL;
            if settled || passed >= LAST_POLL {
                return Ok(CleanupResult::Done);
            }
            let last = last.max(now + MAX_WAIT);
            Ok(CleanupResult::RetryAt(
                last,
                "no recording found yet".into(),
            ))
        }
    }
}

/// The backend ends idle egresses; allows one hour more than the timeout.
fn has_ended_idle(passed: TimeDelta, idle_timeout: Duration) -> bool {
    let limit = TimeDelta::from_std(idle_timeout).map(|idle| idle + TimeDelta::hours(1));
    limit.is_ok_and(|limit| limit <= passed)
}

/// How long a backend may answer 404 for an egress that is moving.
fn not_found_backoff(context: &NodeContext) -> TimeDelta {
    let waits = context.settings.agora.not_found_backoff.iter();
    TimeDelta::from_std(waits.sum()).unwrap_or(TimeDelta::MAX / 2)
}

/// Accepts a 404 after three more tries, by default 30, 120 and 240 s after the job was created (`agora.md §8.1, §8.2`). Counts a
/// try at its planned time, so that a clock change skips none.
fn poll_again(open: &CleanupJobRow, backoff: TimeDelta, now: DateTime<Utc>) -> CleanupResult {
    let tried = open.next_attempt_at - open.created_at;
    let all = [backoff / 4, backoff, backoff * 2];
    let later = all.into_iter().find(|wait| *wait > tried);
    later.map_or(CleanupResult::Done, |wait| {
        // Bounded: the clock may have been set before this try was planned.
        let wait = (wait - tried).min(backoff);
        CleanupResult::RetryAt(now + wait, "not found; checking again".into())
    })
}

async fn stored_relay(context: &NodeContext, open: &CleanupJobRow) -> Result<StoredRelay, Failure> {
    let stored = context.store.relay(*open.relay_id).await;
    let stored = stored.map_err(|error| broken(error.to_string()))?;
    stored.ok_or_else(|| broken("the job's relay is unknown".into()))
}

/// A relay that holds the ingest renews its stale key itself.
async fn renew_kept_key(
    context: &NodeContext,
    platform: &dyn Platform,
    id: &str,
    now: DateTime<Utc>,
) -> Result<CleanupResult, Failure> {
    let (store, permit) = (&context.store, permit_request(Priority::Janitor));
    let unavailable = |error: StoreError| broken(error.to_string());
    let kept = store.kept_ingest_with_id(platform.name(), id).await;
    let Some(kept) = kept.map_err(unavailable)? else {
        return Ok(CleanupResult::Done);
    };
    let (channel_id, holder) = (kept.channel_id, Holder::Cleanup);
    let claim = store.claim_kept_ingest(channel_id, platform.name(), holder, now);
    let row = match claim.await.map_err(unavailable)? {
        KeptIngestClaim::Claimed(row) => row,
        KeptIngestClaim::Held | KeptIngestClaim::NothingKept => return Ok(CleanupResult::Done),
    };
    let renewed = match row.key_stale {
        true => {
            #[cfg(feature = "sandbox")]
            crash::point(CrashPoint::Before(CrashOperation::RenewIngestKey));
            let renewed = platform.renew_key(permit, &row.ingest_id).await;
            #[cfg(feature = "sandbox")]
            crash::point(CrashPoint::After(CrashOperation::RenewIngestKey));
            renewed.map(Some)
        }
        false => Ok(None),
    };
    let (cleaned_up, result) = match renewed {
        Ok(None) => (CleanedUp::Nothing, Ok(CleanupResult::Done)),
        Ok(Some(_)) => (CleanedUp::KeyRenewed, Ok(CleanupResult::Done)),
        Err(error) if error.class == Class::NotFound => (CleanedUp::Gone, Ok(CleanupResult::Done)),
        Err(error) => (CleanedUp::Nothing, Err(failure(error))),
    };
    let released = store.release_kept_ingest(&row, cleaned_up).await;
    released.map_err(unavailable)?;
    result
}

async fn find_ingest(
    platform: &dyn Platform,
    open: &CleanupJobRow,
    tag: &str,
    backoff: TimeDelta,
    now: DateTime<Utc>,
) -> Result<CleanupResult, Failure> {
    let permit = permit_request(Priority::Janitor);
    let list = platform.find_tagged(permit, tag).await.map_err(failure)?;
    let found = list.with_tag(tag);
    if found.is_empty() {
        if list.may_be_cut {
            return Ok(CleanupResult::RetryAt(
                now + MAX_WAIT,
                "the list may be cut".into(),
            ));
        }
        return Ok(poll_again(open, backoff, now));
    }
    let mut result = CleanupResult::Done;
    for ingest in found {
        let removal = platform.discard(permit, &ingest.id).await;
        match removed(removal.map_err(failure)?, now) {
            CleanupResult::Done => {}
            retry => result = retry,
        }
    }
    Ok(result)
}

fn removed(removal: Removal, now: DateTime<Utc>) -> CleanupResult {
    match removal {
        Removal::Gone => CleanupResult::Done,
        Removal::StillLive { retry_after } => {
            let wait = TimeDelta::from_std(retry_after).map_or(MAX_WAIT, |wait| wait.min(MAX_WAIT));
            CleanupResult::RetryAt(now + wait, "the broadcast has not ended".into())
        }
    }
}

fn broken(message: String) -> Failure {
    Failure {
        vendor: "relaykeeper".into(),
        call: "cleanup".into(),
        class: Class::Unavailable,
        maybe_done: false,
        status: None,
        message,
        retry_after_ms: None,
    }
}

async fn record_late_recordings(
    context: &NodeContext,
    open: &CleanupJobRow,
    recordings: Vec<Recording>,
) -> Result<(), Failure> {
    let relay_id = *open.relay_id;
    let stored = context
        .store
        .relay(relay_id)
        .await
        .map_err(|error| broken(error.to_string()))?;
    // An unfinished relay polls for itself.
    let Some(stored) = stored.filter(|stored| stored.ended_at.is_some()) else {
        return Ok(());
    };
    let durable = stored
        .durable()
        .map_err(|error| broken(error.to_string()))?;
    let now = context.clock.now();
    let mut relay = Relay::load(durable, 1);
    let step = relay
        .handle(Event::LateRecordings(recordings), now)
        .map_err(|error| broken(error.to_string()))?;
    if !step.must_be_stored() {
        return Ok(());
    }
    let save = records::save(
        relay.durable(),
        &step,
        now,
        now,
        stored.revision,
        stored.epoch,
    );
    match context.store.save(save).await {
        Ok(Saved::Saved) => Ok(()),
        Ok(Saved::Fenced) => Err(broken("the relay changed meanwhile".into())),
        Err(StoreError::Unavailable(error)) => Err(broken(error)),
        Err(error) => Err(broken(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::stop;
    use super::*;

    #[test]
    fn a_404_is_accepted_after_every_planned_try_whatever_the_clock_was_set_to() {
        let wait = |planned, late| {
            let open = stop(planned, 0);
            let now = open.next_attempt_at + late;
            match poll_again(&open, TimeDelta::seconds(120), now) {
                CleanupResult::RetryAt(at, _) => Some((at - now).num_seconds()),
                CleanupResult::Done => None,
            }
        };
        for late in [TimeDelta::zero(), TimeDelta::hours(3)] {
            assert_eq!(wait(0, late), Some(30));
            assert_eq!(wait(30, late), Some(90));
            assert_eq!(wait(120, late), Some(120));
            assert_eq!(wait(240, late), None);
        }
        assert_eq!(wait(-10_800, TimeDelta::zero()), Some(120));
    }

    #[test]
    fn an_egress_that_no_whole_list_shows_is_given_up_an_hour_after_its_idle_timeout() {
        let idle = Duration::from_secs(240);
        assert!(!has_ended_idle(TimeDelta::minutes(63), idle));
        assert!(has_ended_idle(TimeDelta::minutes(64), idle));
    }
}
