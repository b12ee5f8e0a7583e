//! tRPC 11's envelope. An error's code is -32000 minus the last digits of the status, or one of JSON-RPC's own.

use actix_web::ResponseError as _;
use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::problem::{Code, Problem};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct TrpcError {
    kind: TrpcErrorKind,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
enum TrpcErrorKind {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotSupported,
    UnsupportedMediaType,
    TooManyRequests,
    InternalServerError,
    ServiceUnavailable,
}

impl TrpcErrorKind {
    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotSupported => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn number(self) -> i32 {
        match self {
            Self::BadRequest => -32600,
            Self::Unauthorized => -32001,
            Self::Forbidden => -32003,
            Self::NotFound => -32004,
            Self::MethodNotSupported => -32005,
            Self::UnsupportedMediaType => -32015,
            Self::TooManyRequests => -32029,
            Self::InternalServerError | Self::ServiceUnavailable => -32603,
        }
    }
}

impl TrpcError {
    fn new(kind: TrpcErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(TrpcErrorKind::BadRequest, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(TrpcErrorKind::NotFound, message)
    }

    pub(super) fn no_procedure(path: &str) -> Self {
        Self::not_found(format!("No procedure found on path \"{path}\""))
    }

    pub(super) fn method_not_supported(method: &str, path: &str) -> Self {
        let message = format!("Unsupported {method}-request to query procedure at path \"{path}\"");
        Self::new(TrpcErrorKind::MethodNotSupported, message)
    }

    /// With zod's issues as the message.
    pub(super) fn invalid_input(issues: &[Issue]) -> Self {
        Self::bad_request(serde_json::to_string_pretty(issues).unwrap_or_default())
    }
}

impl From<&Problem> for TrpcError {
    fn from(problem: &Problem) -> Self {
        let kind = match problem.code() {
            Code::InvalidRequest if problem.status_code() == StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                TrpcErrorKind::UnsupportedMediaType
            }
            Code::InvalidRequest
            | Code::IdempotencyMismatch
            | Code::Unsupported
            | Code::TooLarge
            | Code::Conflict => TrpcErrorKind::BadRequest,
            Code::Unauthorized => TrpcErrorKind::Unauthorized,
            Code::Forbidden => TrpcErrorKind::Forbidden,
            Code::NotFound | Code::NoPlayback => TrpcErrorKind::NotFound,
            Code::MethodNotAllowed => TrpcErrorKind::MethodNotSupported,
            Code::RateLimited => TrpcErrorKind::TooManyRequests,
            Code::VendorUnauthorized
            | Code::VendorRejected
            | Code::VendorRateLimited
            | Code::VendorQuota
            | Code::VendorUnavailable
            | Code::VendorTimeout
            | Code::Starting
            | Code::ShuttingDown
            | Code::Database => TrpcErrorKind::ServiceUnavailable,
            Code::Internal => TrpcErrorKind::InternalServerError,
        };
        Self::new(kind, problem.detail())
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Issue {
    pub(super) code: &'static str,
    pub(super) expected: &'static str,
    pub(super) received: &'static str,
    pub(super) path: &'static [&'static str],
    pub(super) message: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallAnswer {
    envelope: Value,
    status: StatusCode,
}

impl CallAnswer {
    pub(super) fn of(answer: Result<Value, TrpcError>, path: &str) -> Self {
        match answer {
            Ok(data) => Self {
                envelope: json!({"result": {"data": data}}),
                status: StatusCode::OK,
            },
            Err(error) => Self::error(&error, Some(path)),
        }
    }

    pub(super) fn refusal(error: &TrpcError) -> Self {
        Self::error(error, None)
    }

    fn error(error: &TrpcError, path: Option<&str>) -> Self {
        let status = error.kind.status();
        let name: &'static str = error.kind.into();
        let mut data = json!({"code": name, "httpStatus": status.as_u16()});
        if let (Value::Object(data), Some(path)) = (&mut data, path) {
            data.insert("path".to_owned(), path.into());
        }
        let envelope = json!({"error": {
            "message": error.message, "code": error.kind.number(), "data": data,
        }});
        Self { envelope, status }
    }

    pub(super) fn to_json(&self) -> String {
        self.envelope.to_string()
    }
}

/// 207 if the answers differ.
pub(super) fn status<'a>(answers: impl IntoIterator<Item = &'a CallAnswer>) -> StatusCode {
    let mut all = answers.into_iter().map(|answer| answer.status);
    let first = all.next().unwrap_or(StatusCode::OK);
    if all.all(|status| status == first) {
        first
    } else {
        StatusCode::MULTI_STATUS
    }
}

pub(super) fn array(answers: &[CallAnswer]) -> String {
    let all: Vec<&Value> = answers.iter().map(|answer| &answer.envelope).collect();
    json!(all).to_string()
}

/// The first JSON line. A value is written `[[value], …pending values…]`; `[null, 0, n]` means that it follows in chunk n.
pub(super) fn head(calls: usize) -> String {
    let head = (0..calls).map(|place| (place.to_string(), json!([[0], [null, 0, place]])));
    line(&Value::Object(head.collect()))
}

/// A later line: the result or the error of one call.
pub(super) fn chunk(place: usize, answer: &CallAnswer) -> String {
    line(&json!([place, 0, [[answer.envelope]]]))
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there() -> CallAnswer {
        CallAnswer::of(Ok(json!({"healthy": true})), "streaming.healthCheck")
    }

    fn missing() -> CallAnswer {
        CallAnswer::of(Err(TrpcError::not_found("no")), "streaming.getPlaybackUrl")
    }

    #[test]
    fn an_error_bears_its_number_name_status_and_path() {
        assert_eq!(
            missing().envelope,
            json!({"error": {"message": "no", "code": -32004, "data":
                {"code": "NOT_FOUND", "httpStatus": 404, "path": "streaming.getPlaybackUrl"}}})
        );
    }

    #[test]
    fn a_batch_of_different_statuses_is_207() {
        assert_eq!(status([&there(), &there()]), 200);
        assert_eq!(status([&missing(), &missing()]), 404);
        assert_eq!(status([&there(), &missing()]), 207);
    }

    #[test]
    fn json_lines_have_a_placeholder_and_a_chunk_for_each_call() {
        assert_eq!(head(2), "{\"0\":[[0],[null,0,0]],\"1\":[[0],[null,0,1]]}\n");
        assert_eq!(
            chunk(1, &there()),
            "[1,0,[[{\"result\":{\"data\":{\"healthy\":true}}}]]]\n"
        );
    }

    #[test]
    fn an_unauthorized_caller_gets_trpcs_error() {
        for (code, number, name) in [
            (Code::Unauthorized, -32001, "UNAUTHORIZED"),
            (Code::Forbidden, -32003, "FORBIDDEN"),
            (Code::Database, -32603, "SERVICE_UNAVAILABLE"),
        ] {
            let error = TrpcError::from(&Problem::new(code, "why"));
            let answer = CallAnswer::refusal(&error);
            assert_eq!(answer.status, code.status());
            assert_eq!(answer.envelope["error"]["code"], number);
            assert_eq!(answer.envelope["error"]["data"]["code"], name);
            assert_eq!(answer.envelope["error"]["message"], "why");
        }
    }
}
