//! The simulated Cloudflare API: routes, authentication, envelope, rate limit (`cloudflare-stream.md §1`).

mod live_inputs;
mod notifications;
mod videos;

use serde_json::{Value, json};

pub(super) use live_inputs::blank;
pub(super) use notifications::test_destination;

use super::calls::VendorCall;
use super::host::{Handler, Host};
use super::http::{CallContext, SimRequest, SimResponse};

pub(super) const API: Host = Host {
    route: |ask| handler(ask).map(|(call, _)| call),
    dispatch,
    no_route,
    fault: |_, status| fault(status),
    coded,
};

fn handler(ask: &SimRequest) -> Option<(VendorCall, Handler)> {
    let parts = ask.parts();
    let rest = parts.strip_prefix(&["client", "v4"])?;
    let method = ask.method.as_str();
    if let (&["user", "tokens", "verify"], "GET") = (rest, method) {
        return Some((VendorCall::UserTokenVerify, verified));
    }
    let ["accounts", _, rest @ ..] = rest else {
        return None;
    };
    let found: (VendorCall, Handler) = match (method, rest) {
        ("GET", ["tokens", "verify"]) => (VendorCall::AccountTokenVerify, verified),
        ("POST", ["stream", "live_inputs"]) => (VendorCall::LiveInputCreate, live_inputs::create),
        ("GET", ["stream", "live_inputs"]) => (VendorCall::LiveInputList, live_inputs::list),
        ("GET", ["stream", "live_inputs", _]) => (VendorCall::LiveInputGet, live_inputs::get),
        ("PUT", ["stream", "live_inputs", _]) => (VendorCall::LiveInputUpdate, live_inputs::update),
        ("DELETE", ["stream", "live_inputs", _]) => {
            (VendorCall::LiveInputDelete, live_inputs::delete)
        }
        ("POST", ["stream", "live_inputs", _, "rotate_keys"]) => {
            (VendorCall::LiveInputRotateKeys, live_inputs::rotate_keys)
        }
        ("GET", ["stream", "live_inputs", _, "videos"]) => {
            (VendorCall::LiveInputVideos, videos::of_input)
        }
        ("GET", ["stream", "storage-usage"]) => (VendorCall::StorageUsage, videos::storage_usage),
        ("PUT", ["stream", "webhook"]) => (VendorCall::WebhookPut, notifications::put_webhook),
        ("GET", ["stream", "webhook"]) => (VendorCall::WebhookGet, notifications::get_webhook),
        ("DELETE", ["stream", "webhook"]) => {
            (VendorCall::WebhookDelete, notifications::delete_webhook)
        }
        ("GET", ["stream"]) => (VendorCall::VideoList, videos::list),
        ("GET", ["stream", _]) => (VendorCall::VideoGet, videos::get),
        ("DELETE", ["stream", _]) => (VendorCall::VideoDelete, videos::delete),
        ("POST", ["alerting", "v3", "destinations", "webhooks"]) => (
            VendorCall::DestinationCreate,
            notifications::create_destination,
        ),
        ("GET", ["alerting", "v3", "destinations", "webhooks"]) => (
            VendorCall::DestinationList,
            notifications::list_destinations,
        ),
        ("DELETE", ["alerting", "v3", "destinations", "webhooks", _]) => (
            VendorCall::DestinationDelete,
            notifications::delete_destination,
        ),
        ("POST", ["alerting", "v3", "policies"]) => {
            (VendorCall::PolicyCreate, notifications::create_policy)
        }
        ("GET", ["alerting", "v3", "policies"]) => {
            (VendorCall::PolicyList, notifications::list_policies)
        }
        ("DELETE", ["alerting", "v3", "policies", _]) => {
            (VendorCall::PolicyDelete, notifications::delete_policy)
        }
        _ => return None,
    };
    Some(found)
}

fn dispatch(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    let answer = match authenticate(call, cx) {
        Some(refusal) => refusal,
        None => match count(call, cx) {
            Some(refusal) => refusal,
            None => handle(call, cx),
        },
    };
    let (limit, span) = (
        cx.state.quotas.cloudflare_requests,
        cx.state.quotas.cloudflare_window,
    );
    let (left, reset) = cx.state.cloudflare_quota.left(cx.now, span, limit);
    let ray = format!("{}-SBX", cx.state.dice.hex(16));
    answer
        .with("cf-ray", ray)
        .with(
            "Ratelimit",
            format!(
                "\"default\";r={left};t={}",
                cx.world.clock.header_seconds(reset)
            ),
        )
        .with(
            "Ratelimit-Policy",
            format!(
                "\"default\";q={limit};w={}",
                cx.world.clock.header_seconds(span)
            ),
        )
}

