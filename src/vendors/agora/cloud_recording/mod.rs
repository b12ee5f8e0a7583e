//! Cloud Recording in web mode: a cloud browser opens a page and pushes it (`agora.md §2, §3`).
//!
//! There is no list (`agora.md §2.4`): store the resource id before the start. If a start's answer is lost, the same
//! start again finds the task (`agora.md §8.4`).

mod body;
mod start_permits;
mod status;

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use start_permits::StartPermits;
pub use status::{OutputStatus, RecordingTaskStatus};

use super::answer::{self, Reply};
use super::encode;
use super::transport::{ProductClient, Repeat, Request};
use crate::config;
use crate::vendors::VendorError;
use crate::vendors::governor::PermitRequest;
use crate::vendors::number::whole;
use crate::vendors::redact::secret_part;

/// The API of one App ID.
#[derive(Debug, Clone)]
pub struct CloudRecording {
    client: ProductClient,
    base: Arc<str>,
    settings: Arc<config::CloudRecordingSettings>,
    start_permits: StartPermits,
}

/// A start. A repeat must send the same bytes.
#[derive(Debug, Clone)]
pub struct RecordingStartRequest {
    /// From [`CloudRecording::acquire`]: valid for 5 minutes and one egress, best used within 2 s.
    pub resource_id: String,
    /// The egress's name: our tag.
    pub cname: String,
    /// With `cname` it identifies the egress; 1 to 2^32 - 1.
    pub uid: u32,
    /// The page to open; its query is a credential.
    pub page_url: SecretString,
    /// The publish URL, with the stream key (`agora.md §3.3`).
    pub rtmp_url: SecretString,
    /// `maxRecordingHour`, 1 to 720, capped by the settings: nothing else stops a forgotten egress.
    pub max_recording_hours: u32,
    /// `readyTimeout`, 1 to 60 s: how long the page may take to call `notifyReady`, twice. 0: do not wait.
    pub ready_timeout_seconds: u32,
}

/// The answer to a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingStartAnswer {
    /// Accepted, which is not yet success: query it.
    Started {
        /// The egress's id; it cannot be looked up later.
        sid: String,
    },
    /// 201/7: this resource id was started before.
    AlreadyStarted {
        /// The egress's id; not documented.
        sid: Option<String>,
    },
    /// 400/53: an egress with this cname and uid runs under another resource id.
    Conflict,
    /// 433, 432 or 1001: the resource id is expired, foreign or unknown. An earlier call with it may have started an
    /// egress.
    ResourceExpired,
}

/// A started egress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingTask {
    /// The resource id.
    pub resource_id: String,
    /// The egress's id.
    pub sid: String,
    /// The cname of the start.
    pub cname: String,
    /// The uid of the start.
    pub uid: u32,
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingQueryAnswer {
    /// The egress exists.
    Found(RecordingTaskStatus),
    /// 404: it ended, never started, or is moving to another machine (up to 90 s).
    NotFound {
        /// A fallback domain answered.
        failed_over: bool,
    },
}

/// The answer to an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingUpdateAnswer {
    /// The egress pushes to the new URL.
    Updated,
    /// As [`RecordingQueryAnswer::NotFound`].
    NotFound {
        /// A fallback domain answered.
        failed_over: bool,
    },
}

/// The answer to a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingStopAnswer {
    /// It stops: 200, 206/435 (nothing was recorded), 400/49 (it was stopping).
    Stopped,
    /// As [`RecordingQueryAnswer::NotFound`].
    NotFound {
        /// A fallback domain answered, or an earlier attempt may have arrived.
        failed_over: bool,
    },
}

impl CloudRecording {
    pub(super) fn new(client: ProductClient, settings: &config::AgoraSettings) -> Self {
        let app_id = encode(&settings.app_id);
        Self {
            client,
            base: format!("/v1/apps/{app_id}/cloud_recording").into(),
            settings: Arc::new(settings.cloud_recording.clone()),
            start_permits: StartPermits::default(),
        }
    }

    /// Acquires a resource id: the free right to start one egress (`agora.md §2.2`). Takes two permits, its own and the
    /// start's. `resource_expired_hours` (1 to 720) counts from the start; afterwards the egress cannot be queried or
    /// stopped, so it must be at least `max_recording_hours`.
    ///
    /// # Errors
    /// [`Class::Quota`](crate::vendors::Class::Quota) at the account's limit of egresses. Acquire again after any
    /// error.
    pub async fn acquire(
        &self,
        permit_request: PermitRequest,
        cname: &str,
        uid: u32,
        resource_expired_hours: u32,
    ) -> Result<String, VendorError> {
        let request = Request::post(
            "cloud_recording.acquire",
            format!("{}/acquire", self.base),
            &body::acquire(cname, uid, resource_expired_hours),
            Repeat::Harmless,
            Vec::new(),
        )?;
        let mut permit = self.client.permits(permit_request, 2, request.call).await?;
        let start_permit = permit.split();
        let reply = self
            .client
            .exchange_with(permit, permit_request, &request)
            .await?;
        let resource_id = self.client.documented(
            &reply,
            "an acquire was answered without a resourceId",
            |body| answer::text(body.get("resourceId")),
        )?;
        self.start_permits.keep(&resource_id, start_permit);
        Ok(resource_id)
    }

