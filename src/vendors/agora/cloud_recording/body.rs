//! Request bodies of Cloud Recording. Field order is fixed: the same request must make the same bytes.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::{RecordingStartRequest, RecordingTask};
use crate::config;

const SCENE_WEB_PAGE: u32 = 1;

/// 48 kHz mono, about 128 kbit/s.
const AUDIO_PROFILE: u32 = 1;

/// `agora.md §2.8`: the joined length of `fileNamePrefix`.
const PREFIX_LENGTH: usize = 128;

/// The first folder of uploads.
const PREFIX: &str = "relaykeeper";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestBody<'a, T> {
    cname: &'a str,
    uid: String,
    client_request: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AcquireResource {
    scene: u32,
    resource_expired_hour: u32,
}

pub(super) fn acquire(cname: &str, uid: u32, hours: u32) -> RequestBody<'_, AcquireResource> {
    RequestBody {
        cname,
        uid: uid.to_string(),
        client_request: AcquireResource {
            scene: SCENE_WEB_PAGE,
            resource_expired_hour: hours.clamp(1, 720),
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartTask<'a> {
    extension_service_config: ExtensionServiceConfig<'a>,
    recording_file_config: RecordingFileConfig,
    storage_config: StorageConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtensionServiceConfig<'a> {
    error_handle_policy: &'static str,
    extension_services: (
        ExtensionService<WebRecorder<'a>>,
        ExtensionService<RtmpPublish<'a>>,
    ),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtensionService<P> {
    service_name: &'static str,
    error_handle_policy: &'static str,
    service_param: P,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebRecorder<'a> {
    url: &'a str,
    audio_profile: u32,
    video_width: u32,
    video_height: u32,
    video_fps: u32,
    video_bitrate: u32,
    max_recording_hour: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_timeout: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RtmpPublish<'a> {
    outputs: [RtmpOutput<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RtmpOutput<'a> {
    rtmp_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordingFileConfig {
    av_file_type: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageConfig<'a> {
    vendor: u32,
    region: u32,
    bucket: &'a str,
    access_key: &'a str,
    secret_key: &'a str,
    file_name_prefix: [String; 2],
}

/// `errorHandlePolicy` takes only these values (`agora.md §3.1`): a dead page ends the task, a dead push does not.
pub(super) fn start<'a>(
    start: &'a RecordingStartRequest,
    settings: &'a config::CloudRecordingSettings,
) -> RequestBody<'a, StartTask<'a>> {
    let video = &settings.video;
    let storage = &settings.storage;
    let hours = start.max_recording_hours.min(settings.max_recording_hours);
    RequestBody {
        cname: &start.cname,
        uid: start.uid.to_string(),
        client_request: StartTask {
            extension_service_config: ExtensionServiceConfig {
                error_handle_policy: "error_abort",
                extension_services: (
                    ExtensionService {
                        service_name: "web_recorder_service",
                        error_handle_policy: "error_abort",
                        service_param: WebRecorder {
                            url: start.page_url.expose_secret(),
                            audio_profile: AUDIO_PROFILE,
                            video_width: video.width,
                            video_height: video.height,
                            video_fps: video.frame_rate,
                            video_bitrate: video.bitrate_kbps,
                            max_recording_hour: hours.clamp(1, 720),
                            ready_timeout: (start.ready_timeout_seconds > 0)
                                .then(|| start.ready_timeout_seconds.min(60)),
                        },
                    },
                    ExtensionService {
                        service_name: "rtmp_publish_service",
                        error_handle_policy: "error_ignore",
                        service_param: outputs(&start.rtmp_url),
                    },
                ),
            },
            recording_file_config: RecordingFileConfig {
                av_file_type: ["hls"],
            },
            storage_config: StorageConfig {
                vendor: storage.vendor,
                region: storage.region,
                bucket: &storage.bucket,
                access_key: storage.access_key.expose_secret(),
                secret_key: storage.secret_key.expose_secret(),
                file_name_prefix: [PREFIX.into(), alphanumeric(&start.cname)],
            },
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateTask<'a> {
    rtmp_publish_config: RtmpPublish<'a>,
}

pub(super) fn update<'a>(
    task: &'a RecordingTask,
    rtmp_url: &'a SecretString,
) -> RequestBody<'a, UpdateTask<'a>> {
    envelope(
        task,
        UpdateTask {
            rtmp_publish_config: outputs(rtmp_url),
        },
    )
}

#[derive(Serialize)]
pub(super) struct StopTask {
    async_stop: bool,
}

pub(super) fn stop(task: &RecordingTask) -> RequestBody<'_, StopTask> {
    envelope(task, StopTask { async_stop: true })
}

fn envelope<T>(task: &RecordingTask, client_request: T) -> RequestBody<'_, T> {
    RequestBody {
        cname: &task.cname,
        uid: task.uid.to_string(),
        client_request,
    }
}

fn outputs(rtmp_url: &SecretString) -> RtmpPublish<'_> {
    RtmpPublish {
        outputs: [RtmpOutput {
            rtmp_url: rtmp_url.expose_secret(),
        }],
    }
}

/// A part of a file name may contain only [A-Za-z0-9].
fn alphanumeric(cname: &str) -> String {
    cname
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(PREFIX_LENGTH - PREFIX.len())
        .collect()
}
