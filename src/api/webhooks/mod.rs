//! Vendors' webhooks. A notification makes a relay poll, is never trusted alone, and never needed. Unknown events and
//! relays are answered 200, or the vendor would repeat them.

pub(super) mod agora;
mod dedup;
pub(super) mod platforms;
mod signature;

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::{Code, Problem};
use super::routes::Routes;
use crate::config::Settings;
use crate::vendors::{Notification, Refused};
use dedup::SeenNotices;

pub(super) struct WebhookReceiver {
    agora: Vec<SecretString>,
    seen: SeenNotices,
}

impl WebhookReceiver {
    pub(super) fn new(settings: &Settings) -> Self {
        let set = |secret: &SecretString| !secret.expose_secret().is_empty();
        let agora = settings.agora.webhook_secrets.iter();
        Self {
            agora: agora.filter(|secret| set(secret)).cloned().collect(),
            seen: SeenNotices::new(),
        }
    }
}

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes
        .writes("/webhooks/agora", agora::notify)
        .writes("/webhooks/{platform}", platforms::notify_without_source)
        .writes("/webhooks/{platform}/{source}", platforms::notify);
}

/// The notification was received. It may have no effect.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    received: bool,
}

/// Answers 503 while a notification cannot reach its relay: the vendor repeats it.
async fn accept(
    api: &Api,
    endpoint: &str,
    body: &[u8],
    notification: Result<Notification, Refused>,
) -> Result<HttpResponse, Problem> {
    let received = || HttpResponse::Ok().json(Received { received: true });
    let notification = match notification {
        Ok(notification) => notification,
        Err(Refused::Test) => return Ok(received()),
        Err(Refused::NoSecret) => {
            return Err(Problem::not_found(
                "This webhook is disabled: it has no secret.",
            ));
        }
        Err(Refused::Unverified) => {
            return Err(Problem::new(
                Code::Unauthorized,
                "The signature is missing, wrong or too old.",
            ));
        }
        Err(Refused::NoJson) => return Err(Problem::body("not JSON")),
    };
    api.database_answers().await?;
    if !api.drives_relays() {
        return Err(Problem::new(
            Code::Starting,
            "This process does not drive relays yet.",
        ));
    }
    let id = notification.id.as_ref().map_or(body, |id| id.as_bytes());
    let key = dedup::key(endpoint, id);
    if !api.webhooks.seen.knows(&key) {
        for notice in notification.notices {
            api.service.notice(notice).await?;
        }
        api.webhooks.seen.remember(key, Instant::now());
    }
    Ok(received())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let header = headers.get(name);
    header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default()
}
