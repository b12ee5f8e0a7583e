//! Control by tests, over HTTP (routes: see [`sandbox`](super)) and from Rust.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::cloudflare::blank;
use super::fault::{IngestFault, VendorFault};
use super::http::{SimRequest, SimResponse};
use super::snapshot::{self, WorldSnapshot};
use super::world::{SimConverter, SimTask, World, WorldState, notify_live_input};

impl World {
    pub(super) fn snapshot(&self) -> WorldSnapshot {
        self.snapshot_since(DateTime::<Utc>::MIN_UTC)
    }

    pub(super) fn snapshot_since(&self, since: DateTime<Utc>) -> WorldSnapshot {
        self.with(|state, now| snapshot::of(state, |span| self.clock.to_wire(span), now, since))
    }

    pub(super) fn set_seller(
        &self,
        channel: &str,
        uid: Option<u32>,
        present: bool,
        by: HostChange,
    ) {
        self.with(|state, _| {
            let before = state.sellers.hosts(channel);
            if !state.sellers.set(channel, uid, present) {
                return;
            }
            let after = state.sellers.hosts(channel);
            for uid in after.iter().filter(|uid| !before.contains(uid)) {
                notify_presence(state, channel, *uid, by.came());
            }
            for uid in before.iter().filter(|uid| !after.contains(uid)) {
                notify_presence(state, channel, *uid, by.went());
            }
            state
                .tasks
                .values()
                .filter(|task| task.joined.as_deref() == Some(channel))
                .for_each(SimTask::nudge);
            state
                .converters
                .values()
                .filter(|converter| converter.channel == channel)
                .for_each(SimConverter::nudge);
        });
    }

    pub(super) fn kill(&self, id: &str, back_after: Option<Duration>) -> bool {
        self.with(|state, now| {
            if let Some(task) = state.tasks.get_mut(id) {
                task.crash = Some(back_after);
                task.nudge();
                return true;
            }
            if back_after.is_none() {
                state.converters.destroy(id);
            }
            let Some(converter) = state.converters.get_mut(id) else {
                return false;
            };
            converter.away_until = back_after.map(|after| now + after);
            converter.nudge();
            if let Some(connection) = converter.connection.take() {
                state.disconnect(self, now, connection);
            }
            true
        })
    }

    pub(super) fn publish(&self, url: &str, name: &str) -> Result<u64, &'static str> {
        let (wake, _) = watch::channel(0);
        self.with(|state, now| state.connect(self, now, url, name, &wake))
    }

    pub(super) fn unpublish(&self, connection: u64) {
        self.with(|state, now| state.disconnect(self, now, connection));
    }

    pub(super) fn foreign_live_input(&self) -> String {
        self.with(|state, _| {
            let mut input = blank(state);
            input.meta = json!({"name": "foreign"});
            let uid = input.uid.clone();
            state.live_inputs.insert(uid.clone(), input);
            uid
        })
    }

    pub(super) fn reconnect(&self, live_input: &str) {
        self.with(|state, _| {
            for event in ["live_input.connected", "live_input.disconnected"] {
                notify_live_input(state, live_input, event);
            }
        });
    }

    pub(super) fn hide_length(&self, video: &str, hidden: bool) -> bool {
        self.with(|state, _| {
            if let Some(asset) = state.mux.assets.get_mut(video) {
                asset.length_hidden = hidden;
                return true;
            }
            let video = state.videos.get_mut(video);
            video.map(|video| video.length_hidden = hidden).is_some()
        })
    }

    pub(super) fn drop_feed(&self, id: &str, pause: Duration) -> bool {
        self.with(|state, now| {
            if let Some(task) = state.tasks.get_mut(id) {
                task.drop_until = Some(now + pause);
                task.nudge();
                return true;
            }
            let Some(converter) = state.converters.get_mut(id) else {
                return false;
            };
            converter.drop_until = Some(now + pause);
            converter.nudge();
            true
        })
    }
}

#[derive(Clone, Copy)]
pub(super) enum HostChange {
    /// A seller joins or leaves.
    Joining,
    /// A seller switches between broadcaster and audience.
    Role,
}

impl HostChange {
    fn came(self) -> u16 {
        match self {
            Self::Joining => 103,
            Self::Role => 111,
        }
    }

    fn went(self) -> u16 {
        match self {
            Self::Joining => 104,
            Self::Role => 112,
        }
    }
}

/// Agora sends no `platform` for a role switch.
fn notify_presence(state: &mut WorldState, channel: &str, uid: u32, event: u16) {
    let sequence = state.sellers.next_sequence(channel);
    let mut payload = json!({"channelName": channel, "uid": uid, "clientSeq": sequence, "ts": chrono::Utc::now().timestamp()});
    if let Some(payload) = payload.as_object_mut() {
        if event <= 104 {
            payload.insert("platform".to_owned(), json!(7));
        }
        if event == 104 {
            payload.insert("reason".to_owned(), json!(1));
            payload.insert("duration".to_owned(), json!(600));
        }
    }
    state.agora_notice(1, event, payload);
}

