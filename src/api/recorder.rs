//! The recorder's page and its endpoints. The query of its link is a credential: it is never logged or returned.

use std::ops::RangeInclusive;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::input::whole;
use super::openapi::requests::PageLink;
use super::problem::{Code, FieldError, Problem};
use super::routes::Routes;
use crate::actors::PageStatus;
use crate::config::Settings;
use crate::relay::{PageReport, PageTrouble};
use crate::vendors::agora::page::{self, Links, PageClaims};
use crate::vendors::agora::token::{MAX_SALT, Subscriber};

const PAGE: &str = include_str!("recorder/page.html");
const SCRIPT: &str = include_str!("recorder/page.js");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

const TOKEN_LIFE_SECONDS: u32 = 600;
/// The page's uids are far above the egresses' uids and the usual ones of users.
const FIRST_UID: u32 = 3_000_000_000;
pub(super) const PAGE_UIDS: RangeInclusive<u32> = FIRST_UID..=u32::MAX;
/// The page numbers its reports by its clock. A number from a clock that is further ahead would make later reports look
/// old.
const SEQ_AHEAD_MS: u64 = 5 * 60 * 1000;

pub(super) struct RecorderPage {
    links: Links,
    app_id: String,
    app_certificate: SecretString,
}

impl RecorderPage {
    /// `None` without a signing key or a public address.
    pub(super) fn new(settings: &Settings) -> Option<Self> {
        let links = Links::new(&settings.agora, &settings.server.public_url).ok()?;
        Some(Self {
            links,
            app_id: settings.agora.app_id.clone(),
            app_certificate: settings.agora.app_certificate.clone(),
        })
    }

    fn claims(&self, query: &str) -> Result<PageClaims, Problem> {
        let refused = || Problem::new(Code::Forbidden, "The link's signature is invalid.");
        self.links.verify(query).ok_or_else(refused)
    }
}

/// For requests without a token.
const BODY_LIMIT: usize = 8 * 1024;

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes
        .reads("/recorder", page)
        .reads("/recorder/page.js", script)
        .writes_up_to(BODY_LIMIT, "/recorder/token", token)
        .writes_up_to(BODY_LIMIT, "/recorder/presence", presence);
}

impl Api {
    fn recorder(&self) -> Result<&RecorderPage, Problem> {
        let recorder = self.recorder.as_ref();
        recorder.ok_or_else(|| Problem::not_found("The recorder's page is not configured."))
    }

    /// 503 until relays are loaded, so that no page is told to leave by mistake.
    async fn page_status(&self, claims: &PageClaims) -> Result<PageStatus, Problem> {
        let page_status = self
            .service
            .page_status(claims.relay, claims.attempt)
            .await?;
        page_status
            .ok_or_else(|| Problem::new(Code::Starting, "This process does not drive relays yet."))
    }
}

/// The recorder's page
///
/// Agora's cloud browser opens it in web mode, through a link signed by this service.
#[utoipa::path(
    get, path = "/recorder", tag = "recorder", operation_id = "recorderPage",
    params(PageLink),
    responses((status = 200, body = String, content_type = "text/html", description = "The page.")),
    extensions(("x-problems" = json!(["forbidden", "not-found", "starting"]))),
)]
pub(super) async fn page(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let claims = api.recorder()?.claims(request.query_string())?;
    if api.page_status(&claims).await? == PageStatus::Over {
        return Err(Problem::not_found("The relay has ended."));
    }
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY))
        .insert_header((
            PERMISSIONS_POLICY,
            "camera=(), microphone=(), geolocation=()",
        ))
        .body(PAGE))
}

/// The page's script
#[utoipa::path(
    get, path = "/recorder/page.js", tag = "recorder", operation_id = "recorderScript",
    responses((status = 200, body = String, content_type = "text/javascript", description = "The script.")),
)]
pub(super) async fn script() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/javascript; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .body(SCRIPT)
}

/// A request for a token, with the page's uid if it has one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PageTokenRequest)]
pub(super) struct TokenRequest {
    /// The query of the page's link.
    query: String,
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(maximum = 4294967295_i64)]
    uid: Option<u32>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PresenceReport {
    /// The query of the page's link.
    query: String,
    /// Whether the seller is present; left out with `cannot_join`.
    present: Option<bool>,
    cannot_join: Option<JoinTrouble>,
    /// Increases with each report: the page's clock in milliseconds, at most five minutes ahead of this service's.
    #[serde(deserialize_with = "whole_number")]
    #[schema(maximum = 9007199254740991_i64)]
    seq: u64,
}

/// Why the page is not in the channel.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum JoinTrouble {
    /// Agora's Web SDK did not load.
    NoSdk,
    /// Agora did not answer in time.
    Timeout,
    /// Agora refused the join, or the connection failed.
    Refused,
}

impl From<JoinTrouble> for PageTrouble {
    fn from(trouble: JoinTrouble) -> Self {
        match trouble {
            JoinTrouble::NoSdk => Self::NoSdk,
            JoinTrouble::Timeout => Self::Timeout,
            JoinTrouble::Refused => Self::Refused,
        }
    }
}

/// A number, also as `42.0`, or null.
fn whole_number<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    let given = Value::deserialize(from)?;
    let number = match &given {
        Value::Number(number) => whole(number).map(Value::from),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    };
    T::deserialize(number.unwrap_or(given)).map_err(serde::de::Error::custom)
}

