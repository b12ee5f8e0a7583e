//! The vendors' state for tests.
#![allow(missing_docs, reason = "a comment says only what the name does not")]

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::world::{
    CallRecord, MuxStatus, SimChannel, SimMuxStream, TaskPhase, Violation, WorldState,
    duration_seconds_of, video_state,
};

/// The vendors' state at one moment, without secrets. Lists have the oldest first and include what is deleted or ended.
#[derive(Clone, Debug, Serialize)]
pub struct WorldSnapshot {
    /// Simulated seconds since the start.
    pub simulated_seconds: f64,
    pub live_inputs: Vec<LiveInputSnapshot>,
    /// Cloud Recording tasks, then Media Push converters, each by id.
    pub egresses: Vec<EgressSnapshot>,
    pub videos: Vec<VideoSnapshot>,
    pub violations: Vec<Violation>,
    pub calls: Vec<CallRecord>,
    /// Calls that failed because of a fault.
    pub faults: u64,
    pub ingest: IngestCounts,
    /// Webhook messages that were answered 2xx.
    pub delivered: u64,
}

/// Encoders, of egresses and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IngestCounts {
    pub accepted: u64,
    /// Disconnected by [`IngestFault::RefuseAgain`](super::IngestFault::RefuseAgain).
    pub dropped: u64,
    /// Refused by it.
    pub refused: u64,
    /// Not read because of [`IngestFault::Silent`](super::IngestFault::Silent).
    pub silenced: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct LiveInputSnapshot {
    /// `cloudflare`, `mux` or `ivs`.
    pub platform: &'static str,
    pub uid: String,
    pub meta: Value,
    pub enabled: bool,
    pub deleted: bool,
    /// In wall-clock time.
    pub created: DateTime<Utc>,
    pub recording_mode: String,
    pub low_latency: bool,
    pub timeout_seconds: Option<u64>,
    /// Connected egresses, by sid or converter id.
    pub encoders: Vec<String>,
    /// Whether viewers see a moving picture.
    pub playable: bool,
    /// In simulated seconds.
    pub playable_since_seconds: Option<f64>,
    /// Of the current broadcast.
    pub video_uid: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct EgressSnapshot {
    /// `cloud_recording` or `media_push`.
    pub product: &'static str,
    /// A task's sid or a converter's id.
    pub id: String,
    /// A task's cname or a converter's name.
    pub name: String,
    /// A task's uid, which is random after a fail-over.
    pub uid: Option<String>,
    pub resource_id: Option<String>,
    /// The channel of the converter, or of the task's page.
    pub channel: Option<String>,
    /// Task: `starting`, `waiting`, `running`, `failing_over`, `ended`. Converter: `connecting`, `running`, `failed`,
    /// `failing_over`, `ended`.
    pub state: String,
    /// Whether it is connected to a live input.
    pub publishing: bool,
    pub page_loads: u32,
}

impl EgressSnapshot {
    /// Whether it costs money, or will after its fail-over.
    pub fn is_alive(&self) -> bool {
        self.state != "ended"
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct VideoSnapshot {
    pub uid: String,
    pub live_input: String,
    /// `live-inprogress`, `inprogress` or `ready`.
    pub state: &'static str,
    /// In seconds of [`wire_speed`](super::Options::wire_speed).
    pub duration_seconds: f64,
    pub deleted: bool,
}

pub(super) fn of(
    state: &WorldState,
    to_wire: impl Fn(Duration) -> Duration,
    now: Duration,
    since: DateTime<Utc>,
) -> WorldSnapshot {
    let mut inputs: Vec<_> = state.live_inputs.values().collect();
    inputs.sort_by_key(|input| input.created);
    let mut videos: Vec<_> = state.videos.values().collect();
    videos.sort_by_key(|video| video.created);
    let mut mux_streams: Vec<_> = state.mux.streams.values().collect();
    mux_streams.sort_by_key(|stream| stream.number);
    let mut mux_assets: Vec<_> = state.mux.assets.values().collect();
    mux_assets.sort_by_key(|asset| asset.number);
    let assets = mux_assets.into_iter().map(|asset| VideoSnapshot {
        uid: asset.id.clone(),
        live_input: asset.live_stream.clone(),
        state: match (asset.is_live, asset.ready) {
            (true, _) => "live-inprogress",
            (false, true) => "ready",
            (false, false) => "inprogress",
        },
        duration_seconds: duration_seconds_of(to_wire(asset.length(now))),
        deleted: asset.deleted,
    });
    let mut channels: Vec<_> = state.ivs.channels.values().collect();
    channels.sort_by_key(|channel| channel.number);
    let mut recordings: Vec<_> = state.ivs.recordings.values().collect();
    recordings.sort_by_key(|recording| recording.number);
    let recordings = recordings.into_iter().map(|recording| VideoSnapshot {
        uid: recording.prefix.clone(),
        live_input: recording.channel.clone(),
        state: match (recording.is_live(), recording.is_over) {
            (true, _) => "live-inprogress",
            (false, true) => "ready",
            (false, false) => "inprogress",
        },
        duration_seconds: duration_seconds_of(to_wire(recording.length(now))),
        deleted: state.is_ivs_recording_deleted(&recording.prefix),
    });
    let publishing =
        |connection: Option<u64>| connection.is_some_and(|connection| state.connected(connection));
    let tasks = state.tasks.values().map(|task| EgressSnapshot {
        product: "cloud_recording",
        id: task.sid.clone(),
        name: task.cname.clone(),
        uid: Some(task.uid.clone()),
        resource_id: Some(task.resource_id.clone()),
        channel: task.joined.clone(),
        state: match task.phase {
            TaskPhase::Starting => "starting",
            TaskPhase::Waiting => "waiting",
            TaskPhase::Running => "running",
            TaskPhase::FailingOver => "failing_over",
            TaskPhase::Ended => "ended",
        }
        .to_owned(),
        publishing: publishing(task.connection),
        page_loads: task.page_loads,
    });
    let converters = state.converters.values().map(|converter| EgressSnapshot {
        product: "media_push",
        id: converter.id.clone(),
        name: converter.name.clone(),
        uid: None,
        resource_id: None,
        channel: Some(converter.channel.clone()),
        state: if converter.is_destroyed() {
            "ended"
        } else if converter.away_until.is_some() {
            "failing_over"
        } else {
            converter.state
        }
        .to_owned(),
        publishing: publishing(converter.connection),
        page_loads: 0,
    });
    WorldSnapshot {
        simulated_seconds: now.as_secs_f64(),
        live_inputs: inputs
            .into_iter()
            .map(|input| LiveInputSnapshot {
                platform: "cloudflare",
                uid: input.uid.clone(),
                meta: input.meta.clone(),
                enabled: input.enabled,
                deleted: input.deleted,
                created: input.created,
                recording_mode: input.recording.mode.clone(),
                low_latency: input.prefer_low_latency.unwrap_or_default(),
                timeout_seconds: input.recording.timeout_seconds,
                encoders: input
                    .connections
                    .iter()
                    .map(|one| one.egress.clone())
                    .collect(),
                playable: input.playable(now),
                playable_since_seconds: input
                    .playable(now)
                    .then_some(input.playable_at.as_secs_f64()),
                video_uid: input.video.clone(),
            })
            .chain(mux_streams.into_iter().map(mux_stream))
            .chain(channels.into_iter().map(ivs_channel))
            .collect(),
        egresses: tasks.chain(converters).collect(),
        videos: videos
            .into_iter()
            .map(|video| VideoSnapshot {
                uid: video.uid.clone(),
                live_input: video.input.clone(),
                state: video_state(video),
                duration_seconds: duration_seconds_of(to_wire(video.length)),
                deleted: video.deleted,
            })
            .chain(assets)
            .chain(recordings)
            .collect(),
        violations: newest(&state.violations, |one| one.at >= since),
        calls: newest(&state.calls, |call| call.at >= since),
        faults: state.faults.happened(),
        ingest: IngestCounts {
            accepted: state.ingest_faults.accepted,
            dropped: state.ingest_faults.dropped,
            refused: state.ingest_faults.refused,
            silenced: state.ingest_faults.silenced(),
        },
        delivered: state.delivered,
    }
}

fn mux_stream(stream: &SimMuxStream) -> LiveInputSnapshot {
    LiveInputSnapshot {
        platform: "mux",
        uid: stream.id.clone(),
        meta: json!({"passthrough": stream.settings.passthrough}),
        enabled: stream.status != MuxStatus::Disabled,
        deleted: stream.deleted,
        created: stream.created,
        recording_mode: "automatic".to_owned(),
        low_latency: stream.settings.latency_mode == "low",
        timeout_seconds: Some(stream.settings.reconnect_window),
        encoders: stream.encoders(),
        playable: stream.playable(),
        playable_since_seconds: stream
            .active_since
            .filter(|_| stream.playable())
            .map(|since| since.as_secs_f64()),
        video_uid: stream.asset.clone(),
    }
}

fn ivs_channel(channel: &SimChannel) -> LiveInputSnapshot {
    let since = channel.playable_since();
    LiveInputSnapshot {
        platform: "ivs",
        uid: channel.arn.clone(),
        meta: json!({"name": channel.settings.name, "tags": channel.tags}),
        enabled: channel.key.is_some(),
        deleted: channel.deleted,
        created: channel.created,
        low_latency: channel.settings.latency_mode == "LOW",
        recording_mode: match channel.settings.recording_configuration.as_str() {
            "" => "off".to_owned(),
            _ => "automatic".to_owned(),
        },
        timeout_seconds: None,
        encoders: channel.encoders(),
        playable: since.is_some(),
        playable_since_seconds: since.map(|since| since.as_secs_f64()),
        video_uid: channel.recording().cloned(),
    }
}

/// The newest items, as long as they match; oldest first.
fn newest<T: Clone>(all: &VecDeque<T>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let mut newest: Vec<T> = all
        .iter()
        .rev()
        .take_while(|one| wanted(one))
        .cloned()
        .collect();
    newest.reverse();
    newest
}
