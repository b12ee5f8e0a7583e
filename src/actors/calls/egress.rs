//! Calls on the egress: Cloud Recording or Media Push.

use secrecy::ExposeSecret;

use super::{VendorCalls, failure, permit_request, start_permit_request};
use crate::relay::{Answer, Backend, Class, CloudTask, Durable, EgressReading, EgressRef, Failure};
use crate::vendors::agora::cloud_recording::{
    OutputStatus, RecordingQueryAnswer, RecordingStartAnswer, RecordingStartRequest,
    RecordingStopAnswer, RecordingTask, RecordingTaskStatus, RecordingUpdateAnswer,
};
use crate::vendors::agora::media_push::{
    ConverterState, CreateAnswer, DeleteAnswer, GetAnswer, NewConverter,
};
use crate::vendors::agora::page::{PageClaims, Ready};
use crate::vendors::governor::Priority;

/// The maximum: Agora ends the task after two misses, so a seller has two minutes (`agora.md §3.7`).
const READY_TIMEOUT_SECONDS: u32 = 60;

impl VendorCalls {
    pub(super) async fn acquire(&self, durable: &Durable, attempt: u32) -> Result<Answer, Failure> {
        let (cname, uid) = identity(durable, attempt)?;
        let hours = match &durable.spec.backend {
            Backend::CloudRecording {
                max_recording_hours,
                ..
            } => *max_recording_hours,
            Backend::MediaPush { .. } => 0,
        };
        // The resource must outlive `maxRecordingHour` (`agora.md §2.2, §3.8`).
        let made = self
            .vendors
            .agora
            .cloud_recording()
            .acquire(start_permit_request(durable), &cname, uid, hours + 1)
            .await;
        Ok(Answer::Acquired {
            resource_id: made.map_err(failure)?,
        })
    }

    pub(super) async fn start_egress(
        &self,
        durable: &Durable,
        attempt: u32,
        resource_id: String,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let (cname, uid) = identity(durable, attempt)?;
        let Backend::CloudRecording {
            page_url,
            max_recording_hours,
            ready_at_first_frame,
            ..
        } = &durable.spec.backend
        else {
            return Err(wrong_backend("cloud_recording.start"));
        };
        let links = self
            .vendors
            .links
            .as_ref()
            .and_then(|links| links.on(page_url).ok());
        let Some(links) = links else {
            return Err(Failure {
                message: "the recorder's page has no address: set server.public_url".into(),
                ..wrong_backend("cloud_recording.start")
            });
        };
        let claims = PageClaims {
            relay: durable.spec.relay_id,
            channel: durable.spec.channel_name.clone(),
            seller_uid: durable.spec.seller_uid,
            attempt,
        };
        let ready = if *ready_at_first_frame {
            Ready::FirstFrame
        } else {
            Ready::Joined
        };
        let permit = start_permit_request(durable);
        let request = RecordingStartRequest {
            resource_id,
            cname,
            uid,
            page_url: links.link(&claims, ready),
            rtmp_url: self.publish_url(ingest, permit).await?,
            max_recording_hours: *max_recording_hours,
            ready_timeout_seconds: READY_TIMEOUT_SECONDS,
        };
        let started = self
            .vendors
            .agora
            .cloud_recording()
            .start(permit, &request)
            .await;
        Ok(match started.map_err(failure)? {
            RecordingStartAnswer::Started { sid } => Answer::EgressRunning { sid: Some(sid) },
            RecordingStartAnswer::AlreadyStarted { sid } => Answer::EgressRunning { sid },
            RecordingStartAnswer::Conflict => Answer::EgressElsewhere,
            RecordingStartAnswer::ResourceExpired => Answer::ResourceExpired,
        })
    }

    /// Adopts a converter of the same name if it pushes this channel to this ingest; otherwise deletes it to free the name.
    pub(super) async fn create_converter(
        &self,
        durable: &Durable,
        attempt: u32,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let Backend::MediaPush { region } = &durable.spec.backend else {
            return Err(wrong_backend("rtmp_converters.create"));
        };
        let permit = start_permit_request(durable);
        let rtmp_url = self.publish_url(ingest, permit).await?;
        let new = NewConverter {
            name: durable.spec.tag(attempt).to_string(),
            channel: durable.spec.channel_name.clone(),
            seller_uid: durable.spec.seller_uid,
            rtmp_url: rtmp_url.clone(),
            idle_timeout: self.vendors.settings.agora.media_push.idle_timeout,
            region: region.clone(),
        };
        let media_push = self.vendors.agora.media_push();
        let taken = match media_push.create(permit, &new).await.map_err(failure)? {
            CreateAnswer::Created {
                converter_id,
                state: _,
            } => return Ok(Answer::ConverterRunning { converter_id }),
            CreateAnswer::NameTaken { converter_id } => converter_id,
        };
        let taken = match taken {
            Some(id) => match media_push.get(permit, region, &id).await.map_err(failure)? {
                GetAnswer::Found(converter) => Some(converter),
                GetAnswer::NotFound { .. } => None,
            },
            None => {
                let list = media_push
                    .list_channel(permit, &new.channel)
                    .await
                    .map_err(failure)?;
                list.converters
                    .into_iter()
                    .find(|converter| converter.name.as_ref() == Some(&new.name))
            }
        };
        let Some(taken) = taken else {
            return Err(name_taken(
                "a converter with this name exists but cannot be found",
            ));
        };
        let same_target = taken
            .rtmp_url
            .as_ref()
            .is_none_or(|url| url.expose_secret() == rtmp_url.expose_secret());
        let same_channel = taken
            .channel
            .as_ref()
            .is_none_or(|channel| *channel == new.channel);
        if same_target && same_channel {
            return Ok(Answer::ConverterRunning {
                converter_id: taken.id,
            });
        }
        media_push
            .delete(permit, region, &taken.id)
            .await
            .map_err(failure)?;
        Err(name_taken(
            "a converter with this name pushed elsewhere; it was deleted",
        ))
    }

