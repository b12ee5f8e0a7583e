//! The simulated Cloudflare API: routes, authentication, envelope, rate limit (`cloudflare-stream.md §1`).

mod live_inputs;
mod notifications;
mod videos;

use serde_json::{Value, json};

pub(super) use live_inputs::blank;
pub(super) use notifications::{Destination, Policy, test_destination};
pub(super) use videos::{told_seconds, video_object};

use super::calls::Call;
use super::wire::{Answer, Ask, Cx};

/// Which call a request is.
pub(super) fn route(ask: &Ask) -> Option<Call> {
    let parts = ask.parts();
    let rest = parts.strip_prefix(&["client", "v4"])?;
    let method = ask.method.as_str();
    if let (&["user", "tokens", "verify"], "GET") = (rest, method) {
        return Some(Call::UserTokenVerify);
    }
    let [_, _, rest @ ..] = rest.strip_prefix(&["accounts"]).map(|_| rest)? else {
        return None;
    };
    match (method, rest) {
        ("GET", ["tokens", "verify"]) => Some(Call::AccountTokenVerify),
        ("POST", ["stream", "live_inputs"]) => Some(Call::LiveInputCreate),
        ("GET", ["stream", "live_inputs"]) => Some(Call::LiveInputList),
        ("GET", ["stream", "live_inputs", _]) => Some(Call::LiveInputGet),
        ("PUT", ["stream", "live_inputs", _]) => Some(Call::LiveInputUpdate),
        ("DELETE", ["stream", "live_inputs", _]) => Some(Call::LiveInputDelete),
        ("POST", ["stream", "live_inputs", _, "rotate_keys"]) => Some(Call::LiveInputRotateKeys),
        ("GET", ["stream", "live_inputs", _, "videos"]) => Some(Call::LiveInputVideos),
        ("GET", ["stream", "storage-usage"]) => Some(Call::StorageUsage),
        ("PUT", ["stream", "webhook"]) => Some(Call::WebhookPut),
        ("GET", ["stream", "webhook"]) => Some(Call::WebhookGet),
        ("DELETE", ["stream", "webhook"]) => Some(Call::WebhookDelete),
        ("GET", ["stream"]) => Some(Call::VideoList),
        ("GET", ["stream", _]) => Some(Call::VideoGet),
        ("DELETE", ["stream", _]) => Some(Call::VideoDelete),
        ("POST", ["alerting", "v3", "destinations", "webhooks"]) => Some(Call::DestinationCreate),
        ("GET", ["alerting", "v3", "destinations", "webhooks"]) => Some(Call::DestinationList),
        ("DELETE", ["alerting", "v3", "destinations", "webhooks", _]) => {
            Some(Call::DestinationDelete)
        }
        ("POST", ["alerting", "v3", "policies"]) => Some(Call::PolicyCreate),
        ("GET", ["alerting", "v3", "policies"]) => Some(Call::PolicyList),
        ("DELETE", ["alerting", "v3", "policies", _]) => Some(Call::PolicyDelete),
        _ => None,
    }
}

