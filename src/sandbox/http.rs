//! Requests and responses.

use std::net::TcpStream;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::watch;

use super::sigv4::SignedCall;
use super::world::{World, WorldState};

/// Kept so that a fault can close the connection.
pub(super) struct ClientSocket(pub(super) TcpStream);

pub(super) struct SimRequest {
    pub(super) method: String,
    /// Percent-decoded segments.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    /// As sent.
    raw_path: String,
    raw_query: String,
    headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) line: String,
}

impl SimRequest {
    pub(super) fn new(request: &HttpRequest, body: Bytes) -> Self {
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        Self {
            method: request.method().as_str().to_owned(),
            path: request
                .uri()
                .path()
                .split('/')
                .skip(1)
                .map(decode)
                .collect(),
            query: url::form_urlencoded::parse(request.query_string().as_bytes())
                .into_owned()
                .collect(),
            raw_path: request.uri().path().to_owned(),
            raw_query: request.query_string().to_owned(),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| {
                    (
                        name.as_str().to_owned(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                })
                .collect(),
            body,
            line: format!("{} {}", request.method(), request.uri().path()),
        }
    }

    pub(super) fn signed(&self) -> SignedCall<'_> {
        SignedCall {
            method: &self.method,
            path: &self.raw_path,
            query: &self.raw_query,
            headers: &self.headers,
            body: &self.body,
        }
    }

    pub(super) fn parts(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// "" if there are fewer segments.
    pub(super) fn part(&self, index: usize) -> &str {
        self.path.get(index).map_or("", String::as_str)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(super) fn says_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| {
            kind.trim()
                .to_ascii_lowercase()
                .starts_with("application/json")
        })
    }
}

pub(super) struct SimResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) kind: &'static str,
    pub(super) body: Bytes,
    /// Added to the usual latency.
    pub(super) delay: Duration,
    /// What the caller waits for does not exist yet: to be dispatched again after a change, for a while.
    pub(super) not_yet: Option<watch::Receiver<u64>>,
}

impl SimResponse {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(super) fn text(status: u16, kind: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            kind,
            body: Bytes::from(body.into()),
            delay: Duration::ZERO,
            not_yet: None,
        }
    }

    pub(super) fn file(kind: &'static str, file: impl Into<Bytes>) -> Self {
        Self {
            body: file.into(),
            ..Self::text(200, kind, "")
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self::text(status, "", "")
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::build(
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        );
        for (name, value) in self.headers {
            response.insert_header((name, value));
        }
        if self.kind.is_empty() {
            return response.finish();
        }
        response.content_type(self.kind).body(self.body)
    }
}

pub(super) struct CallContext<'a> {
    pub(super) world: &'a World,
    pub(super) state: &'a mut WorldState,
    pub(super) ask: &'a SimRequest,
    pub(super) now: Duration,
}