    pub(super) async fn update_egress(
        &self,
        egress: EgressRef,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Recover);
        let EgressRef::CloudRecording(task) = egress else {
            return Ok(Answer::Updated);
        };
        let rtmp_url = self.publish_url(ingest, permit).await?;
        let updated = self
            .vendors
            .agora
            .cloud_recording()
            .update(permit, &task.into(), &rtmp_url)
            .await;
        match updated.map_err(failure)? {
            RecordingUpdateAnswer::Updated | RecordingUpdateAnswer::NotFound { .. } => {
                Ok(Answer::Updated)
            }
        }
    }

    pub(super) async fn stop_egress(&self, egress: EgressRef) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Stop);
        match egress {
            EgressRef::CloudRecording(task) => {
                let stopped = self
                    .vendors
                    .agora
                    .cloud_recording()
                    .stop(permit, &task.into())
                    .await;
                Ok(match stopped.map_err(failure)? {
                    RecordingStopAnswer::Stopped => Answer::Stopped,
                    RecordingStopAnswer::NotFound { .. } => Answer::NotFound,
                })
            }
            EgressRef::MediaPush {
                converter_id,
                region,
            } => {
                let deleted = self
                    .vendors
                    .agora
                    .media_push()
                    .delete(permit, &region, &converter_id)
                    .await;
                Ok(match deleted.map_err(failure)? {
                    DeleteAnswer::Deleted => Answer::Stopped,
                    DeleteAnswer::NotFound { .. } => Answer::NotFound,
                })
            }
        }
    }

    pub(super) async fn poll_egress(&self, egress: EgressRef) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Recover);
        let reading = match egress {
            EgressRef::CloudRecording(task) => {
                let answer = self
                    .vendors
                    .agora
                    .cloud_recording()
                    .query(permit, &task.into())
                    .await;
                match answer.map_err(failure)? {
                    RecordingQueryAnswer::Found(status) => reading(&status),
                    RecordingQueryAnswer::NotFound { .. } => EgressReading::NotFound,
                }
            }
            EgressRef::MediaPush {
                converter_id,
                region,
            } => {
                let answer = self
                    .vendors
                    .agora
                    .media_push()
                    .poll(permit, &region, &converter_id)
                    .await;
                match answer.map_err(failure)? {
                    GetAnswer::Found(converter) => match converter.state {
                        ConverterState::Running => EgressReading::Publishing,
                        ConverterState::Failed => EgressReading::Failed,
                        ConverterState::Connecting
                        | ConverterState::Other(_)
                        | ConverterState::Absent => EgressReading::Connecting,
                    },
                    GetAnswer::NotFound { .. } => EgressReading::NotFound,
                }
            }
        };
        Ok(Answer::Egress(reading))
    }
}

impl From<CloudTask> for RecordingTask {
    fn from(task: CloudTask) -> Self {
        Self {
            resource_id: task.resource_id,
            sid: task.sid,
            cname: task.cname,
            uid: task.uid,
        }
    }
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

/// Unique to the attempt, and the same in all its calls.
fn identity(durable: &Durable, attempt: u32) -> Result<(String, u32), Failure> {
    let uid = durable
        .egress_uid(attempt)
        .ok_or_else(|| wrong_backend("cloud_recording.acquire"))?;
    Ok((durable.spec.tag(attempt).to_string(), uid))
}

fn wrong_backend(call: &str) -> Failure {
    Failure {
        vendor: "agora".into(),
        call: call.into(),
        class: Class::Rejected,
        maybe_done: false,
        status: None,
        message: "the call does not fit the relay's backend".into(),
        retry_after_ms: None,
    }
}

/// The name may be free at the next try.
fn name_taken(message: &str) -> Failure {
    Failure {
        class: Class::Unavailable,
        message: message.into(),
        maybe_done: true,
        ..wrong_backend("rtmp_converters.create")
    }
}
