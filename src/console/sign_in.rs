//! Sign-in with an admin token, and sign-out.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use tokio::time::Instant;
use url::form_urlencoded;

use super::Console;
use crate::api::Api;
use crate::api::browser::SIGN_IN;
use crate::api::problem::{Code, Problem};
use crate::api::session::{COOKIE, LIFETIME, SECURE_COOKIE};

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    refused: Option<&'static str>,
}

fn form(console: &Console, status: StatusCode, refused: Option<&'static str>) -> HttpResponse {
    super::page(console, status, &SignInPage { refused })
}

pub(super) async fn page(
    request: HttpRequest,
    api: web::Data<Api>,
    console: web::Data<Console>,
) -> HttpResponse {
    match api.session(request.headers()) {
        Some(_) => redirect("/admin"),
        None => form(&console, StatusCode::OK, None),
    }
}

pub(super) async fn sign_in(
    request: HttpRequest,
    body: web::Bytes,
    api: web::Data<Api>,
    console: web::Data<Console>,
) -> HttpResponse {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let origin = api.proxies.origin(peer, request.headers());
    let token = field(&body, "token");
    let Some(value) = api.sessions.open(&token, api.now()) else {
        return refuse(&console, origin);
    };
    tracing::info!(%origin, "operator signed in");
    let mut answer = redirect("/admin");
    let age = LIFETIME.num_seconds();
    set_cookie(&mut answer, is_https(&api, &request), &value, age);
    answer
}

/// Limits never delay a correct token.
fn refuse(console: &Console, origin: IpAddr) -> HttpResponse {
    let Some(wait) = console.attempts.failed(origin, Instant::now()) else {
        tracing::warn!(%origin, "sign-in with an invalid token");
        let refused = Some("Invalid admin token.");
        return form(console, StatusCode::UNAUTHORIZED, refused);
    };
    let refused = Some("Too many attempts. Try again in a minute.");
    let mut answer = form(console, StatusCode::TOO_MANY_REQUESTS, refused);
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    answer.headers_mut().insert(RETRY_AFTER, seconds);
    answer
}

/// Ends the sessions of all cookies in the request.
pub(super) async fn sign_out(
    request: HttpRequest,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let sessions = api.all_sessions(request.headers());
    if !sessions.is_empty() {
        let csrf = field(&body, "csrf");
        let mut proofs = sessions.iter();
        if !proofs.any(|session| session.csrf_matches(csrf.as_bytes())) {
            let detail = "The CSRF token does not belong to this session.";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        for session in &sessions {
            api.sessions.end(session);
        }
        if let Err(error) = api.store_sign_outs().await {
            tracing::warn!(%error, "cannot store a sign-out; it applies to this process, and is retried");
        }
    }
    let mut answer = redirect(SIGN_IN);
    let secure = is_https(&api, &request);
    for secure in [secure, !secure] {
        set_cookie(&mut answer, secure, "", 0);
    }
    Ok(answer)
}

fn redirect(place: &'static str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, place))
        .finish()
}

fn field(body: &[u8], name: &str) -> String {
    form_urlencoded::parse(body)
        .find(|(field, _)| field == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// By the settings, or by the proxy's header.
fn is_https(api: &Api, request: &HttpRequest) -> bool {
    api.is_https || request.connection_info().scheme() == "https"
}

fn set_cookie(answer: &mut HttpResponse, secure: bool, value: &str, age: i64) {
    let (name, secure) = if secure {
        (SECURE_COOKIE, "; Secure")
    } else {
        (COOKIE, "")
    };
    let cookie =
        format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}
