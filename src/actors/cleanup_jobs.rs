//! Runs the cleanup jobs of finished relays until the vendor confirms them, or the vendor's own limit has passed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream;
use tracing::Instrument as _;

use super::calls::{failure, permit_request, recording};
#[cfg(feature = "sandbox")]
use super::crash::{self, CrashOperation, CrashPoint};
use super::records;
use super::shared::Shared;
use crate::relay::{Backoff, Class, Cleanup, Event, Failure, Recording, Relay};
use crate::store::{OpenCleanupJob, Saved, StoreError};
use crate::telemetry::metrics;
use crate::vendors::agora::cloud_recording::{RecordingStopAnswer, RecordingTask};
use crate::vendors::agora::media_push::DeleteAnswer;
use crate::vendors::cloudflare::Cloudflare;
use crate::vendors::governor::Priority;

const MAX_CONCURRENT: usize = 8;
const BATCH: u64 = 200;
const POLL_EVERY: Duration = Duration::from_secs(1);
/// The longest wait, unless the vendor asks for more.
const MAX_WAIT: TimeDelta = TimeDelta::seconds(60);
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};
/// The age of a job at which it polls for recordings a last time.
const LAST_POLL: TimeDelta = TimeDelta::hours(24);

enum CleanupResult {
    Done,
    /// When to try again, and why.
    RetryAt(DateTime<Utc>, String),
}

pub(super) async fn run_forever(shared: Arc<Shared>) {
    loop {
        let now = shared.clock.due();
        let due = shared
            .store
            .open_cleanup_jobs(now, BATCH)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "failed to read cleanup jobs");
                Vec::new()
            });
        let full = due.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
        stream::iter(due)
            .for_each_concurrent(MAX_CONCURRENT, |open| {
                let (relay_id, channel_id) =
                    (open.cleanup_job.relay_id, open.cleanup_job.channel_id);
                let span = tracing::error_span!("relay", %relay_id, channel_id);
                run_one(&shared, open).instrument(span)
            })
            .await;
        if !full {
            let _ = tokio::time::timeout(POLL_EVERY, shared.new_cleanup_job()).await;
        }
    }
}

pub(super) async fn run_one(shared: &Shared, open: OpenCleanupJob) {
    let now = shared.clock.due();
    let cleanup_job = &open.cleanup_job;
    let passed = shared.clock.passed_since(cleanup_job.created_at);
    #[cfg(feature = "sandbox")]
    crash::point(CrashPoint::Before(CrashOperation::RunCleanup));
    let result = match serde_json::from_value::<Cleanup>(cleanup_job.data.clone()) {
        Ok(_) if is_over(&open, passed) => CleanupResult::Done,
        Ok(cleanup) => match attempt(shared, &open, &cleanup, passed, now).await {
            Ok(result) => result,
            Err(failure) => {
                CleanupResult::RetryAt(next_try(open.attempts, &failure, now), failure.message)
            }
        },
        Err(error) => CleanupResult::RetryAt(now + MAX_WAIT, format!("unreadable job: {error}")),
    };
    #[cfg(feature = "sandbox")]
    crash::point(CrashPoint::After(CrashOperation::RunCleanup));
    let written = match result {
        CleanupResult::Done => {
            tracing::info!(
                kind = cleanup_job.kind,
                target = cleanup_job.target,
                "cleanup job done"
            );
            metrics::CLEANUP_JOBS_SETTLED.add(1, [&cleanup_job.kind]);
            shared.store.settle_cleanup_job(cleanup_job.id).await
        }
        CleanupResult::RetryAt(at, reason) => {
            tracing::debug!(
                kind = cleanup_job.kind,
                target = cleanup_job.target,
                reason,
                "cleanup job postponed"
            );
            shared
                .store
                .postpone_cleanup_job(cleanup_job.id, at, reason)
                .await
        }
    };
    if let Err(error) = written {
        // Every cleanup may be repeated.
        tracing::warn!(%error, "failed to store the result of a cleanup job");
    }
}

/// The vendor may ask for a longer wait, up to 5 minutes.
fn next_try(attempts: i32, failure: &Failure, now: DateTime<Utc>) -> DateTime<Utc> {
    let asked = failure.asked_wait().unwrap_or_default();
    now + BACKOFF.after(attempts.unsigned_abs()).max(asked)
}

/// Whether the vendor's own limit has passed. Every job is tried once first: the clock may have been wrong.
fn is_over(open: &OpenCleanupJob, passed: TimeDelta) -> bool {
    let cleanup_job = &open.cleanup_job;
    let limit = cleanup_job.expires_at.map(|at| at - cleanup_job.created_at);
    open.attempts > 0 && limit.is_some_and(|limit| limit <= passed)
}

