//! The recording configuration that channels name (`ivs.md §4.1`).

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::api::{IvsApi, IvsOperation};
use crate::platforms::wire::{count, lenient};
use crate::vendors::VendorError;
use crate::vendors::governor::PermitRequest;

/// A recording configuration as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingConfigurationState {
    /// `ACTIVE`, `CREATING`, `CREATE_FAILED`.
    pub state: String,
    /// An encoder that comes back within this time continues the recording.
    pub window: Duration,
    /// Where it writes, if known.
    pub bucket: Option<String>,
}

impl RecordingConfigurationState {
    /// Whether channels with it record.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == "ACTIVE"
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigurationAnswer {
    recording_configuration: Configuration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    #[serde(default, deserialize_with = "lenient")]
    state: Option<String>,
    #[serde(default, deserialize_with = "count")]
    recording_reconnect_window_seconds: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    destination_configuration: Option<Destination>,
}

#[derive(Deserialize)]
struct Destination {
    #[serde(default, deserialize_with = "lenient")]
    s3: Option<S3Destination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Destination {
    bucket_name: String,
}

impl IvsApi {
    pub(super) async fn recording_configuration(
        &self,
        permit: PermitRequest,
        arn: &str,
    ) -> Result<RecordingConfigurationState, VendorError> {
        let body = json!({ "arn": arn });
        let operation = IvsOperation::GetRecordingConfiguration;
        let answer: ConfigurationAnswer = self.data(permit, operation, body, |_| None).await?;
        let read = answer.recording_configuration;
        let destination = read.destination_configuration.and_then(|all| all.s3);
        let window = read.recording_reconnect_window_seconds.unwrap_or_default();
        Ok(RecordingConfigurationState {
            state: read.state.unwrap_or_default(),
            window: Duration::from_secs(window),
            bucket: destination.map(|s3| s3.bucket_name),
        })
    }
}
