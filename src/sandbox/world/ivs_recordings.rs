//! What Amazon IVS records, and the bucket that has it (`ivs.md §4.2, §4.3, §4.4`).

use std::time::Duration;

use actix_web::web::Bytes;
use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ivs::{SimIvsRecording, SimObject, SimVideoProfile};
use super::{World, WorldState};
use crate::sandbox::media::{STILL, Shown};

const HLS: &str = "application/x-mpegURL";

impl SimIvsRecording {
    pub(in crate::sandbox) fn length(&self, now: Duration) -> Duration {
        if let Some(broadcast) = &self.broadcast {
            return broadcast.length();
        }
        let since = self.recorded_since;
        self.length + since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Whether a stream with this video is recorded into it.
    pub(super) fn continues(&self, now: Duration, video: SimVideoProfile) -> bool {
        self.window_until.is_some_and(|until| now < until) && self.video == video
    }

    fn shown(&self, now: Duration) -> Shown {
        Shown::recorded(self.broadcast.as_ref(), self.length(now), self.is_over)
    }

    pub(in crate::sandbox) fn is_live(&self) -> bool {
        self.recorded_since.is_some()
    }

    /// UTC, without zero padding.
    fn new_prefix(account: &str, channel: &str, id: &str, at: DateTime<Utc>) -> String {
        format!(
            "ivs/v1/{account}/{channel}/{}/{}/{}/{}/{}/{id}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute()
        )
    }
}

impl WorldState {
    /// The channel's stream begins, and is recorded if the channel says so.
    pub(super) fn record_ivs(&mut self, world: &World, now: Duration, arn: &str) {
        let account = &world.keys.ivs;
        let id = self.dice.word(12);
        let Some(channel) = self.ivs.channels.get_mut(arn) else {
            return;
        };
        if channel.settings.recording_configuration.is_empty() {
            return;
        }
        let Some(session) = channel.session() else {
            return;
        };
        let (stream, video) = (session.id.clone(), session.video);
        let waiting = channel.recording.as_ref();
        let waiting = waiting.and_then(|prefix| self.ivs.recordings.get_mut(prefix));
        let continued = waiting.filter(|recording| recording.continues(now, video));
        if let Some(recording) = continued {
            recording.streams.push(stream);
            recording.recorded_since = Some(now);
            (recording.window_until, recording.ends_at) = (None, None);
            return;
        }
        if world.options.ivs_recording_state != "ACTIVE" {
            let prefix =
                SimIvsRecording::new_prefix(&account.account, channel.id(), &id, Utc::now());
            let detail = json!({
                "recording_status_reason": "The recording configuration is not active.",
                "recording_s3_key_prefix": prefix, "stream_id": stream,
            });
            self.ivs_recording_event(world, arn, "Recording Start Failure", detail);
            return;
        }
        let started = Utc::now();
        let prefix = SimIvsRecording::new_prefix(&account.account, channel.id(), &id, started);
        channel.recording = Some(prefix.clone());
        let broadcast = channel.broadcast.clone();
        let recording = SimIvsRecording {
            prefix: prefix.clone(),
            channel: arn.to_owned(),
            number: self.ivs.number(),
            started,
            streams: vec![stream],
            video,
            broadcast,
            length: Duration::ZERO,
            recorded_since: Some(now),
            window_until: None,
            ends_at: None,
            is_over: false,
        };
        self.ivs.recordings.insert(prefix.clone(), recording);
        self.put_ivs(
            &prefix,
            "media/thumbnails/thumb0.jpg",
            "image/jpeg",
            STILL.into(),
        );
        self.put_ivs(
            &prefix,
            "media/latest_thumbnail/thumb.jpg",
            "image/jpeg",
            STILL.into(),
        );
        self.show_ivs_recording(now, &prefix);
        self.put_ivs_metadata(world, now, &prefix, "recording-started");
        self.tell_of_ivs_recording(world, now, &prefix, "Recording Start");
    }

    /// The stream ended. Another may go on in the same recording.
    pub(super) fn pause_ivs_recording(&mut self, world: &World, now: Duration, arn: &str) {
        let channel = self.ivs.channels.get(arn);
        let Some(prefix) = channel.and_then(|channel| channel.recording.clone()) else {
            return;
        };
        let Some(recording) = self.ivs.recordings.get_mut(&prefix) else {
            return;
        };
        let Some(since) = recording.recorded_since.take() else {
            return;
        };
        recording.length += now.saturating_sub(since);
        let window = world.options.ivs_recording_window_seconds;
        let until = now + world.clock.of_wire(window);
        let ends_at = until + world.options.recording_ready_after;
        recording.window_until = Some(until);
        recording.ends_at = Some(ends_at);
        self.ivs.ends.insert((ends_at, prefix));
    }