async fn attempt(
    shared: &Shared,
    open: &OpenCleanupJob,
    cleanup: &Cleanup,
    passed: TimeDelta,
    now: DateTime<Utc>,
) -> Result<CleanupResult, Failure> {
    let permit = permit_request(Priority::Janitor);
    let (cloudflare, agora) = (&shared.vendors.cloudflare, &shared.vendors.agora);
    match cleanup {
        Cleanup::StopEgress {
            resource_id,
            other_resources,
            sid,
            cname,
            uid,
        } => {
            for resource_id in std::iter::once(resource_id).chain(other_resources) {
                let egress = RecordingTask {
                    resource_id: resource_id.clone(),
                    sid: sid.clone(),
                    cname: cname.clone(),
                    uid: *uid,
                };
                match agora.cloud_recording().stop(permit, &egress).await {
                    Ok(RecordingStopAnswer::Stopped) => return Ok(CleanupResult::Done),
                    Ok(RecordingStopAnswer::NotFound { .. }) => {}
                    // 1003: the session belongs to another resource.
                    Err(error) if error.class == Class::Rejected && !other_resources.is_empty() => {
                    }
                    Err(error) => return Err(failure(error)),
                }
            }
            Ok(poll_again(open, not_found_backoff(shared), now))
        }
        // Until a notification names the sid there is nothing to call. The egress ends by itself.
        Cleanup::UnknownEgress { .. } => {
            let at = open
                .cleanup_job
                .expires_at
                .unwrap_or(now + TimeDelta::days(1));
            let at = at.max(now + MAX_WAIT);
            Ok(CleanupResult::RetryAt(at, "the sid is unknown".into()))
        }
        Cleanup::DeleteConverter {
            converter_id,
            region,
        } => {
            match agora
                .media_push()
                .delete(permit, region, converter_id)
                .await
                .map_err(failure)?
            {
                DeleteAnswer::Deleted => Ok(CleanupResult::Done),
                DeleteAnswer::NotFound { .. } => {
                    Ok(poll_again(open, not_found_backoff(shared), now))
                }
            }
        }
        Cleanup::FindConverter { name, region } => {
            let list = agora.media_push().list(permit).await.map_err(failure)?;
            match list
                .converters
                .into_iter()
                .find(|converter| converter.name.as_ref() == Some(name))
            {
                None if list.may_be_cut => {
                    let idle_timeout = shared.settings.agora.media_push.idle_timeout;
                    if has_ended_idle(passed, idle_timeout) {
                        tracing::warn!(
                            name,
                            "converter not in any list, and the lists may be cut; assuming that it ended when idle"
                        );
                        return Ok(CleanupResult::Done);
                    }
                    Ok(CleanupResult::RetryAt(
                        now + MAX_WAIT,
                        "the list may be cut".into(),
                    ))
                }
                None => Ok(poll_again(open, not_found_backoff(shared), now)),
                Some(found) => {
                    agora
                        .media_push()
                        .delete(permit, region, &found.id)
                        .await
                        .map_err(failure)?;
                    Ok(CleanupResult::Done)
                }
            }
        }
        Cleanup::FindIngest { tag } => {
            let backoff = not_found_backoff(shared);
            find_ingest(cloudflare, open, tag, backoff, now).await
        }
        Cleanup::DisableIngest { uid } | Cleanup::DisableStray { uid } => {
            match cloudflare.disable_live_input(permit, uid).await {
                Ok(()) => Ok(CleanupResult::Done),
                Err(error) if error.class == Class::NotFound => Ok(CleanupResult::Done),
                Err(error) => Err(failure(error)),
            }
        }
        Cleanup::DeleteIngest { uid } => {
            cloudflare
                .delete_live_input(permit, uid)
                .await
                .map_err(failure)?;
            Ok(CleanupResult::Done)
        }
        Cleanup::DeleteRecording { uid } => {
            cloudflare
                .delete_video(permit, uid)
                .await
                .map_err(failure)?;
            Ok(CleanupResult::Done)
        }
        Cleanup::FindRecordings { ingest } => {
            let recordings = cloudflare
                .videos_by_input(permit, ingest)
                .await
                .map_err(failure)?;
            let recordings: Vec<Recording> = recordings.into_iter().map(recording).collect();
            let settled = !recordings.is_empty() && !recordings.iter().any(Recording::is_open);
            record_late_recordings(shared, open, recordings).await?;
            let last = open.cleanup_job.created_at + LAST_POLL;
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

/// Agora ends idle converters; allows one hour more than the timeout.
fn has_ended_idle(passed: TimeDelta, idle_timeout: Duration) -> bool {
    let limit = TimeDelta::from_std(idle_timeout).map(|idle| idle + TimeDelta::hours(1));
    limit.is_ok_and(|limit| limit <= passed)
}

/// How long Agora may answer 404 for a task that is moving.
fn not_found_backoff(shared: &Shared) -> TimeDelta {
    let waits = shared.settings.agora.not_found_backoff.iter();
    TimeDelta::from_std(waits.sum()).unwrap_or(TimeDelta::MAX / 2)
}

/// Accepts a 404 after three more tries, by default 30, 120 and 240 s after the job was created (`agora.md §8.1, §8.2`). Counts a
/// try at its planned time, so that a clock change skips none.
fn poll_again(open: &OpenCleanupJob, backoff: TimeDelta, now: DateTime<Utc>) -> CleanupResult {
    let tried = open.cleanup_job.next_attempt_at - open.cleanup_job.created_at;
    let all = [backoff / 4, backoff, backoff * 2];
    let later = all.into_iter().find(|wait| *wait > tried);
    later.map_or(CleanupResult::Done, |wait| {
        // Bounded: the clock may have been set before this try was planned.
        let wait = (wait - tried).min(backoff);
        CleanupResult::RetryAt(now + wait, "not found; checking again".into())
    })
}

async fn find_ingest(
    cloudflare: &Cloudflare,
    open: &OpenCleanupJob,
    tag: &str,
    backoff: TimeDelta,
    now: DateTime<Utc>,
) -> Result<CleanupResult, Failure> {
    let list = cloudflare
        .list_live_inputs(permit_request(Priority::Janitor))
        .await
        .map_err(failure)?;
    let Some(found) = list
        .live_inputs
        .iter()
        .find(|input| input.tag.as_deref() == Some(tag))
    else {
        if list.may_be_cut {
            return Ok(CleanupResult::RetryAt(
                now + MAX_WAIT,
                "the list may be cut".into(),
            ));
        }
        return Ok(poll_again(open, backoff, now));
    };
    cloudflare
        .delete_live_input(permit_request(Priority::Janitor), &found.uid)
        .await
        .map_err(failure)?;
    Ok(CleanupResult::Done)
}

async fn record_late_recordings(
    shared: &Shared,
    open: &OpenCleanupJob,
    recordings: Vec<Recording>,
) -> Result<(), Failure> {
    let relay_id = open.cleanup_job.relay_id;
    let broken = |message: String| Failure {
        vendor: "relaykeeper".into(),
        call: "late_recordings".into(),
        class: Class::Unavailable,
        maybe_done: false,
        status: None,
        message,
        retry_after_ms: None,
    };
    let stored = shared
        .store
        .relay(relay_id)
        .await
        .map_err(|error| broken(error.to_string()))?;
    // An unfinished relay polls for itself.
    let Some(stored) = stored.filter(|stored| stored.row.ended_at.is_some()) else {
        return Ok(());
    };
    let durable = records::durable(&stored).map_err(|error| broken(error.to_string()))?;
    let now = shared.clock.now();
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
    match shared.store.save(save).await {
        Ok(Saved::Saved) => Ok(()),
        Ok(Saved::Fenced) => Err(broken("the relay changed meanwhile".into())),
        Err(StoreError::Unavailable(error)) => Err(broken(error)),
        Err(error) => Err(broken(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::NewCleanupJob;

    /// The next try is `planned` seconds after creation.
    fn stop(planned: i64, attempts: i32) -> OpenCleanupJob {
        let created_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        OpenCleanupJob {
            attempts,
            last_error: None,
            cleanup_job: NewCleanupJob {
                id: Uuid::nil(),
                relay_id: Uuid::nil(),
                channel_id: 42,
                kind: "stop_egress".into(),
                target: "sid".into(),
                data: serde_json::Value::Null,
                created_at,
                next_attempt_at: created_at + TimeDelta::seconds(planned),
                expires_at: Some(created_at + TimeDelta::hours(3)),
            },
        }
    }

    #[test]
    fn a_cleanup_job_whose_limit_has_passed_is_tried_once_before_it_is_settled() {
        let late = TimeDelta::hours(3);
        assert!(!is_over(&stop(0, 0), late));
        assert!(is_over(&stop(0, 1), late));
        assert!(!is_over(&stop(0, 1), late - TimeDelta::seconds(1)));
    }

    #[test]
    fn a_404_is_accepted_after_every_planned_try_whatever_the_clock_was_set_to() {
        let wait = |planned, late| {
            let open = stop(planned, 0);
            let now = open.cleanup_job.next_attempt_at + late;
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
    fn a_converter_that_no_whole_list_shows_is_given_up_an_hour_after_its_idle_timeout() {
        let idle = Duration::from_secs(240);
        assert!(!has_ended_idle(TimeDelta::minutes(63), idle));
        assert!(has_ended_idle(TimeDelta::minutes(64), idle));
    }

    #[test]
    fn a_cleanup_job_is_tried_again_within_five_minutes_whatever_the_vendor_asks_for() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let wait = |attempts, retry_after_ms| {
            let failure = Failure {
                vendor: "cloudflare".into(),
                call: "live_inputs.delete".into(),
                class: Class::RateLimited,
                maybe_done: false,
                status: Some(429),
                message: "words".into(),
                retry_after_ms,
            };
            (next_try(attempts, &failure, now) - now).num_seconds()
        };
        assert_eq!(
            (wait(0, None), wait(3, None), wait(i32::MAX, None)),
            (1, 8, 60)
        );
        assert_eq!((wait(0, Some(20_000)), wait(6, Some(20_000))), (20, 60));
        for absurd in [1_800_000_000_000, u64::MAX] {
            assert_eq!(wait(0, Some(absurd)), 300);
        }
    }
}