pub(super) fn answer(world: &World, ask: &SimRequest) -> SimResponse {
    let body = ask.json().unwrap_or_default();
    let outcome = match (ask.method.as_str(), ask.parts().as_slice()) {
        ("GET", ["control", "state"]) => {
            return serde_json::to_value(world.snapshot()).map_or_else(
                |_| SimResponse::empty(500),
                |state| SimResponse::json(200, &state),
            );
        }
        ("POST", ["control", "sellers"]) => sellers(world, &body),
        ("POST", ["control", "faults"]) => faults(world, &body),
        ("DELETE", ["control", "faults"]) => {
            world.with(|state, _| state.faults.clear());
            Ok(())
        }
        ("PUT", ["control", "ingest"]) => ingest(world, &body),
        ("PUT", ["control", "webhooks"]) => webhooks(world, &body),
        ("PUT", ["control", "quotas"]) => quotas(world, &body),
        ("POST", ["control", "egresses", id, "kill"]) => {
            seconds(&body, "back_after_seconds").and_then(|back| known(world.kill(id, back)))
        }
        ("POST", ["control", "egresses", id, "drop"]) => seconds(&body, "seconds")
            .and_then(|pause| known(world.drop_feed(id, pause.ok_or("`seconds` is required")?))),
        ("POST", ["control", "live_inputs"]) => {
            return SimResponse::json(200, &json!({"ok": true, "uid": world.foreign_live_input()}));
        }
        ("POST", ["control", "live_inputs", uid, "reconnect"]) => {
            world.reconnect(uid);
            Ok(())
        }
        ("POST", ["control", "videos", uid, "length"]) => length(world, uid, &body),
        _ => Err("no such route; see the documentation of relaykeeper::sandbox".to_owned()),
    };
    match outcome {
        Ok(()) => SimResponse::json(200, &json!({"ok": true})),
        Err(reason) => SimResponse::json(400, &json!({"ok": false, "error": reason})),
    }
}

fn known(found: bool) -> Result<(), String> {
    if found {
        Ok(())
    } else {
        Err("no such egress".to_owned())
    }
}

fn length(world: &World, uid: &str, body: &Value) -> Result<(), String> {
    let known = body.get("known").and_then(Value::as_bool);
    let known = known.ok_or("`known` is required")?;
    match world.hide_length(uid, !known) {
        true => Ok(()),
        false => Err("no such video".to_owned()),
    }
}

fn seconds(body: &Value, name: &str) -> Result<Option<Duration>, String> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let span = value
                .as_f64()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            span.map(Some)
                .ok_or_else(|| format!("`{name}` must be a number of seconds"))
        }
    }
}

fn sellers(world: &World, body: &Value) -> Result<(), String> {
    let channel = body
        .get("channel")
        .and_then(Value::as_str)
        .ok_or("`channel` is required")?;
    let present = body
        .get("present")
        .and_then(Value::as_bool)
        .ok_or("`present` is required")?;
    let uid = match body.get("uid") {
        None | Some(Value::Null) => None,
        Some(uid) => Some(
            uid.as_u64()
                .and_then(|uid| u32::try_from(uid).ok())
                .ok_or("`uid` must be a number up to 4294967295")?,
        ),
    };
    let by = match body.get("by").and_then(Value::as_str) {
        None => HostChange::Joining,
        Some("role") => HostChange::Role,
        Some(_) => return Err("`by` must be `role` or missing".to_owned()),
    };
    world.set_seller(channel, uid, present, by);
    Ok(())
}

fn faults(world: &World, body: &Value) -> Result<(), String> {
    let fault = body
        .get("fault")
        .and_then(Value::as_str)
        .ok_or("`fault` is required")?;
    let fault: VendorFault = fault
        .parse()
        .map_err(|error: super::fault::FaultError| error.to_string())?;
    world.with(|state, _| state.faults.add(fault));
    Ok(())
}

fn ingest(world: &World, body: &Value) -> Result<(), String> {
    let fault = match body.get("fault").and_then(Value::as_str) {
        None => None,
        Some("silent") => Some(IngestFault::Silent),
        Some("refuse-again") => {
            let after = seconds(body, "after_seconds")?.unwrap_or_default();
            Some(IngestFault::RefuseAgain(after))
        }
        Some(_) => return Err("`fault` must be `silent`, `refuse-again` or missing".to_owned()),
    };
    world.with(|state, now| state.set_ingest_fault(fault, now));
    Ok(())
}

fn webhooks(world: &World, body: &Value) -> Result<(), String> {
    let url = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
    world.with(|state, _| {
        state.webhooks.cloudflare_live = url("cloudflare_live");
        state.webhooks.cloudflare_stream = url("cloudflare_stream");
        state.webhooks.agora = url("agora");
        state.webhooks.mux = url("mux");
        state.webhooks.ivs = url("ivs");
        state.webhooks.duplicates = flag("duplicates");
        state.webhooks.reordered = flag("reordered");
    });
    Ok(())
}

fn quotas(world: &World, body: &Value) -> Result<(), String> {
    let body = body.as_object().ok_or("the body must be an object")?;
    world.with(|state, _| {
        let mut quotas = state.quotas.clone();
        for (name, value) in body {
            let number = value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| format!("`{name}` must be a whole number"))?;
            let size = usize::try_from(number).unwrap_or(usize::MAX);
            match name.as_str() {
                "cloudflare_requests" => quotas.cloudflare_requests = number,
                "cloudflare_window_seconds" => {
                    quotas.cloudflare_window = Duration::from_secs(u64::from(number))
                }
                "cloud_recording_per_second" => quotas.cloud_recording_per_second = number,
                "media_push_per_second" => quotas.media_push_per_second = number,
                "hosts_per_second" => quotas.hosts_per_second = number,
                "mux_posts_per_second" => quotas.mux_posts_per_second = number,
                "mux_others_per_second" => quotas.mux_others_per_second = number,
                "ivs_per_second" => quotas.ivs_per_second = number,
                "ivs_tags_per_second" => quotas.ivs_tags_per_second = number,
                "ivs_channels" => quotas.ivs_channels = size,
                "ivs_streams" => quotas.ivs_streams = size,
                "max_egresses" => quotas.max_egresses = size,
                "max_converters" => quotas.max_converters = size,
                "max_full_hd_converters" => quotas.max_full_hd_converters = size,
                _ => return Err(format!("`{name}` is not a quota")),
            }
        }
        state.set_quotas(quotas);
        Ok(())
    })
}
