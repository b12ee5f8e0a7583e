//! The simulated Mux API: routes, authentication, limits, refusals (`mux.md §1`).

mod assets;
mod live_streams;
mod playback;
mod settings;
mod system;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(super) use playback::HOST as PLAYBACK;

use super::calls::VendorCall;
use super::host::{Handler, Host};
use super::http::{CallContext, SimRequest, SimResponse};

/// POST calls at once, and other calls.
const BURSTS: (u32, u32) = (4, 20);

pub(super) const API: Host = Host {
    route: |ask| handler(ask).map(|(call, _)| call),
    dispatch,
    no_route: not_found,
    fault: |_, status| fault(status),
    coded: |status, code| error(status, "simulated", &code.to_string()),
};

fn handler(ask: &SimRequest) -> Option<(VendorCall, Handler)> {
    let parts = ask.parts();
    let found: (VendorCall, Handler) = match (ask.method.as_str(), parts.as_slice()) {
        ("POST", ["video", "v1", "live-streams"]) => {
            (VendorCall::MuxStreamCreate, live_streams::create)
        }
        ("GET", ["video", "v1", "live-streams"]) => (VendorCall::MuxStreamList, live_streams::list),
        ("GET", ["video", "v1", "live-streams", _]) => {
            (VendorCall::MuxStreamGet, live_streams::get)
        }
        ("PATCH", ["video", "v1", "live-streams", _]) => {
            (VendorCall::MuxStreamUpdate, live_streams::update)
        }
        ("DELETE", ["video", "v1", "live-streams", _]) => {
            (VendorCall::MuxStreamDelete, live_streams::delete)
        }
        ("PUT", ["video", "v1", "live-streams", _, "complete"]) => {
            (VendorCall::MuxStreamComplete, live_streams::complete)
        }
        ("PUT", ["video", "v1", "live-streams", _, "disable"]) => {
            (VendorCall::MuxStreamDisable, live_streams::disable)
        }
        ("PUT", ["video", "v1", "live-streams", _, "enable"]) => {
            (VendorCall::MuxStreamEnable, live_streams::enable)
        }
        ("POST", ["video", "v1", "live-streams", _, "reset-stream-key"]) => {
            (VendorCall::MuxStreamResetKey, live_streams::reset_key)
        }
        ("POST", ["video", "v1", "live-streams", _, "playback-ids"]) => (
            VendorCall::MuxStreamPlaybackIds,
            live_streams::create_playback_id,
        ),
        ("GET" | "DELETE", ["video", "v1", "live-streams", _, "playback-ids", _]) => {
            (VendorCall::MuxStreamPlaybackIds, live_streams::playback_id)
        }
        ("GET", ["video", "v1", "playback-ids", _]) => {
            (VendorCall::MuxPlaybackIdGet, live_streams::by_playback_id)
        }
        ("GET", ["video", "v1", "assets"]) => (VendorCall::MuxAssetList, assets::list),
        ("GET", ["video", "v1", "assets", _]) => (VendorCall::MuxAssetGet, assets::get),
        ("DELETE", ["video", "v1", "assets", _]) => (VendorCall::MuxAssetDelete, assets::delete),
        ("GET", ["system", "v1", "whoami"]) => (VendorCall::MuxWhoAmI, system::who_am_i),
        ("GET" | "POST", ["system", "v1", "webhooks"]) => {
            (VendorCall::MuxWebhooks, system::webhooks)
        }
        ("GET" | "PATCH" | "DELETE", ["system", "v1", "webhooks", _]) => {
            (VendorCall::MuxWebhooks, system::webhook)
        }
        _ => return None,
    };
    Some(found)
}

fn dispatch(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    if !is_authenticated(cx) {
        return error(401, "unauthorized", "Unauthorized");
    }
    if let Some(refusal) = count(call, cx) {
        return refusal;
    }
    match handler(cx.ask) {
        Some((_, handle)) => handle(cx),
        None => not_found(),
    }
}

fn is_authenticated(cx: &CallContext<'_>) -> bool {
    let keys = &cx.world.keys;
    let pair = format!("{}:{}", keys.mux_token_id, keys.mux_token_secret);
    let given = cx.ask.header("authorization");
    let given = given.and_then(|header| header.strip_prefix("Basic "));
    let given = given.and_then(|text| STANDARD.decode(text.trim()).ok());
    given.is_some_and(|given| given == pair.as_bytes())
}

/// Two buckets, one for POST (`mux.md §1.3`).
fn count(call: VendorCall, cx: &mut CallContext<'_>) -> Option<SimResponse> {
    let (quotas, mux, now) = (&cx.state.quotas, &mut cx.state.mux, cx.now);
    let taken = match cx.ask.method == "POST" {
        true => mux.posts.take(now, BURSTS.0, quotas.mux_posts_per_second),
        false => mux.others.take(now, BURSTS.1, quotas.mux_others_per_second),
    };
    let wait = taken.err()?;
    cx.state.violation("quota_passed", call.name());
    let answer = error(429, "rate_limit_exceeded", "Too many requests");
    let wait = cx.world.clock.header_seconds(wait).to_string();
    Some(answer.with("Retry-After", wait))
}

fn data(status: u16, data: &Value) -> SimResponse {
    SimResponse::json(status, &json!({ "data": data }))
}

fn error(status: u16, kind: &str, message: &str) -> SimResponse {
    let body = json!({"error": {"type": kind, "messages": [message]}});
    SimResponse::json(status, &body)
}

fn invalid(message: &str) -> SimResponse {
    error(400, "invalid_parameters", message)
}

fn not_found() -> SimResponse {
    error(404, "not_found", "The requested resource was not found.")
}

fn fault(status: u16) -> SimResponse {
    match status {
        401 => error(401, "unauthorized", "Unauthorized"),
        403 => error(403, "forbidden", "Forbidden"),
        404 => not_found(),
        _ => error(status, "simulated_fault", "Simulated fault"),
    }
}

/// Refuses undocumented parameters.
fn only(ask: &SimRequest, known: &[&str]) -> Result<(), SimResponse> {
    let unknown = ask
        .query
        .iter()
        .find(|(key, _)| !known.contains(&key.as_str()));
    match unknown {
        Some((key, _)) => Err(invalid(&format!("unknown parameter {key}"))),
        None => Ok(()),
    }
}

/// The number in a query from 1 to `most`.
fn number(ask: &SimRequest, key: &str, usual: usize, most: usize) -> Result<usize, SimResponse> {
    let Some(text) = ask.query(key) else {
        return Ok(usual);
    };
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| invalid(&format!("{key} must be between 1 and {most}")))
}
