//! Cloud Recording tasks: state, notifications, end.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::ivs::SimVideoProfile;
use super::{World, WorldState};

#[derive(Debug)]
pub(in crate::sandbox) struct Resource {
    pub(in crate::sandbox) cname: String,
    pub(in crate::sandbox) uid: String,
    pub(in crate::sandbox) scene: u64,
    pub(in crate::sandbox) acquired: Duration,
    /// When `acquire` answered, wall clock.
    pub(in crate::sandbox) acquired_at: Instant,
    pub(in crate::sandbox) sid: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::sandbox) enum TaskPhase {
    Starting,
    /// The page is loaded but not ready.
    Waiting,
    Running,
    /// Killed, and comes back later; calls answer 404 meanwhile.
    FailingOver,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum PushState {
    Connecting,
    Publishing,
    Onhold,
    Disconnected,
}

impl PushState {
    pub(in crate::sandbox) fn text(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Publishing => "publishing",
            Self::Onhold => "onhold",
            Self::Disconnected => "disconnected",
        }
    }
}

pub(in crate::sandbox) struct SimTask {
    pub(in crate::sandbox) sid: String,
    pub(in crate::sandbox) resource_id: String,
    pub(in crate::sandbox) cname: String,
    /// Changes in a fail-over.
    pub(in crate::sandbox) uid: String,
    /// The uid of the start, which query, update and stop keep using.
    pub(in crate::sandbox) first_uid: String,
    pub(in crate::sandbox) page_url: String,
    pub(in crate::sandbox) ready_timeout: Option<Duration>,
    pub(in crate::sandbox) ends_at: Duration,
    pub(in crate::sandbox) push_at: Duration,
    pub(in crate::sandbox) phase: TaskPhase,
    pub(in crate::sandbox) recorded: bool,
    /// `None`: recorded but not pushed.
    pub(in crate::sandbox) rtmp_url: Option<String>,
    pub(in crate::sandbox) video: SimVideoProfile,
    pub(in crate::sandbox) output: PushState,
    pub(in crate::sandbox) connection: Option<u64>,
    pub(in crate::sandbox) onhold: bool,
    /// The channel that the page has joined.
    pub(in crate::sandbox) joined: Option<String>,
    pub(in crate::sandbox) stopped_at: Option<Duration>,
    /// A pending kill, and after which time the task comes back, if it does.
    pub(in crate::sandbox) crash: Option<Option<Duration>>,
    pub(in crate::sandbox) drop_until: Option<Duration>,
    pub(in crate::sandbox) page_loads: u32,
    pub(in crate::sandbox) notices: u64,
    pub(in crate::sandbox) wake: watch::Sender<u64>,
}

impl SimTask {
    pub(in crate::sandbox) fn reachable(&self) -> bool {
        !matches!(self.phase, TaskPhase::Ended | TaskPhase::FailingOver)
    }

    pub(in crate::sandbox) fn nudge(&self) {
        self.wake.send_modify(|count| *count += 1);
    }
}

/// Tasks, with an index for the checks of acquire and start.
#[derive(Default)]
pub(in crate::sandbox) struct Tasks {
    all: BTreeMap<String, SimTask>,
    /// `cname` and first uid of each, which are unique.
    unfinished: HashSet<(String, String)>,
}

impl Tasks {
    pub(in crate::sandbox) fn get(&self, sid: &str) -> Option<&SimTask> {
        self.all.get(sid)
    }

    pub(in crate::sandbox) fn get_mut(&mut self, sid: &str) -> Option<&mut SimTask> {
        self.all.get_mut(sid)
    }

    /// Includes ended ones.
    pub(in crate::sandbox) fn values(&self) -> impl Iterator<Item = &SimTask> {
        self.all.values()
    }

    pub(in crate::sandbox) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    pub(in crate::sandbox) fn conflicts(&self, cname: &str, uid: &str) -> bool {
        self.unfinished
            .contains(&(cname.to_owned(), uid.to_owned()))
    }

    pub(in crate::sandbox) fn insert(&mut self, task: SimTask) {
        self.unfinished
            .insert((task.cname.clone(), task.first_uid.clone()));
        self.all.insert(task.sid.clone(), task);
    }

    pub(in crate::sandbox) fn end(&mut self, sid: &str) -> Option<&mut SimTask> {
        let task = self
            .all
            .get_mut(sid)
            .filter(|task| task.phase != TaskPhase::Ended)?;
        task.phase = TaskPhase::Ended;
        self.unfinished
            .remove(&(task.cname.clone(), task.first_uid.clone()));
        Some(task)
    }
}

impl WorldState {
    pub(in crate::sandbox) fn task_notice(
        &mut self,
        sid: &str,
        event: u16,
        service: u8,
        mut details: Value,
    ) {
        let Some(task) = self.tasks.get_mut(sid) else {
            return;
        };
        let sequence = task.notices;
        task.notices += 1;
        if let Some(details) = details.as_object_mut() {
            details.insert("msgName".to_owned(), json!(name(event)));
        }
        let payload = json!({
            "cname": task.cname, "uid": task.uid, "sid": task.sid, "sequence": sequence, "sendts": chrono::Utc::now().timestamp_millis(),
            "serviceType": service, "serviceScene": "web_record", "details": details,
        });
        self.agora_notice(3, event, payload);
    }

    /// Sends event 100 if the state of the push changes.
    pub(in crate::sandbox) fn set_output(&mut self, sid: &str, output: PushState) {
        let Some(task) = self.tasks.get_mut(sid) else {
            return;
        };
        if task.output == output {
            return;
        }
        task.output = output;
        let url = task.rtmp_url.clone();
        self.task_notice(
            sid,
            100,
            6,
            json!({"rtmpUrl": url, "status": output.text()}),
        );
    }

    /// Ends a task with this `code` of event 71.
    pub(in crate::sandbox) fn end_task(
        &mut self,
        world: &World,
        now: Duration,
        sid: &str,
        code: u8,
    ) {
        let Some(task) = self.tasks.end(sid) else {
            return;
        };
        task.joined = None;
        let connection = task.connection.take();
        task.nudge();
        if let Some(connection) = connection {
            self.disconnect(world, now, connection);
        }
        let (message, details) = why_stopped(code);
        self.task_notice(
            sid,
            71,
            6,
            json!({"code": code, "message": message, "details": details, "fileList": []}),
        );
        self.task_notice(sid, 11, 0, json!({"exitStatus": u8::from(code > 1)}));
    }
}

/// `message` and `details` of event 71.
fn why_stopped(code: u8) -> (&'static str, &'static str) {
    match code {
        0 => ("normal", "stopped by a request"),
        1 => ("max_recording_hour", "the max recording hour is reached"),
        2 => ("capability_limit", "the page needs more than there is"),
        3 => ("start_engine_failed", "the browser did not start"),
        4 => ("page_load_timeout", "the page was not ready in time"),
        5 => ("access_url_failed", "the page could not be opened"),
        _ => ("recorder_error", "the egress failed"),
    }
}

fn name(event: u16) -> &'static str {
    match event {
        11 => "session_exit",
        12 => "session_failover",
        70 => "web_recorder_started",
        71 => "web_recorder_stopped",
        73 => "web_recorder_reload",
        100 => "rtmp_publish_status",
        _ => "cloud_recording_error",
    }
}
