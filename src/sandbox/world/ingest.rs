//! Encoders connect to ingests; how a broadcast proceeds at Cloudflare (`cloudflare-stream.md §2.6, §4.5`).

use std::time::Duration;

use chrono::{Days, Utc};
use tokio::sync::watch;

use super::ingest_urls::SimPlatform;
use super::live_inputs::{EncoderConnection, SimIngest, SimVideo, SimVideoState, take_due};
use super::{World, WorldState, webhooks};

impl WorldState {
    /// Connects an encoder, or returns why it is refused, without the key.
    pub(in crate::sandbox) fn connect(
        &mut self,
        world: &World,
        now: Duration,
        url: &str,
        egress: &str,
        wake: &watch::Sender<u64>,
    ) -> Result<u64, &'static str> {
        let (platform, is_secure, key) = world.ingests.find(url).ok_or("no such server")?;
        self.refuse_by_fault()?;
        let connection = match platform {
            SimPlatform::Cloudflare => self.connect_to_cloudflare(world, now, key, egress, wake),
            SimPlatform::Mux => self.connect_to_mux(world, now, key, egress, wake),
            SimPlatform::Ivs => self.connect_to_ivs(world, now, (key, is_secure), egress, wake),
        }?;
        self.count_encoder(now);
        Ok(connection)
    }

    fn connect_to_cloudflare(
        &mut self,
        world: &World,
        now: Duration,
        key: &str,
        egress: &str,
        wake: &watch::Sender<u64>,
    ) -> Result<u64, &'static str> {
        let key = key.split('?').next().unwrap_or_default();
        if key.is_empty() {
            return Err("no stream key");
        }
        // A stream key ends with its live input's uid.
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
        input.connections.push(EncoderConnection {
            id,
            egress: egress.to_owned(),
            since: now,
            wake: wake.clone(),
        });
        if !double {
            input.playable_at = world.playable_at(now);
            input.hold_until = None;
            input.set_status("connected", "new_configuration_accepted");
            if input.video.is_none() && input.recording.mode == "automatic" {
                input.broadcast = world.new_broadcast();
                let video = SimVideo {
                    uid: self.dice.hex(32),
                    input: uid.clone(),
                    input_meta: input.meta.clone(),
                    created: Utc::now(),
                    modified: Utc::now(),
                    state: SimVideoState::Live,
                    length: Duration::ZERO,
                    broadcast: input.broadcast.clone(),
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
        self.connections
            .insert(id, SimIngest::Cloudflare(uid.clone()));
        if double {
            self.violation("double_publish", uid);
        } else {
            webhooks::notify_live_input(self, &uid, "live_input.connected");
        }
        Ok(id)
    }

    pub(in crate::sandbox) fn connected(&self, connection: u64) -> bool {
        self.connections.contains_key(&connection)
    }

    /// An encoder disconnects by itself.
    pub(in crate::sandbox) fn disconnect(&mut self, world: &World, now: Duration, connection: u64) {
        match self.connections.get(&connection).cloned() {
            Some(SimIngest::Cloudflare(uid)) => {
                let is_it = |one: &EncoderConnection| one.id == connection;
                self.detach(world, now, &uid, is_it, "client_disconnect");
            }
            Some(SimIngest::Mux(id)) => self.encoder_leaves_mux(world, now, &id),
            Some(SimIngest::Ivs(arn)) => self.encoder_leaves_ivs(world, now, &arn),
            None => {}
        }
    }

    pub(in crate::sandbox) fn disconnect_all(
        &mut self,
        world: &World,
        now: Duration,
        uid: &str,
        reason: &'static str,
    ) {
        self.detach(world, now, uid, |_| true, reason);
    }

    fn detach(
        &mut self,
        world: &World,
        now: Duration,
        uid: &str,
        which: impl Fn(&EncoderConnection) -> bool,
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
        let (gone, left): (Vec<EncoderConnection>, Vec<EncoderConnection>) =
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
        if let Some(broadcast) = &input.broadcast {
            broadcast.close();
        }
        let hold = input
            .recording
            .timeout_seconds
            .map_or(world.options.default_timeout, |seconds| {
                world.clock.of_wire(seconds)
            });
        let hold_until = now + hold;
        input.hold_until = Some(hold_until);
        self.due.losses.insert((hold_until, uid.to_owned()));
        input.set_status("disconnected", reason);
        if let Some(video) = input
            .video
            .as_ref()
            .and_then(|video| self.videos.get_mut(video))
        {
            video.length = match &video.broadcast {
                Some(broadcast) => broadcast.length(),
                None => video.length + now.saturating_sub(first),
            };
        }
        webhooks::notify_live_input(self, uid, "live_input.disconnected");
    }

    pub(in crate::sandbox) fn end_broadcast(&mut self, world: &World, now: Duration, uid: &str) {
        let Some(input) = self.live_inputs.get_mut(uid) else {
            return;
        };
        input.hold_until = None;
        input.shown = Duration::ZERO;
        input.broadcast = None;
        if let Some(video) = input.video.take()
            && let Some(entry) = self.videos.get_mut(&video)
        {
            let ready_at = now + world.options.recording_ready_after;
            entry.state = SimVideoState::Processing { ready_at };
            self.due.videos.insert((ready_at, video));
        }
    }

    /// Applies each change that is due, as of its own time.
    pub(in crate::sandbox) fn settle(&mut self, world: &World, now: Duration) {
        self.settle_ingest_faults(world, now);
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
            video.state = SimVideoState::Ready;
            video.modified = Utc::now();
            video.scheduled_deletion = video
                .retention_days
                .and_then(|days| Utc::now().checked_add_days(Days::new(days)));
            webhooks::notify_video(self, world, &uid);
        }
        self.settle_mux(world, now);
        self.settle_ivs(world, now);
    }
}
