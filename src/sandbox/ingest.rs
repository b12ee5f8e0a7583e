//! Cloudflare's side of a broadcast in time: encoders, the picture, the hold after a loss, the videos
//! (`cloudflare-stream.md §2.6, §4.5`).

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Days, Utc};
use serde_json::Value;
use tokio::sync::watch;

use super::notices;
use super::world::{State, World};

/// Where encoders are told to push; the same for everybody.
pub(super) const RTMPS_URL: &str = "rtmps://live.cloudflare.com:443/live/";

#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) mode: String,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) require_signed_urls: bool,
    pub(super) allowed_origins: Option<Vec<String>>,
    pub(super) hide_live_viewer_count: bool,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            mode: "off".to_owned(),
            timeout_seconds: None,
            require_signed_urls: false,
            allowed_origins: None,
            hide_live_viewer_count: false,
        }
    }
}

/// What `status` says of the encoder.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    pub(super) state: &'static str,
    pub(super) reason: &'static str,
    pub(super) since: DateTime<Utc>,
}

pub(super) struct LiveInput {
    pub(super) uid: String,
    pub(super) created: DateTime<Utc>,
    pub(super) modified: DateTime<Utc>,
    pub(super) meta: Value,
    pub(super) enabled: bool,
    pub(super) prefer_low_latency: Option<bool>,
    pub(super) delete_recording_after_days: Option<u64>,
    pub(super) recording: Recording,
    pub(super) stream_key: String,
    pub(super) playback_key: String,
    pub(super) publish_secret: String,
    pub(super) keys_rotated_at: Option<DateTime<Utc>>,
    pub(super) deleted: bool,
    /// The encoders attached now; more than one is a violation.
    pub(super) connections: Vec<Connection>,
    /// When the picture comes (came) of the encoder attached now.
    pub(super) playable_at: Duration,
    /// The video of the broadcast that is not over.
    pub(super) video: Option<String>,
    /// The feed is lost; when the broadcast is over unless an encoder comes back.
    pub(super) hold_until: Option<Duration>,
    /// How long the broadcast had a picture, up to the last loss.
    pub(super) shown: Duration,
    pub(super) status: Option<Encoder>,
    pub(super) history: Vec<Encoder>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: u64,
    /// The sid or the converter's id.
    pub(super) egress: String,
    since: Duration,
    /// Wakes the egress when it is thrown out.
    wake: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VideoState {
    Live,
    Processing { ready_at: Duration },
    Ready,
}

#[derive(Debug)]
pub(super) struct Video {
    pub(super) uid: String,
    pub(super) input: String,
    pub(super) input_meta: Value,
    pub(super) created: DateTime<Utc>,
    pub(super) modified: DateTime<Utc>,
    pub(super) state: VideoState,
    /// Simulated time with an encoder attached.
    pub(super) length: Duration,
    /// Its length is not told, though it is ready.
    pub(super) length_hidden: bool,
    pub(super) require_signed_urls: bool,
    pub(super) retention_days: Option<u64>,
    pub(super) scheduled_deletion: Option<DateTime<Utc>>,
    pub(super) deleted: bool,
}

/// What will happen by itself, by its moment: so that a call costs what fell due, and not what is on air.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Live inputs whose feed was lost, and may have come back since.
    losses: BTreeSet<(Duration, String)>,
    /// Videos that are being made, and may have been deleted since.
    videos: BTreeSet<(Duration, String)>,
}

impl LiveInput {
    /// Whether a viewer sees a moving picture.
    pub(super) fn playable(&self, now: Duration) -> bool {
        self.recording.mode == "automatic"
            && self.video.is_some()
            && !self.connections.is_empty()
            && self.playable_at <= now
    }

    /// Whether the manifest is answered: a moving picture, or the last one of a lost feed.
    pub(super) fn has_manifest(&self, now: Duration) -> bool {
        self.playable(now)
            || (self.recording.mode == "automatic" && self.video.is_some() && !self.shown.is_zero())
    }

    /// How long the broadcast had a picture, up to now.
    pub(super) fn shown(&self, now: Duration) -> Duration {
        if self.playable(now) {
            self.shown + now.saturating_sub(self.playable_at)
        } else {
            self.shown
        }
    }

    fn status(&mut self, state: &'static str, reason: &'static str) {
        let next = Encoder {
            state,
            reason,
            since: Utc::now(),
        };
        if let Some(last) = self.status.replace(next) {
            self.history.insert(0, last);
            self.history.truncate(10);
        }
    }
}

