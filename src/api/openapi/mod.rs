//! The OpenAPI 3.1 document, generated from the handlers.
//!
//! A handler's doc comment is its summary and description. It lists its problems by code in
//! `extensions(("x-problems" = json!([…])))`; `document_defaults` turns them into responses. A new handler is also added to
//! `Document`, a new schema's example to `examples`. `UPDATE_OPENAPI=1 cargo test --lib openapi` rewrites
//! `docs/openapi.json`.

mod document_defaults;
mod examples;
pub(super) mod requests;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};
use utoipa::OpenApi as _;

use super::prepared::Prepared;
use super::problem::ProblemBody;
use super::routes::Routes;
use super::{admin, docs, health, metrics, recorder, v1, webhooks};
use document_defaults::DocumentDefaults;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "relaykeeper",
        description = "Puts a seller's Agora channel on air over a streaming platform, keeps it there, takes it down and accounts for it.\n\n\
            JSON in UTF-8; times are RFC 3339 in UTC; lists have a `next_cursor`. Errors are RFC 9457 problems with a `code` from a \
            closed list and a `request_id` that is also in the log. Unknown fields and \
            parameters are rejected; an empty parameter counts as absent. Every response has an `X-Request-Id`: the caller's, if it is well-formed. \
            Unsupported methods are answered 405 `method-not-allowed` with `Allow`; HEAD works wherever GET does.\n\n\
            The three tRPC 11 queries under `/trpc` are described in docs/trpc.md.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "channels", description = "Put a channel on air, read its state, take it off the air."),
        (name = "relays", description = "A relay is one broadcast of a channel, from its start to its end."),
        (name = "events", description = "Changes of relays as a stream, and their delivery by webhook."),
        (name = "costs", description = "The costs of relays, as integers."),
        (name = "health", description = "Vendors, database, budgets, cleanup jobs, alarms."),
        (name = "operators", description = "Operators' endpoints. They need an admin token."),
        (name = "probes", description = "Probes and metrics for the hosting platform. Probes need no token."),
        (name = "documentation", description = "This document. No token is needed."),
        (name = "recorder", description = "The page that Agora's cloud browser opens, and the endpoints that its script calls."),
        (name = "webhooks", description = "Vendors' notifications. They are hints: unknown ones are answered 200 too."),
    ),
    paths(
        v1::start::start,
        v1::stop::stop,
        v1::channels::channel,
        v1::channels::playback,
        v1::channels::history,
        v1::ingests::ingests,
        v1::ingests::give_up,
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
        webhooks::platforms::notify,
        webhooks::platforms::notify_without_source,
        webhooks::agora::notify,
    ),
    components(schemas(ProblemBody<'static>)),
    modifiers(&DocumentDefaults),
)]
struct Document;

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let text = serde_json::to_string_pretty(&Document::openapi()).unwrap_or_default();
    text + "\n"
});

/// The document as indented JSON.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes.reads("/openapi.json", openapi_json);
}

/// Get the OpenAPI document
#[utoipa::path(
    get, path = "/openapi.json", tag = "documentation", operation_id = "openapi",
    responses((status = 200, body = serde_json::Value, description = "OpenAPI 3.1.")),
)]
async fn openapi_json(request: HttpRequest) -> HttpResponse {
    static PREPARED: LazyLock<Prepared> =
        LazyLock::new(|| Prepared::new("application/json", text()));
    PREPARED.answer(&request)
}