fn handle(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    // …/client/v4/accounts/{account}/…
    if call != VendorCall::UserTokenVerify && cx.ask.part(3) != cx.world.keys.account_id {
        let path = cx.ask.path.get(2..).unwrap_or_default().join("/");
        return error(
            404,
            7003,
            &format!("Could not route to /{path}, perhaps your object identifier is invalid?"),
        );
    }
    match handler(cx.ask) {
        Some((_, handle)) => handle(cx),
        None => no_route(),
    }
}

fn authenticate(call: VendorCall, cx: &CallContext<'_>) -> Option<SimResponse> {
    let Some(header) = cx.ask.header("authorization") else {
        return Some(error(401, 10000, "Authentication error"));
    };
    let token = header
        .strip_prefix("Bearer ")
        .map(str::trim)
        .filter(|token| !token.is_empty() && !token.contains(char::is_whitespace));
    let Some(token) = token else {
        let chain = json!([{"code": 6111, "message": "Invalid format for Authorization header"}]);
        let body = json!({"success": false, "errors": [{"code": 6003, "message": "Invalid request headers", "error_chain": chain}], "messages": [], "result": null});
        return Some(SimResponse::json(400, &body));
    };
    let known = token == cx.world.keys.cloudflare_token;
    let account_owned = cx.world.options.account_owned_token;
    // Each kind of token is valid at its own verify route only.
    let verify = [VendorCall::UserTokenVerify, VendorCall::AccountTokenVerify].contains(&call);
    let wrong_kind = verify && (call == VendorCall::AccountTokenVerify) != account_owned;
    if known && !wrong_kind {
        None
    } else if verify {
        Some(error(401, 1000, "Invalid API Token"))
    } else {
        Some(error(403, 10000, "Authentication error"))
    }
}

fn count(call: VendorCall, cx: &mut CallContext<'_>) -> Option<SimResponse> {
    let (limit, span) = (
        cx.state.quotas.cloudflare_requests,
        cx.state.quotas.cloudflare_window,
    );
    let (wait, passed) = cx.state.cloudflare_quota.admit(cx.now, span, limit).err()?;
    if passed {
        cx.state.violation("quota_passed", call.name());
    }
    let answer = error(
        429,
        10429,
        "More than the allowed number of requests. Please wait and consider throttling your request speed",
    );
    Some(answer.with(
        "Retry-After",
        cx.world.clock.header_seconds(wait).to_string(),
    ))
}

fn verified(cx: &mut CallContext<'_>) -> SimResponse {
    let id = cx.world.keys.account_id.chars().rev().collect::<String>();
    let message =
        json!({"code": 10000, "message": "This API Token is valid and active", "type": null});
    SimResponse::json(
        200,
        &json!({"success": true, "errors": [], "messages": [message], "result": {"id": id, "status": "active"}}),
    )
}

fn ok(result: &Value) -> SimResponse {
    SimResponse::json(
        200,
        &json!({"result": result, "success": true, "errors": [], "messages": []}),
    )
}

fn error(status: u16, code: u32, message: &str) -> SimResponse {
    SimResponse::json(
        status,
        &json!({"result": null, "success": false, "errors": [{"code": code, "message": message}], "messages": []}),
    )
}

fn not_found() -> SimResponse {
    error(
        404,
        10003,
        "Not Found: The requested resource was not found",
    )
}

fn bad_request(message: &str) -> SimResponse {
    error(400, 10005, &format!("Bad Request: {message}"))
}

fn no_route() -> SimResponse {
    error(404, 7000, "No route for that URI")
}

/// Uses the text that Cloudflare sends with that code.
fn coded(status: u16, code: u32) -> SimResponse {
    let text = match code {
        10000 => "Authentication error",
        10002 => "Cloudflare Stream not enabled",
        10011 => {
            "Storage capacity exceeded: You have uploaded 1000.00 minutes and are allocated 1000 minutes."
        }
        // Cloudflare gives the reason in `messages`.
        10005 if status == 403 => {
            let reason = json!({"code": 10002, "message": "Cloudflare Stream not enabled"});
            let error = json!({"code": code, "message": "Authorization Failure"});
            return SimResponse::json(
                status,
                &json!({"result": null, "success": false, "errors": [error], "messages": [reason]}),
            );
        }
        _ => "Simulated fault",
    };
    error(status, code, text)
}

fn fault(status: u16) -> SimResponse {
    match status {
        404 => not_found(),
        401 | 403 => error(status, 10000, "Authentication error"),
        _ => error(status, u32::from(status) + 10_000, "Simulated fault"),
    }
}
