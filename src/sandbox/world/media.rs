//! What encoders send, if media is real: it makes ingests playable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::live_inputs::SimIngest;
use super::{BackgroundJob, World, WorldState};
use crate::sandbox::media::{Broadcast, Part};

/// Not before a segment has come.
pub(super) const NOT_YET: Duration = Duration::MAX;

/// What an egress publishes, and where.
pub(in crate::sandbox) struct Publication {
    pub(in crate::sandbox) connection: u64,
    pub(in crate::sandbox) url: String,
    pub(in crate::sandbox) channel: String,
    /// Its sellers; empty: any.
    pub(in crate::sandbox) uids: Vec<u32>,
    pub(in crate::sandbox) wake: watch::Receiver<u64>,
}

/// An egress is connected, and its encoder is about to publish.
pub(super) struct ExpectedEncoder {
    url: String,
    wake: watch::Sender<u64>,
}

pub(super) type ExpectedEncoders = HashMap<u64, ExpectedEncoder>;

impl World {
    /// A new ingest's or a new broadcast's, if media is real.
    pub(super) fn new_broadcast(&self) -> Option<Arc<Broadcast>> {
        self.options.media.then(Broadcast::new)
    }

    /// When an encoder that connects now is playable.
    pub(super) fn playable_at(&self, now: Duration) -> Duration {
        match self.options.media {
            true => NOT_YET,
            false => now + self.options.playable_after,
        }
    }

    /// An encoder publishes: an egress's, whose connection exists, or another.
    pub(in crate::sandbox) fn publish_by_rtmp(
        &self,
        url: &str,
    ) -> Result<(u64, watch::Receiver<u64>), &'static str> {
        self.with(|state, now| {
            let mut expected = state.expected.iter();
            let egress = expected.find(|(_, one)| one.url == url).map(|(id, _)| *id);
            if let Some((id, expected)) = egress.and_then(|id| state.expected.remove_entry(&id))
                && state.connected(id)
            {
                return Ok((id, expected.wake.subscribe()));
            }
            let (wake, woken) = watch::channel(0);
            let connection = state.connect(self, now, url, "rtmp", &wake)?;
            Ok((connection, woken))
        })
    }

    pub(in crate::sandbox) fn receive(&self, connection: u64, part: Part) {
        self.with(|state, now| state.receive(self, now, connection, part));
    }

    /// The encoder is connected, and sends nothing.
    pub(in crate::sandbox) fn stall(&self, connection: u64) {
        self.with(|state, now| {
            if let Some(SimIngest::Cloudflare(uid)) = state.connections.get(&connection)
                && let Some(input) = state.live_inputs.get_mut(uid)
                && input.playable(now)
            {
                input.shown = input.shown(now);
                input.playable_at = NOT_YET;
            }
        });
    }

    pub(in crate::sandbox) async fn until_closed(
        &self,
        connection: u64,
        wake: &mut watch::Receiver<u64>,
    ) {
        while self.with(|state, _| state.connected(connection)) {
            if wake.changed().await.is_err() {
                return;
            }
        }
    }
}

impl WorldState {
    /// Agora connects an egress, or learns why it is refused. If media is real, its encoder follows.
    pub(in crate::sandbox) fn push(
        &mut self,
        world: &World,
        now: Duration,
        url: &str,
        egress: &str,
        wake: &watch::Sender<u64>,
    ) -> Result<u64, &'static str> {
        let connection = self.connect(world, now, url, egress, wake)?;
        if world.options.media {
            let (channel, uids) = self.channel_of(egress);
            let expected = ExpectedEncoder {
                url: url.to_owned(),
                wake: wake.clone(),
            };
            self.expected
                .retain(|id, _| self.connections.contains_key(id));
            self.expected.insert(connection, expected);
            // Fails only while the sandbox stops.
            let _ = world.jobs.send(BackgroundJob::Publish(Publication {
                connection,
                url: url.to_owned(),
                channel,
                uids,
                wake: wake.subscribe(),
            }));
        }
        Ok(connection)
    }

    /// What an egress records, and its sellers; without uids: any.
    fn channel_of(&self, egress: &str) -> (String, Vec<u32>) {
        if let Some(task) = self.tasks.get(egress) {
            return (task.joined.clone().unwrap_or_default(), Vec::new());
        }
        let converter = self.converters.get(egress);
        let found = converter.map(|one| (one.channel.clone(), one.uids.clone()));
        found.unwrap_or_default()
    }

    fn receive(&mut self, world: &World, now: Duration, connection: u64, part: Part) {
        let Some(ingest) = self.connections.get(&connection).cloned() else {
            return;
        };
        let on_air = self.broadcast_of(&ingest, connection);
        let is_shown = on_air.is_some_and(|broadcast| broadcast.add(connection, part));
        if !is_shown {
            return;
        }
        match ingest {
            SimIngest::Cloudflare(uid) => {
                let input = self.live_inputs.get_mut(&uid);
                if let Some(input) = input.filter(|input| input.playable_at == NOT_YET) {
                    input.playable_at = now;
                }
            }
            SimIngest::Mux(id) => self.show_mux(world, now, &id),
            SimIngest::Ivs(arn) => self.show_ivs(world, now, &arn),
        }
    }

    /// What shows this encoder. Of several at a live input, the first is shown.
    fn broadcast_of(&self, ingest: &SimIngest, connection: u64) -> Option<Arc<Broadcast>> {
        let broadcast = match ingest {
            SimIngest::Cloudflare(uid) => {
                let input = self.live_inputs.get(uid)?;
                let first = input.connections.first()?;
                input.broadcast.as_ref().filter(|_| first.id == connection)
            }
            SimIngest::Mux(id) => self.mux.streams.get(id)?.broadcast.as_ref(),
            SimIngest::Ivs(arn) => self.ivs.channels.get(arn)?.broadcast.as_ref(),
        };
        broadcast.map(Arc::clone)
    }
}