#[derive(Serialize, ToSchema)]
#[schema(as = Leave)]
pub(super) struct LeaveAnswer {
    leave: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
pub(super) struct JoinTicket<'a> {
    app_id: &'a str,
    channel: &'a str,
    uid: u32,
    seller_uid: u32,
    /// Null if the project has no certificate.
    token: Option<&'a str>,
    expires_in_seconds: u32,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum TicketOrLeave<'a> {
    Ticket(JoinTicket<'a>),
    Leave(LeaveAnswer),
}

/// Hides the parser's error: it could quote the query.
fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|_| Problem::body("not a request of the recorder's page"))
}

/// Get a token for the page
///
/// Answers what the page needs to join the channel as audience; or `leave`, if its relay has ended or another egress took
/// over.
#[utoipa::path(
    post, path = "/recorder/token", tag = "recorder", operation_id = "recorderToken",
    request_body = TokenRequest,
    responses((status = 200, body = TicketOrLeave<'static>, description = "What the page needs to join, valid for 10 minutes, or `leave`.")),
    extensions(("x-problems" = json!(["forbidden", "not-found", "starting"]))),
)]
pub(super) async fn token(body: web::Bytes, api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let recorder = api.recorder()?;
    let body: TokenRequest = read(&body)?;
    let claims = recorder.claims(&body.query)?;
    if api.page_status(&claims).await? != PageStatus::Current {
        return Ok(HttpResponse::Ok().json(TicketOrLeave::Leave(LeaveAnswer { leave: true })));
    }
    let uid = body.uid.filter(|uid| may_join(*uid, &claims));
    let uid = uid.unwrap_or_else(|| fresh_uid(&claims));
    let token = if recorder.app_certificate.expose_secret().is_empty() {
        None
    } else {
        let subscriber = Subscriber {
            app_id: &recorder.app_id,
            channel: &claims.channel,
            uid,
            issued_at: u32::try_from(api.now().timestamp()).unwrap_or_default(),
            expires_in_seconds: TOKEN_LIFE_SECONDS,
            salt: rand::random_range(1..=MAX_SALT),
        };
        let token = subscriber.token(&recorder.app_certificate);
        Some(token.map_err(|_| Problem::internal())?)
    };
    let ticket = JoinTicket {
        app_id: &recorder.app_id,
        channel: &claims.channel,
        uid,
        seller_uid: claims.seller_uid,
        token: token.as_ref().map(|token| token.expose_secret()),
        expires_in_seconds: TOKEN_LIFE_SECONDS,
    };
    Ok(HttpResponse::Ok().json(TicketOrLeave::Ticket(ticket)))
}

/// Joining with the seller's uid would disconnect the seller.
fn may_join(uid: u32, claims: &PageClaims) -> bool {
    uid >= FIRST_UID && uid != claims.seller_uid
}

fn fresh_uid(claims: &PageClaims) -> u32 {
    loop {
        let uid = rand::random_range(PAGE_UIDS);
        if may_join(uid, claims) {
            return uid;
        }
    }
}

/// Report the seller's presence
///
/// A page that cannot join the channel reports why. Operators see it in the relay's journal and the list of actors.
#[utoipa::path(
    post, path = "/recorder/presence", tag = "recorder", operation_id = "recorderPresence",
    request_body = PresenceReport,
    responses((status = 200, body = LeaveAnswer, description = "The report was received.")),
    extensions(("x-problems" = json!(["forbidden", "not-found", "starting"]))),
)]
pub(super) async fn presence(
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let report: PresenceReport = read(&body)?;
    let claims = api.recorder()?.claims(&report.query)?;
    let wrong = |field: &str, detail: &str| {
        Problem::invalid(vec![FieldError {
            pointer: format!("/{field}"),
            detail: detail.to_owned(),
        }])
    };
    let now = u64::try_from(api.now().timestamp_millis()).unwrap_or_default();
    if report.seq > now.saturating_add(SEQ_AHEAD_MS) {
        return Err(wrong("seq", "is far ahead of this service's clock"));
    }
    let page_report = match (report.present, report.cannot_join) {
        (Some(present), None) => PageReport::Seller {
            seq: report.seq,
            present,
        },
        (None, Some(trouble)) => PageReport::CannotJoin(trouble.into()),
        (Some(_), Some(_)) | (None, None) => {
            return Err(wrong("present", "is required, unless cannot_join is given"));
        }
    };
    let leave = api.page_status(&claims).await? != PageStatus::Current;
    if !leave {
        api.service
            .page_report(claims.relay, claims.attempt, page_report)
            .await;
    }
    Ok(HttpResponse::Ok().json(LeaveAnswer { leave }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_page_never_joins_as_the_seller_and_keeps_only_a_uid_of_ours() {
        let claims = PageClaims {
            relay: Uuid::nil(),
            channel: "show".into(),
            seller_uid: FIRST_UID + 5,
            attempt: 1,
        };
        assert!(!may_join(FIRST_UID + 5, &claims));
        assert!(!may_join(0, &claims) && !may_join(12345, &claims));
        assert!(may_join(FIRST_UID, &claims));
        for _ in 0..1000 {
            assert!(may_join(fresh_uid(&claims), &claims));
        }
    }
}
