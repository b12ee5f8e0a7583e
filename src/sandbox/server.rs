//! Receives calls, and applies faults and latency.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::{Instant, timeout_at};

use super::calls::VendorCall;
use super::fault::FaultKind;
use super::host::Host;
use super::http::{CallContext, ClientSocket, SimRequest, SimResponse};
use super::listeners::Listener;
use super::world::World;
use super::{agora, cloudflare, control, customer, ivs, mux, s3};

/// For a part that a low-latency player awaits, wall clock.
const MAX_WAIT: Duration = Duration::from_secs(6);

/// `None`: the control API.
fn host_of(listener: Listener) -> Option<&'static Host> {
    match listener {
        Listener::Cloudflare => Some(&cloudflare::API),
        Listener::Customer => Some(&customer::HOST),
        Listener::Agora | Listener::AgoraFallback => Some(&agora::API),
        Listener::Mux => Some(&mux::API),
        Listener::MuxPlayback => Some(&mux::PLAYBACK),
        Listener::Ivs => Some(&ivs::API),
        Listener::IvsPlayback => Some(&ivs::PLAYBACK),
        Listener::S3 => Some(&s3::API),
        Listener::Control => None,
    }
}

/// The local port tells which vendor is called.
pub(super) async fn serve(
    request: HttpRequest,
    body: Bytes,
    world: Data<Arc<World>>,
) -> HttpResponse {
    let ask = SimRequest::new(&request, body);
    let port = request.app_config().local_addr().port();
    let Some(host) = world.addresses.at(port).and_then(host_of) else {
        return control::answer(&world, &ask).into_response();
    };
    let Some(call) = (host.route)(&ask) else {
        let answer = (host.no_route)();
        world.with(|state, _| state.called(None, ask.line.clone(), Some(answer.status)));
        return answer.into_response();
    };
    let outcome = answer(&world, host, call, &ask).await;
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
async fn answer(
    world: &World,
    host: &Host,
    call: VendorCall,
    ask: &SimRequest,
) -> Option<SimResponse> {
    let fault = world.with(|state, now| state.faults.take(call, now));
    match &fault {
        Some(FaultKind::Refuse) => return None,
        Some(FaultKind::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return None;
        }
        Some(FaultKind::Status(status, retry_after)) => {
            world.clock.sleep(world.options.latency).await;
            let answer = (host.fault)(call, *status);
            return Some(match retry_after {
                Some(seconds) => answer.with("Retry-After", seconds.to_string()),
                None => answer,
            });
        }
        Some(FaultKind::NotFoundFor(_)) => return Some((host.fault)(call, 404)),
        Some(FaultKind::Page(status)) => {
            world.clock.sleep(world.options.latency).await;
            return Some(page(*status));
        }
        Some(FaultKind::Code(status, code)) => {
            world.clock.sleep(world.options.latency).await;
            return Some((host.coded)(*status, *code));
        }
        Some(FaultKind::StatusAfter(_) | FaultKind::CutAfter | FaultKind::NotJson) | None => {}
    }
    let options = &world.options;
    // Half of it before the call takes effect, half after.
    let creates = [
        VendorCall::LiveInputCreate,
        VendorCall::MuxStreamCreate,
        VendorCall::IvsChannelCreate,
    ];
    let takes = if creates.contains(&call) {
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
    let deadline = Instant::now() + MAX_WAIT;
    let answer = loop {
        let mut answer = world.with(|state, now| {
            (host.dispatch)(
                call,
                &mut CallContext {
                    world,
                    state,
                    ask,
                    now,
                },
            )
        });
        let Some(mut changed) = answer.not_yet.take() else {
            break answer;
        };
        if !matches!(timeout_at(deadline, changed.changed()).await, Ok(Ok(()))) {
            break answer;
        }
    };
    let answer = if call == VendorCall::DestinationCreate {
        cloudflare::test_destination(world, answer).await
    } else {
        answer
    };
    world.clock.sleep(half + answer.delay).await;
    match fault {
        Some(FaultKind::CutAfter) => None,
        Some(FaultKind::StatusAfter(status)) => Some((host.fault)(call, status)),
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

fn page(status: u16) -> SimResponse {
    SimResponse::text(
        status,
        "text/html",
        "<!doctype html><title>One moment</title>",
    )
}
