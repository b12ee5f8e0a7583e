use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use crate::actors::view::{WireTime, describe};
use crate::vendors::{Class, LastError, VendorError};

/// After an older success the vendor is probed.
const FRESH: TimeDelta = TimeDelta::seconds(60);
/// A failed probe's result is reused, so that readers cause few calls.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(10);
const VENDOR_TIMEOUT: Duration = Duration::from_secs(8);

/// What the last real calls to a vendor returned, and how to probe it.
#[derive(Clone)]
pub struct VendorWatch {
    /// When a call last proved that the vendor is reachable and accepts the credentials.
    pub last_success: Arc<dyn Fn() -> Option<DateTime<Utc>> + Send + Sync>,
    /// The last failed call.
    pub last_error: Arc<dyn Fn() -> Option<LastError> + Send + Sync>,
    /// Whether the vendor rejected the credentials, and no call has succeeded since.
    pub is_refused: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Makes a call that needs valid credentials.
    pub ask: Arc<dyn Fn() -> BoxFuture<'static, Result<(), VendorError>> + Send + Sync>,
    /// The last failed probe. Locked during a probe: only one runs at a time.
    turn: Arc<Mutex<Option<Failed>>>,
}

type Failed = (DateTime<Utc>, VendorState);

impl VendorWatch {
    /// A watch on one vendor.
    pub fn new(
        last_success: impl Fn() -> Option<DateTime<Utc>> + Send + Sync + 'static,
        last_error: impl Fn() -> Option<LastError> + Send + Sync + 'static,
        is_refused: impl Fn() -> bool + Send + Sync + 'static,
        ask: impl Fn() -> BoxFuture<'static, Result<(), VendorError>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            last_success: Arc::new(last_success),
            last_error: Arc::new(last_error),
            is_refused: Arc::new(is_refused),
            ask: Arc::new(ask),
            turn: Arc::default(),
        }
    }

    pub(super) async fn state(&self, now: DateTime<Utc>) -> VendorState {
        let is_fresh = || (self.last_success)().is_some_and(|at| now - at < FRESH);
        if !is_fresh() {
            let mut last = self.turn.lock().await;
            if let Some((at, state)) = &*last
                && (now - *at).abs() < RETRY_AFTER
                && !is_fresh()
            {
                return state.clone();
            }
            *last = None;
            if !is_fresh() {
                let state = match timeout(VENDOR_TIMEOUT, (self.ask)()).await {
                    Ok(Ok(())) => return self.known(Some(now), None),
                    Ok(Err(error)) => self.known(None, Some(LastError { at: now, error })),
                    Err(_) => VendorState {
                        healthy: false,
                        reachable: Some(false),
                        ..self.known(None, None)
                    },
                };
                *last = Some((now, state.clone()));
                return state;
            }
        }
        self.known(None, None)
    }

    fn known(&self, success: Option<DateTime<Utc>>, error: Option<LastError>) -> VendorState {
        let success = success.max((self.last_success)());
        let error = error.or_else(|| (self.last_error)());
        let failed = error
            .as_ref()
            .filter(|error| success.is_none_or(|at| error.at > at));
        let before = (
            success.map(|_| true),
            success.map_or("unknown", |_| "accepted"),
        );
        let (reachable, credentials) = match failed.map(|failed| failed.error.class) {
            None => before,
            Some(Class::Unauthorized) => (Some(true), "refused"),
            Some(Class::Unavailable | Class::Timeout) => (Some(false), "unknown"),
            // A proxy may have answered instead of the vendor.
            Some(Class::Unexpected) => (None, "unknown"),
            // The vendor was not called: the local rate budget was exhausted.
            Some(Class::RateLimited) if failed.is_some_and(|last| last.error.status.is_none()) => {
                before
            }
            Some(
                Class::Rejected
                | Class::NotFound
                | Class::Conflict
                | Class::RateLimited
                | Class::Quota,
            ) => (Some(true), "accepted"),
        };
        // Later failures of other kinds do not prove that the credentials work again.
        let credentials = match (self.is_refused)() {
            true => "refused",
            false => credentials,
        };
        VendorState {
            healthy: reachable == Some(true) && credentials == "accepted",
            reachable,
            credentials,
            last_success_at: success.map(WireTime),
            last_error: error.map(|last| ErrorView {
                at: WireTime(last.at),
                call: last.error.call,
                class: last.error.class.to_string(),
                status: last.error.status,
                message: last.error.message,
            }),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct VendorState {
    /// Reachable, and it accepts the credentials.
    pub(crate) healthy: bool,
    /// Null if unknown.
    pub(crate) reachable: Option<bool>,
    #[schema(schema_with = credentials)]
    pub(crate) credentials: &'static str,
    pub(crate) last_success_at: Option<WireTime>,
    pub(crate) last_error: Option<ErrorView>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = VendorFailure)]
pub(crate) struct ErrorView {
    pub(crate) at: WireTime,
    pub(crate) call: &'static str,
    pub(crate) class: String,
    /// The vendor's HTTP status, if it answered.
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
}

fn credentials() -> Object {
    describe::one_of(["accepted", "refused", "unknown"])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::vendors::{Done, Vendor};

    fn error(class: Class) -> VendorError {
        VendorError {
            vendor: Vendor::Agora,
            call: "converters.list",
            class,
            done: Done::No,
            status: Some(401),
            code: None,
            message: "no".into(),
            retry_after: None,
        }
    }

    fn watch(
        success: Option<DateTime<Utc>>,
        last: Option<LastError>,
        answer: Result<(), VendorError>,
    ) -> (VendorWatch, Arc<AtomicU32>) {
        watch_refused(false, success, last, answer)
    }

    fn watch_refused(
        is_refused: bool,
        success: Option<DateTime<Utc>>,
        last: Option<LastError>,
        answer: Result<(), VendorError>,
    ) -> (VendorWatch, Arc<AtomicU32>) {
        let probes = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&probes);
        let watch = VendorWatch::new(
            move || success,
            move || last.clone(),
            move || is_refused,
            move || {
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                Box::pin(async move { answer })
            },
        );
        (watch, probes)
    }

    #[tokio::test]
    async fn a_vendor_is_asked_only_if_no_call_succeeded_for_a_minute() {
        let now = Utc::now();
        let (fresh, probes) = watch(Some(now - TimeDelta::seconds(59)), None, Ok(()));
        assert!(fresh.state(now).await.healthy);
        assert_eq!(probes.load(Ordering::SeqCst), 0);
        let (stale, probes) = watch(Some(now - TimeDelta::seconds(61)), None, Ok(()));
        assert!(stale.state(now).await.healthy);
        assert_eq!(probes.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failing_vendor_is_probed_once_in_ten_seconds_for_any_number_of_readers() {
        let now = Utc::now();
        let (refused, probes) = watch(None, None, Err(error(Class::Unauthorized)));
        for tenth in 0..100 {
            let state = refused
                .state(now + TimeDelta::milliseconds(100 * tenth))
                .await;
            assert_eq!((state.healthy, state.credentials), (false, "refused"));
        }
        assert_eq!(probes.load(Ordering::SeqCst), 1);
        refused.state(now + RETRY_AFTER).await;
        assert_eq!(probes.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn refused_credentials_are_reported_and_are_unknown_while_a_vendor_is_unreachable() {
        let now = Utc::now();
        let (refused, _) = watch(None, None, Err(error(Class::Unauthorized)));
        let state = refused.state(now).await;
        assert_eq!(
            (state.healthy, state.reachable, state.credentials),
            (false, Some(true), "refused")
        );
        let (away, _) = watch(None, None, Err(error(Class::Unavailable)));
        let state = away.state(now).await;
        assert_eq!(
            (state.healthy, state.reachable, state.credentials),
            (false, Some(false), "unknown")
        );
    }

    #[tokio::test]
    async fn an_unexpected_answer_leaves_the_credentials_unknown() {
        let now = Utc::now();
        let (odd, _) = watch(None, None, Err(error(Class::Unexpected)));
        let state = odd.state(now).await;
        assert_eq!(
            (state.healthy, state.reachable, state.credentials),
            (false, None, "unknown")
        );
    }

    #[tokio::test]
    async fn later_failures_do_not_hide_rejected_credentials() {
        let now = Utc::now();
        for class in [
            Class::Timeout,
            Class::Unavailable,
            Class::RateLimited,
            Class::Quota,
            Class::Unexpected,
        ] {
            let (refused, _) = watch_refused(true, None, None, Err(error(class)));
            let state = refused.state(now).await;
            assert_eq!(
                (state.healthy, state.credentials),
                (false, "refused"),
                "{class}"
            );
        }
    }

    #[tokio::test]
    async fn the_newest_of_the_last_calls_decides() {
        let now = Utc::now();
        let success = Some(now - TimeDelta::seconds(20));
        let failure = |ago| {
            let at = now - TimeDelta::seconds(ago);
            Some(LastError {
                at,
                error: error(Class::Unauthorized),
            })
        };
        let (before, _) = watch(success, failure(30), Ok(()));
        assert!(before.state(now).await.healthy);
        let (after, probes) = watch(success, failure(10), Ok(()));
        assert!(!after.state(now).await.healthy);
        assert_eq!(probes.load(Ordering::SeqCst), 0);
    }
}
