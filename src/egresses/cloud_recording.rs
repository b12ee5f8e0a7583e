//! Cloud Recording in web mode: a resource is acquired, and a task is started on it (`agora.md §2, §3`).

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    EgressBackend, EgressFound, EgressStart, EgressStarted, EgressStopped, misused, unreadable,
};
use crate::config::{CloudRecordingSettings, Settings};
use crate::relay::{
    Backend, EgressCapabilities, EgressHandle, EgressReading, EgressRef, EgressSpec, Hint, Notice,
    Prepare, ResourceTag, Spec, Subject,
};
use crate::vendors::agora::Agora;
use crate::vendors::agora::cloud_recording::{
    OutputStatus, RecordingQueryAnswer, RecordingStartAnswer, RecordingStartRequest,
    RecordingStopAnswer, RecordingTask, RecordingTaskStatus, RecordingUpdateAnswer,
};
use crate::vendors::agora::page::{Links, PageClaims, Ready};
use crate::vendors::governor::PermitRequest;
use crate::vendors::{Class, VendorError, number, text};

pub(super) const NAME: &str = "cloud_recording";
/// A task must start within 2 s of its acquire (`agora.md §2.3`).
const FRESH: Duration = Duration::from_millis(1500);
/// A resource lives 5 minutes (`agora.md §2.3`), less a margin.
const LIFE: Duration = Duration::from_secs(270);
/// Failed starts until the next gets a new resource.
const STARTS_PER_RESOURCE: u32 = 3;
/// The maximum: Agora ends the task after two misses, so a seller has two minutes (`agora.md §3.7`).
const READY_TIMEOUT_SECONDS: u32 = 60;
/// With a longer `live_timeout` the page reports ready on joining: two missed `readyTimeout`s of 60 s end the task
/// (`agora.md §3.7`).
const READY_AT_FIRST_FRAME: Duration = Duration::from_secs(120);
/// How long an egress may outlive the relay's own limits.
const RECORDING_MARGIN: Duration = Duration::from_secs(600);

#[derive(Debug, Serialize, Deserialize)]
struct Options {
    /// A task's uid is this plus its attempt: unique to the attempt, and the same in all its calls (`agora.md §8.1`).
    recording_uid_base: u32,
    /// The recorder page, without its query.
    page_url: String,
    max_recording_hours: u32,
    /// Whether the page reports ready at the seller's first frame, or on joining.
    ready_at_first_frame: bool,
}

/// A preparation.
#[derive(Debug, Serialize, Deserialize)]
struct Resource {
    resource_id: String,
    recording_uid: u32,
}

/// A handle.
#[derive(Debug, Serialize, Deserialize)]
struct Session {
    sid: String,
}

#[derive(Debug)]
pub(super) struct CloudRecordingEgress {
    agora: Agora,
    links: Option<Links>,
    settings: CloudRecordingSettings,
    page_url: String,
}

impl CloudRecordingEgress {
    pub(super) fn new(settings: &Settings, agora: &Agora, links: Option<&Links>) -> Self {
        let recording = &settings.agora.cloud_recording;
        let public_url = settings.server.public_url.trim_end_matches('/');
        Self {
            agora: agora.clone(),
            links: links.cloned(),
            page_url: match recording.page_url.as_str() {
                "" => format!("{public_url}/recorder"),
                page => page.to_owned(),
            },
            settings: recording.clone(),
        }
    }
}