    /// Starts an egress (`agora.md §3.1`) with the permit that [`Self::acquire`] took.
    pub async fn start(
        &self,
        permit_request: PermitRequest,
        start: &RecordingStartRequest,
    ) -> Result<RecordingStartAnswer, VendorError> {
        let request = Request::post(
            "cloud_recording.start",
            format!(
                "{}/resourceid/{}/mode/web/start",
                self.base,
                encode(&start.resource_id)
            ),
            &body::start(start, &self.settings),
            Repeat::Never,
            vec![
                secret_part(start.rtmp_url.expose_secret()),
                query(start.page_url.expose_secret()),
            ],
        )?;
        let permit = match self.start_permits.take(&start.resource_id) {
            Some(permit) => permit,
            None => self.client.permits(permit_request, 1, request.call).await?,
        };
        let reply = self
            .client
            .exchange_with(permit, permit_request, &request)
            .await?;
        let sid = answer::text(reply.json.get("sid"));
        let answer = match (reply.status, reply.code(), sid) {
            (200 | 201, Some(7), sid) => Ok(RecordingStartAnswer::AlreadyStarted { sid }),
            (201, _, Some(sid)) => Ok(RecordingStartAnswer::AlreadyStarted { sid: Some(sid) }),
            (200, _, Some(sid)) => Ok(RecordingStartAnswer::Started { sid }),
            (400, Some(53), _) => Ok(RecordingStartAnswer::Conflict),
            // With any status.
            (_, Some(432 | 433 | 1001), _) => Ok(RecordingStartAnswer::ResourceExpired),
            (_, Some(62 | 65), _) => Err(reply.refused()),
            (200 | 201, ..) => Err(reply.unexpected("a start was answered without a sid")),
            _ => Err(reply.refused()),
        };
        self.client.conclude(&reply, &answer);
        answer
    }

    /// Queries an egress.
    pub async fn query(
        &self,
        permit_request: PermitRequest,
        task: &RecordingTask,
    ) -> Result<RecordingQueryAnswer, VendorError> {
        let request = Request::read("cloud_recording.query", self.path(task, "query"));
        let reply = self.client.exchange(permit_request, &request).await?;
        if let Some(failed_over) = not_found(&reply) {
            return Ok(RecordingQueryAnswer::NotFound { failed_over });
        }
        let missing = "a query was answered without a serverResponse";
        let status = self
            .client
            .documented(&reply, missing, RecordingTaskStatus::read)?;
        Ok(RecordingQueryAnswer::Found(status))
    }

    /// Makes an egress push to another URL, or again to the same. Wait for each answer (`agora.md §3.6`).
    pub async fn update(
        &self,
        permit_request: PermitRequest,
        task: &RecordingTask,
        rtmp_url: &SecretString,
    ) -> Result<RecordingUpdateAnswer, VendorError> {
        let request = Request::post(
            "cloud_recording.update",
            self.path(task, "update"),
            &body::update(task, rtmp_url),
            Repeat::Never,
            vec![secret_part(rtmp_url.expose_secret())],
        )?;
        let reply = self.client.exchange(permit_request, &request).await?;
        if let Some(failed_over) = not_found(&reply) {
            return Ok(RecordingUpdateAnswer::NotFound { failed_over });
        }
        self.client
            .documented(&reply, "an update was answered without a session", session)?;
        Ok(RecordingUpdateAnswer::Updated)
    }

    /// Stops an egress without waiting for its uploads (`agora.md §2.6`). Stop again after an error.
    pub async fn stop(
        &self,
        permit_request: PermitRequest,
        task: &RecordingTask,
    ) -> Result<RecordingStopAnswer, VendorError> {
        let request = Request::post(
            "cloud_recording.stop",
            self.path(task, "stop"),
            &body::stop(task),
            Repeat::Harmless,
            Vec::new(),
        )?;
        let reply = self.client.exchange(permit_request, &request).await?;
        if let Some(failed_over) = not_found(&reply) {
            return Ok(RecordingStopAnswer::NotFound { failed_over });
        }
        if let (206, Some(435)) | (400, Some(49)) = (reply.status, reply.code()) {
            return Ok(RecordingStopAnswer::Stopped);
        }
        self.client
            .documented(&reply, "a stop was answered without a session", session)?;
        Ok(RecordingStopAnswer::Stopped)
    }

    fn path(&self, task: &RecordingTask, call: &str) -> String {
        format!(
            "{}/resourceid/{}/sid/{}/mode/web/{call}",
            self.base,
            encode(&task.resource_id),
            encode(&task.sid)
        )
    }
}

/// `failed_over` of a 404.
fn not_found(reply: &Reply) -> Option<bool> {
    reply.is_not_found().then_some(reply.failed_over)
}

/// Accepts a documented answer to update or stop: it names the session or its services, and has no error code.
fn session(body: &Value) -> Option<()> {
    let names = |key| answer::text(body.get(key)).is_some();
    let shown = names("sid") || names("resourceId") || body.get("serverResponse")?.is_object();
    let failed = body
        .get("code")
        .and_then(whole)
        .is_some_and(|code| code != 0);
    (shown && !failed).then_some(())
}

fn query(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}
