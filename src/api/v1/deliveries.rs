use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use strum::IntoEnumIterator as _;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::view::WireTime;
use crate::api::Api;
use crate::api::body::JsonBody;
use crate::api::input::{self, Query};
use crate::api::openapi::requests::{self, DeliveryPath, DeliveryQuery, EmptyBody, PageQuery};
use crate::api::problem::{Code, Problem};
use crate::store::{Delivery, DeliveryFilter, DeliveryStatus};

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DeliveryPage {
    deliveries: Vec<DeliveryView>,
    /// For the next page; null on the last.
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(in crate::api) struct DeliveryView {
    /// The delivery's number, equal to the event's `id` in the event stream.
    id: i64,
    /// The message's `webhook-id`, unique across all databases.
    webhook_id: Uuid,
    #[serde(rename = "type")]
    kind: String,
    relay_id: Uuid,
    channel_id: i64,
    /// The message's number within its relay.
    sequence: i64,
    #[schema(schema_with = requests::delivery_statuses)]
    status: DeliveryStatus,
    /// Attempts since the last redelivery request.
    attempts: i32,
    created_at: WireTime,
    /// The next attempt may also wait for an earlier message of the channel.
    next_attempt_at: Option<WireTime>,
    last_attempt_at: Option<WireTime>,
    delivered_at: Option<WireTime>,
    /// The endpoint's last HTTP status.
    response_status: Option<u16>,
    last_error: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            webhook_id: delivery.webhook_id,
            kind: delivery.kind.to_string(),
            relay_id: delivery.relay_id,
            channel_id: delivery.channel_id,
            sequence: delivery.sequence,
            status: delivery.status,
            attempts: delivery.attempts,
            created_at: WireTime(delivery.created_at),
            next_attempt_at: delivery.next_attempt_at.map(WireTime),
            last_attempt_at: delivery.last_attempt_at.map(WireTime),
            delivered_at: delivery.delivered_at.map(WireTime),
            response_status: delivery.response_status,
            last_error: delivery.last_error,
        }
    }
}

/// List messages to the marketplace
///
/// With their delivery to `webhooks.endpoint`, newest first.
#[utoipa::path(
    get, path = "/v1/webhooks/deliveries", tag = "events", operation_id = "listDeliveries",
    params(DeliveryQuery, PageQuery),
    responses((status = 200, body = DeliveryPage, description = "A page of deliveries.")),
)]
pub(in crate::api) async fn deliveries(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let known = ["status", "channel_id", "limit", "cursor"];
    let query = Query::read(request.query_string(), &known)?;
    let filter = DeliveryFilter {
        channel_id: query.get("channel_id").map(input::channel_id).transpose()?,
        status: query.get("status").map(status).transpose()?,
    };
    let page = api.store.deliveries(filter, &query.page()?).await?;
    Ok(HttpResponse::Ok().json(DeliveryPage {
        deliveries: page.items.into_iter().map(Into::into).collect(),
        next_cursor: page.next_cursor,
    }))
}

fn status(text: &str) -> Result<DeliveryStatus, Problem> {
    text.parse().map_err(|_| {
        let all: Vec<String> = DeliveryStatus::iter()
            .map(|status| status.to_string())
            .collect();
        Problem::parameter("status", format!("one of {}", all.join(", ")))
    })
}

/// Deliver a message again
///
/// Queues a message of any status, also one from before the endpoint was configured.
#[utoipa::path(
    post, path = "/v1/webhooks/deliveries/{id}/redeliver", tag = "events", operation_id = "redeliver",
    params(DeliveryPath), request_body = Option<EmptyBody>,
    responses((status = 202, body = DeliveryView, description = "The message is queued.")),
    extensions(("x-problems" = json!(["not-found", "conflict", "starting"]))),
)]
pub(in crate::api) async fn redeliver(
    path: web::Path<String>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = delivery_id(&path)?;
    JsonBody::read_optional(&body)?.check::<EmptyBody>(&[])?;
    if !api.drives_relays() {
        let detail = "This process does not drive the relays.";
        return Err(Problem::new(Code::Starting, detail));
    }
    if !api.service.delivers() {
        let detail = "webhooks.endpoint is not set.";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let unknown = || Problem::not_found("The message does not exist, or is no longer kept.");
    if !api.store.redeliver(id, api.now()).await? {
        return Err(unknown());
    }
    let delivery = api.store.delivery(id).await?.ok_or_else(unknown)?;
    Ok(HttpResponse::Accepted().json(DeliveryView::from(delivery)))
}

fn delivery_id(text: &str) -> Result<i64, Problem> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let id = text.parse().ok().filter(|_| plain);
    id.ok_or_else(|| Problem::parameter("id", "the id of a delivery: an integer"))
}
