//! Receives calls, and applies faults and latency.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};

use super::calls::{Product, VendorCall};
use super::fault::FaultKind;
use super::http::{CallContext, ClientSocket, SimRequest, SimResponse};
use super::world::World;
use super::{agora, cloudflare, control, customer, mux};

/// The local port tells which vendor is called.
pub(super) async fn serve(
    request: HttpRequest,
    body: Bytes,
    world: Data<Arc<World>>,
) -> HttpResponse {
    let ask = SimRequest::new(&request, body);
    let port = request.app_config().local_addr().port();
    let ports = &world.addresses;
    if port == ports.control {
        return control::answer(&world, &ask).into_response();
    }
    let call = if port == ports.cloudflare {
        cloudflare::route(&ask)
    } else if port == ports.customer {
        customer::route(&ask)
    } else if port == ports.mux {
        mux::route(&ask)
    } else if port == ports.mux_playback {
        mux::route_playback(&ask)
    } else {
        agora::route(&ask)
    };
    let Some(call) = call else {
        let answer = if port == ports.cloudflare {
            cloudflare::no_route()
        } else if port == ports.customer {
            SimResponse::text(404, "text/plain", "Not Found")
        } else if port == ports.mux || port == ports.mux_playback {
            mux::not_found()
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
            if let Some(ClientSocket(stream)) = request.conn_data::<ClientSocket>() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// `None`: close the connection.
async fn answer(world: &World, call: VendorCall, ask: &SimRequest) -> Option<SimResponse> {
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
    // Half of it before the call takes effect, half after.
    let takes = if [VendorCall::LiveInputCreate, VendorCall::MuxStreamCreate].contains(&call) {
        options.create_latency
    } else if call == VendorCall::Acquire {
        options.acquire_latency
    } else if [VendorCall::Start, VendorCall::ConverterCreate].contains(&call) {
        options.start_latency
    } else {
        options.latency
    };
    let half = takes / 2;
    world.clock.sleep(half).await;
    let answer = world.with(|state, now| {
        dispatch(
            call,
            &mut CallContext {
                world,
                state,
                ask,
                now,
            },
        )
    });
    let answer = if call == VendorCall::DestinationCreate {
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

fn dispatch(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    match call.product() {
        Product::Cloudflare => cloudflare::dispatch(call, cx),
        Product::Customer => customer::dispatch(call, cx),
        Product::Mux => mux::dispatch(call, cx),
        Product::MuxPlayback => mux::dispatch_playback(cx),
        Product::CloudRecording | Product::MediaPush | Product::Channel => {
            agora::dispatch(call, cx)
        }
    }
}

fn page(status: u16) -> SimResponse {
    SimResponse::text(
        status,
        "text/html",
        "<!doctype html><title>One moment</title>",
    )
}

fn coded(call: VendorCall, status: u16, code: u32) -> SimResponse {
    match call.product() {
        Product::Cloudflare => cloudflare::coded(status, code),
        Product::Mux => mux::error(status, "simulated", &code.to_string()),
        Product::Customer | Product::MuxPlayback => {
            SimResponse::text(status, "text/plain", format!("error code: {code}"))
        }
        Product::CloudRecording | Product::MediaPush | Product::Channel => {
            agora::refused(status, code, "simulated fault")
        }
    }
}

fn refusal(call: VendorCall, status: u16) -> SimResponse {
    match call.product() {
        Product::Cloudflare => cloudflare::fault(status),
        Product::Mux => mux::fault(status),
        Product::Customer | Product::MuxPlayback => {
            SimResponse::text(status, "text/plain", format!("error code: {status}"))
        }
        Product::CloudRecording | Product::MediaPush | Product::Channel => {
            agora::fault(call, status)
        }
    }
}
