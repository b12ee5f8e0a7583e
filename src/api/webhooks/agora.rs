use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::SecretString;
use serde_json::Value;

use super::signature::is_signed_by_agora;
use super::{Received, accept, header};
use crate::api::Api;
use crate::api::problem::Problem;
use crate::relay::{Hint, Notice, Subject};
use crate::vendors::{Notification, Refused, json_of, number, text, unverified};

/// Agora's notifications
///
/// For all its products, each with its own secret.
#[utoipa::path(
    post, path = "/webhooks/agora", tag = "webhooks", operation_id = "agora",
    security(("agora_signature" = [])),
    request_body(content = serde_json::Value, description = "The vendor's notification."),
    responses((status = 200, body = Received, description = "Received; also answers unknown notifications and tests.")),
    extensions(("x-problems" = json!(["unauthorized", "not-found", "starting", "database"]))),
)]
pub(in crate::api) async fn notify(
    request: HttpRequest,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let notice = |event: &Value| presence(event).or_else(|| api.egresses.notice(event));
    let notification = read(&api.webhooks.agora, request.headers(), &body, notice);
    accept(&api, "agora", &body, notification).await
}

fn read(
    secrets: &[SecretString],
    headers: &HeaderMap,
    body: &[u8],
    notice: impl Fn(&Value) -> Option<Notice>,
) -> Result<Notification, Refused> {
    if !is_signed_by_agora(header(headers, "agora-signature-v2"), body, secrets) {
        return Err(unverified(body, !secrets.is_empty(), is_console_test));
    }
    let event = json_of(body)?;
    // A repeat has the same id but another `notifyMs`.
    let id = text(&event, "/noticeId");
    Ok(Notification {
        id: (!id.is_empty()).then(|| id.to_owned()),
        notices: notice(&event).into_iter().collect(),
    })
}

/// `agora.md §6.8`.
fn is_console_test(notice: &Value) -> bool {
    const CHANNEL: &str = "test_webhook";
    number(notice, "/productId").is_some()
        && (text(notice, "/payload/channelName") == CHANNEL
            || text(notice, "/payload/cname") == CHANNEL)
}

/// A broadcaster joined (103), a user became broadcaster (111); 104 and 112 are the opposites.
fn presence(event: &Value) -> Option<Notice> {
    match (number(event, "/productId")?, number(event, "/eventType")?) {
        (1, 103 | 111) => seller(event, Hint::SellerJoined),
        (1, 104 | 112) => seller(event, Hint::SellerLeft),
        _ => None,
    }
}

fn seller(event: &Value, hint: Hint) -> Option<Notice> {
    let uid = u32::try_from(number(event, "/payload/uid")?).ok()?;
    let channel_name = text(event, "/payload/channelName").to_owned();
    Some(Notice {
        sequence: number(event, "/payload/clientSeq"),
        ..Notice::new(Subject::Seller { channel_name, uid }, hint)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rtc(event: i64, uid: Value) -> Value {
        json!({"noticeId": "n", "productId": 1, "eventType": event, "notifyMs": 1,
            "payload": {"channelName": "show68", "uid": uid, "clientSeq": 7, "platform": 1}})
    }

    #[test]
    fn a_broadcaster_who_joins_leaves_or_switches_roles_may_be_a_seller() {
        let (joined, left) = (Hint::SellerJoined, Hint::SellerLeft);
        for (event, hint) in [(103, &joined), (111, &joined), (104, &left), (112, &left)] {
            let seller = Subject::Seller {
                channel_name: "show68".into(),
                uid: 12345,
            };
            let expected = Some(Notice {
                sequence: Some(7),
                ..Notice::new(seller, hint.clone())
            });
            assert_eq!(presence(&rtc(event, json!(12345))), expected, "{event}");
            assert_eq!(presence(&rtc(event, json!("12345"))), expected, "{event}");
        }
        for other in [
            rtc(105, json!(12345)),
            rtc(103, json!("a user account")),
            rtc(103, json!(-1)),
            json!({"productId": 1, "eventType": 103}),
        ] {
            assert_eq!(presence(&other), None, "{other}");
        }
    }

    #[test]
    fn a_notification_is_known_by_its_id_and_verified_by_any_secret() {
        // The vector of `agora.md §6.3`.
        let body = br#"{"eventMs":1560408533119,"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}"#;
        let mut headers = HeaderMap::new();
        let read = |secrets: &[&str], headers: &HeaderMap| {
            let secrets: Vec<SecretString> = secrets.iter().map(|one| (*one).into()).collect();
            read(&secrets, headers, body, presence)
        };
        assert_eq!(read(&["secret"], &headers), Err(Refused::Unverified));
        assert_eq!(read(&[], &headers), Err(Refused::NoSecret));
        headers.insert(
            "agora-signature-v2".parse().unwrap(),
            "6d3320c60b11101395b7fc8f9068748808a0aa1bfa064438e39d1bc2c7d74d99"
                .parse()
                .unwrap(),
        );
        let known = read(&["another", "secret"], &headers).unwrap();
        let id = Some("4eb720f0-8da7-11e9-a43e-53f411c2761f".to_owned());
        let expected = Notification {
            id,
            notices: Vec::new(),
        };
        assert_eq!(known, expected);
    }
}
