//! How a broadcast at Amazon IVS proceeds (`ivs.md §3, §5.2, §6.2`).

use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use tokio::sync::watch;

use super::ivs::{SimChannel, SimSession, SimVideoProfile};
use super::live_inputs::{EncoderConnection, SimIngest, take_due};
use super::{World, WorldState};
use crate::sandbox::media::Broadcast;

/// From an encoder's connection to its disconnection because of what it sends.
const CUT_AFTER: Duration = Duration::from_millis(500);

impl WorldState {
    /// Connects an encoder, or returns why it is refused.
    pub(super) fn connect_to_ivs(
        &mut self,
        world: &World,
        now: Duration,
        (key, is_secure): (&str, bool),
        egress: &str,
        wake: &watch::Sender<u64>,
    ) -> Result<u64, &'static str> {
        let key = key.split('?').next().unwrap_or_default();
        let has_key = |channel: &&SimChannel| {
            let known = channel.key.as_ref();
            known.is_some_and(|known| known.value == key)
        };
        let channel = self.ivs.alive().find(has_key).ok_or("wrong stream key")?;
        if !is_secure && !channel.settings.insecure_ingest {
            return Err("the channel takes RTMPS only");
        }
        let arn = channel.arn.clone();
        let is_taken = channel.session().is_some_and(|one| one.encoder.is_some());
        let streams = self.ivs.alive().filter(|one| one.session().is_some());
        let streams = streams.count();
        if is_taken {
            self.violation("double_publish", arn.clone());
            if !world.options.ivs_new_encoder_replaces {
                return Err("another encoder publishes");
            }
            self.encoder_leaves_ivs(world, now, &arn);
        } else if streams >= self.quotas.ivs_streams {
            self.ivs_limit_breach(world, None, "Concurrent Broadcasts", streams + 1, streams);
            return Err("too many concurrent broadcasts");
        }
        // Each connection is a stream of its own.
        self.end_ivs_stream(world, now, &arn);
        self.next_connection += 1;
        let connection = self.next_connection;
        let video = self.video_of(egress);
        let id = format!("st-{}", self.dice.word(23));
        let Some(channel) = self.ivs.channel_mut(&arn) else {
            return Err("wrong stream key");
        };
        let breach = limit_of(&channel.settings.kind, video);
        let session = SimSession {
            id,
            encoder: Some(EncoderConnection {
                id: connection,
                egress: egress.to_owned(),
                since: now,
                wake: wake.clone(),
            }),
            video,
            created: Utc::now(),
            live: None,
            ended: None,
            failed: false,
            events: Vec::new(),
            starts_at: (breach.is_none() && !world.options.media)
                .then_some(now + world.options.playable_after),
            ends_at: None,
            cut_at: breach.is_some().then_some(now + CUT_AFTER),
        };
        let due = session.starts_at.or(session.cut_at);
        channel.sessions.push(session);
        if world.options.media {
            self.begin_ivs_broadcast(now, &arn, video);
        }
        if let Some(at) = due {
            self.ivs.wake(at, &arn);
        }
        self.connections
            .insert(connection, SimIngest::Ivs(arn.clone()));
        self.ivs_stream_event(world, &arn, "Session Created");
        if let Some((name, sent, most)) = breach {
            self.ivs_limit_breach(world, Some(&arn), name, sent, most);
        }
        Ok(connection)
    }

    fn video_of(&self, egress: &str) -> SimVideoProfile {
        if let Some(task) = self.tasks.get(egress) {
            return task.video;
        }
        let options = self.converters.get(egress).map(|one| &one.options);
        let number = |pointer: &str| options?.pointer(pointer)?.as_u64();
        // A raw converter sends what the seller does.
        SimVideoProfile {
            width: number("/videoOptions/canvas/width").unwrap_or(1280),
            height: number("/videoOptions/canvas/height").unwrap_or(720),
            kbps: number("/videoOptions/bitrate").unwrap_or(2500),
        }
    }

    /// A stream that continues a recording continues its broadcast too.
    fn begin_ivs_broadcast(&mut self, now: Duration, arn: &str, video: SimVideoProfile) {
        let Some(channel) = self.ivs.channels.get_mut(arn) else {
            return;
        };
        let recording = channel.recording.as_ref();
        let recording = recording.and_then(|prefix| self.ivs.recordings.get(prefix));
        if recording.is_some_and(|one| one.continues(now, video)) {
            return;
        }
        channel.broadcast = Some(match &channel.broadcast {
            Some(last) => Broadcast::after(last),
            None => Broadcast::new(),
        });
    }

    /// The encoder's first segment has come.
    pub(super) fn show_ivs(&mut self, world: &World, now: Duration, arn: &str) {
        let channel = self.ivs.channels.get_mut(arn);
        let session = channel.and_then(SimChannel::session_mut);
        if let Some(session) = session.filter(|session| session.live.is_none()) {
            session.starts_at = Some(now);
            self.advance_ivs(world, now, arn);
        }
    }

    /// An encoder disconnects, by itself or because of the API.
    pub(in crate::sandbox) fn encoder_leaves_ivs(
        &mut self,
        world: &World,
        now: Duration,
        arn: &str,
    ) {
        let session = self
            .ivs
            .channels
            .get_mut(arn)
            .and_then(SimChannel::session_mut);
        let Some(session) = session else {
            return;
        };
        let Some(encoder) = session.encoder.take() else {
            return;
        };
        (session.starts_at, session.cut_at) = (None, None);
        let ends_at = now + world.options.ivs_ends_after;
        session.ends_at = Some(ends_at);
        let was_live = session.live.is_some();
        self.connections.remove(&encoder.id);
        encoder.wake.send_modify(|count| *count += 1);
        let channel = self.ivs.channels.get(arn);
        if let Some(broadcast) = channel.and_then(|channel| channel.broadcast.as_ref()) {
            broadcast.close();
        }
        self.ivs_stream_event(world, arn, "Session Ended");
        match was_live {
            true => self.ivs.wake(ends_at, arn),
            false => self.end_ivs_stream(world, now, arn),
        }
    }

    /// The session is over, and with it its stream.
    fn end_ivs_stream(&mut self, world: &World, now: Duration, arn: &str) {
        let session = self
            .ivs
            .channels
            .get_mut(arn)
            .and_then(SimChannel::session_mut);
        let Some(session) = session else {
            return;
        };
        let was_live = session.live.is_some();
        session.ends_at = None;
        if was_live {
            self.ivs_stream_event(world, arn, "Stream End");
            self.pause_ivs_recording(world, now, arn);
        }
        let session = self
            .ivs
            .channels
            .get_mut(arn)
            .and_then(SimChannel::session_mut);
        if let Some(session) = session {
            session.ended = Some(Utc::now());
        }
    }

    /// Applies each change that is due, as of its own time.
    pub(super) fn settle_ivs(&mut self, world: &World, now: Duration) {
        while let Some((at, arn)) = take_due(&mut self.ivs.due, now) {
            self.advance_ivs(world, at, &arn);
        }
        while let Some((at, prefix)) = take_due(&mut self.ivs.ends, now) {
            self.advance_ivs_recording(world, at, &prefix);
        }
    }

    fn advance_ivs(&mut self, world: &World, at: Duration, arn: &str) {
        let session = self
            .ivs
            .channels
            .get_mut(arn)
            .and_then(SimChannel::session_mut);
        let Some(session) = session else {
            return;
        };
        if session.starts_at == Some(at) {
            session.starts_at = None;
            session.live = Some((at, Utc::now()));
            self.ivs_stream_event(world, arn, "Stream Start");
            self.record_ivs(world, at, arn);
        } else if session.cut_at == Some(at) {
            session.failed = true;
            self.ivs_stream_event(world, arn, "Stream Failure");
            self.encoder_leaves_ivs(world, at, arn);
        } else if session.ends_at == Some(at) {
            self.end_ivs_stream(world, at, arn);
        }
    }

    /// Deletes a channel without a stream. What it recorded stays.
    pub(in crate::sandbox) fn delete_ivs(&mut self, arn: &str) {
        if let Some(channel) = self.ivs.channel_mut(arn) {
            channel.deleted = true;
            channel.key = None;
            channel.broadcast = None;
        }
    }

    fn ivs_stream_event(&mut self, world: &World, arn: &str, name: &'static str) {
        let channel = self.ivs.channels.get_mut(arn);
        let Some(channel) = channel else {
            return;
        };
        let channel_name = channel.settings.name.clone();
        let Some(session) = channel.session_mut() else {
            return;
        };
        session.events.insert(0, (name, Utc::now()));
        let mut detail = json!({
            "event_name": name,
            "channel_name": channel_name,
            "stream_id": session.id,
        });
        let more = match name {
            "Session Ended" => Some(("code", "")),
            "Stream Failure" => Some(("reason", "The input exceeds the channel's limits.")),
            _ => None,
        };
        if let (Some((key, value)), Some(detail)) = (more, detail.as_object_mut()) {
            detail.insert(key.to_owned(), json!(value));
        }
        self.ivs_event(world, "IVS Stream State Change", Some(arn), &detail);
    }

    fn ivs_limit_breach(
        &mut self,
        world: &World,
        arn: Option<&str>,
        name: &str,
        value: impl TryInto<u64>,
        most: impl TryInto<u64>,
    ) {
        let number = |value: Option<u64>| value.unwrap_or_default();
        let (value, most) = (number(value.try_into().ok()), number(most.try_into().ok()));
        let channel = arn.and_then(|arn| self.ivs.channels.get_mut(arn));
        let (name_of, stream) = match channel {
            Some(channel) => {
                let session = channel.session_mut();
                let id = session.map(|session| {
                    session.failed = true;
                    session.id.clone()
                });
                (channel.settings.name.clone(), id)
            }
            None => (String::new(), None),
        };
        let unit = match name {
            "Ingest Bitrate" => "bits/s",
            "Ingest Resolution" => "pixels",
            _ => "broadcasts",
        };
        let mut detail = json!({
            "limit_name": name,
            "limit_value": most,
            "exceeded_by": value.saturating_sub(most),
            "limit_unit": unit,
        });
        if let (Some(stream), Some(detail)) = (stream, detail.as_object_mut()) {
            detail.insert("channel_name".to_owned(), json!(name_of));
            detail.insert("stream_id".to_owned(), json!(stream));
        }
        self.ivs_event(world, "IVS Limit Breach", arn, &detail);
    }
}

/// The limit that the video exceeds on this type of channel: name, sent, most.
fn limit_of(kind: &str, video: SimVideoProfile) -> Option<(&'static str, u64, u64)> {
    let pixels = video.width * video.height;
    if pixels > 1920 * 1080 {
        return Some(("Ingest Resolution", pixels, 1920 * 1080));
    }
    let short_side = video.width.min(video.height);
    let most = match kind {
        "BASIC" if short_side <= 480 => 1500,
        "BASIC" => 3500,
        _ => 8500,
    };
    (video.kbps > most).then_some(("Ingest Bitrate", video.kbps * 1000, most * 1000))
}
