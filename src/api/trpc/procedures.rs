use serde_json::{Value, json};

use super::call::{Procedure, ProcedureCall};
use super::envelope::{Issue, TrpcError};
use crate::api::Api;
use crate::api::input::{LARGEST_ID, whole};
use crate::api::problem::Problem;

pub(super) async fn answer(api: &Api, call: &ProcedureCall) -> Result<Value, TrpcError> {
    let Some(procedure) = call.procedure else {
        return Err(TrpcError::no_procedure(&call.path));
    };
    match procedure {
        Procedure::GetPlaybackUrl => playback_url(api, channel_id(&call.input)?).await,
        Procedure::GetStreamStatus => stream_status(api, channel_id(&call.input)?).await,
        Procedure::HealthCheck => Ok(health_check(api).await),
    }
}

async fn playback_url(api: &Api, channel_id: i64) -> Result<Value, TrpcError> {
    match api.playback(channel_id).await.map_err(trpc_error)? {
        Some(playback) => Ok(json!({"hlsUrl": playback.hls_url})),
        None => Err(TrpcError::not_found(
            "The channel is not on air, has no recording, and keeps no ingest.",
        )),
    }
}

/// `durationSeconds` is the newest relay's recorded time if known, else its time live.
async fn stream_status(api: &Api, channel_id: i64) -> Result<Value, TrpcError> {
    let relay = api.newest_relay(channel_id).await.map_err(trpc_error)?;
    let recording = api.store.last_ready_recording(channel_id).await;
    let recording = recording.map_err(Problem::from).map_err(trpc_error)?;
    let playback = api.playback(channel_id).await.map_err(trpc_error)?;
    let seconds = relay.as_ref().map_or(0, |relay| match &relay.cost {
        Some(cost) => cost.duration_seconds,
        None => relay.live_seconds,
    });
    Ok(json!({
        "isLive": relay.is_some_and(|relay| relay.is_live),
        "hlsUrl": playback.map(|playback| playback.hls_url),
        "durationSeconds": seconds,
        "recordingAvailable": recording.is_some(),
    }))
}

async fn health_check(api: &Api) -> Value {
    json!({"healthy": api.health_report().await.healthy})
}

fn trpc_error(problem: Problem) -> TrpcError {
    TrpcError::from(&problem)
}

/// Other fields are ignored, as zod does.
fn channel_id(input: &Result<Option<Value>, TrpcError>) -> Result<i64, TrpcError> {
    let input = input.as_ref().map_err(Clone::clone)?;
    let issue = |code, expected, received, path, message: &str| {
        TrpcError::invalid_input(&[Issue {
            code,
            expected,
            received,
            path,
            message: message.to_owned(),
        }])
    };
    let field = match input {
        Some(Value::Object(fields)) => fields.get("channelId"),
        other => {
            let received = kind(other.as_ref());
            let message = format!("Expected object, received {received}");
            return Err(issue("invalid_type", "object", received, &[], &message));
        }
    };
    let path: &[_] = &["channelId"];
    match field {
        Some(Value::Number(number)) => {
            let Some(id) = whole(number) else {
                let message = "Expected integer, received float";
                return Err(issue("invalid_type", "integer", "float", path, message));
            };
            let range = "Number must be from 1 to 9007199254740991";
            match id {
                ..1 => Err(issue("too_small", "integer", "integer", path, range)),
                1..=LARGEST_ID => Ok(id),
                _ => Err(issue("too_big", "integer", "integer", path, range)),
            }
        }
        other => {
            let received = kind(other);
            let message = other.map_or("Required".to_owned(), |_| {
                format!("Expected number, received {received}")
            });
            Err(issue("invalid_type", "number", received, path, &message))
        }
    }
}

/// JavaScript's type name.
fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::envelope::CallAnswer;
    use super::*;

    fn issue(input: Option<Value>) -> Value {
        let error = channel_id(&Ok(input)).unwrap_err();
        let answer: Value = serde_json::from_str(&CallAnswer::refusal(&error).to_json()).unwrap();
        assert_eq!(answer["error"]["code"], -32600);
        assert_eq!(answer["error"]["data"]["code"], "BAD_REQUEST");
        let issues: Value =
            serde_json::from_str(answer["error"]["message"].as_str().unwrap()).unwrap();
        issues[0].clone()
    }

    #[test]
    fn an_invalid_input_is_reported_as_zod_does() {
        let missing = issue(Some(json!({})));
        assert_eq!(
            missing,
            json!({"code": "invalid_type", "expected": "number", "received": "undefined",
                   "path": ["channelId"], "message": "Required"})
        );
        assert_eq!(issue(None)["path"], json!([]));
        assert_eq!(
            issue(Some(json!({"channelId": "42"})))["received"],
            "string"
        );
        assert_eq!(
            issue(Some(json!({"channelId": 1.5})))["expected"],
            "integer"
        );
        assert_eq!(issue(Some(json!({"channelId": 0})))["code"], "too_small");
        for large in [json!(1_u64 << 53), json!(u64::MAX), json!(1e300)] {
            assert_eq!(issue(Some(json!({"channelId": large})))["code"], "too_big");
        }
    }

    #[test]
    fn a_channel_id_goes_up_to_the_largest_integer_of_javascript() {
        let id = |id: Value| channel_id(&Ok(Some(json!({"channelId": id, "more": 1}))));
        assert_eq!(id(json!(1)), Ok(1));
        assert_eq!(id(json!(42.0)), Ok(42));
        assert_eq!(id(json!(LARGEST_ID)), Ok(LARGEST_ID));
    }
}
