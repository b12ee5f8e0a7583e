//! What a test may know of the vendors' inside: `GET /control/state`, and `SimulatedVendors::state`.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::world::{CallRecord, TaskPhase, Violation, WorldState, told_seconds, video_state};

/// Everything, at one moment. Holds no secret.
#[derive(Clone, Debug, Serialize)]
pub struct WorldSnapshot {
    /// The simulated clock, in seconds since the start.
    pub simulated_seconds: f64,
    /// All live inputs, deleted ones included, oldest first.
    pub live_inputs: Vec<LiveInputSnapshot>,
    /// All Cloud Recording tasks and Media Push converters, ended ones included.
    pub egresses: Vec<EgressSnapshot>,
    /// All videos, deleted ones included, oldest first.
    pub videos: Vec<VideoSnapshot>,
    /// What callers did that a vendor does not forgive, oldest first.
    pub violations: Vec<Violation>,
    /// Every call answered, oldest first.
    pub calls: Vec<CallRecord>,
    /// How many calls a fault has made go wrong.
    pub faults: u64,
    /// How many messages of webhooks were answered 2xx.
    pub delivered: u64,
}

/// A live input.
#[derive(Clone, Debug, Serialize)]
pub struct LiveInputSnapshot {
    /// Its uid.
    pub uid: String,
    /// Its `meta`.
    pub meta: Value,
    /// Whether encoders are let in.
    pub enabled: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// When it was created, on the wall clock.
    pub created: DateTime<Utc>,
    /// `recording.mode`.
    pub recording_mode: String,
    /// `recording.timeoutSeconds`.
    pub timeout_seconds: Option<u64>,
    /// The egresses (sid or converter id) whose encoders are attached now.
    pub encoders: Vec<String>,
    /// Whether a viewer sees a moving picture.
    pub playable: bool,
    /// Since when, in seconds of the simulated clock.
    pub playable_since_seconds: Option<f64>,
    /// The video of the broadcast that is not over.
    pub video_uid: Option<String>,
}

/// A Cloud Recording task or a Media Push converter.
#[derive(Clone, Debug, Serialize)]
pub struct EgressSnapshot {
    /// `cloud_recording` or `media_push`.
    pub product: &'static str,
    /// The task's sid or the converter's id.
    pub id: String,
    /// The task's cname or the converter's name.
    pub name: String,
    /// The task's uid; after a fail-over a random one.
    pub uid: Option<String>,
    /// The task's resource id.
    pub resource_id: Option<String>,
    /// The channel of the converter, or the one the task's page is in.
    pub channel: Option<String>,
    /// A task's `starting`, `waiting`, `running`, `failing_over`, `ended`; a converter's `connecting`, `running`, `failed`,
    /// `failing_over`, `ended`.
    pub state: String,
    /// Whether its encoder is attached to a live input.
    pub publishing: bool,
    /// How many times the task's page was opened.
    pub page_loads: u32,
}

impl EgressSnapshot {
    /// Whether it still costs money, or will again when its fail-over is over.
    pub fn is_alive(&self) -> bool {
        self.state != "ended"
    }
}

/// A video.
#[derive(Clone, Debug, Serialize)]
pub struct VideoSnapshot {
    /// Its uid.
    pub uid: String,
    /// The live input it comes from.
    pub live_input: String,
    /// `live-inprogress`, `inprogress` or `ready`.
    pub state: &'static str,
    /// Seconds of the wire, as the API tells them once it is ready.
    pub duration_seconds: f64,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// Everything; of calls and violations only those since then.
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
                uid: input.uid.clone(),
                meta: input.meta.clone(),
                enabled: input.enabled,
                deleted: input.deleted,
                created: input.created,
                recording_mode: input.recording.mode.clone(),
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
            .collect(),
        egresses: tasks.chain(converters).collect(),
        videos: videos
            .into_iter()
            .map(|video| VideoSnapshot {
                uid: video.uid.clone(),
                live_input: video.input.clone(),
                state: video_state(video),
                duration_seconds: told_seconds(to_wire(video.length)),
                deleted: video.deleted,
            })
            .collect(),
        violations: newest(&state.violations, |one| one.at >= since),
        calls: newest(&state.calls, |call| call.at >= since),
        faults: state.faults.happened(),
        delivered: state.delivered,
    }
}

/// The newest ones that are wanted, oldest first.
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
