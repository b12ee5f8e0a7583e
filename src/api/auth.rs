//! Authentication. A console session stands for its admin token.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, LOCATION};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::Api;
use super::browser::{self, CSRF, SIGN_IN};
use super::connections::ClientConnection;
use super::problem::{Code, Problem};
use super::request_span::Authenticated;
use super::routes::route_path;
use super::session::Session;
use crate::config;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// `/v1` and `/trpc`.
    Api,
    /// `/v1`, `/trpc` and `/admin`.
    Admin,
}

pub(super) type Digest = [u8; 32];

/// Digests of the configured tokens: they cannot be printed, or compared byte by byte.
#[derive(Clone)]
pub(super) struct Tokens {
    known: Vec<(Digest, Scope)>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("known", &self.known.len())
            .finish()
    }
}

impl Tokens {
    #[must_use]
    pub(super) fn new(settings: &config::AuthSettings) -> Self {
        let of = |tokens: &[SecretString], scope| -> Vec<(Digest, Scope)> {
            let tokens = tokens.iter().map(|token| token.expose_secret().trim());
            let tokens = tokens.filter(|token| !token.is_empty());
            tokens
                .map(|token| (digest(token.as_bytes()), scope))
                .collect()
        };
        let mut known = of(&settings.api_tokens, Scope::Api);
        known.extend(of(&settings.admin_tokens, Scope::Admin));
        Self { known }
    }

    /// Compares with every token, in constant time.
    #[must_use]
    pub(super) fn scope(&self, token: &[u8]) -> Option<Scope> {
        let given = digest(token);
        let (mut api, mut admin) = (Choice::from(0), Choice::from(0));
        for (known, scope) in &self.known {
            let same = known.ct_eq(&given);
            match scope {
                Scope::Api => api |= same,
                Scope::Admin => admin |= same,
            }
        }
        if bool::from(admin) {
            Some(Scope::Admin)
        } else {
            bool::from(api).then_some(Scope::Api)
        }
    }
}

impl Tokens {
    pub(super) fn known_digest(&self, headers: &HeaderMap) -> Option<Digest> {
        let token = bearer(headers)?;
        self.scope(token).map(|_| digest(token))
    }
}

