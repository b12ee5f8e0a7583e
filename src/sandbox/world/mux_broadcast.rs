//! How a broadcast at Mux proceeds (`mux.md §2.4, §2.5, §2.6, §4.2`).

use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use tokio::sync::watch;

use super::live_inputs::{EncoderConnection, SimIngest, take_due};
use super::mux::{MuxPlaybackId, MuxStatus, SimMuxAsset, SimMuxStream};
use super::webhooks::notify_mux;
use super::{World, WorldState};

/// After `complete`, an encoder is disconnected this much later.
const GRACE: Duration = Duration::from_secs(60);
const MOST_RECENT: usize = 10;

impl WorldState {
    /// Connects an encoder, or returns why it is refused. Mux takes one encoder for a key.
    pub(super) fn connect_to_mux(
        &mut self,
        world: &World,
        now: Duration,
        key: &str,
        egress: &str,
        wake: &watch::Sender<u64>,
    ) -> Result<u64, &'static str> {
        let mut streams = self.mux.streams.values_mut();
        let stream = streams
            .find(|stream| !stream.deleted && stream.stream_key == key)
            .ok_or("wrong stream key")?;
        if stream.status == MuxStatus::Disabled {
            return Err("the live stream is disabled");
        }
        let id = stream.id.clone();
        if stream.encoder.is_some() {
            self.violation("double_publish", id);
            return Err("another encoder publishes");
        }
        self.next_connection += 1;
        let connection = self.next_connection;
        stream.encoder = Some(EncoderConnection {
            id: connection,
            egress: egress.to_owned(),
            since: now,
            wake: wake.clone(),
        });
        let longest = match stream.test {
            // `mux.md §2.1`: a test stream lasts 5 minutes.
            true => stream.settings.max_continuous_duration.min(300),
            false => stream.settings.max_continuous_duration,
        };
        let cut_at = now + world.clock.of_wire(longest);
        stream.cut_at = Some(cut_at);
        let mut due = vec![cut_at];
        if stream.window_until.take().is_some() {
            let asset = stream.asset.as_ref();
            if let Some(asset) = asset.and_then(|asset| self.mux.assets.get_mut(asset)) {
                asset.recorded_since = Some(now);
            }
        }
        if stream.status != MuxStatus::Active {
            due.extend(stream.begin(world, now));
        }
        for at in due {
            self.mux.wake(at, &id);
        }
        self.connections
            .insert(connection, SimIngest::Mux(id.clone()));
        notify_mux(self, world, now, "video.live_stream.connected", &id);
        Ok(connection)
    }

    pub(super) fn encoder_leaves_mux(&mut self, world: &World, now: Duration, id: &str) {
        let Some(stream) = self.mux.streams.get_mut(id) else {
            return;
        };
        let Some(encoder) = stream.encoder.take() else {
            return;
        };
        if let Some(broadcast) = &stream.broadcast {
            broadcast.close();
        }
        self.connections.remove(&encoder.id);
        encoder.wake.send_modify(|count| *count += 1);
        (stream.recording_at, stream.active_at, stream.cut_at) = (None, None, None);
        let asset = stream.asset.as_ref();
        if let Some(asset) = asset.and_then(|asset| self.mux.assets.get_mut(asset)) {
            let since = asset.recorded_since.take();
            asset.length += now.saturating_sub(since.unwrap_or(now).max(encoder.since));
            let until = now + world.clock.of_wire(stream.settings.reconnect_window);
            stream.window_until = Some(until);
            self.mux.wake(until, id);
        }
        notify_mux(self, world, now, "video.live_stream.disconnected", id);
    }

    /// The asset is complete; what is published from now on is another broadcast.
    fn end_mux_broadcast(&mut self, world: &World, now: Duration, id: &str) {
        let Some(stream) = self.mux.streams.get_mut(id) else {
            return;
        };
        (stream.window_until, stream.active_since) = (None, None);
        stream.broadcast = None;
        let was_active = stream.status == MuxStatus::Active;
        if was_active {
            stream.status = MuxStatus::Idle;
        }
        if let Some(asset) = stream.asset.take() {
            if let Some(entry) = self.mux.assets.get_mut(&asset) {
                let since = entry.recorded_since.take();
                entry.length += now.saturating_sub(since.unwrap_or(now));
            }
            let at = now + world.options.recording_ready_after;
            self.mux.finals.insert((at, asset));
        }
        if was_active {
            notify_mux(self, world, now, "video.live_stream.idle", id);
        }
    }

    /// Ends the recording. An encoder may stay for a minute, and begins another one. False if there is no broadcast.
    pub(in crate::sandbox) fn complete_mux(
        &mut self,
        world: &World,
        now: Duration,
        id: &str,
    ) -> bool {
        let stream = self.mux.streams.get(id);
        if stream.is_none_or(|stream| stream.asset.is_none()) {
            return false;
        }
        self.end_mux_broadcast(world, now, id);
        if let Some(stream) = self
            .mux
            .streams
            .get_mut(id)
            .filter(|one| one.encoder.is_some())
        {
            stream.cut_at = Some(now + GRACE);
            let due = stream.begin(world, now);
            for at in due.into_iter().chain([now + GRACE]) {
                self.mux.wake(at, id);
            }
        }
        true
    }

    pub(in crate::sandbox) fn disable_mux(&mut self, world: &World, now: Duration, id: &str) {
        self.encoder_leaves_mux(world, now, id);
        self.end_mux_broadcast(world, now, id);
        if let Some(stream) = self.mux.streams.get_mut(id) {
            stream.status = MuxStatus::Disabled;
        }
        notify_mux(self, world, now, "video.live_stream.disabled", id);
    }

    pub(in crate::sandbox) fn delete_mux(&mut self, world: &World, now: Duration, id: &str) {
        self.encoder_leaves_mux(world, now, id);
        self.end_mux_broadcast(world, now, id);
        notify_mux(self, world, now, "video.live_stream.deleted", id);
        if let Some(stream) = self.mux.streams.get_mut(id) {
            stream.deleted = true;
        }
    }

    /// Applies each change that is due, as of its own time.
    pub(super) fn settle_mux(&mut self, world: &World, now: Duration) {
        while let Some((at, id)) = take_due(&mut self.mux.due, now) {
            self.advance_mux(world, at, &id);
        }
        while let Some((at, id)) = take_due(&mut self.mux.finals, now) {
            let Some(asset) = self.mux.assets.get_mut(&id).filter(|one| !one.deleted) else {
                continue;
            };
            asset.is_live = false;
            let was_ready = std::mem::replace(&mut asset.ready, true);
            let event = "video.asset.live_stream_completed";
            notify_mux(self, world, at, event, &id);
            if !was_ready {
                notify_mux(self, world, at, "video.asset.ready", &id);
            }
        }
    }

    fn advance_mux(&mut self, world: &World, at: Duration, id: &str) {
        let Some(stream) = self.mux.streams.get_mut(id).filter(|one| !one.deleted) else {
            return;
        };
        if stream.recording_at == Some(at) {
            stream.recording_at = None;
            self.begin_asset(world, at, id);
        }
        let Some(stream) = self.mux.streams.get_mut(id) else {
            return;
        };
        if stream.active_at == Some(at) {
            stream.active_at = None;
            stream.status = MuxStatus::Active;
            stream.active_since = Some(at);
            let asset = stream.asset.clone();
            notify_mux(self, world, at, "video.live_stream.active", id);
            if let Some(asset) = asset {
                if let Some(entry) = self.mux.assets.get_mut(&asset) {
                    entry.ready = true;
                }
                // While the broadcast goes on.
                notify_mux(self, world, at, "video.asset.ready", &asset);
            }
        }
        let Some(stream) = self.mux.streams.get_mut(id) else {
            return;
        };
        if stream.cut_at == Some(at) {
            let is_over = stream.test;
            self.encoder_leaves_mux(world, at, id);
            if is_over {
                self.disable_mux(world, at, id);
            }
        } else if stream.window_until == Some(at) {
            self.end_mux_broadcast(world, at, id);
        }
    }

    /// The encoder's first segment has come.
    pub(super) fn show_mux(&mut self, world: &World, now: Duration, id: &str) {
        let stream = self.mux.streams.get_mut(id);
        let Some(stream) = stream.filter(|one| one.status == MuxStatus::Idle) else {
            return;
        };
        stream.recording_at = stream.asset.is_none().then_some(now);
        stream.active_at = Some(now);
        self.advance_mux(world, now, id);
    }

    fn begin_asset(&mut self, world: &World, at: Duration, stream_id: &str) {
        let (id, playback) = (self.dice.word(45), self.dice.word(45));
        let number = self.mux.number();
        let Some(stream) = self.mux.streams.get_mut(stream_id) else {
            return;
        };
        let settings = &stream.settings.new_asset_settings;
        let policies = ["playback_policies", "playback_policy"]
            .iter()
            .find_map(|key| settings.get(*key)?.as_array());
        let policy = policies.and_then(|all| all.first()?.as_str());
        let passthrough = settings.get("passthrough").and_then(Value::as_str);
        let asset = SimMuxAsset {
            id: id.clone(),
            number,
            created: Utc::now(),
            live_stream: stream_id.to_owned(),
            playback_ids: Vec::from_iter(policy.map(|policy| MuxPlaybackId {
                id: playback,
                policy: policy.to_owned(),
            })),
            passthrough: passthrough.map(str::to_owned),
            ready: false,
            is_live: true,
            broadcast: stream.broadcast.clone(),
            length: Duration::ZERO,
            recorded_since: Some(at),
            length_hidden: false,
            deleted: false,
        };
        stream.asset = Some(id.clone());
        stream.recent.push(id.clone());
        if stream.recent.len() > MOST_RECENT {
            stream.recent.remove(0);
        }
        self.mux.assets.insert(id.clone(), asset);
        notify_mux(self, world, at, "video.asset.created", &id);
        notify_mux(self, world, at, "video.live_stream.recording", stream_id);
    }
}

impl SimMuxStream {
    /// The encoder's broadcast is recorded soon, then playable.
    fn begin(&mut self, world: &World, now: Duration) -> Vec<Duration> {
        if self.broadcast.is_none() {
            self.broadcast = world.new_broadcast();
        }
        if world.options.media {
            return Vec::new();
        }
        let active_at = now + world.options.playable_after;
        self.active_at = Some(active_at);
        let recording_at = now + world.options.playable_after / 2;
        self.recording_at = self.asset.is_none().then_some(recording_at);
        vec![recording_at, active_at]
    }
}