    pub(super) fn advance_ivs_recording(&mut self, world: &World, at: Duration, prefix: &str) {
        let Some(recording) = self.ivs.recordings.get_mut(prefix) else {
            return;
        };
        if recording.ends_at != Some(at) {
            return;
        }
        recording.is_over = true;
        if let Some(channel) = self.ivs.channels.get_mut(&recording.channel)
            && channel.recording.as_deref() == Some(prefix)
        {
            channel.recording = None;
        }
        self.show_ivs_recording(at, prefix);
        if let Some(recording) = self.ivs.recordings.get_mut(prefix) {
            recording.length = recording.length(at);
            recording.broadcast = None;
        }
        let (file, status) = match world.options.ivs_recordings_fail {
            true => ("recording-failed", "Recording End Failure"),
            false => ("recording-ended", "Recording End"),
        };
        self.put_ivs_metadata(world, at, prefix, file);
        self.tell_of_ivs_recording(world, at, prefix, status);
    }

    /// Writes what is recorded so far. The test video's segments are served without being objects.
    fn show_ivs_recording(&mut self, now: Duration, prefix: &str) {
        let Some(recording) = self.ivs.recordings.get(prefix) else {
            return;
        };
        let shown = recording.shown(now);
        let master = shown.master_of("720p30/playlist.m3u8");
        self.put_ivs(prefix, "media/hls/master.m3u8", HLS, master.into());
        for (name, kind, body) in shown.files("playlist.m3u8", HLS) {
            self.put_ivs(prefix, &format!("media/hls/720p30/{name}"), kind, body);
        }
    }

    fn put_ivs_metadata(&mut self, world: &World, now: Duration, prefix: &str, file: &str) {
        let Some(recording) = self.ivs.recordings.get(prefix) else {
            return;
        };
        let now_told = world.clock.whole_seconds(Utc::now());
        let (status, ended) = match file {
            "recording-started" => ("RECORDING_STARTED", None),
            "recording-ended" => ("RECORDING_ENDED", Some(now_told)),
            _ => ("RECORDING_ENDED_WITH_FAILURE", Some(now_told)),
        };
        let mut hls = json!({
            "path": "media/hls",
            "playlist": "master.m3u8",
            "renditions": [{
                "path": "720p30", "playlist": "playlist.m3u8",
                "resolution_width": recording.video.width, "resolution_height": recording.video.height,
            }],
        });
        if let (Some(hls), Some(_)) = (hls.as_object_mut(), &ended) {
            let length = world.clock.to_wire(recording.length(now));
            hls.insert("duration_ms".to_owned(), json!(millis(length)));
        }
        let body = json!({
            "version": "v1",
            "channel_arn": recording.channel,
            "recording_started_at": world.clock.whole_seconds(recording.started),
            "recording_ended_at": ended,
            "recording_status": status,
            "recording_status_message": "",
            "media": {
                "hls": hls,
                "thumbnails": { "path": "media/thumbnails" },
                "latest_thumbnail": { "path": "media/latest_thumbnail" },
            },
        });
        let name = format!("events/{file}.json");
        let body = body.to_string().into();
        self.put_ivs(prefix, &name, "application/json", body);
    }

    fn tell_of_ivs_recording(&mut self, world: &World, now: Duration, prefix: &str, status: &str) {
        let Some(recording) = self.ivs.recordings.get(prefix) else {
            return;
        };
        let length = world.clock.to_wire(recording.length(now));
        let detail = json!({
            "recording_status_reason": "",
            "recording_s3_key_prefix": prefix,
            "recording_duration_ms": millis(length),
            "recording_session_id": recording.streams.first(),
            "recording_session_stream_ids": recording.streams,
            "stream_id": recording.streams.last(),
        });
        let arn = recording.channel.clone();
        self.ivs_recording_event(world, &arn, status, detail);
    }

    fn ivs_recording_event(&mut self, world: &World, arn: &str, status: &str, mut detail: Value) {
        let channel = self.ivs.channels.get(arn);
        let name = channel.map(|channel| channel.settings.name.clone());
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("recording_status".to_owned(), json!(status));
            detail.insert("channel_name".to_owned(), json!(name));
            let bucket = &world.keys.ivs.bucket;
            detail.insert("recording_s3_bucket_name".to_owned(), json!(bucket));
        }
        self.ivs_event(world, "IVS Recording State Change", Some(arn), &detail);
    }

    fn put_ivs(&mut self, prefix: &str, name: &str, kind: &'static str, body: Bytes) {
        let mut etag = hex::encode(Sha256::digest(&body));
        // As long as an MD5.
        etag.truncate(32);
        let object = SimObject {
            kind,
            modified: Utc::now(),
            etag,
            body,
        };
        self.ivs.bucket.insert(format!("{prefix}/{name}"), object);
    }

    /// Whether none of a recording's objects is left.
    pub(in crate::sandbox) fn is_ivs_recording_deleted(&self, prefix: &str) -> bool {
        let start = format!("{prefix}/");
        let mut objects = self.ivs.bucket.range(start.clone()..);
        objects
            .next()
            .is_none_or(|(key, _)| !key.starts_with(&start))
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
