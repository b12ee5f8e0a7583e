//! Reads of missing and stored objects, and with invalid parameters.

use rstest::rstest;
use serde_json::{Value, json};

use super::seed::{self, LAST, NEXT};
use super::service::{Service, pointers, problem, service};

#[tokio::test]
async fn an_unknown_channel_or_relay_is_not_found_and_its_lists_are_empty() {
    let service = service().await;
    problem(service.request("GET", "/v1/channels/42"), 404, "not-found").await;
    problem(
        service.request("GET", "/v1/channels/42/playback"),
        404,
        "no-playback",
    )
    .await;
    let relay = "/v1/relays/0192f0c4-0000-7000-8000-000000000001";
    problem(service.request("GET", relay), 404, "not-found").await;
    let ingest = "/v1/channels/42/ingest";
    problem(service.request("DELETE", ingest), 404, "not-found").await;
    problem(
        service.request("GET", &format!("{relay}/events")),
        404,
        "not-found",
    )
    .await;
    problem(
        service.request("GET", &format!("{relay}/recordings")),
        404,
        "not-found",
    )
    .await;
    for (path, list) in [
        ("/v1/channels/42/relays", "relays"),
        ("/v1/ingests?limit=3", "ingests"),
        ("/v1/relays?phase=live&limit=1&cursor=", "relays"),
        ("/v1/costs?from=&to=&group_by=", "costs"),
        (
            "/v1/costs?from=2026-11-01&to=2026-12-01T00:00:00%2B01:00&group_by=day",
            "costs",
        ),
    ] {
        let answer = service.request("GET", path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({list: [], "next_cursor": null}), "{path}");
    }
}

#[rstest]
#[case("/v1/relays?phase=dead", "/phase")]
#[case("/v1/relays?phase=Live", "/phase")]
#[case("/v1/relays?limit=0", "/limit")]
#[case("/v1/relays?limit=201", "/limit")]
#[case("/v1/relays?limit=x", "/limit")]
#[case("/v1/relays?limit=", "/limit")]
#[case("/v1/relays?cursor=nonsense", "/cursor")]
#[case("/v1/relays?phse=live", "/phse")]
#[case("/v1/relays?phase=live&phase=ended", "/phase")]
#[case("/v1/channels/42/relays?cursor=nonsense", "/cursor")]
#[case("/v1/ingests?cursor=nonsense", "/cursor")]
#[case("/v1/relays/42", "/relay_id")]
#[case("/v1/relays/0192f0c400007000800000000000001", "/relay_id")]
#[case(
    "/v1/relays/0192f0c4-0000-7000-8000-000000000001/events?limit=-1",
    "/limit"
)]
#[case("/v1/costs?from=yesterday", "/from")]
#[case("/v1/costs?to=2026-13-01", "/to")]
#[case("/v1/costs?from=2026-11-02&to=2026-11-01T00:00:00Z", "/to")]
#[case("/v1/costs?group_by=week", "/group_by")]
#[tokio::test]
async fn an_invalid_parameter_is_pointed_at(#[case] path: &str, #[case] pointer: &str) {
    let service = service().await;
    let refused = problem(service.request("GET", path), 400, "invalid-request").await;
    assert_eq!(pointers(&refused), [pointer]);
}

#[tokio::test]
async fn health_answers_200_and_says_what_it_knows() {
    let service = service().await;
    let answer = service.request("GET", "/v1/health").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["healthy"], true);
    for vendor in ["cloudflare", "agora"] {
        assert_eq!(body[vendor]["credentials"], "accepted");
        assert_eq!(body[vendor]["healthy"], true);
    }
    assert_eq!(body["database"], json!({"healthy": true, "acting": false}));
    assert_eq!(body["cleanup_jobs"], json!({"open": 0, "kinds": []}));
    assert_eq!(
        (&body["alarms"], &body["budgets"]),
        (&json!([]), &json!([]))
    );
}

