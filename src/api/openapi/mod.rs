//! The OpenAPI 3.1 document, generated from the handlers.
//!
//! Each handler is described where it stands, by `#[utoipa::path]`: its doc comment is the summary and the description; `tag`,
//! `operation_id`, `params`, `request_body` and the answers that are no problems follow. The problems are named by their codes in
//! `extensions(("x-problems" = json!([…])))`; `finish` makes answers of them, adds those that follow from the request itself,
//! and says which token a path wants. Then the handler is named in `Document`. `examples` holds an example of each schema.
//! `UPDATE_OPENAPI=1 cargo test --lib openapi` writes `docs/openapi.json` anew.

mod examples;
mod finish;
pub(super) mod requests;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};
use utoipa::OpenApi as _;

use super::prepared::Prepared;
use super::problem::Body;
use super::routes::Routes;
use super::{admin, docs, health, metrics, recorder, v1, webhooks};
use finish::Finish;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "relaykeeper",
        description = "Puts a seller's Agora channel on air over Cloudflare Stream, keeps it there, takes it down and accounts for it.\n\n\
            JSON in UTF-8; times are RFC 3339 in UTC; lists come with a `next_cursor`. Errors are RFC 9457 problems with a `code` from a \
            closed list and a `request_id` that the log has too. Unknown fields and \
            parameters are refused; a parameter without a value counts as left out. Every answer bears `X-Request-Id`: the caller's, if it sent a sane one. \
            A method that a route does not know is answered 405 `method-not-allowed` with `Allow`; HEAD goes wherever GET goes.\n\n\
            Under `/trpc` there are three queries in tRPC 11's protocol, described in docs/trpc.md and not here.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "channels", description = "A channel is put on air, looked at and taken off."),
        (name = "relays", description = "A relay is one broadcast of a channel, from its start to its end."),
        (name = "events", description = "What happens, as it happens."),
        (name = "costs", description = "What relays cost, in integers."),
        (name = "health", description = "Vendors, database, budgets, cleanup jobs, alarms."),
        (name = "operators", description = "With an admin token."),
        (name = "probes", description = "For the platform, without a token."),
        (name = "documentation", description = "This document, without a token."),
        (name = "recorder", description = "The page Agora's cloud browser opens, and what its script calls."),
        (name = "webhooks", description = "Vendors calling in. A notification is a hint: what is unknown is answered 200 as well."),
    ),
    paths(
        v1::start::start,
        v1::stop::stop,
        v1::channels::channel,
        v1::channels::playback,
        v1::channels::history,
        v1::relays::relays,
        v1::relays::relay,
        v1::relays::events,
        v1::relays::recordings,
        v1::events::events,
        v1::deliveries::deliveries,
        v1::deliveries::redeliver,
        v1::costs::costs,
        health::health,
        admin::actors,
        admin::stop,
        admin::sweep,
        health::livez,
        health::readyz,
        metrics::metrics,
        openapi_json,
        docs::page,
        docs::script,
        recorder::page,
        recorder::script,
        recorder::token,
        recorder::presence,
        webhooks::cloudflare::live,
        webhooks::cloudflare::stream,
        webhooks::agora::notify,
    ),
    components(schemas(Body<'static>)),
    modifiers(&Finish),
)]
struct Document;

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let text = serde_json::to_string_pretty(&Document::openapi()).unwrap_or_default();
    text + "\n"
});

/// The document as JSON, indented.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes.reads("/openapi.json", openapi_json);
}

/// The OpenAPI document
#[utoipa::path(
    get, path = "/openapi.json", tag = "documentation", operation_id = "openapi",
    responses((status = 200, body = serde_json::Value, description = "OpenAPI 3.1.")),
)]
async fn openapi_json(request: HttpRequest) -> HttpResponse {
    static PREPARED: LazyLock<Prepared> =
        LazyLock::new(|| Prepared::new("application/json", text()));
    PREPARED.answer(&request)
}
