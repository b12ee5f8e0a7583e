use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::dedup::SequenceOrder;
use super::signature::is_signed_by_agora;
use super::stray::{EgressEvent, StrayNotice};
use super::{AGORA, NoticeEffect, Received, accept, header, json_of, number, text, unverified};
use crate::actors::RelaySnapshot;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::relay::{Hint, ResourceTag};

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
    let secrets = &api.webhooks.agora;
    if !is_signed_by_agora(header(&request, "agora-signature-v2"), &body, secrets) {
        return unverified(&body, !secrets.is_empty(), is_console_test);
    }
    let notice = json_of(&body)?;
    // A repeat has the same id but another `notifyMs`.
    let id = match text(&notice, "/noticeId") {
        "" => body.as_ref(),
        id => id.as_bytes(),
    };
    let order = &api.webhooks.order;
    accept(&api, AGORA, id, &notice, |relays| {
        effects(&notice, relays, order)
    })
    .await
}

/// `agora.md §6.8`.
fn is_console_test(notice: &Value) -> bool {
    const CHANNEL: &str = "test_webhook";
    number(notice, "/productId").is_some()
        && (text(notice, "/payload/channelName") == CHANNEL
            || text(notice, "/payload/cname") == CHANNEL)
}

pub(super) fn effects(
    notice: &Value,
    relays: &[Arc<RelaySnapshot>],
    order: &SequenceOrder,
) -> Vec<NoticeEffect> {
    let event = number(notice, "/eventType");
    match (number(notice, "/productId"), event) {
        // A broadcaster joined (103), a user became broadcaster (111); 104 and 112 are the opposites.
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

/// Ignores an event that is older than the last one received.
fn seller(
    notice: &Value,
    relays: &[Arc<RelaySnapshot>],
    order: &SequenceOrder,
    hint: Hint,
) -> Vec<NoticeEffect> {
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
        |relay: &Arc<RelaySnapshot>| NoticeEffect::Hint(relay.durable.spec.relay_id, hint.clone());
    theirs.into_iter().map(hinted).collect()
}

fn egress(
    notice: &Value,
    relays: &[Arc<RelaySnapshot>],
    event: EgressEvent,
) -> Option<NoticeEffect> {
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
        Some(relay) => NoticeEffect::Hint(
            relay.durable.spec.relay_id,
            Hint::EgressChanged {
                cname: cname.to_owned(),
                sid: sid.to_owned(),
            },
        ),
        None => NoticeEffect::Stray(StrayNotice::Egress {
            tag,
            sid: sid.to_owned(),
            event,
        }),
    })
}

/// Only the events of a converter's creation and end have its name; all have its id.
fn converter(notice: &Value, relays: &[Arc<RelaySnapshot>]) -> Option<NoticeEffect> {
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
    Some(NoticeEffect::Hint(
        relay.durable.spec.relay_id,
        Hint::ConverterChanged,
    ))
}

fn of_tag<'a>(
    relays: &'a [Arc<RelaySnapshot>],
    tag: &ResourceTag,
) -> Option<&'a Arc<RelaySnapshot>> {
    relays.iter().find(|relay| {
        let spec = &relay.durable.spec;
        spec.relay_id == tag.relay && spec.namespace == tag.namespace
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

    fn all(notice: &Value, relays: &[Arc<RelaySnapshot>]) -> Vec<NoticeEffect> {
        effects(notice, relays, &SequenceOrder::new())
    }

    #[test]
    fn only_the_seller_of_a_live_relay_leads_to_a_hint() {
        let live = fixture::live();
        let id = live.spec.relay_id;
        let relays = [fixture::snapshot(live.clone())];
        assert_eq!(
            all(&rtc(103, "show68", json!(12345), 1), &relays),
            [NoticeEffect::Hint(id, Hint::SellerJoined)]
        );
        assert_eq!(
            all(&rtc(104, "show68", json!("12345"), 1), &relays),
            [NoticeEffect::Hint(id, Hint::SellerLeft)]
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
    fn a_seller_who_switches_roles_joins_and_leaves() {
        let live = fixture::live();
        let id = live.spec.relay_id;
        let relays = [fixture::snapshot(live)];
        for (event, hint) in [(111, Hint::SellerJoined), (112, Hint::SellerLeft)] {
            let notice = rtc(event, "show68", json!(12345), 1);
            assert_eq!(
                all(&notice, &relays),
                [NoticeEffect::Hint(id, hint)],
                "{event}"
            );
            let other = rtc(event, "show68", json!(12346), 1);
            assert_eq!(all(&other, &relays), [], "{event}");
        }
    }

    #[test]
    fn a_leave_overtaken_by_a_later_join_is_ignored() {
        let relays = [fixture::snapshot(fixture::live())];
        let order = SequenceOrder::new();
        let has_effect = |event, sequence| {
            !effects(
                &rtc(event, "show68", json!(12345), sequence),
                &relays,
                &order,
            )
            .is_empty()
        };
        assert!(has_effect(103, 10));
        assert!(has_effect(103, 12));
        assert!(!has_effect(104, 11));
        assert!(has_effect(104, 13));
    }

    #[test]
    fn an_event_of_our_egress_reaches_its_relay() {
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
                [NoticeEffect::Hint(id, hint)]
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
            [NoticeEffect::Stray(StrayNotice::Egress {
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
        let expected = [NoticeEffect::Hint(id, Hint::ConverterChanged)];
        assert_eq!(
            all(&notice(1, json!({"id": "other", "name": name})), &relays),
            expected
        );
        assert_eq!(
            all(
                &notice(3, json!({"id": "ABCDEF", "state": "failed"})),
                &relays
            ),
            expected
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
