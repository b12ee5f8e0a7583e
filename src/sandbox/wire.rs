//! One HTTP call: its way in, through faults, latency and quotas, to the vendor that answers it.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::calls::{Call, Product};
use super::fault::FaultKind;
use super::world::{State, World};
use super::{agora, cloudflare, control, customer};

/// The connection of a request, kept so that it can be cut.
pub(super) struct Wire(pub(super) TcpStream);

/// A request, taken apart.
pub(super) struct Ask {
    pub(super) method: String,
    /// The path, split and percent-decoded.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    line: String,
}

impl Ask {
    fn new(request: &HttpRequest, body: Bytes) -> Self {
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

    pub(super) fn parts(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// A segment of the path; empty when there is none.
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

    /// Whether the body is said to be JSON.
    pub(super) fn says_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| {
            kind.trim()
                .to_ascii_lowercase()
                .starts_with("application/json")
        })
    }
}

/// A response, before it is sent.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) kind: &'static str,
    pub(super) body: Bytes,
    /// How much later than usual it comes.
    pub(super) delay: Duration,
}

impl Answer {
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
        }
    }

    pub(super) fn file(kind: &'static str, file: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Bytes::from(file.into()),
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

    fn into_response(self) -> HttpResponse {
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

/// What a vendor's handler works with.
pub(super) struct Cx<'a> {
    pub(super) world: &'a World,
    pub(super) state: &'a mut State,
    pub(super) ask: &'a Ask,
    pub(super) now: Duration,
}

/// Answers every request on every port; which vendor is meant, the port says.
pub(super) async fn serve(
    request: HttpRequest,
    body: Bytes,
    world: Data<Arc<World>>,
) -> HttpResponse {
    let ask = Ask::new(&request, body);
    let port = request.app_config().local_addr().port();
    let ports = &world.addresses;
    if port == ports.control {
        return control::answer(&world, &ask).into_response();
    }
    let call = if port == ports.cloudflare {
        cloudflare::route(&ask)
    } else if port == ports.customer {
        customer::route(&ask)
    } else {
        agora::route(&ask)
    };
    let Some(call) = call else {
        let answer = if port == ports.cloudflare {
            cloudflare::no_route()
        } else if port == ports.customer {
            Answer::text(404, "text/plain", "Not Found")
        } else {
            agora::no_route()
        };
        world.with(|state, _| state.called(None, ask.line.clone(), Some(answer.status)));
        return answer.into_response();
    };
    let outcome = answer(&world, call, &ask).await;
    let status = outcome.as_ref().map(|answer| answer.status);
    world.with(|state, _| state.called(Some(call), ask.line.clone(), status));
    match outcome {
        Some(answer) => answer.into_response(),
        None => {
            if let Some(Wire(stream)) = request.conn_data::<Wire>() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// The answer, or `None` when the connection is to be cut.
async fn answer(world: &World, call: Call, ask: &Ask) -> Option<Answer> {
    let fault = world.with(|state, now| state.faults.take(call, now));
    match &fault {
        Some(FaultKind::Refuse) => return None,
        Some(FaultKind::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return None;
        }
        Some(FaultKind::Status(status, retry_after)) => {
            world.clock.sleep(world.options.latency).await;
            let answer = refusal(call, *status);
            return Some(match retry_after {
                Some(seconds) => answer.with("Retry-After", seconds.to_string()),
                None => answer,
            });
        }
        Some(FaultKind::NotFoundFor(_)) => return Some(refusal(call, 404)),
        Some(FaultKind::Page(status)) => {
            world.clock.sleep(world.options.latency).await;
            return Some(page(*status));
        }
        Some(FaultKind::Code(status, code)) => {
            world.clock.sleep(world.options.latency).await;
            return Some(coded(call, *status, *code));
        }
        Some(FaultKind::StatusAfter(_) | FaultKind::CutAfter | FaultKind::NotJson) | None => {}
    }
    let options = &world.options;
    // Half of the time the request is on its way, half of the time the answer is.
    let takes = if call == Call::LiveInputCreate {
        options.create_latency
    } else if call == Call::Acquire {
        options.acquire_latency
    } else if [Call::Start, Call::ConverterCreate].contains(&call) {
        options.start_latency
    } else {
        options.latency
    };
    let half = takes / 2;
    world.clock.sleep(half).await;
    let answer = world.with(|state, now| {
        dispatch(
            call,
            &mut Cx {
                world,
                state,
                ask,
                now,
            },
        )
    });
    let answer = if call == Call::DestinationCreate {
        cloudflare::test_destination(world, answer).await
    } else {
        answer
    };
    world.clock.sleep(half + answer.delay).await;
    match fault {
        Some(FaultKind::CutAfter) => None,
        Some(FaultKind::StatusAfter(status)) => Some(refusal(call, status)),
        Some(FaultKind::NotJson) => Some(page(200)),
        Some(
            FaultKind::Status(..)
            | FaultKind::Refuse
            | FaultKind::Hang
            | FaultKind::Page(_)
            | FaultKind::Code(..)
            | FaultKind::NotFoundFor(_),
        )
        | None => Some(answer),
    }
}

fn dispatch(call: Call, cx: &mut Cx<'_>) -> Answer {
    match call.product() {
        Product::Cloudflare => cloudflare::dispatch(call, cx),
        Product::Customer => customer::dispatch(call, cx),
        Product::CloudRecording | Product::MediaPush | Product::Channel => {
            agora::dispatch(call, cx)
        }
    }
}

/// An answer that is not the API's own.
fn page(status: u16) -> Answer {
    Answer::text(
        status,
        "text/html",
        "<!doctype html><title>One moment</title>",
    )
}

/// A status and a code nobody earned, in the vendor's own shape.
fn coded(call: Call, status: u16, code: u32) -> Answer {
    match call.product() {
        Product::Cloudflare => cloudflare::coded(status, code),
        Product::Customer => Answer::text(status, "text/plain", format!("error code: {code}")),
        Product::CloudRecording | Product::MediaPush | Product::Channel => {
            agora::refused(status, code, "simulated fault")
        }
    }
}

/// A status nobody earned, in the vendor's own shape.
fn refusal(call: Call, status: u16) -> Answer {
    match call.product() {
        Product::Cloudflare => cloudflare::fault(status),
        Product::Customer => Answer::text(status, "text/plain", format!("error code: {status}")),
        Product::CloudRecording | Product::MediaPush | Product::Channel => {
            agora::fault(call, status)
        }
    }
}
