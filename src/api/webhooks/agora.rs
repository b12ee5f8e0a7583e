//! Agora's notifications (`agora.md §6`).

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::memory::Order;
use super::signature::is_signed_by_agora;
use super::stray::{EgressEvent, Stray};
use super::{AGORA, Meaning, Received, header, json_of, number, take, text, unproven};
use crate::actors::RelaySnapshot;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::relay::{Hint, ResourceTag};

/// Agora: notifications
///
/// Of all its products, each with a secret of its own.
#[utoipa::path(
    post, path = "/webhooks/agora", tag = "webhooks", operation_id = "agora",
    security(("agora_signature" = [])),
    request_body(content = serde_json::Value, description = "The vendor's notification, read over its raw bytes."),
    responses((status = 200, body = Received, description = "Taken; also what is unknown, or a test.")),
    extensions(("x-problems" = json!(["unauthorized", "not-found", "starting", "database"]))),
)]
pub(in crate::api) async fn notify(
    request: HttpRequest,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let secrets = &api.webhooks.agora;
    if !is_signed_by_agora(header(&request, "agora-signature-v2"), &body, secrets) {
        return unproven(&body, !secrets.is_empty(), is_console_test);
    }
    let notice = json_of(&body)?;
    // `notifyMs` changes when a notice is repeated, its id does not.
    let id = match text(&notice, "/noticeId") {
        "" => body.as_ref(),
        id => id.as_bytes(),
    };
    let order = &api.webhooks.order;
    take(&api, AGORA, id, &notice, |relays| {
        meaning(&notice, relays, order)
    })
    .await
}

/// Whether it is an event of the test in Agora's console, which names a channel of its own (`agora.md §6.8`).
fn is_console_test(notice: &Value) -> bool {
    const CHANNEL: &str = "test_webhook";
    number(notice, "/productId").is_some()
        && (text(notice, "/payload/channelName") == CHANNEL
            || text(notice, "/payload/cname") == CHANNEL)
}

