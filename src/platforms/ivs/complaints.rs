//! What needs an operator.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::configuration::RecordingConfigurationState;
use crate::platforms::Complaint;
use crate::vendors::{Class, VendorError};

/// A quota or the state of the account refuses channels.
pub(super) const ACCOUNT_REFUSES: &str = "ivs-account-refuses";
/// The bucket of recordings cannot be read.
const BUCKET_REFUSES: &str = "ivs-bucket-refuses";
/// The recording configuration does not record.
const NOT_RECORDING: &str = "ivs-not-recording";

pub(super) const CODES: [&str; 3] = [ACCOUNT_REFUSES, BUCKET_REFUSES, NOT_RECORDING];

/// By the code: what was answered last, if it was a refusal.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<&'static str, String>>);

impl Complaints {
    /// Keeps a refusal until a call of the same kind succeeds.
    pub(super) fn note(&self, code: &'static str, refusal: Option<&VendorError>) {
        let mut refusals = self.0.lock();
        match refusal {
            Some(refusal) => refusals.insert(code, refusal.message.clone()),
            None => refusals.remove(code),
        };
    }

    pub(super) fn of_bucket<T>(&self, result: Result<T, VendorError>) -> Result<T, VendorError> {
        match &result {
            Ok(_) => self.note(BUCKET_REFUSES, None),
            Err(error) if matches!(error.class, Class::Unauthorized | Class::Rejected) => {
                self.note(BUCKET_REFUSES, Some(error));
            }
            Err(_) => {}
        }
        result
    }

    pub(super) fn all(
        &self,
        configuration: Option<&RecordingConfigurationState>,
    ) -> Vec<Complaint> {
        let refusals = self.0.lock();
        let account = refusals.get(ACCOUNT_REFUSES).map(|why| {
            let detail = format!(
                "AWS refused the last channel ({why}). Starts on IVS fail: ask AWS for a higher quota, or to verify the account."
            );
            complaint(ACCOUNT_REFUSES, detail)
        });
        let bucket = refusals.get(BUCKET_REFUSES).map(|why| {
            let detail = format!(
                "The bucket of ivs.recording_bucket cannot be read ({why}). Recordings are not found: check its name, the region and the permissions of the access key."
            );
            complaint(BUCKET_REFUSES, detail)
        });
        let not_recording = configuration
            .filter(|configuration| !configuration.is_active())
            .map(|configuration| {
                let detail = format!(
                    "The recording configuration of ivs.recording_configuration_arn is {}: broadcasts are not recorded. Create another one.",
                    configuration.state
                );
                complaint(NOT_RECORDING, detail)
            });
        account
            .into_iter()
            .chain(bucket)
            .chain(not_recording)
            .collect()
    }
}

fn complaint(code: &'static str, detail: String) -> Complaint {
    Complaint {
        code,
        subject: String::new(),
        detail,
    }
}
