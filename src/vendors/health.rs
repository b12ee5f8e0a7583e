//! The last success and failures of calls to one vendor, for `/v1/health` and the alarms.

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::{Class, VendorError};

/// A failed call.
#[derive(Debug, Clone)]
pub struct LastError {
    /// When it failed.
    pub at: DateTime<Utc>,
    /// Its error.
    pub error: VendorError,
}

#[derive(Debug, Default)]
pub(crate) struct CallHealth(Mutex<LastCalls>);

#[derive(Debug, Default)]
struct LastCalls {
    success: Option<DateTime<Utc>>,
    error: Option<LastError>,
    refusal: Option<LastError>,
}

impl CallHealth {
    pub(crate) fn succeeded(&self) {
        self.0.lock().success = Some(Utc::now());
    }

    pub(crate) fn failed(&self, error: &VendorError) {
        let error = LastError {
            at: Utc::now(),
            error: error.clone(),
        };
        let mut last = self.0.lock();
        if error.error.class == Class::Unauthorized {
            last.refusal = Some(error.clone());
        }
        last.error = Some(error);
    }

    pub(crate) fn last_success(&self) -> Option<DateTime<Utc>> {
        self.0.lock().success
    }

    pub(crate) fn last_error(&self) -> Option<LastError> {
        self.0.lock().error.clone()
    }

    /// The last refusal of the credentials since the last success. Other failures do not clear it.
    pub(crate) fn refusal(&self) -> Option<LastError> {
        let last = self.0.lock();
        let refusal = last.refusal.as_ref()?;
        let stands = last.success.is_none_or(|at| at < refusal.at);
        stands.then(|| refusal.clone())
    }
}
