//! How a vendor is: told by the last real calls to it, which cost nothing, or found out.

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

/// A success older than this proves nothing any more: the vendor is asked.
const FRESH: TimeDelta = TimeDelta::seconds(60);
/// After a call that did not succeed, what came of it is told for so long: readers cause no more calls than this.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(10);
/// How long a vendor may take.
const VENDOR_PATIENCE: Duration = Duration::from_secs(8);

/// What the last real calls to a vendor came to, and how to make one.
#[derive(Clone)]
pub struct VendorWatch {
    /// When a call last proved reach and credentials.
    pub last_success: Arc<dyn Fn() -> Option<DateTime<Utc>> + Send + Sync>,
    /// What last went wrong.
    pub last_error: Arc<dyn Fn() -> Option<LastError> + Send + Sync>,
    /// Whether the vendor refused the credentials, and no call has succeeded since.
    pub is_refused: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Makes a call that proves both.
    pub ask: Arc<dyn Fn() -> BoxFuture<'static, Result<(), VendorError>> + Send + Sync>,
    /// One caller at a time asks. The last call, if it did not succeed.
    turn: Arc<Mutex<Option<Failed>>>,
}

/// When a call was made that did not succeed, and how the vendor was found.
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

    /// How the vendor is; it is asked only if no call has succeeded for a minute.
    pub(super) async fn state(&self, now: DateTime<Utc>) -> VendorState {
        let is_fresh = || (self.last_success)().is_some_and(|at| now - at < FRESH);
        if !is_fresh() {
            let mut last = self.turn.lock().await;
            if let Some((at, state)) = &*last
                && (now - *at).abs() < AGAIN_AFTER
                && !is_fresh()
            {
                return state.clone();
            }
            *last = None;
            if !is_fresh() {
                let state = match timeout(VENDOR_PATIENCE, (self.ask)()).await {
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

    /// What follows from the newest of what is known.
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
            // Another than the vendor may have answered.
            Some(Class::Unexpected) => (None, "unknown"),
            // Our own budget had no permit.
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
        // Later failures of other kinds say nothing of the credentials.
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

/// How a vendor is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct VendorState {
    /// It is reachable and takes our credentials.
    pub(crate) healthy: bool,
    /// Null when that is not known.
    pub(crate) reachable: Option<bool>,
    #[schema(schema_with = credentials)]
    pub(crate) credentials: &'static str,
    pub(crate) last_success_at: Option<WireTime>,
    pub(crate) last_error: Option<ErrorView>,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = VendorFailure)]
pub(crate) struct ErrorView {
    pub(crate) at: WireTime,
    pub(crate) call: &'static str,
    pub(crate) class: String,
    /// The vendor's HTTP status, when it answered.
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
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
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
        (watch, asked)
    }

    #[tokio::test]
    async fn a_vendor_is_asked_only_if_no_call_succeeded_for_a_minute() {
        let now = Utc::now();
        let (fresh, asked) = watch(Some(now - TimeDelta::seconds(59)), None, Ok(()));
        assert!(fresh.state(now).await.healthy);
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        let (stale, asked) = watch(Some(now - TimeDelta::seconds(61)), None, Ok(()));
        assert!(stale.state(now).await.healthy);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_vendor_that_does_not_answer_well_is_asked_once_in_ten_seconds_however_many_want_to_know()
     {
        let now = Utc::now();
        let (refused, asked) = watch(None, None, Err(error(Class::Unauthorized)));
        for tenth in 0..100 {
            let state = refused
                .state(now + TimeDelta::milliseconds(100 * tenth))
                .await;
            assert_eq!((state.healthy, state.credentials), (false, "refused"));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        refused.state(now + AGAIN_AFTER).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn refused_credentials_are_told_and_a_vendor_out_of_reach_leaves_them_open() {
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
    async fn an_answer_that_is_not_the_vendors_says_nothing_of_the_credentials() {
        let now = Utc::now();
        let (odd, _) = watch(None, None, Err(error(Class::Unexpected)));
        let state = odd.state(now).await;
        assert_eq!(
            (state.healthy, state.reachable, state.credentials),
            (false, None, "unknown")
        );
    }

    #[tokio::test]
    async fn a_refusal_stands_whatever_else_goes_wrong_after_it() {
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
        let (after, asked) = watch(success, failure(10), Ok(()));
        assert!(!after.state(now).await.healthy);
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
}