impl Api {
    /// The digest of the caller's token, or of its session's.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Option<Digest> {
        let session = || self.session(headers);
        let token = self.tokens.known_digest(headers);
        token.or_else(|| session().map(|session| digest(session.csrf.as_bytes())))
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

pub(super) async fn any_token(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match admit_request(&request, Scope::Api) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// Redirects a browser without an admin token to the sign-in page.
pub(super) async fn admin_token(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if browser::is_open(route_path(&request)) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    match admit_request(&request, Scope::Admin) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(problem) if problem.is_unauthorized() && is_browser(&request) => {
            let sign_in = HttpResponse::SeeOther()
                .insert_header((LOCATION, SIGN_IN))
                .finish();
            Ok(request.into_response(sign_in))
        }
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// Allows callers on this machine, and anyone with an admin token.
pub(super) async fn metrics_reader(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if is_local(&request) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    match admit_request(&request, Scope::Admin) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// Prefixes of headers that only proxies add.
const FORWARDING: [&str; 20] = [
    "ali-cdn-",
    "cdn-",
    "cf-",
    "client-ip",
    "cloudfront-",
    "fastly-",
    "fly-",
    "forwarded",
    "true-client-ip",
    "via",
    "x-appengine-",
    "x-azure-",
    "x-client-ip",
    "x-cluster-",
    "x-envoy-",
    "x-forwarded",
    "x-original-",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-",
];

/// Whether a loopback peer asks for a loopback host. A proxy on this machine names another host, or adds a header.
fn is_local(request: &ServiceRequest) -> bool {
    let forwarded = request.headers().keys().any(|name| {
        let mut prefixes = FORWARDING.iter();
        prefixes.any(|prefix| name.as_str().starts_with(prefix))
    });
    let peer = request.peer_addr();
    !forwarded
        && peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback())
        && host(request).is_some_and(|host| is_loopback_name(&host))
}

fn host(request: &ServiceRequest) -> Option<String> {
    if let Some(host) = request.uri().host() {
        return Some(host.to_owned());
    }
    let given = request.headers().get(HOST)?.to_str().ok()?;
    let authority: Authority = given.parse().ok()?;
    Some(authority.host().to_owned())
}

fn is_loopback_name(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: Option<IpAddr> = bare.unwrap_or(host).parse().ok();
    host.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|address| address.to_canonical().is_loopback())
}

fn admit_request(request: &ServiceRequest, needed: Scope) -> Result<(), Problem> {
    let Some(api) = request.app_data::<web::Data<Api>>() else {
        return Err(Problem::internal());
    };
    let headers = request.headers();
    // An unknown bearer token may be that of a proxy that signs people in: it does not invalidate a session.
    admit(api, headers, needed).or_else(|problem| match api.session(headers) {
        Some(session) => admit_session(&session, request),
        None => Err(problem),
    })?;
    note_token(request.request());
    Ok(())
}

/// Marks the request and its connection as authenticated.
pub(super) fn note_token(request: &HttpRequest) {
    if let Some(connection) = request.conn_data::<Arc<ClientConnection>>() {
        connection.set_known();
    }
    request.extensions_mut().insert(Authenticated);
}

/// Unsafe methods also need `X-CSRF-Token`: a browser sends the cookie from any page.
fn admit_session(session: &Session, request: &ServiceRequest) -> Result<(), Problem> {
    let proof = request.headers().get(CSRF);
    let proved = proof.is_some_and(|proof| session.csrf_matches(proof.as_bytes()));
    if request.method().is_safe() || proved || browser::checks_csrf_itself(route_path(request)) {
        return Ok(());
    }
    let detail = "A request that changes something needs the session's X-CSRF-Token.";
    Err(Problem::new(Code::Forbidden, detail))
}

pub(super) fn admit(api: &Api, headers: &HeaderMap, needed: Scope) -> Result<(), Problem> {
    let Some(token) = bearer(headers) else {
        return Err(Problem::unauthorized(
            "The request needs a bearer token.",
            "Bearer",
        ));
    };
    match api.tokens.scope(token) {
        None => Err(Problem::unauthorized(
            "The token is invalid.",
            "Bearer error=\"invalid_token\"",
        )),
        Some(scope) if scope < needed => Err(Problem::new(
            Code::Forbidden,
            "The request needs an admin token.",
        )),
        Some(_) => Ok(()),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let header = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = header.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn is_browser(request: &ServiceRequest) -> bool {
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    reads && accept.is_some_and(|accept| accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&config::AuthSettings {
            api_tokens: vec!["first".into(), "second".into(), "".into(), " ".into()],
            admin_tokens: vec!["boss".into()],
        })
    }

    #[test]
    fn each_of_several_tokens_reaches_as_far_as_its_list_says() {
        let tokens = tokens();
        assert_eq!(tokens.scope(b"first"), Some(Scope::Api));
        assert_eq!(tokens.scope(b"second"), Some(Scope::Api));
        assert_eq!(tokens.scope(b"boss"), Some(Scope::Admin));
    }

    #[test]
    fn only_a_peer_on_this_machine_that_speaks_for_itself_is_local() {
        let local = |peer: &str, header: Option<(&str, &str)>| {
            let request = TestRequest::get().peer_addr(peer.parse().unwrap());
            let request = request.insert_header(("host", "localhost:8080"));
            let request = header
                .into_iter()
                .fold(request, |request, header| request.insert_header(header));
            is_local(&request.to_srv_request())
        };
        assert!(local("127.0.0.1:9", None));
        assert!(local("[::1]:9", None));
        assert!(local("[::ffff:127.0.0.1]:9", None));
        assert!(!local("10.0.0.1:9", None));
        assert!(!local("[2001:db8::1]:9", None));
        assert!(!local(
            "127.0.0.1:9",
            Some(("x-forwarded-for", "127.0.0.1"))
        ));
        for header in [
            "Forwarded",
            "X-Real-IP",
            "Via",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "CF-Connecting-IP",
            "X-Azure-ClientIP",
            "X-Envoy-External-Address",
            "X-Original-URI",
            "Client-IP",
        ] {
            assert!(!local("127.0.0.1:9", Some((header, "x"))), "{header}");
        }
        assert!(!is_local(&TestRequest::get().to_srv_request()));
        for host in ["127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "LOCALHOST"] {
            assert!(local("127.0.0.1:9", Some(("host", host))), "{host}");
        }
        for host in [
            "relay.example",
            "10.0.0.1:8080",
            "localhost.example",
            "",
            "[::2]",
        ] {
            assert!(!local("127.0.0.1:9", Some(("host", host))), "{host}");
        }
    }

    #[test]
    fn an_empty_token_in_the_settings_is_never_accepted() {
        for token in ["", " ", "firs", "first ", "Boss"] {
            assert_eq!(tokens().scope(token.as_bytes()), None, "{token:?}");
        }
        assert_eq!(format!("{:?}", tokens()), "Tokens { known: 3 }");
    }
}
