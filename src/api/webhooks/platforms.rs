use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{Received, accept};
use crate::api::Api;
use crate::api::problem::Problem;

/// A platform's notifications
///
/// The feed or a recording changed. Each platform proves its notifications in its own way; its page in the documents names its
/// sources.
#[utoipa::path(
    post, path = "/webhooks/{platform}/{source}", tag = "webhooks", operation_id = "platformNotification",
    params(
        ("platform" = String, Path, description = "The platform's name."),
        ("source" = String, Path, description = "Which of its webhooks."),
    ),
    security(("platform_signature" = [])),
    request_body(content = serde_json::Value, description = "The vendor's notification."),
    responses((status = 200, body = Received, description = "Received; also answers unknown notifications and tests.")),
    extensions(("x-problems" = json!(["unauthorized", "not-found", "starting", "database"]))),
)]
pub(in crate::api) async fn notify(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let (platform, source) = path.into_inner();
    receive(&request, &platform, &source, &body, &api).await
}

/// A platform's notifications, from its only webhook
///
/// The feed or a recording changed.
#[utoipa::path(
    post, path = "/webhooks/{platform}", tag = "webhooks", operation_id = "platformNotificationWithoutSource",
    params(("platform" = String, Path, description = "The platform's name.")),
    security(("platform_signature" = [])),
    request_body(content = serde_json::Value, description = "The vendor's notification."),
    responses((status = 200, body = Received, description = "Received; also answers unknown notifications.")),
    extensions(("x-problems" = json!(["unauthorized", "not-found", "starting", "database"]))),
)]
pub(in crate::api) async fn notify_without_source(
    request: HttpRequest,
    path: web::Path<String>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    receive(&request, &path, "", &body, &api).await
}

async fn receive(
    request: &HttpRequest,
    platform: &str,
    source: &str,
    body: &web::Bytes,
    api: &Api,
) -> Result<HttpResponse, Problem> {
    let header = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    let platform = api.platforms.get(platform);
    let notification =
        platform.and_then(|platform| platform.verify_event(source, &header, body, api.now()));
    let Some((platform, notification)) = platform.zip(notification) else {
        return Err(Problem::not_found(
            "No platform that is on has this webhook.",
        ));
    };
    let endpoint = format!("{}/{source}", platform.name());
    accept(api, &endpoint, body, notification).await
}
