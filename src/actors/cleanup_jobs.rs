//! Runs the cleanup jobs of finished relays until the vendor confirms them, or the vendor's own limit has passed.

mod attempt;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Notify;
use tracing::Instrument as _;

use self::attempt::{CleanupResult, MAX_WAIT, attempt};
use super::context::NodeContext;
#[cfg(feature = "sandbox")]
use super::crash::{self, CrashOperation, CrashPoint};
use crate::relay::{Backoff, Failure};
use crate::store::CleanupJobRow;
use crate::telemetry::metrics;

const MAX_CONCURRENT: usize = 8;
const BATCH: u64 = 200;
const POLL_EVERY: Duration = Duration::from_secs(1);
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};

pub(super) async fn run_forever(context: Arc<NodeContext>, new_cleanup_jobs: Arc<Notify>) {
    loop {
        let now = context.clock.due();
        let due = context
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
                let (relay_id, channel_id) = (open.relay_id, open.channel_id);
                let span = tracing::error_span!("relay", %relay_id, channel_id);
                run_one(&context, open).instrument(span)
            })
            .await;
        if !full {
            let _ = tokio::time::timeout(POLL_EVERY, new_cleanup_jobs.notified()).await;
        }
    }
}

async fn run_one(context: &NodeContext, open: CleanupJobRow) {
    let now = context.clock.due();
    let passed = context.clock.passed_since(open.created_at);
    #[cfg(feature = "sandbox")]
    crash::point(CrashPoint::Before(CrashOperation::RunCleanup));
    let result = match open.cleanup() {
        Ok(_) if is_over(&open, passed) => CleanupResult::Done,
        Ok(cleanup) => match attempt(context, &open, &cleanup, passed, now).await {
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
                kind = %open.kind,
                target = open.target,
                "cleanup job done"
            );
            metrics::CLEANUP_JOBS_SETTLED.add(1, [open.kind.as_str()]);
            context.store.settle_cleanup_job(*open.id).await
        }
        CleanupResult::RetryAt(at, reason) => {
            tracing::debug!(
                kind = %open.kind,
                target = open.target,
                reason,
                "cleanup job postponed"
            );
            context
                .store
                .postpone_cleanup_job(*open.id, at, reason)
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
fn is_over(open: &CleanupJobRow, passed: TimeDelta) -> bool {
    let limit = open.expires_at.map(|at| at - open.created_at);
    open.attempts > 0 && limit.is_some_and(|limit| limit <= passed)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::relay::{Class, CleanupKind};

    /// The next try is `planned` seconds after creation.
    pub(super) fn stop(planned: i64, attempts: i32) -> CleanupJobRow {
        let created_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        CleanupJobRow {
            id: Uuid::nil().into(),
            relay_id: Uuid::nil().into(),
            channel_id: 42,
            platform: "platform".into(),
            kind: CleanupKind::StopEgress.into(),
            target: "sid".into(),
            data: serde_json::Value::Null.into(),
            created_at,
            next_attempt_at: created_at + TimeDelta::seconds(planned),
            expires_at: Some(created_at + TimeDelta::hours(3)),
            attempts,
            last_error: None,
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
    fn a_cleanup_job_is_tried_again_within_five_minutes_whatever_the_vendor_asks_for() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let wait = |attempts, retry_after_ms| {
            let failure = Failure {
                vendor: "platform".into(),
                call: "remove".into(),
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
