//! Request rate limits per valid token, and per address for all other requests. Responses carry them in `RateLimit` and
//! `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).

mod bucket;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::Api;
use super::auth::Digest;
use super::browser::SIGN_IN;
use super::problem::{Code, Problem};
use super::routes::route_path;
use super::trpc;
use bucket::{Buckets, Level};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Paths that take tokens or send large responses.
const LIMITED: [&str; 6] = [
    "/v1",
    "/trpc",
    "/admin",
    "/metrics",
    "/docs",
    "/openapi.json",
];

/// Per address: too few to guess a token, enough for a caller with a typing error.
const UNKNOWN_PER_SECOND: u32 = 100;
/// Their burst.
const UNKNOWN_AT_ONCE: u32 = 1000;

pub(super) struct Limits {
    /// By the digest of a token or of a session's CSRF token.
    known: Buckets<Digest>,
    unknown: Buckets<IpAddr>,
}

impl Limits {
    /// 0 disables all limits.
    pub(super) fn new(per_second: u32) -> Option<Self> {
        (per_second > 0).then(|| Self {
            known: Buckets::new("token", per_second, per_second),
            unknown: Buckets::new("address", UNKNOWN_PER_SECOND, UNKNOWN_AT_ONCE),
        })
    }

    fn take(&self, api: &Api, request: &ServiceRequest) -> Level {
        let now = Instant::now();
        match api.caller(request.headers()) {
            Some(caller) => self.known.take(caller, now),
            None => {
                let peer = request.peer_addr().map(|peer| peer.ip());
                let origin = api.proxies.origin(peer, request.headers());
                self.unknown.take(origin, now)
            }
        }
    }
}

pub(super) async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let api = request.app_data::<Data<Api>>().cloned();
    let limits = api
        .as_ref()
        .and_then(|api| Some((api, api.limits.as_ref()?)));
    let Some((api, limits)) = limits.filter(|_| is_counted(&request)) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let level = limits.take(api, &request);
    let mut response = match level.wait {
        None => next.call(request).await?.map_into_boxed_body(),
        Some(wait) => {
            let detail = format!(
                "This {} exceeded its limit of {} requests.",
                level.whose, level.quota
            );
            let wait = seconds(wait);
            let problem = Problem::new(Code::RateLimited, detail).retry_in(wait);
            if route_path(&request).starts_with("/trpc/") {
                let mut refusal = trpc::refusal(&problem);
                refusal.headers_mut().insert(RETRY_AFTER, wait.into());
                request.into_response(refusal)
            } else {
                request.error_response(problem)
            }
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (
            RATE_LIMIT_POLICY,
            format!(
                "\"{}\";q={};w={}",
                level.whose,
                level.quota,
                seconds(level.window)
            ),
        ),
        (
            RATE_LIMIT,
            format!(
                "\"{}\";r={};t={}",
                level.whose,
                level.left,
                seconds(level.full_in)
            ),
        ),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// `path` is percent-decoded.
pub(super) fn is_limited(path: &str) -> bool {
    LIMITED.iter().any(|scope| {
        let rest = path.strip_prefix(scope);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// A sign-in has its own limit: its token is in the body, and others at the same address must not block it.
fn is_counted(request: &ServiceRequest) -> bool {
    let path = route_path(request);
    is_limited(path) && !(path == SIGN_IN && request.method() == Method::POST)
}

fn seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_tokens_or_large_responses_are_limited() {
        for path in [
            "/v1",
            "/v1/relays",
            "/admin/actors",
            "/trpc/a,b",
            "/metrics",
            "/docs/openapi-explorer.js",
            "/openapi.json",
        ] {
            assert!(is_limited(path), "{path}");
        }
        for path in [
            "/livez",
            "/readyz",
            "/v10",
            "/recorder",
            "/webhooks/agora",
            "/",
        ] {
            assert!(!is_limited(path), "{path}");
        }
    }
}