async fn read(service: &Service, path: &str) -> Value {
    let answer = service.request("GET", path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_relay_that_has_ended_is_read_from_the_store() {
    let service = service().await;
    seed::two_relays(&service.store).await;
    let relay = read(&service, &format!("/v1/relays/{LAST}")).await;
    assert_eq!(relay["id"], LAST);
    assert_eq!(
        (&relay["phase"], &relay["relay_status"]),
        (&json!("ended"), &json!("stopped"))
    );
    assert_eq!(relay["outcome"]["code"], "seller_left");
    assert_eq!(relay["recordings"][0]["id"], "late");
    assert_eq!(relay["recording_url"], "https://host/late.m3u8");
    assert_eq!(relay["requested_at"], "2026-11-22T10:00:00.000Z");
    let recordings = read(&service, &format!("/v1/relays/{LAST}/recordings")).await;
    assert_eq!(recordings["recordings"], relay["recordings"]);
    assert_eq!(recordings["next_cursor"], Value::Null);
}

#[tokio::test]
async fn the_fields_of_a_relay_come_in_the_order_of_the_contract() {
    let service = service().await;
    seed::two_relays(&service.store).await;
    let answer = service
        .request("GET", &format!("/v1/relays/{LAST}"))
        .send()
        .await
        .unwrap();
    let text = answer.text().await.unwrap();
    let names = [
        "id",
        "channel_id",
        "channel_name",
        "seller_uid",
        "phase",
        "relay_status",
        "is_active",
        "is_live",
        "platform",
        "hls_playback_url",
        "dash_playback_url",
        "stream_key_id",
        "agora",
        "backend",
        "resource_id",
        "sid",
        "recording_uid",
        "converter_id",
        "replacements",
        "recordings",
        "id",
        "state",
        "hls_url",
        "dash_url",
        "thumbnail_url",
        "location",
        "duration_seconds",
        "recording_url",
        "live_seconds",
        "viewer_count",
        "outcome",
        "code",
        "message",
        "detail",
        "cost",
        "requested_at",
        "started_at",
        "live_at",
        "stopped_at",
        "ended_at",
    ];
    let mut rest = text.as_str();
    for name in names {
        let key = format!("\"{name}\":");
        let at = rest.find(&key);
        rest = &rest[at.unwrap_or_else(|| panic!("{name} is not behind the one before: {text}"))..];
        rest = &rest[key.len()..];
    }
}

#[tokio::test]
async fn a_channel_shows_its_newest_relay_and_the_last_recording_of_any() {
    let service = service().await;
    seed::two_relays(&service.store).await;
    let channel = read(&service, "/v1/channels/42").await;
    assert_eq!(channel["channel_id"], 42);
    assert_eq!(channel["relay"]["id"], NEXT);
    assert_eq!(channel["relay"]["phase"], "provisioning");
    assert_eq!(channel["last_recording"]["id"], "late");
    let playback = read(&service, "/v1/channels/42/playback").await;
    assert_eq!(playback["hls_url"], "https://host/late.m3u8");
    assert_eq!(
        (&playback["is_live"], &playback["source"]),
        (&json!(false), &json!("recording"))
    );
}

#[tokio::test]
async fn lists_are_newest_first_and_go_on_at_their_cursor() {
    let service = service().await;
    seed::two_relays(&service.store).await;
    let first = read(&service, "/v1/channels/42/relays?limit=1").await;
    assert_eq!(first["relays"][0]["id"], NEXT);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = read(
        &service,
        &format!("/v1/channels/42/relays?limit=1&cursor={cursor}"),
    )
    .await;
    assert_eq!(second["relays"][0]["id"], LAST);
    assert_eq!(second["next_cursor"], Value::Null);
    let ended = read(&service, "/v1/relays?phase=ended").await;
    assert_eq!(ended["relays"].as_array().unwrap().len(), 1);
    assert_eq!(ended["relays"][0]["id"], LAST);
}

#[tokio::test]
async fn a_journal_is_read_from_its_beginning() {
    let service = service().await;
    seed::two_relays(&service.store).await;
    let first = read(&service, &format!("/v1/relays/{LAST}/events?limit=1")).await;
    assert_eq!(
        first["events"],
        json!([{"sequence": 1, "at": "2026-11-22T10:00:00.000Z", "event": "requested", "phase": "provisioning",
                "data": {"fact": "requested"}, "actions": []}])
    );
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = read(
        &service,
        &format!("/v1/relays/{LAST}/events?cursor={cursor}"),
    )
    .await;
    assert_eq!(rest["events"][0]["sequence"], 2);
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn costs_are_summed_by_channel_or_by_day() {
    let service = service().await;
    seed::two_relays(&service.store).await;
    let sums = json!({"relays": 1, "duration_seconds": 1830, "cost_cents": 16, "cost_micros": 155_000, "agora_cost_micros": 434_000});
    let with = |name: &str, value: Value| {
        let mut sums = sums.clone();
        sums[name] = value;
        json!({"costs": [sums], "next_cursor": null})
    };
    assert_eq!(
        read(&service, "/v1/costs").await,
        with("channel_id", json!(42))
    );
    let day = "/v1/costs?from=2026-11-22&to=2026-11-22&group_by=day";
    assert_eq!(read(&service, day).await, with("day", json!("2026-11-22")));
    let before = read(&service, "/v1/costs?to=2026-11-21").await;
    assert_eq!(before["costs"], json!([]));
}

#[tokio::test]
async fn a_process_that_does_not_act_tells_what_is_on_air() {
    let service = service().await;
    seed::two_relays(&service.store).await;
    seed::next_is_live(&service.store).await;
    let playback = read(&service, "/v1/channels/42/playback").await;
    assert_eq!(playback["hls_url"], "https://host/input.m3u8");
    assert_eq!(
        (&playback["is_live"], &playback["source"]),
        (&json!(true), &json!("live"))
    );
    assert_eq!(playback["relay_id"], NEXT);
}
