//! Request bodies of Media Push: a converter whose stream platforms accept (`agora.md §4.3, §4.4, §4.12`).

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::NewConverter;
use crate::config::{self, MediaPushMode};

/// In kbit/s.
const AUDIO_BITRATE: u32 = 128;

/// The least audio and video together that every platform accepts, in kbit/s.
const MIN_BITRATE: u32 = 2_000;

/// The least time between key frames that every platform accepts.
const SHORTEST_GOP_SECONDS: u32 = 2;

/// Agora's limit for video, in kbit/s.
const MAX_BITRATE: u32 = 10_000;

#[derive(Serialize)]
pub(super) struct CreateBody<'a> {
    converter: ConverterBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConverterBody<'a> {
    name: &'a str,
    #[serde(flatten)]
    source: StreamOptions<'a>,
    rtmp_url: &'a str,
    /// Seconds. One of two documented spellings (`agora.md §4.8`): read it back.
    idle_timeout: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum StreamOptions<'a> {
    TranscodeOptions(Transcode<'a>),
    RawOptions(Raw<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    rtc_channel: &'a str,
    rtc_stream_uid: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Transcode<'a> {
    rtc_channel: &'a str,
    audio_options: AudioProfile,
    video_options: VideoProfile,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AudioProfile {
    codec_profile: &'static str,
    sample_rate: u32,
    bitrate: u32,
    audio_channels: u32,
    rtc_stream_uids: [u32; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VideoProfile {
    canvas: Canvas,
    layout_type: u32,
    layout: [Layout; 1],
    codec: &'static str,
    codec_profile: &'static str,
    frame_rate: u32,
    gop: u32,
    bitrate: u32,
}

#[derive(Serialize)]
struct Canvas {
    width: u32,
    height: u32,
    color: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    rtc_stream_uid: u32,
    region: Region,
    fill_mode: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    x_pos: u32,
    y_pos: u32,
    z_index: u32,
    width: u32,
    height: u32,
}

pub(super) fn create<'a>(
    new: &'a NewConverter,
    settings: &config::MediaPushSettings,
) -> CreateBody<'a> {
    let source = match settings.mode {
        MediaPushMode::Raw => StreamOptions::RawOptions(Raw {
            rtc_channel: &new.channel,
            rtc_stream_uid: new.seller_uid,
        }),
        MediaPushMode::Transcoded => StreamOptions::TranscodeOptions(Transcode {
            rtc_channel: &new.channel,
            audio_options: audio(new.seller_uid),
            video_options: video(new, &settings.video),
        }),
    };
    CreateBody {
        converter: ConverterBody {
            name: &new.name,
            source,
            rtmp_url: new.rtmp_url.expose_secret(),
            idle_timeout: new.idle_timeout.as_secs().clamp(5, 86_400),
        },
    }
}

fn audio(seller_uid: u32) -> AudioProfile {
    AudioProfile {
        codec_profile: "LC-AAC",
        sample_rate: 48_000,
        bitrate: AUDIO_BITRATE,
        audio_channels: 2,
        rtc_stream_uids: [seller_uid],
    }
}

/// The whole seller on a black canvas, clamped to what every platform accepts: key frames 2 to 10 s apart, 2 Mbit/s with
/// the audio.
fn video(new: &NewConverter, video: &config::MediaPushVideoSettings) -> VideoProfile {
    let (width, height) = (video.width, video.height);
    let frame_rate = video.frame_rate.clamp(1, 30);
    let gop_seconds = match new.low_latency {
        true => SHORTEST_GOP_SECONDS,
        false => video.gop_seconds.clamp(SHORTEST_GOP_SECONDS, 10),
    };
    VideoProfile {
        canvas: Canvas {
            width,
            height,
            color: 0,
        },
        layout_type: 0,
        layout: [Layout {
            rtc_stream_uid: new.seller_uid,
            region: Region {
                x_pos: 0,
                y_pos: 0,
                z_index: 1,
                width,
                height,
            },
            fill_mode: "fit",
        }],
        codec: "H.264",
        // Baseline has no B-frames.
        codec_profile: if new.low_latency { "baseline" } else { "main" },
        frame_rate,
        gop: gop_seconds * frame_rate,
        bitrate: video
            .bitrate_kbps
            .clamp(MIN_BITRATE - AUDIO_BITRATE, MAX_BITRATE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(low_latency: bool) -> NewConverter {
        NewConverter {
            name: "name".into(),
            channel: "show".into(),
            seller_uid: 7,
            rtmp_url: "rtmps://ingest.example/key".into(),
            idle_timeout: std::time::Duration::from_secs(60),
            low_latency,
            region: "na".into(),
        }
    }

    #[test]
    fn settings_that_a_platform_would_refuse_are_clamped() {
        let small = config::MediaPushVideoSettings {
            width: 640,
            height: 360,
            frame_rate: 15,
            gop_seconds: 1,
            bitrate_kbps: 800,
        };
        let sent = video(&new(false), &small);
        assert_eq!(sent.gop, 30);
        assert_eq!(sent.bitrate + AUDIO_BITRATE, 2_000);
    }

    #[test]
    fn low_latency_needs_a_key_frame_every_two_seconds_and_no_b_frames() {
        let settings = config::MediaPushVideoSettings::default();
        let (normal, low) = (video(&new(false), &settings), video(&new(true), &settings));
        assert_eq!((normal.codec_profile, normal.gop), ("main", 120));
        assert_eq!((low.codec_profile, low.gop), ("baseline", 60));
    }
}
