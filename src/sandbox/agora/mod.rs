//! The simulated Agora: routes, authentication, quotas and error formats (`agora.md §1, §7`).

mod check;
mod converter_body;
mod media_push;
mod recording;
mod start;
mod token;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(super) use token::verify as verify_token;

use super::calls::VendorCall;
use super::host::{Handler, Host};
use super::http::{CallContext, SimRequest, SimResponse};

/// Optional path prefixes of Cloud Recording.
const RECORDING_REGIONS: [&str; 4] = ["cn", "eu", "ap", "us"];
const PUSH_REGIONS: [&str; 4] = ["cn", "ap", "na", "eu"];

pub(super) const API: Host = Host {
    route: |ask| handler(ask).map(|(call, _)| call),
    dispatch,
    no_route,
    fault,
    coded: |status, code| refused(status, code, "simulated fault"),
};

fn handler(ask: &SimRequest) -> Option<(VendorCall, Handler)> {
    let parts = ask.parts();
    let parts = parts.as_slice();
    let method = ask.method.as_str();
    let rest = match parts {
        [region, rest @ ..] if RECORDING_REGIONS.contains(region) => rest,
        _ => parts,
    };
    if let ["v1", "apps", _, "cloud_recording", rest @ ..] = rest {
        let found: (VendorCall, Handler) = match (method, rest) {
            ("POST", ["acquire"]) => (VendorCall::Acquire, recording::acquire),
            ("POST", ["resourceid", _, "mode", _, "start"]) => (VendorCall::Start, start::start),
            ("GET", ["resourceid", _, "sid", _, "mode", _, "query"]) => {
                (VendorCall::Query, recording::query)
            }
            ("POST", ["resourceid", _, "sid", _, "mode", _, "update"]) => {
                (VendorCall::Update, recording::update)
            }
            ("POST", ["resourceid", _, "sid", _, "mode", _, "stop"]) => {
                (VendorCall::Stop, recording::stop)
            }
            _ => return None,
        };
        return Some(found);
    }
    let found: (VendorCall, Handler) = match (method, parts) {
        ("GET", ["dev", "v1", "channel", "user", _, _, "hosts_only"]) => (VendorCall::Hosts, hosts),
        ("GET", ["dev", "v1", "channel", "user", _, _]) if ask.query("hosts_only").is_some() => {
            (VendorCall::Hosts, hosts)
        }
        ("GET", ["v1", "projects", _, "rtmp-converters"]) => {
            (VendorCall::ConverterList, |cx| media_push::list(cx, None))
        }
        ("GET", ["v1", "projects", _, "channels", _, "rtmp-converters"]) => {
            (VendorCall::ConverterListChannel, |cx| {
                let channel = cx.ask.part(4).to_owned();
                media_push::list(cx, Some(&channel))
            })
        }
        (method, [region, "v1", "projects", _, "rtmp-converters", rest @ ..])
            if PUSH_REGIONS.contains(region) =>
        {
            match (method, rest) {
                ("POST", []) => (VendorCall::ConverterCreate, media_push::create),
                ("GET", [_]) => (VendorCall::ConverterGet, media_push::get),
                ("PATCH", [_]) => (VendorCall::ConverterUpdate, media_push::update),
                ("DELETE", [_]) => (VendorCall::ConverterDelete, media_push::delete),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(found)
}

fn dispatch(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    if let Some(refusal) = authenticate(cx).or_else(|| count(call, cx)) {
        return refusal;
    }
    let answer = match handler(cx.ask) {
        Some((_, handle)) => handle(cx),
        None => no_route(),
    };
    match cx.ask.header("x-request-id") {
        Some(id) => answer.with("X-Request-ID", id),
        None => answer,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Product {
    CloudRecording,
    MediaPush,
    Channel,
}

impl Product {
    fn of(call: VendorCall) -> Self {
        let name = call.name();
        if name.starts_with("agora.cloud_recording.") {
            Self::CloudRecording
        } else if name.starts_with("agora.media_push.") {
            Self::MediaPush
        } else {
            Self::Channel
        }
    }
}

fn authenticate(cx: &CallContext<'_>) -> Option<SimResponse> {
    let keys = &cx.world.keys;
    let wanted = STANDARD.encode(format!("{}:{}", keys.customer_id, keys.customer_secret));
    let known = cx
        .ask
        .header("authorization")
        .and_then(|header| header.strip_prefix("Basic "))
        == Some(wanted.as_str());
    let ours = cx.ask.path.contains(&keys.app_id);
    (!known || !ours).then(|| {
        SimResponse::json(
            401,
            &json!({"message": "Invalid authentication credentials"}),
        )
    })
}

fn count(call: VendorCall, cx: &mut CallContext<'_>) -> Option<SimResponse> {
    let second = Duration::from_secs(1);
    let quotas = &cx.state.quotas;
    let admitted = match Product::of(call) {
        Product::MediaPush => {
            cx.state
                .push_quota
                .admit(cx.now, second, quotas.media_push_per_second)
        }
        Product::Channel => cx
            .state
            .hosts_quota
            .admit(cx.now, second, quotas.hosts_per_second),
        Product::CloudRecording => {
            cx.state
                .recording_quota
                .admit(cx.now, second, quotas.cloud_recording_per_second)
        }
    };
    if admitted {
        return None;
    }
    cx.state.violation("quota_passed", call.name());
    let text = if Product::of(call) == Product::MediaPush {
        "Request rate limit exceeded"
    } else {
        "API rate limit exceeded"
    };
    Some(SimResponse::json(429, &json!({"message": text})))
}

/// Answers as in `agora.md §5.1`.
fn hosts(cx: &mut CallContext<'_>) -> SimResponse {
    let channel = cx.ask.part(5);
    let mut hosts = cx.world.odd_entries();
    // A client that takes an object for a seller would never see a seller absent.
    hosts.retain(|entry| !entry.is_object());
    hosts.extend(cx.state.sellers.hosts(channel).into_iter().map(Value::from));
    let mut tasks = cx.state.tasks.values();
    if hosts.is_empty() && !tasks.any(|task| task.joined.as_deref() == Some(channel)) {
        return SimResponse::json(
            200,
            &json!({"success": true, "data": {"channel_exist": false}}),
        );
    }
    SimResponse::json(
        200,
        &json!({"success": true, "data": {"channel_exist": true, "mode": 2, "broadcasters": hosts}}),
    )
}

fn no_route() -> SimResponse {
    SimResponse::json(
        404,
        &json!({"message": "no Route matched with those values"}),
    )
}

/// An error of Cloud Recording.
fn refused(status: u16, code: u32, reason: &str) -> SimResponse {
    SimResponse::json(status, &json!({"code": code, "reason": reason}))
}

fn no_permission() -> SimResponse {
    SimResponse::json(
        403,
        &json!({"reason": "No valid permission to use this function"}),
    )
}

/// An error of Media Push.
fn message(status: u16, text: &str) -> SimResponse {
    SimResponse::json(status, &json!({"message": text}))
}

/// The error of an unknown converter: in `reason` for a `GET`, else in `message`.
fn destroyed(call: VendorCall) -> SimResponse {
    let text = "Resource is not found and destroyed.";
    if call == VendorCall::ConverterGet {
        SimResponse::json(404, &json!({"reason": text}))
    } else {
        message(404, text)
    }
}

fn body(cx: &CallContext<'_>) -> Result<Value, SimResponse> {
    if !cx.ask.says_json() {
        return Err(refused(400, 8, "the Content-Type must be application/json"));
    }
    cx.ask
        .json()
        .filter(Value::is_object)
        .ok_or_else(|| refused(400, 8, "the body is not a JSON object"))
}

/// An injected status, with the documented code if there is one (`agora.md §7`).
fn fault(call: VendorCall, status: u16) -> SimResponse {
    match (Product::of(call), status) {
        (_, 401) => message(401, "Invalid authentication credentials"),
        (_, 429) => message(429, "API rate limit exceeded"),
        (_, 403) => no_permission(),
        (Product::MediaPush, 404) => destroyed(call),
        (Product::MediaPush | Product::Channel, _) => message(status, "simulated fault"),
        (_, 206) => refused(206, 65, "request not completed"),
        (_, 404) => refused(404, 404, "failed to find worker"),
        (_, 500) if call == VendorCall::Acquire => refused(500, 500, "internal error"),
        (_, 500 | 504) => refused(status, 62, "request timeout"),
        (_, 400) => refused(400, 2, "invalid parameter"),
        _ => refused(status, u32::from(status), "simulated fault"),
    }
}