impl State {
    /// An encoder connects. `Err` says why it is refused, without the key.
    pub(super) fn connect(
        &mut self,
        world: &World,
        now: Duration,
        url: &str,
        egress: &str,
        wake: &watch::Sender<u64>,
    ) -> Result<u64, &'static str> {
        let key = url.strip_prefix(RTMPS_URL).ok_or("no such server")?;
        let key = key.split('?').next().unwrap_or_default();
        if key.is_empty() {
            return Err("no stream key");
        }
        // A key ends with its input's uid.
        let uid = key.rsplit('k').next().unwrap_or_default().to_owned();
        let input = self
            .live_inputs
            .get_mut(&uid)
            .filter(|input| !input.deleted && input.stream_key == key)
            .ok_or("wrong stream key")?;
        if !input.enabled {
            return Err("the live input is disabled");
        }
        let double = !input.connections.is_empty();
        self.next_connection += 1;
        let id = self.next_connection;
        input.connections.push(Connection {
            id,
            egress: egress.to_owned(),
            since: now,
            wake: wake.clone(),
        });
        if !double {
            input.playable_at = now + world.options.playable_after;
            input.hold_until = None;
            input.status("connected", "new_configuration_accepted");
            if input.video.is_none() && input.recording.mode == "automatic" {
                let video = Video {
                    uid: self.dice.hex(32),
                    input: uid.clone(),
                    input_meta: input.meta.clone(),
                    created: Utc::now(),
                    modified: Utc::now(),
                    state: VideoState::Live,
                    length: Duration::ZERO,
                    length_hidden: false,
                    require_signed_urls: input.recording.require_signed_urls,
                    retention_days: input.delete_recording_after_days,
                    scheduled_deletion: None,
                    deleted: false,
                };
                input.video = Some(video.uid.clone());
                input.shown = Duration::ZERO;
                self.videos.insert(video.uid.clone(), video);
            }
        }
        self.connections.insert(id, uid.clone());
        if double {
            self.violation("double_publish", uid);
        } else {
            notices::live_input(self, &uid, "live_input.connected");
        }
        Ok(id)
    }

    pub(super) fn connected(&self, connection: u64) -> bool {
        self.connections.contains_key(&connection)
    }

    /// An encoder goes away by itself.
    pub(super) fn disconnect(&mut self, world: &World, now: Duration, connection: u64) {
        if let Some(uid) = self.connections.get(&connection).cloned() {
            self.detach(
                world,
                now,
                &uid,
                |one| one.id == connection,
                "client_disconnect",
            );
        }
    }

    /// All encoders of an input are thrown out; the feed counts as lost.
    pub(super) fn kick(&mut self, world: &World, now: Duration, uid: &str, reason: &'static str) {
        self.detach(world, now, uid, |_| true, reason);
    }

    fn detach(
        &mut self,
        world: &World,
        now: Duration,
        uid: &str,
        which: impl Fn(&Connection) -> bool,
        reason: &'static str,
    ) {
        let Some(input) = self.live_inputs.get_mut(uid) else {
            return;
        };
        if input.connections.is_empty() {
            return;
        }
        let shown = input.shown(now);
        let first = input.connections.first().map_or(now, |one| one.since);
        let (gone, left): (Vec<Connection>, Vec<Connection>) =
            input.connections.drain(..).partition(|one| which(one));
        input.connections = left;
        for one in gone {
            self.connections.remove(&one.id);
            one.wake.send_modify(|count| *count += 1);
        }
        if !input.connections.is_empty() {
            return;
        }
        input.shown = shown;
        let hold = input
            .recording
            .timeout_seconds
            .map_or(world.options.default_timeout, |seconds| {
                world.clock.of_wire(seconds)
            });
        let hold_until = now + hold;
        input.hold_until = Some(hold_until);
        self.due.losses.insert((hold_until, uid.to_owned()));
        input.status("disconnected", reason);
        if let Some(video) = input
            .video
            .as_ref()
            .and_then(|video| self.videos.get_mut(video))
        {
            video.length += now.saturating_sub(first);
        }
        notices::live_input(self, uid, "live_input.disconnected");
    }

    /// The broadcast of an input is over, at once: its video is made.
    pub(super) fn end_broadcast(&mut self, world: &World, now: Duration, uid: &str) {
        let Some(input) = self.live_inputs.get_mut(uid) else {
            return;
        };
        input.hold_until = None;
        input.shown = Duration::ZERO;
        if let Some(video) = input.video.take()
            && let Some(entry) = self.videos.get_mut(&video)
        {
            let ready_at = now + world.options.recording_ready_after;
            entry.state = VideoState::Processing { ready_at };
            self.due.videos.insert((ready_at, video));
        }
    }

    /// Makes happen what fell due up to now, each thing at its moment.
    pub(super) fn settle(&mut self, world: &World, now: Duration) {
        while let Some((at, uid)) = take_due(&mut self.due.losses, now) {
            let input = self.live_inputs.get(&uid);
            if input.is_some_and(|input| input.hold_until == Some(at)) {
                self.end_broadcast(world, at, &uid);
            }
        }
        while let Some((_, uid)) = take_due(&mut self.due.videos, now) {
            let Some(video) = self.videos.get_mut(&uid).filter(|video| !video.deleted) else {
                continue;
            };
            video.state = VideoState::Ready;
            video.modified = Utc::now();
            video.scheduled_deletion = video
                .retention_days
                .and_then(|days| Utc::now().checked_add_days(Days::new(days)));
            notices::video(self, world, &uid);
        }
    }
}

fn take_due(due: &mut BTreeSet<(Duration, String)>, now: Duration) -> Option<(Duration, String)> {
    if due.first().is_some_and(|(at, _)| *at <= now) {
        due.pop_first()
    } else {
        None
    }
}
