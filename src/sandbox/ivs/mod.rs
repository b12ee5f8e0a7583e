//! The simulated Amazon IVS API: routes, signatures, limits, refusals (`ivs.md §1`).

mod body;
mod channels;
mod playback;
mod stream_keys;
mod streams;

use chrono::Utc;
use serde_json::{Value, json};

pub(super) use playback::HOST as PLAYBACK;

use super::calls::VendorCall;
use super::host::{Handler, Host};
use super::http::{CallContext, SimRequest, SimResponse};
use super::sigv4::{Refusal, verify};
use super::world::IVS_REGION;

pub(super) const API: Host = Host {
    route: |ask| handler(ask).map(|(call, _)| call),
    dispatch,
    no_route,
    fault: |_, status| fault(status),
    coded: |status, code| error(status, &code.to_string(), "Simulated fault"),
};

/// Tags have a limit of their own.
const TAG_CALLS: [VendorCall; 3] = [
    VendorCall::IvsTagsGet,
    VendorCall::IvsTagsAdd,
    VendorCall::IvsTagsRemove,
];
/// Calls that a new account may not make.
const VERIFIED_CALLS: [VendorCall; 5] = [
    VendorCall::IvsChannelCreate,
    VendorCall::IvsChannelUpdate,
    VendorCall::IvsChannelDelete,
    VendorCall::IvsKeyCreate,
    VendorCall::IvsKeyDelete,
];

fn handler(ask: &SimRequest) -> Option<(VendorCall, Handler)> {
    let parts = ask.parts();
    let found: (VendorCall, Handler) = match (ask.method.as_str(), parts.as_slice()) {
        ("POST", ["CreateChannel"]) => (VendorCall::IvsChannelCreate, channels::create),
        ("POST", ["GetChannel"]) => (VendorCall::IvsChannelGet, channels::get),
        ("POST", ["BatchGetChannel"]) => (VendorCall::IvsChannelBatchGet, channels::batch_get),
        ("POST", ["ListChannels"]) => (VendorCall::IvsChannelList, channels::list),
        ("POST", ["UpdateChannel"]) => (VendorCall::IvsChannelUpdate, channels::update),
        ("POST", ["DeleteChannel"]) => (VendorCall::IvsChannelDelete, channels::delete),
        ("POST", ["CreateStreamKey"]) => (VendorCall::IvsKeyCreate, stream_keys::create),
        ("POST", ["GetStreamKey"]) => (VendorCall::IvsKeyGet, stream_keys::get),
        ("POST", ["BatchGetStreamKey"]) => (VendorCall::IvsKeyBatchGet, stream_keys::batch_get),
        ("POST", ["ListStreamKeys"]) => (VendorCall::IvsKeyList, stream_keys::list),
        ("POST", ["DeleteStreamKey"]) => (VendorCall::IvsKeyDelete, stream_keys::delete),
        ("POST", ["GetStream"]) => (VendorCall::IvsStreamGet, streams::get),
        ("POST", ["ListStreams"]) => (VendorCall::IvsStreamList, streams::list),
        ("POST", ["StopStream"]) => (VendorCall::IvsStreamStop, streams::stop),
        ("POST", ["ListStreamSessions"]) => (VendorCall::IvsSessionList, streams::sessions),
        ("POST", ["GetStreamSession"]) => (VendorCall::IvsSessionGet, streams::session),
        ("POST", ["GetRecordingConfiguration"]) => (
            VendorCall::IvsRecordingConfigurationGet,
            streams::recording_configuration,
        ),
        ("GET", ["tags", _]) => (VendorCall::IvsTagsGet, channels::tags),
        ("POST", ["tags", _]) => (VendorCall::IvsTagsAdd, channels::add_tags),
        ("DELETE", ["tags", _]) => (VendorCall::IvsTagsRemove, channels::remove_tags),
        _ => return None,
    };
    Some(found)
}

