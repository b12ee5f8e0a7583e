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
use super::transport::{Line, Repeat, Request};
use crate::config;
use crate::vendors::VendorError;
use crate::vendors::governor::Caller;
use crate::vendors::number::whole;
use crate::vendors::redact::secret_part;

/// The API of one App ID. Clones share its budget.
#[derive(Debug, Clone)]
pub struct CloudRecording {
    line: Line,
    base: Arc<str>,
    settings: Arc<config::CloudRecordingSettings>,
    prepaid: Prepaid,
}

/// What a start asks for. The same request makes the same bytes, as its repetition is the poll for a lost answer.
#[derive(Debug, Clone)]
pub struct StartRequest {
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
pub enum StartAnswer {
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
pub enum QueryAnswer {
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
pub enum UpdateAnswer {
    /// Done.
    Updated,
    /// 404, as in [`QueryAnswer::NotFound`].
    NotFound {
        /// Another domain than the first one said so.
        failed_over: bool,
    },
}

/// What a stop was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopAnswer {
    /// It stops: 200, 206/435 (nothing was recorded), 400/49 (it was stopping).
    Stopped,
    /// 404, as in [`QueryAnswer::NotFound`].
    NotFound {
        /// Another domain than the first one said so, or an earlier attempt of this call may have arrived.
        failed_over: bool,
    },
}

impl CloudRecording {
    pub(super) fn new(line: Line, settings: &config::AgoraSettings) -> Self {
        let app_id = encode(&settings.app_id);
        Self {
            line,
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
        caller: Caller,
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
        let mut permit = self.line.permits(caller, 2, request.call).await?;
        let of_start = permit.split();
        let reply = self.line.exchange_with(permit, caller, &request).await?;
        let resource_id = self.line.documented(
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
        caller: Caller,
        start: &StartRequest,
    ) -> Result<StartAnswer, VendorError> {
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
            None => self.line.permits(caller, 1, request.call).await?,
        };
        let reply = self.line.exchange_with(permit, caller, &request).await?;
        let sid = answer::text(reply.json.get("sid"));
        let answer = match (reply.status, reply.code(), sid) {
            (200 | 201, Some(7), sid) => Ok(StartAnswer::AlreadyStarted { sid }),
            (201, _, Some(sid)) => Ok(StartAnswer::AlreadyStarted { sid: Some(sid) }),
            (200, _, Some(sid)) => Ok(StartAnswer::Started { sid }),
            (400, Some(53), _) => Ok(StartAnswer::Conflict),
            // Whatever the status that carries them.
            (_, Some(432 | 433 | 1001), _) => Ok(StartAnswer::ResourceExpired),
            (_, Some(62 | 65), _) => Err(reply.refused()),
            (200 | 201, ..) => Err(reply.unexpected("a start was answered without a sid")),
            _ => Err(reply.refused()),
        };
        self.line.conclude(&reply, &answer);
        answer
    }

    /// Asks for an egress's state.
    ///
    /// # Errors
    /// [`VendorError`]: no reading at all.
    pub async fn query(
        &self,
        caller: Caller,
        task: &RecordingTask,
    ) -> Result<QueryAnswer, VendorError> {
        let request = Request::read("cloud_recording.query", self.path(task, "query"));
        let reply = self.line.exchange(caller, &request).await?;
        if let Some(failed_over) = not_found(&reply) {
            return Ok(QueryAnswer::NotFound { failed_over });
        }
        let missing = "a query was answered without a serverResponse";
        let status = self
            .line
            .documented(&reply, missing, RecordingTaskStatus::read)?;
        Ok(QueryAnswer::Found(status))
    }

    /// Makes an egress push elsewhere, or again to where it pushed. One at a time: wait for each answer (`agora.md §3.6`).
    ///
    /// # Errors
    /// [`VendorError`].
    pub async fn update(
        &self,
        caller: Caller,
        task: &RecordingTask,
        rtmp_url: &SecretString,
    ) -> Result<UpdateAnswer, VendorError> {
        let request = Request::post(
            "cloud_recording.update",
            self.path(task, "update"),
            &body::update(task, rtmp_url),
            Repeat::Never,
            vec![secret_part(rtmp_url.expose_secret())],
        )?;
        let reply = self.line.exchange(caller, &request).await?;
        if let Some(failed_over) = not_found(&reply) {
            return Ok(UpdateAnswer::NotFound { failed_over });
        }
        self.line
            .documented(&reply, "an update was answered without a session", session)?;
        Ok(UpdateAnswer::Updated)
    }

    /// Stops an egress without waiting for its uploads (`agora.md §2.6`).
    ///
    /// # Errors
    /// [`VendorError`]; [`Done::Unknown`](crate::vendors::Done::Unknown) after 206/65 and 504/62: stop again.
    pub async fn stop(
        &self,
        caller: Caller,
        task: &RecordingTask,
    ) -> Result<StopAnswer, VendorError> {
        let request = Request::post(
            "cloud_recording.stop",
            self.path(task, "stop"),
            &body::stop(task),
            Repeat::Harmless,
            Vec::new(),
        )?;
        let reply = self.line.exchange(caller, &request).await?;
        if let Some(failed_over) = not_found(&reply) {
            return Ok(StopAnswer::NotFound { failed_over });
        }
        if let (206, Some(435)) | (400, Some(49)) = (reply.status, reply.code()) {
            return Ok(StopAnswer::Stopped);
        }
        self.line
            .documented(&reply, "a stop was answered without a session", session)?;
        Ok(StopAnswer::Stopped)
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
