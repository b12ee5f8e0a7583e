//! Cloud Recording in web mode: a cloud browser opens a page and pushes what it shows (`agora.md §2, §3`).
//!
//! Nothing here is found again by listing (`agora.md §2.4`): the resource id must be stored before the start, and a start
//! whose answer was lost is looked up by the very same start again (`agora.md §8.4`).

mod body;
mod prepaid;
mod status;

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use prepaid::Prepaid;
pub use status::{OutputStatus, RecordingTaskStatus};

use super::answer::{self, Reply};
use super::encode;
use super::transport::{ProductClient, Repeat, Request};
use crate::config;
use crate::vendors::VendorError;
use crate::vendors::governor::PermitRequest;
use crate::vendors::number::whole;
use crate::vendors::redact::secret_part;

/// The API of one App ID. Clones share its budget.
#[derive(Debug, Clone)]
pub struct CloudRecording {
    client: ProductClient,
    base: Arc<str>,
    settings: Arc<config::CloudRecordingSettings>,
    prepaid: Prepaid,
}

/// What a start asks for. The same request makes the same bytes, as its repetition is the poll for a lost answer.
#[derive(Debug, Clone)]
pub struct RecordingStartRequest {
    /// From [`CloudRecording::acquire`]: good for 5 minutes and one egress, and best used within 2 s.
    pub resource_id: String,
    /// The egress's name, our tag. With `uid` it is the egress's identity.
    pub cname: String,
    /// The egress's uid, 1 to 2^32 - 1.
    pub uid: u32,
    /// The page to open; its query is a credential.
    pub page_url: SecretString,
    /// Where to push, stream key included (`agora.md §3.3`).
    pub rtmp_url: SecretString,
    /// `maxRecordingHour`, 1 to 720: nothing else stops a forgotten egress. The settings' ceiling is applied.
    pub max_recording_hours: u32,
    /// `readyTimeout`, 1 to 60: how long the page may take to call `notifyReady`, twice. 0: the egress does not wait.
    pub ready_timeout_seconds: u32,
}

/// What a start was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingStartAnswer {
    /// Accepted, which is not yet success: query it.
    Started {
        /// The egress's id; cannot be looked up later.
        sid: String,
    },
    /// 201/7: this resource id was started before.
    AlreadyStarted {
        /// Documented without one.
        sid: Option<String>,
    },
    /// 400/53: an egress with this cname and uid runs already, under another resource id.
    Conflict,
    /// 433, 432 or 1001: the resource id is older than 5 minutes, not of this cname and uid, or not known to who answered.
    /// This call did nothing; an earlier one with the same resource id may have.
    ResourceExpired,
}

/// An egress that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingTask {
    /// Its resource id.
    pub resource_id: String,
    /// Its id.
    pub sid: String,
    /// Its name, as at its start.
    pub cname: String,
    /// Its uid, as at its start.
    pub uid: u32,
}

/// What a query was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingQueryAnswer {
    /// It is there.
    Found(RecordingTaskStatus),
    /// 404: it ended, never really started, or is moved to another machine (up to 90 s).
    NotFound {
        /// Another domain than the first one said so.
        failed_over: bool,
    },
}

/// What an update was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingUpdateAnswer {
    /// Done.
    Updated,
    /// 404, as in [`RecordingQueryAnswer::NotFound`].
    NotFound {
        /// Another domain than the first one said so.
        failed_over: bool,
    },
}

/// What a stop was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingStopAnswer {
    /// It stops: 200, 206/435 (nothing was recorded), 400/49 (it was stopping).
    Stopped,
    /// 404, as in [`RecordingQueryAnswer::NotFound`].
    NotFound {
        /// Another domain than the first one said so, or an earlier attempt of this call may have arrived.
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
            prepaid: Prepaid::default(),
        }
    }

    /// Takes a resource id for (`cname`, `uid`): the right to start one egress, costing nothing (`agora.md §2.2`). Waits for
    /// *two* permits, its own and that of the start that follows within 2 s. `resource_expired_hours` (1 to 720) counts
    /// from the start; after it the egress can no longer be queried or stopped, so it must not be less than
    /// `max_recording_hours`.
    ///
    /// # Errors
    /// [`VendorError`]; [`Class::Quota`](crate::vendors::Class::Quota) when the account runs as many egresses as it may. Needs no poll: acquire again.
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
        let of_start = permit.split();
        let reply = self
            .client
            .exchange_with(permit, permit_request, &request)
            .await?;
        let resource_id = self.client.documented(
            &reply,
            "an acquire was answered without a resourceId",
            |body| answer::text(body.get("resourceId")),
        )?;
        self.prepaid.keep(&resource_id, of_start);
        Ok(resource_id)
    }

    /// Starts an egress (`agora.md §3.1`), with the permit that [`Self::acquire`] took for it.
    ///
    /// # Errors
    /// [`VendorError`]; [`Done::Unknown`](crate::vendors::Done::Unknown) after 62, 65, any 5xx, a timeout, a cut: start again with the same request.
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
        let permit = match self.prepaid.take(&start.resource_id) {
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
            // Whatever the status that carries them.
            (_, Some(432 | 433 | 1001), _) => Ok(RecordingStartAnswer::ResourceExpired),
            (_, Some(62 | 65), _) => Err(reply.refused()),
            (200 | 201, ..) => Err(reply.unexpected("a start was answered without a sid")),
            _ => Err(reply.refused()),
        };
        self.client.conclude(&reply, &answer);
        answer
    }

    /// Asks for an egress's state.
    ///
    /// # Errors
    /// [`VendorError`]: no reading at all.
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

    /// Makes an egress push elsewhere, or again to where it pushed. One at a time: wait for each answer (`agora.md §3.6`).
    ///
    /// # Errors
    /// [`VendorError`].
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

    /// Stops an egress without waiting for its uploads (`agora.md §2.6`).
    ///
    /// # Errors
    /// [`VendorError`]; [`Done::Unknown`](crate::vendors::Done::Unknown) after 206/65 and 504/62: stop again.
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

/// Whether it was the API's own 404, and then whether it came after a fail-over.
fn not_found(reply: &Reply) -> Option<bool> {
    reply.is_not_found().then_some(reply.failed_over)
}

/// Whether a body is one that update and stop are documented to answer: it names the session, or says how its services are,
/// and has no error code.
fn session(body: &Value) -> Option<()> {
    let names = |key| answer::text(body.get(key)).is_some();
    let shown = names("sid") || names("resourceId") || body.get("serverResponse")?.is_object();
    let failed = body
        .get("code")
        .and_then(whole)
        .is_some_and(|code| code != 0);
    (shown && !failed).then_some(())
}

/// The query of a URL.
fn query(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}