fn dispatch(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    if let Some(refusal) = authenticate(cx).or_else(|| count(call, cx)) {
        return refusal;
    }
    if cx.world.options.ivs_pending_verification && VERIFIED_CALLS.contains(&call) {
        return error(
            403,
            "PendingVerification",
            "Your account is pending verification.",
        );
    }
    match handler(cx.ask) {
        Some((_, handle)) => handle(cx),
        None => no_route(),
    }
}

fn authenticate(cx: &CallContext<'_>) -> Option<SimResponse> {
    let signer = cx.world.aws_signer("ivs");
    let refusal = verify(&cx.ask.signed(), &signer, Utc::now()).err()?;
    let invalid = |message: &str| error(403, "InvalidSignatureException", message);
    Some(match refusal {
        Refusal::Missing => error(
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ),
        Refusal::Malformed(why) => error(403, "IncompleteSignatureException", why),
        Refusal::UnknownKey | Refusal::WrongToken => error(
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        Refusal::WrongRegion => invalid(&format!(
            "Credential should be scoped to a valid region, such as '{IVS_REGION}'."
        )),
        Refusal::WrongService => invalid("Credential should be scoped to correct service: 'ivs'."),
        Refusal::WrongDate => {
            invalid("Date in Credential scope does not match YYYYMMDD from X-Amz-Date.")
        }
        Refusal::Skewed => invalid("Signature expired or not yet current: check the clock."),
        Refusal::Unsigned(header) => invalid(&format!(
            "'{header}' must be a 'SignedHeader' in the AWS Authorization."
        )),
        Refusal::NoBodyHash
        | Refusal::UnknownBodyHash
        | Refusal::WrongBodyHash
        | Refusal::Mismatch => invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
        ),
    })
}

/// A bucket for each operation.
fn count(call: VendorCall, cx: &mut CallContext<'_>) -> Option<SimResponse> {
    let quotas = &cx.state.quotas;
    let per_second = match TAG_CALLS.contains(&call) {
        true => quotas.ivs_tags_per_second,
        false => quotas.ivs_per_second,
    };
    let budget = cx.state.ivs.budgets.entry(call).or_default();
    budget.take(cx.now, per_second, per_second).err()?;
    cx.state.violation("quota_passed", call.name());
    Some(error(429, "ThrottlingException", "Rate exceeded"))
}

fn answer(body: &Value) -> SimResponse {
    SimResponse::json(200, body)
}

/// Without `nextToken` on the last page.
fn list_answer(name: &str, entries: Vec<Value>, next: Option<String>) -> SimResponse {
    answer(&match next {
        Some(next) => json!({name: entries, "nextToken": next}),
        None => json!({name: entries}),
    })
}

/// The entry of a batch for what is not there.
fn missing(arn: &str) -> Value {
    json!({"arn": arn, "code": "ResourceNotFoundException", "message": format!("Resource: {arn} not found")})
}

fn error(status: u16, kind: &str, message: &str) -> SimResponse {
    let url = "http://internal.amazon.com/coral/com.amazonaws.ivs/";
    SimResponse::json(status, &json!({ "exceptionMessage": message }))
        .with("x-amzn-ErrorType", format!("{kind}:{url}"))
}

fn invalid(message: &str) -> SimResponse {
    error(400, "ValidationException", message)
}

fn not_found(what: &str) -> SimResponse {
    let message = format!("Resource: {what} not found");
    error(404, "ResourceNotFoundException", &message)
}

fn no_route() -> SimResponse {
    error(404, "UnknownOperationException", "Unknown operation")
}

fn fault(status: u16) -> SimResponse {
    let kind = match status {
        400 => "ValidationException",
        402 => "ServiceQuotaExceededException",
        403 => "AccessDeniedException",
        404 => return not_found("simulated"),
        409 => "ConflictException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailable",
        _ => "InternalServerException",
    };
    error(status, kind, "Simulated fault")
}
