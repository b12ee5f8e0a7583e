//! An egress's state, as a query tells it.

use serde_json::Value;

use super::super::answer::text;
use crate::vendors::number::whole;

/// How an egress is. Only `output` says whether it pushes: a task whose push is dead goes on with status 5 (`agora.md §3.5`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingTaskStatus {
    /// `serverResponse.status`: 4 and 5 are started, 7 stopped, 8 exited, 20 exited abnormally (`agora.md §2.5`).
    pub service_status: Option<i64>,
    /// The page's egress or the whole task is over, though it is still answered for.
    pub recorder_exited: bool,
    /// The push; none when the answer does not speak of it.
    pub output: Option<OutputStatus>,
}

/// How a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum OutputStatus {
    /// On its way.
    Connecting,
    /// Pushing.
    Publishing,
    /// Paused.
    OnHold,
    /// Cut off, or its service is over. Whether Agora tries again by itself is not documented.
    Disconnected,
    /// A word we do not know.
    Unknown,
}

impl RecordingTaskStatus {
    /// Reads a query's body. The order of the services is not promised: they are found by name.
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

/// The state of the one output a task may have.
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