/// Authenticates, counts and answers a call.
pub(super) fn dispatch(call: Call, cx: &mut Cx<'_>) -> Answer {
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

fn handle(call: Call, cx: &mut Cx<'_>) -> Answer {
    // …/client/v4/accounts/{account}/…
    if call != Call::UserTokenVerify && cx.ask.part(3) != cx.world.keys.account_id {
        let path = cx.ask.path.get(2..).unwrap_or_default().join("/");
        return error(
            404,
            7003,
            &format!("Could not route to /{path}, perhaps your object identifier is invalid?"),
        );
    }
    match call {
        Call::UserTokenVerify | Call::AccountTokenVerify => verified(cx),
        Call::LiveInputCreate => live_inputs::create(cx),
        Call::LiveInputList => live_inputs::list(cx),
        Call::LiveInputGet => live_inputs::get(cx),
        Call::LiveInputUpdate => live_inputs::update(cx),
        Call::LiveInputDelete => live_inputs::delete(cx),
        Call::LiveInputRotateKeys => live_inputs::rotate_keys(cx),
        Call::LiveInputVideos => videos::of_input(cx),
        Call::VideoList => videos::list(cx),
        Call::VideoGet => videos::get(cx),
        Call::VideoDelete => videos::delete(cx),
        Call::StorageUsage => videos::storage_usage(cx),
        Call::WebhookPut => notifications::put_webhook(cx),
        Call::WebhookGet => notifications::get_webhook(cx),
        Call::WebhookDelete => notifications::delete_webhook(cx),
        Call::DestinationCreate => notifications::create_destination(cx),
        Call::DestinationList => notifications::list_destinations(cx),
        Call::PolicyCreate => notifications::create_policy(cx),
        Call::PolicyList => notifications::list_policies(cx),
        Call::DestinationDelete => notifications::delete_destination(cx),
        Call::PolicyDelete => notifications::delete_policy(cx),
        Call::Lifecycle
        | Call::Views
        | Call::Manifest
        | Call::Thumbnail
        | Call::Acquire
        | Call::Start
        | Call::Query
        | Call::Update
        | Call::Stop
        | Call::ConverterCreate
        | Call::ConverterGet
        | Call::ConverterUpdate
        | Call::ConverterDelete
        | Call::ConverterList
        | Call::ConverterListChannel
        | Call::Hosts => no_route(),
    }
}

fn authenticate(call: Call, cx: &Cx<'_>) -> Option<Answer> {
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
        return Some(Answer::json(400, &body));
    };
    let known = token == cx.world.keys.cloudflare_token;
    let account_owned = cx.world.options.account_owned_token;
    // Each kind of token is known to its own verify call only.
    let verify = [Call::UserTokenVerify, Call::AccountTokenVerify].contains(&call);
    let wrong_kind = verify && (call == Call::AccountTokenVerify) != account_owned;
    if known && !wrong_kind {
        None
    } else if verify {
        Some(error(401, 1000, "Invalid API Token"))
    } else {
        Some(error(403, 10000, "Authentication error"))
    }
}

fn count(call: Call, cx: &mut Cx<'_>) -> Option<Answer> {
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

fn verified(cx: &Cx<'_>) -> Answer {
    let id = cx.world.keys.account_id.chars().rev().collect::<String>();
    let message =
        json!({"code": 10000, "message": "This API Token is valid and active", "type": null});
    Answer::json(
        200,
        &json!({"success": true, "errors": [], "messages": [message], "result": {"id": id, "status": "active"}}),
    )
}

/// The envelope of success.
fn ok(result: &Value) -> Answer {
    Answer::json(
        200,
        &json!({"result": result, "success": true, "errors": [], "messages": []}),
    )
}

/// The envelope of failure.
fn error(status: u16, code: u32, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({"result": null, "success": false, "errors": [{"code": code, "message": message}], "messages": []}),
    )
}

fn not_found() -> Answer {
    error(
        404,
        10003,
        "Not Found: The requested resource was not found",
    )
}

fn bad_request(message: &str) -> Answer {
    error(400, 10005, &format!("Bad Request: {message}"))
}

pub(super) fn no_route() -> Answer {
    error(404, 7000, "No route for that URI")
}

/// A status and a code nobody earned, in words seen with that code.
pub(super) fn coded(status: u16, code: u32) -> Answer {
    let text = match code {
        10000 => "Authentication error",
        10002 => "Cloudflare Stream not enabled",
        10011 => {
            "Storage capacity exceeded: You have uploaded 1000.00 minutes and are allocated 1000 minutes."
        }
        // The reason stands among the messages.
        10005 if status == 403 => {
            let told = json!({"code": 10002, "message": "Cloudflare Stream not enabled"});
            let error = json!({"code": code, "message": "Authorization Failure"});
            return Answer::json(
                status,
                &json!({"result": null, "success": false, "errors": [error], "messages": [told]}),
            );
        }
        _ => "Simulated fault",
    };
    error(status, code, text)
}

/// A status without a reason.
pub(super) fn fault(status: u16) -> Answer {
    match status {
        404 => not_found(),
        401 | 403 => error(status, 10000, "Authentication error"),
        _ => error(status, u32::from(status) + 10_000, "Simulated fault"),
    }
}