#[async_trait]
impl EgressBackend for CloudRecordingEgress {
    fn name(&self) -> &'static str {
        NAME
    }

    fn spec(&self, live_timeout: Duration, max_duration: Duration) -> EgressSpec {
        let longest = live_timeout
            .saturating_add(max_duration)
            .saturating_add(RECORDING_MARGIN);
        let hours = u32::try_from(longest.as_secs().div_ceil(3600)).unwrap_or(u32::MAX);
        let max_recording_hours = hours.min(self.settings.max_recording_hours).max(1);
        let options = Options {
            recording_uid_base: self.settings.recording_uid_base,
            page_url: self.page_url.clone(),
            max_recording_hours,
            ready_at_first_frame: live_timeout <= READY_AT_FIRST_FRAME,
        };
        EgressSpec {
            backend: Backend::new(NAME, &options),
            capabilities: EgressCapabilities {
                prepare: Some(Prepare {
                    fresh: FRESH,
                    life: LIFE,
                    starts: STARTS_PER_RESOURCE,
                }),
                updates: true,
                max_hours: Some(max_recording_hours),
            },
        }
    }

    fn notice(&self, event: &Value) -> Option<Notice> {
        notice(event)
    }

    fn query_interval(&self) -> Duration {
        self.settings.query_interval
    }

    fn rate(&self) -> f64 {
        let [recording, _, _] = self.agora.rates();
        recording
    }

    fn max_concurrent(&self) -> (&'static str, u32) {
        let limit = self.settings.max_concurrent;
        ("agora.cloud_recording.max_concurrent", limit)
    }

    fn max_hours(&self) -> Option<u32> {
        Some(self.settings.max_recording_hours)
    }

    /// Acquires a resource, and the governor's permit for the start. The resource must outlive `maxRecordingHour`
    /// (`agora.md §2.2, §3.8`).
    async fn prepare(
        &self,
        permit: PermitRequest,
        spec: &Spec,
        attempt: u32,
    ) -> Result<EgressHandle, VendorError> {
        let options: Options = options(&spec.egress.backend)?;
        let cname = spec.tag(attempt).to_string();
        let recording_uid = options.recording_uid_base.saturating_add(attempt);
        let hours = options.max_recording_hours + 1;
        let recording = self.agora.cloud_recording();
        let acquired = recording.acquire(permit, &cname, recording_uid, hours);
        Ok(EgressHandle::new(&Resource {
            resource_id: acquired.await?,
            recording_uid,
        }))
    }

    async fn start(
        &self,
        permit: PermitRequest,
        start: EgressStart<'_>,
    ) -> Result<EgressStarted, VendorError> {
        let options: Options = options(&start.spec.egress.backend)?;
        let Some(preparation) = start.preparation else {
            return Err(misused("cloud_recording.start", "there is no resource"));
        };
        let resource: Resource = preparation.read().map_err(|error| unreadable(&error))?;
        let links = self.links.as_ref();
        let links = links.and_then(|links| links.on(&options.page_url).ok());
        let Some(links) = links else {
            return Err(misused(
                "cloud_recording.start",
                "the recorder's page has no address: set server.public_url",
            ));
        };
        let claims = PageClaims {
            relay: start.spec.relay_id,
            channel: start.spec.channel_name.clone(),
            seller_uid: start.spec.seller_uid,
            attempt: start.attempt,
        };
        let ready = match options.ready_at_first_frame {
            true => Ready::FirstFrame,
            false => Ready::Joined,
        };
        let request = RecordingStartRequest {
            resource_id: resource.resource_id,
            cname: start.spec.tag(start.attempt).to_string(),
            uid: resource.recording_uid,
            page_url: links.link(&claims, ready),
            rtmp_url: start.publish_url.clone(),
            max_recording_hours: options.max_recording_hours,
            ready_timeout_seconds: READY_TIMEOUT_SECONDS,
        };
        let started = self.agora.cloud_recording().start(permit, &request).await?;
        let session = |sid| EgressHandle::new(&Session { sid });
        Ok(match started {
            RecordingStartAnswer::Started { sid } => EgressStarted::Running(Some(session(sid))),
            RecordingStartAnswer::AlreadyStarted { sid } => {
                EgressStarted::Running(sid.map(session))
            }
            RecordingStartAnswer::Conflict => EgressStarted::Elsewhere,
            RecordingStartAnswer::ResourceExpired => EgressStarted::PreparationExpired,
        })
    }

    async fn poll(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressReading, VendorError> {
        let task = likely_task(egress)?;
        Ok(
            match self.agora.cloud_recording().query(permit, &task).await? {
                RecordingQueryAnswer::Found(status) => reading(&status),
                RecordingQueryAnswer::NotFound { .. } => EgressReading::NotFound,
            },
        )
    }

    async fn update(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
        publish_url: &SecretString,
    ) -> Result<(), VendorError> {
        let task = likely_task(egress)?;
        let recording = self.agora.cloud_recording();
        match recording.update(permit, &task, publish_url).await? {
            RecordingUpdateAnswer::Updated | RecordingUpdateAnswer::NotFound { .. } => Ok(()),
        }
    }

    async fn stop(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressStopped, VendorError> {
        let several = egress.preparations.len() > 1;
        for task in tasks(egress)? {
            match self.agora.cloud_recording().stop(permit, &task).await {
                Ok(RecordingStopAnswer::Stopped) => return Ok(EgressStopped::Stopped),
                Ok(RecordingStopAnswer::NotFound { .. }) => {}
                // 1003: the session belongs to another resource.
                Err(error) if error.class == Class::Rejected && several => {}
                Err(error) => return Err(error),
            }
        }
        Ok(EgressStopped::NotFound)
    }

    /// There is no list (`agora.md §2.4`). The task ends at `maxRecordingHour`.
    async fn find(
        &self,
        _permit: PermitRequest,
        _egress: &EgressRef,
    ) -> Result<EgressFound, VendorError> {
        Ok(EgressFound::Unlisted)
    }
}

fn options(backend: &Backend) -> Result<Options, VendorError> {
    backend.read().map_err(|error| unreadable(&error))
}

/// One for each resource that it may run on.
fn tasks(egress: &EgressRef) -> Result<Vec<RecordingTask>, VendorError> {
    let Some(handle) = &egress.handle else {
        return Err(misused("cloud_recording", "the session is unknown"));
    };
    let Session { sid } = handle.read().map_err(|error| unreadable(&error))?;
    let tasks = egress.preparations.iter().map(|preparation| {
        let resource: Resource = preparation.read().map_err(|error| unreadable(&error))?;
        Ok(RecordingTask {
            resource_id: resource.resource_id,
            sid: sid.clone(),
            cname: egress.tag.clone(),
            uid: resource.recording_uid,
        })
    });
    tasks.collect()
}

fn likely_task(egress: &EgressRef) -> Result<RecordingTask, VendorError> {
    let first = tasks(egress)?.into_iter().next();
    first.ok_or_else(|| misused("cloud_recording", "there is no resource"))
}

/// A task whose push failed keeps status 5, so its output decides.
fn reading(status: &RecordingTaskStatus) -> EgressReading {
    if status.recorder_exited {
        return EgressReading::Exited;
    }
    match status.output {
        Some(OutputStatus::Publishing) => EgressReading::Publishing,
        Some(OutputStatus::Disconnected) => EgressReading::Disconnected,
        Some(OutputStatus::Connecting | OutputStatus::OnHold | OutputStatus::Unknown) | None => {
            EgressReading::Connecting
        }
    }
}

fn notice(event: &Value) -> Option<Notice> {
    let kind = number(event, "/eventType")?;
    // Error, session exit, fail-over, page started, page stopped, push changed (`agora.md §6.5`).
    let is_known = matches!(kind, 1 | 11 | 12 | 70 | 71 | 100);
    if number(event, "/productId")? != 3 || !is_known {
        return None;
    }
    // The tag may be of another deployment or database.
    let tag: ResourceTag = text(event, "/payload/cname").parse().ok()?;
    let sid = text(event, "/payload/sid").to_owned();
    if sid.is_empty() {
        return None;
    }
    let hint = Hint::EgressNamed {
        tag: tag.to_string(),
        handle: EgressHandle::new(&Session { sid }),
    };
    Some(Notice {
        is_end: matches!(kind, 11 | 71),
        ..Notice::new(Subject::Tag(tag), hint)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TAG: &str = "shop_0a1b2c3d_0192f0c4000070008000000000000001_1";

    fn cloud_recording(event: i64, cname: &str, sid: &str) -> Value {
        json!({"noticeId": "n", "productId": 3, "eventType": event, "notifyMs": 1, "payload": {
            "cname": cname, "uid": "900000001", "sid": sid, "sequence": 0, "sendts": 1, "serviceType": 6,
            "details": {"msgName": "rtmp_publish_status", "rtmpUrl": "rtmps://x/live/key"}}})
    }

    #[test]
    fn a_session_is_one_task_for_each_resource_with_the_identity_of_its_acquire() {
        let resource = |id: &str| {
            EgressHandle::new(&Resource {
                resource_id: id.into(),
                recording_uid: 900_000_001,
            })
        };
        let mut egress = EgressRef {
            backend: Backend::new(NAME, &()),
            tag: "tag".into(),
            preparations: vec![resource("new"), resource("old")],
            handle: Some(EgressHandle::of_id("sid", "session")),
        };
        let task = |id: &str| RecordingTask {
            resource_id: id.into(),
            sid: "session".into(),
            cname: "tag".into(),
            uid: 900_000_001,
        };
        assert_eq!(tasks(&egress).unwrap(), [task("new"), task("old")]);
        assert_eq!(likely_task(&egress).unwrap(), task("new"));
        egress.handle = Some(EgressHandle::of_id("converter_id", "abc"));
        assert_eq!(tasks(&egress).unwrap_err().class, Class::Rejected);
    }

    #[test]
    fn an_event_of_an_egress_names_its_tag_and_session() {
        for event in [1, 11, 12, 70, 71, 100] {
            let hint = Hint::EgressNamed {
                tag: TAG.into(),
                handle: EgressHandle::of_id("sid", "s1"),
            };
            let expected = Notice {
                is_end: event == 11 || event == 71,
                ..Notice::new(Subject::Tag(TAG.parse().unwrap()), hint)
            };
            let found = notice(&cloud_recording(event, TAG, "s1"));
            assert_eq!(found, Some(expected), "{event}");
        }
        for event in [2, 4, 31, 40, 1001] {
            assert_eq!(notice(&cloud_recording(event, TAG, "s1")), None, "{event}");
        }
        assert_eq!(notice(&cloud_recording(70, "show68", "s1")), None);
        assert_eq!(notice(&cloud_recording(70, TAG, "")), None);
    }
}
