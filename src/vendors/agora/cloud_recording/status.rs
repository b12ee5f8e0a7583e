//! The state of an egress, as a query reports it.

use serde_json::Value;

use super::super::answer::text;
use crate::vendors::number::whole;

/// Only `output` shows whether the egress pushes: a task with a dead push keeps status 5 (`agora.md §3.5`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingTaskStatus {
    /// `serverResponse.status` (`agora.md §2.5`).
    pub service_status: Option<i64>,
    /// The page's recorder or the whole task ended, although queries still find it.
    pub recorder_exited: bool,
    /// The push, if the answer describes it.
    pub output: Option<OutputStatus>,
}

/// The state of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum OutputStatus {
    /// Being set up.
    Connecting,
    /// Pushing.
    Publishing,
    /// Paused.
    OnHold,
    /// Disconnected, or the service ended. Whether Agora retries is not documented.
    Disconnected,
    /// An undocumented state.
    Unknown,
}

impl RecordingTaskStatus {
    /// Finds services by name: their order is not promised.
    pub(super) fn read(body: &Value) -> Option<Self> {
        let response = body.get("serverResponse")?.as_object()?;
        let service_status = response.get("status").and_then(whole);
        let services = response.get("extensionServiceState");
        let payload = |name: &str| {
            services?
                .as_array()?
                .iter()
                .find(|service| service.get("serviceName").and_then(Value::as_str) == Some(name))?
                .get("payload")
        };
        let exited = |payload: Option<&Value>| {
            text(payload.and_then(|payload| payload.get("state"))).is_some_and(|s| s == "exit")
        };
        let push = payload("rtmp_publish_service");
        Some(Self {
            service_status,
            recorder_exited: exited(payload("web_recorder_service"))
                || matches!(service_status, Some(7 | 8 | 20)),
            output: if exited(push) {
                Some(OutputStatus::Disconnected)
            } else {
                push.and_then(output)
            },
        })
    }
}

fn output(payload: &Value) -> Option<OutputStatus> {
    let status = payload.get("outputs")?.as_array()?.first()?.get("status")?;
    Some(match status.as_str() {
        Some("connecting") => OutputStatus::Connecting,
        Some("publishing") => OutputStatus::Publishing,
        Some("onhold") => OutputStatus::OnHold,
        Some("disconnected") => OutputStatus::Disconnected,
        Some(_) | None => OutputStatus::Unknown,
    })
}
