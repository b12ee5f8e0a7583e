//! The operators' console below `/admin`: pages that scripts refresh. They need an admin token or its session
//! (`api::session`). Their buttons call the ordinary routes, `/v1` and `/admin`.

mod advice;
mod assets;
mod attempts;
mod chart;
mod format;
mod history;
mod ingests;
mod now;
mod relay;
mod relay_table;
mod relays;
mod sign_in;
mod timeline;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpResponse, ResponseError as _, guard, web};
use askama::Template;

use crate::api::problem::Problem;
use crate::api::routes::{reading, refuse};
use crate::api::{Api, Pages};
use attempts::SignInAttempts;

struct Console {
    attempts: SignInAttempts,
    policy: String,
}

/// The console's routes, for [`crate::api::Dependencies::pages`]. `playback_hosts`: of the platforms.
#[must_use]
pub fn pages(playback_hosts: &[String]) -> Pages {
    let console = Arc::new(Console {
        attempts: SignInAttempts::new(),
        policy: policy(playback_hosts),
    });
    Arc::new(move |config| routes(config, &console))
}

/// The `Content-Security-Policy`: this origin, and the platforms for images and video.
fn policy(playback_hosts: &[String]) -> String {
    let hosts = playback_hosts.join(" ");
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {hosts}; img-src 'self' {hosts}; \
         media-src 'self' blob: {hosts}; frame-src {hosts}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// In bytes. The body is read before authentication.
const SIGN_IN_LIMIT: usize = 8 * 1024;

/// Not in the OpenAPI document.
fn routes(config: &mut ServiceConfig, console: &Arc<Console>) {
    let read = || guard::Any(guard::Get()).or(guard::Head());
    config
        .app_data(Data::from(Arc::clone(console)))
        .service(reading("", now::page))
        .service(reading("/relays", relays::page))
        .service(reading("/relays/{relay_id}", relay::page))
        .service(reading("/ingests", ingests::page))
        .service(reading("/history", history::page))
        .service(reading("/history/days.csv", history::days_csv))
        .service(reading("/history/channels.csv", history::channels_csv))
        .service(
            web::resource("/sign-in")
                .app_data(web::PayloadConfig::new(SIGN_IN_LIMIT))
                .route(web::route().guard(read()).to(sign_in::page))
                .route(web::post().to(sign_in::sign_in))
                .default_service(web::to(|| refuse("GET, HEAD, POST"))),
        )
        .service(
            web::resource("/sign-out")
                .route(web::post().to(sign_in::sign_out))
                .default_service(web::to(|| refuse("POST"))),
        )
        .service(reading("/assets/{name}", assets::asset));
}

struct PageFrame {
    /// The current entry of the navigation.
    here: &'static str,
    /// Empty for requests with a bearer token.
    csrf: String,
    node: String,
    version: &'static str,
    acting: bool,
}

fn frame(api: &Api, here: &'static str, headers: &HeaderMap) -> PageFrame {
    PageFrame {
        here,
        csrf: api
            .session(headers)
            .map(|session| session.csrf)
            .unwrap_or_default(),
        node: api.node.clone(),
        version: env!("CARGO_PKG_VERSION"),
        acting: api.drives_relays(),
    }
}

#[derive(Template)]
#[template(path = "console/error.html")]
struct ErrorPage {
    frame: PageFrame,
    title: String,
    detail: String,
}

fn page(console: &Console, status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(text) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((CONTENT_SECURITY_POLICY, console.policy.as_str()))
            .insert_header((REFERRER_POLICY, "same-origin"))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .body(text),
        Err(error) => {
            tracing::error!(%error, "cannot render a page");
            Problem::internal().error_response()
        }
    }
}

fn page_or<T: Template>(
    console: &Console,
    api: &Api,
    headers: &HeaderMap,
    made: Result<T, Problem>,
) -> HttpResponse {
    match made {
        Ok(template) => page(console, StatusCode::OK, &template),
        Err(problem) => {
            let status = problem.status_code();
            let failure = ErrorPage {
                frame: frame(api, "", headers),
                title: status.canonical_reason().unwrap_or("Error").to_owned(),
                detail: problem.detail().to_owned(),
            };
            page(console, status, &failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_nothing_inline() {
        for hosts in [vec![], vec!["https://*.example.com".to_owned()]] {
            let policy = policy(&hosts);
            assert!(!policy.contains("unsafe"), "{policy}");
            assert!(policy.starts_with("default-src 'none';"), "{policy}");
        }
        let hosts = ["https://*.example.com", "http://127.0.0.1:99"].map(str::to_owned);
        assert!(
            policy(&hosts)
                .contains("media-src 'self' blob: https://*.example.com http://127.0.0.1:99;")
        );
    }
}