pub(super) fn meaning(
    notice: &Value,
    relays: &[Arc<RelaySnapshot>],
    order: &Order,
) -> Vec<Meaning> {
    let event = number(notice, "/eventType");
    match (number(notice, "/productId"), event) {
        // A broadcaster joined, or a user's role became broadcaster; a broadcaster left, or became audience.
        (Some(1), Some(103 | 111)) => seller(notice, relays, order, Hint::SellerJoined),
        (Some(1), Some(104 | 112)) => seller(notice, relays, order, Hint::SellerLeft),
        (Some(3), Some(event)) => EgressEvent::of(event)
            .and_then(|event| egress(notice, relays, event))
            .into_iter()
            .collect(),
        (Some(5), Some(1..=4)) => converter(notice, relays).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// A broadcaster came or went: of interest when it is the seller of a relay that holds its slot. An event that was
/// overtaken by a later one says nothing.
fn seller(
    notice: &Value,
    relays: &[Arc<RelaySnapshot>],
    order: &Order,
    hint: Hint,
) -> Vec<Meaning> {
    let channel = text(notice, "/payload/channelName");
    let uid = number(notice, "/payload/uid").and_then(|uid| u32::try_from(uid).ok());
    let Some(uid) = uid else {
        return Vec::new();
    };
    let theirs: Vec<&Arc<RelaySnapshot>> = relays
        .iter()
        .filter(|relay| relay.durable.phase.holds_slot())
        .filter(|relay| {
            let spec = &relay.durable.spec;
            spec.channel_name == channel && spec.seller_uid == uid
        })
        .collect();
    let sequence = number(notice, "/payload/clientSeq");
    if theirs.is_empty() || !sequence.is_none_or(|sequence| order.is_news(channel, uid, sequence)) {
        return Vec::new();
    }
    let hinted =
        |relay: &Arc<RelaySnapshot>| Meaning::Hint(relay.durable.spec.relay_id, hint.clone());
    theirs.into_iter().map(hinted).collect()
}

/// Something happened to an egress of ours. While its relay still watches it, the relay shall hear of it.
fn egress(notice: &Value, relays: &[Arc<RelaySnapshot>], event: EgressEvent) -> Option<Meaning> {
    let cname = text(notice, "/payload/cname");
    let sid = text(notice, "/payload/sid");
    let tag: ResourceTag = cname.parse().ok()?;
    if sid.is_empty() {
        return None;
    }
    let relay = of_tag(relays, &tag);
    let watched = relay.filter(|relay| {
        let egress = relay.durable.open_egress();
        egress.is_some_and(|egress| egress.attempt == tag.attempt)
    });
    Some(match watched {
        Some(relay) => Meaning::Hint(
            relay.durable.spec.relay_id,
            Hint::EgressChanged {
                cname: cname.to_owned(),
                sid: sid.to_owned(),
            },
        ),
        None => Meaning::Stray(Stray::Egress {
            tag,
            sid: sid.to_owned(),
            event,
        }),
    })
}

/// Something happened to a converter: its name is told only with its creation and its end, else its id alone.
fn converter(notice: &Value, relays: &[Arc<RelaySnapshot>]) -> Option<Meaning> {
    let id = text(notice, "/payload/converter/id");
    let by_name = text(notice, "/payload/converter/name")
        .parse()
        .ok()
        .and_then(|tag| of_tag(relays, &tag));
    let by_id = || {
        relays.iter().find(|relay| {
            let egress = relay.durable.egress.as_ref();
            let known = egress.and_then(|egress| egress.converter_id.as_deref());
            known.is_some_and(|known| !id.is_empty() && known.eq_ignore_ascii_case(id))
        })
    };
    let relay = by_name.or_else(by_id)?;
    Some(Meaning::Hint(
        relay.durable.spec.relay_id,
        Hint::ConverterChanged,
    ))
}

/// The relay in work that made this tag: same id, same owner.
fn of_tag<'a>(
    relays: &'a [Arc<RelaySnapshot>],
    tag: &ResourceTag,
) -> Option<&'a Arc<RelaySnapshot>> {
    relays.iter().find(|relay| {
        let spec = &relay.durable.spec;
        spec.relay_id == tag.relay && spec.owner == tag.owner
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actors::view::fixture;
    use crate::relay::{EgressStage, Phase};

    fn rtc(event: i64, channel: &str, uid: Value, sequence: i64) -> Value {
        json!({"noticeId": "n", "productId": 1, "eventType": event, "notifyMs": 1,
            "payload": {"channelName": channel, "uid": uid, "clientSeq": sequence, "platform": 1}})
    }

    fn cloud_recording(event: i64, cname: &str, sid: &str) -> Value {
        json!({"noticeId": "n", "productId": 3, "eventType": event, "notifyMs": 1, "payload": {
            "cname": cname, "uid": "900000001", "sid": sid, "sequence": 0, "sendts": 1, "serviceType": 6,
            "details": {"msgName": "rtmp_publish_status", "rtmpUrl": "rtmps://x/live/key"}}})
    }

    fn all(notice: &Value, relays: &[Arc<RelaySnapshot>]) -> Vec<Meaning> {
        meaning(notice, relays, &Order::new())
    }

    #[test]
    fn only_the_seller_of_a_relay_that_is_on_air_comes_and_goes() {
        let live = fixture::live();
        let id = live.spec.relay_id;
        let relays = [fixture::snapshot(live.clone())];
        assert_eq!(
            all(&rtc(103, "show68", json!(12345), 1), &relays),
            [Meaning::Hint(id, Hint::SellerJoined)]
        );
        assert_eq!(
            all(&rtc(104, "show68", json!("12345"), 1), &relays),
            [Meaning::Hint(id, Hint::SellerLeft)]
        );
        for other in [
            rtc(103, "show68", json!(12346), 1),
            rtc(103, "show6", json!(12345), 1),
            rtc(105, "show68", json!(12345), 1),
            rtc(103, "test_webhook", json!(12_121_212), 1),
        ] {
            assert_eq!(all(&other, &relays), [], "{other}");
        }
        let mut stopping = live;
        stopping.phase = Phase::Stopping;
        let relays = [fixture::snapshot(stopping)];
        assert_eq!(all(&rtc(103, "show68", json!(12345), 1), &relays), []);
    }

    #[test]
    fn a_seller_who_switches_roles_comes_on_stage_and_leaves_it() {
        let live = fixture::live();
        let id = live.spec.relay_id;
        let relays = [fixture::snapshot(live)];
        for (event, hint) in [(111, Hint::SellerJoined), (112, Hint::SellerLeft)] {
            let notice = rtc(event, "show68", json!(12345), 1);
            assert_eq!(all(&notice, &relays), [Meaning::Hint(id, hint)], "{event}");
            let other = rtc(event, "show68", json!(12346), 1);
            assert_eq!(all(&other, &relays), [], "{event}");
        }
    }

    #[test]
    fn a_leave_that_a_later_join_has_overtaken_is_not_told() {
        let relays = [fixture::snapshot(fixture::live())];
        let order = Order::new();
        let heard = |event, sequence| {
            !meaning(
                &rtc(event, "show68", json!(12345), sequence),
                &relays,
                &order,
            )
            .is_empty()
        };
        assert!(heard(103, 10));
        assert!(heard(103, 12));
        assert!(!heard(104, 11));
        assert!(heard(104, 13));
    }

    #[test]
    fn the_session_of_our_egress_is_told_to_its_relay() {
        let live = fixture::live();
        let (id, cname) = (live.spec.relay_id, live.spec.tag(1).to_string());
        let relays = [fixture::snapshot(live)];
        for event in [1, 11, 12, 70, 71, 100] {
            let hint = Hint::EgressChanged {
                cname: cname.clone(),
                sid: "s1".into(),
            };
            assert_eq!(
                all(&cloud_recording(event, &cname, "s1"), &relays),
                [Meaning::Hint(id, hint)]
            );
        }
        for event in [2, 4, 31, 40, 1001] {
            assert_eq!(
                all(&cloud_recording(event, &cname, "s1"), &relays),
                [],
                "{event}"
            );
        }
        assert_eq!(all(&cloud_recording(70, "show68", "s1"), &relays), []);
    }

    #[test]
    fn an_egress_that_no_relay_watches_any_more_is_a_stray() {
        let mut live = fixture::live();
        let tag = live.spec.tag(1);
        let notice = cloud_recording(70, &tag.to_string(), "s9");
        let stray = || {
            let (tag, sid) = (tag.clone(), "s9".to_owned());
            [Meaning::Stray(Stray::Egress {
                tag,
                sid,
                event: EgressEvent::PageStarted,
            })]
        };
        assert_eq!(all(&notice, &[]), stray());
        live.egress.as_mut().unwrap().stage = EgressStage::Settled;
        assert_eq!(all(&notice, &[fixture::snapshot(live.clone())]), stray());
        live.egress.as_mut().unwrap().stage = EgressStage::Running;
        live.egress.as_mut().unwrap().attempt = 2;
        assert_eq!(all(&notice, &[fixture::snapshot(live)]), stray());
    }

    #[test]
    fn a_converter_is_known_by_its_name_or_its_id() {
        let live = fixture::live_by_media_push();
        let (id, name) = (live.spec.relay_id, live.spec.tag(1).to_string());
        let relays = [fixture::snapshot(live)];
        let notice = |event, converter: Value| json!({"noticeId": "n", "productId": 5, "eventType": event, "payload": {"converter": converter, "lts": 1}});
        let told = [Meaning::Hint(id, Hint::ConverterChanged)];
        assert_eq!(
            all(&notice(1, json!({"id": "other", "name": name})), &relays),
            told
        );
        assert_eq!(
            all(
                &notice(3, json!({"id": "ABCDEF", "state": "failed"})),
                &relays
            ),
            told
        );
        assert_eq!(
            all(
                &notice(3, json!({"id": "other", "state": "failed"})),
                &relays
            ),
            []
        );
        assert_eq!(
            all(&notice(3, json!({"id": "", "state": "failed"})), &relays),
            []
        );
        assert_eq!(all(&notice(5, json!({"id": "abcdef"})), &relays), []);
    }
}
