//! What the last real calls came to, for `/v1/health`.

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::vendors::{Class, VendorError};

/// A failure and when it was.
#[derive(Debug, Clone)]
pub struct LastError {
    /// When it came.
    pub at: DateTime<Utc>,
    /// What it was.
    pub error: VendorError,
}

/// The last success and the last failure.
#[derive(Debug, Default)]
pub(super) struct Outcome(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    success: Option<DateTime<Utc>>,
    error: Option<LastError>,
    refusal: Option<LastError>,
}

impl Outcome {
    pub(super) fn succeeded(&self) {
        self.seen(|seen| seen.success = Some(Utc::now()));
    }

    pub(super) fn failed(&self, error: &VendorError) {
        let error = LastError {
            at: Utc::now(),
            error: error.clone(),
        };
        self.seen(|seen| {
            if error.error.class == Class::Unauthorized {
                seen.refusal = Some(error.clone());
            }
            seen.error = Some(error);
        });
    }

    pub(super) fn last_success(&self) -> Option<DateTime<Utc>> {
        self.seen(|seen| seen.success)
    }

    pub(super) fn last_error(&self) -> Option<LastError> {
        self.seen(|seen| seen.error.clone())
    }

    /// The last refusal of the credentials, while no call has succeeded since.
    pub(super) fn refusal(&self) -> Option<LastError> {
        self.seen(|seen| {
            let refusal = seen.refusal.as_ref()?;
            let stands = seen.success.is_none_or(|at| at < refusal.at);
            stands.then(|| refusal.clone())
        })
    }

    fn seen<T>(&self, poll: impl FnOnce(&mut Seen) -> T) -> T {
        poll(&mut self.0.lock())
    }
}
