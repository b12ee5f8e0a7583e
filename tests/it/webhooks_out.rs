//! Messages to the marketplace: signed, delivered at least once, in order per channel.
#![cfg(feature = "sandbox")]

mod restored;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::database::TestDatabase;
use crate::support::marketplace::{Marketplace, Message};
use crate::support::messages;
use crate::support::program::Program;
use crate::support::service::{Answer, PATIENCE, Service, Stage, options, settings, show, until};
use chrono::{TimeDelta, Utc};
use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::Method;
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQgb2xkIG9s";

async fn telling(marketplace: &Marketplace) -> Stage {
    stage(&marketplace.url(), |_| {}).await
}

async fn stage(endpoint: &str, change: impl FnOnce(&mut Settings)) -> Stage {
    Stage::with(AgoraBackend::CloudRecording, options(), |settings| {
        settings.webhooks.endpoint = endpoint.to_owned();
        settings.webhooks.secrets = vec![SECRET.into(), OLD_SECRET.into()];
        settings.webhooks.allow_private = true;
        settings.webhooks.timeout = Duration::from_secs(2);
        change(settings);
    })
    .await
}

fn verifies(message: &Message, secret: &str) -> bool {
    let verifier = standardwebhooks::Webhook::new(secret).unwrap();
    verifier
        .verify(message.body.as_bytes(), &message.headers)
        .is_ok()
}

async fn deliveries_when(
    service: &Service,
    query: &str,
    what: &str,
    wanted: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = service
            .get(&format!("/v1/webhooks/deliveries{query}"))
            .await;
        let deliveries = page["deliveries"].as_array().unwrap();
        if wanted(deliveries) {
            return deliveries.clone();
        }
        assert!(Instant::now() < deadline, "never {what}: {page:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn counted(service: &Service, result: &str) -> u32 {
    let scraped = reqwest::get(format!("{}/metrics", service.url)).await;
    let text = scraped.unwrap().text().await.unwrap();
    let series = format!("relaykeeper_webhook_deliveries_total{{result=\"{result}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value
        .unwrap_or_else(|| panic!("no {series}"))
        .parse()
        .unwrap()
}

async fn redeliver(service: &Service, id: &str) -> Answer {
    let path = format!("/v1/webhooks/deliveries/{id}/redeliver");
    Answer::to(service.request(Method::POST, &path)).await
}

async fn alarms(service: &Service) -> Vec<Value> {
    let health = service.get("/v1/health").await;
    let mut alarms = health["alarms"].as_array().unwrap().clone();
    alarms.retain(|alarm| alarm["code"] == "webhook-endpoint");
    alarms
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relays_whole_life_is_announced_in_order_signed_with_the_first_secret() {
    let marketplace = Marketplace::start().await;
    let stage = telling(&marketplace).await;
    let relay = stage.service.go_live(42, &show("show68")).await;
    stage.service.come_down(42).await;
    let heard = marketplace
        .when("five messages", |all| all.len() >= 5)
        .await;
    let kinds: Vec<Value> = heard.iter().map(|one| one.json()["type"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "relay.starting",
            "relay.live",
            "relay.stopped",
            "recording.ready",
            "relay.ended"
        ]
    );
    let raw = stage.database.raw().await;
    let stored = raw.texts("SELECT body FROM outbox ORDER BY id").await;
    for (place, message) in heard.iter().enumerate() {
        assert!(verifies(message, SECRET), "{message:#?}");
        assert!(!verifies(message, OLD_SECRET));
        assert_eq!(message.json()["data"]["sequence"], place + 1);
        assert_eq!(message.json()["data"]["relay"]["id"], relay["id"]);
        assert_eq!(stored[place].as_ref(), Some(&message.body));
        assert_eq!(message.headers["content-type"], "application/json");
    }
    let deliveries = deliveries_when(&stage.service, "?channel_id=42", "all taken", |all| {
        all.iter().all(|one| one["status"] == "delivered")
    })
    .await;
    let ids: Vec<&Value> = deliveries
        .iter()
        .rev()
        .map(|one| &one["webhook_id"])
        .collect();
    assert_eq!(ids, heard.iter().map(|one| &one.id).collect::<Vec<_>>());
    let newest = &deliveries[0];
    assert_eq!(
        (
            &newest["id"],
            &newest["type"],
            &newest["sequence"],
            &newest["response_status"]
        ),
        (&json!(5), &json!("relay.ended"), &json!(5), &json!(200))
    );
    assert_eq!(newest["next_attempt_at"], Value::Null);
    assert!(newest["delivered_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_repeated_unchanged_and_only_its_channel_waits() {
    let marketplace = Marketplace::start().await;
    let mut left = 2;
    marketplace.answers(move |message| {
        let refused = message.channel() == 1 && left > 0;
        left -= i32::from(refused);
        (if refused { 500 } else { 200 }, Duration::ZERO)
    });
    let stage = telling(&marketplace).await;
    let store = stage.database.open().await;
    for channel in [1, 2, 3] {
        messages::write(&store, channel, 3, Utc::now()).await;
    }
    let heard = marketplace
        .when("eleven messages", |all| all.len() >= 11)
        .await;
    let of = |channel: i64| heard.iter().filter(move |one| one.channel() == channel);
    let places: Vec<i64> = of(1).map(Message::sequence).collect();
    assert_eq!(places, [1, 1, 1, 2, 3]);
    let ids: BTreeSet<&str> = heard.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), 9);
    let tries: Vec<&Message> = of(1).take(3).collect();
    let same = |one: &&Message| (&one.id, &one.body) == (&tries[0].id, &tries[0].body);
    assert!(tries.iter().all(same));
    assert!(tries.iter().all(|one| verifies(one, SECRET)));
    let waits = [tries[1].at - tries[0].at, tries[2].at - tries[1].at];
    assert!(waits[0] >= Duration::from_millis(950), "{waits:?}");
    assert!(waits[1] >= Duration::from_millis(1950), "{waits:?}");
    for channel in [2, 3] {
        let places: Vec<i64> = of(channel).map(Message::sequence).collect();
        assert_eq!(places, [1, 2, 3]);
        assert!(
            of(channel).all(|one| one.at < tries[2].at),
            "it did not wait"
        );
    }
    let taken = deliveries_when(&stage.service, "?status=delivered", "all taken", |all| {
        all.len() == 9
    })
    .await;
    assert_eq!(
        (&taken[8]["id"], &taken[8]["attempts"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(counted(&stage.service, "delivered").await, 9);
    assert_eq!(counted(&stage.service, "failed").await, 2);
    assert_eq!(counted(&stage.service, "given_up").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_and_a_redirect_are_failed_attempts() {
    let marketplace = Marketplace::start().await;
    marketplace.answers(|message| match message.channel() {
        1 => (200, Duration::from_secs(30)),
        _ => (307, Duration::ZERO),
    });
    let stage = stage(&marketplace.url(), |settings| {
        settings.webhooks.timeout = Duration::from_millis(300);
    })
    .await;
    let store = stage.database.open().await;
    for channel in [1, 2] {
        messages::write(&store, channel, 1, Utc::now()).await;
    }
    let tried = deliveries_when(&stage.service, "?status=pending", "both tried", |all| {
        all.len() == 2 && all.iter().all(|one| one["attempts"].as_i64() >= Some(1))
    })
    .await;
    assert_eq!(tried[1]["last_error"], "no answer within 300ms");
    assert_eq!(tried[1]["response_status"], Value::Null);
    assert_eq!(tried[0]["last_error"], "it answered 307");
    assert!(tried[0]["next_attempt_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_refused_for_three_days_is_given_up_and_disables_the_endpoint() {
    let marketplace = Marketplace::start().await;
    marketplace.answers_with(503);
    let stage = telling(&marketplace).await;
    let service = &stage.service;
    let store = stage.database.open().await;
    messages::write(&store, 1, 1, Utc::now() - TimeDelta::days(3)).await;
    let failed = deliveries_when(service, "?status=failed", "given up", |all| all.len() == 1).await;
    assert_eq!(
        (&failed[0]["id"], &failed[0]["attempts"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(counted(service, "given_up").await, 1);
    // The lost message is tried once now and again in an hour. No other message is tried.
    messages::write(&store, 2, 2, Utc::now()).await;
    messages::write(&store, 3, 2, Utc::now()).await;
    let tried = marketplace.when("a try", |all| all.len() >= 2).await;
    assert_eq!((tried[1].channel(), tried[1].sequence()), (2, 1));
    until("an alarm", async || !alarms(service).await.is_empty()).await;
    assert_eq!(marketplace.messages().len(), 2, "one try for all that wait");
    // An operator redelivers the lost message; the waiting ones follow.
    marketplace.answers_with(200);
    let answer = redeliver(service, "1").await;
    assert_eq!((answer.status, &answer.body["id"]), (202, &json!(1)));
    deliveries_when(service, "?status=delivered", "all taken", |all| {
        all.len() == 5
    })
    .await;
    assert_eq!(marketplace.taken(1).len(), 1);
    let places = |channel| -> Vec<i64> {
        let taken = marketplace.taken(channel);
        taken.iter().map(Message::sequence).collect()
    };
    assert_eq!((places(2), places(3)), (vec![1, 2], vec![1, 2]));
    until("without alarms", async || alarms(service).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_stored_message_can_be_redelivered() {
    let marketplace = Marketplace::start().await;
    let stage = telling(&marketplace).await;
    let service = &stage.service;
    let store = stage.database.open().await;
    messages::write(&store, 1, 2, Utc::now()).await;
    marketplace.when("both", |all| all.len() == 2).await;
    deliveries_when(service, "?status=delivered", "both taken", |all| {
        all.len() == 2
    })
    .await;
    let answer = redeliver(service, "1").await;
    assert_eq!((answer.status, &answer.body["attempts"]), (202, &json!(0)));
    let heard = marketplace
        .when("the first again", |all| all.len() == 3)
        .await;
    assert_eq!(
        (&heard[2].id, &heard[2].body),
        (&heard[0].id, &heard[0].body)
    );
    redeliver(service, "99").await.is_problem(404, "not-found");
    redeliver(service, "x")
        .await
        .is_problem(400, "invalid-request");
    for query in [
        "status=lost",
        "channel_id=x",
        "limit=0",
        "cursor=!",
        "order=up",
    ] {
        let path = format!("/v1/webhooks/deliveries?{query}");
        let answer = Answer::to(service.request(Method::GET, &path)).await;
        answer.is_problem(400, "invalid-request");
    }
    let first = service.get("/v1/webhooks/deliveries?limit=1").await;
    assert_eq!(first["deliveries"][0]["id"], 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = service
        .get(&format!("/v1/webhooks/deliveries?limit=1&cursor={cursor}"))
        .await;
    assert_eq!(
        (&second["deliveries"][0]["id"], &second["next_cursor"]),
        (&json!(1), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_older_than_the_endpoint_is_delivered_only_on_request() {
    let marketplace = Marketplace::start().await;
    let Stage {
        vendors,
        service,
        database,
    } = stage("", |_| {}).await;
    let store = database.open().await;
    messages::write(&store, 1, 1, Utc::now()).await;
    redeliver(&service, "1").await.is_problem(409, "conflict");
    service.shut_down();
    let mut settings = settings(&vendors, AgoraBackend::CloudRecording, &database.url);
    settings.webhooks.endpoint = marketplace.url();
    settings.webhooks.secrets = vec![SECRET.into()];
    settings.webhooks.allow_private = true;
    settings.server.shutdown_grace = Duration::from_millis(200);
    let service = Service::start(settings).await;
    messages::write(&store, 2, 1, Utc::now()).await;
    let heard = marketplace.when("the second", |all| !all.is_empty()).await;
    assert_eq!(heard[0].channel(), 2);
    assert_eq!(redeliver(&service, "1").await.status, 202);
    let heard = marketplace.when("the first", |all| all.len() >= 2).await;
    assert_eq!(heard[1].channel(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_in_a_private_network_is_never_called_unless_allowed() {
    let marketplace = Marketplace::start().await;
    let by_name = marketplace.url().replace("127.0.0.1", "localhost");
    for endpoint in [marketplace.url(), by_name] {
        let stage = stage(&endpoint, |settings| {
            settings.webhooks.allow_private = false
        })
        .await;
        let store = stage.database.open().await;
        messages::write(&store, 1, 1, Utc::now()).await;
        let tried = deliveries_when(&stage.service, "", "tried", |all| {
            all.iter().any(|one| one["attempts"].as_i64() >= Some(1))
        })
        .await;
        assert_eq!(tried[0]["status"], "pending");
        let why = tried[0]["last_error"].as_str().unwrap();
        assert!(why.contains("webhooks.allow_private is off"), "{why}");
    }
    assert!(marketplace.messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_between_a_change_and_its_delivery_loses_no_message() {
    let marketplace = Marketplace::start().await;
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let url = marketplace.url();
    let more = [
        ("RELAYKEEPER__WEBHOOKS__ENDPOINT", url.as_str()),
        ("RELAYKEEPER__WEBHOOKS__SECRETS", SECRET),
        ("RELAYKEEPER__WEBHOOKS__ALLOW_PRIVATE", "true"),
    ];
    let serve = || Program::serve(&vendors, AgoraBackend::CloudRecording, &database.url, &more);
    // Killed with a message in flight, at three points of a relay.
    let mut program = serve();
    program.wait_until_ready().await;
    let mut relay = Value::Null;
    for place in ["start", "live", "stop"] {
        marketplace.answers(|_| (200, Duration::from_secs(30)));
        relay = match place {
            "start" => program.service.start_channel(42, &show("show68")).await.1,
            "live" => program.service.in_phase(&relay, "live").await,
            _ => program.service.stop_channel(42).await.1,
        };
        assert!(relay["id"].is_string(), "{relay:#}");
        let before = marketplace.messages().len();
        program.kill();
        // The marketplace has the message, but it is not marked as delivered. From now on answers come at once.
        marketplace.answers_with(200);
        program = serve();
        program.wait_until_ready().await;
        marketplace
            .when("sent by the next process", |all| all.len() > before)
            .await;
    }
    let ended = |all: &[Message]| all.iter().any(is_end);
    let heard = marketplace.when("the end", ended).await;
    let mut deliveries: Vec<(&str, &str)> = heard
        .iter()
        .map(|one| (one.id.as_str(), one.body.as_str()))
        .collect();
    deliveries.dedup();
    let repeated = heard.len() - deliveries.len();
    assert!(
        repeated >= 1,
        "at least one was on its way when its process was killed"
    );
    let stored = database
        .raw()
        .await
        .texts("SELECT body FROM outbox ORDER BY id")
        .await;
    let bodies: Vec<Option<String>> = deliveries
        .iter()
        .map(|(_, body)| Some((*body).to_owned()))
        .collect();
    assert_eq!(bodies, stored, "all, in order");
    let ids: BTreeSet<&str> = deliveries.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), stored.len(), "each with an id of its own");
}

fn is_end(message: &Message) -> bool {
    message.json()["type"] == "relay.ended"
}

#[tokio::test(flavor = "multi_thread")]
async fn send_test_prints_the_answer() {
    let marketplace = Marketplace::start().await;
    let run = async |more: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
        let folder = tempfile::tempdir().unwrap();
        command
            .args(["webhooks", "send-test"])
            .env_clear()
            .current_dir(folder.path());
        command.envs(more.iter().copied());
        let output = tokio::task::spawn_blocking(move || (command.output(), folder));
        let output = output.await.unwrap().0.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let url = marketplace.url();
    let settings = [
        ("RELAYKEEPER__WEBHOOKS__ENDPOINT", url.as_str()),
        ("RELAYKEEPER__WEBHOOKS__SECRETS", SECRET),
        ("RELAYKEEPER__WEBHOOKS__ALLOW_PRIVATE", "true"),
    ];
    let (code, said) = run(&settings).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("accepted, the endpoint responded 200\nheard"),
        "{said}"
    );
    let heard = marketplace.messages();
    assert!(verifies(&heard[0], SECRET));
    assert_eq!(heard[0].json()["type"], "webhook.test");
    marketplace.answers_with(401);
    let (code, said) = run(&settings).await;
    assert!(
        code == Some(1) && said.contains("NOT accepted, the endpoint responded 401"),
        "{said}"
    );
    let (code, said) = run(&settings[..2]).await;
    assert!(
        code == Some(1) && said.contains("webhooks.allow_private"),
        "{said}"
    );
    let (code, said) = run(&[]).await;
    assert!(
        code == Some(1) && said.contains("webhooks.endpoint"),
        "{said}"
    );
    let bad = [
        settings[0],
        ("RELAYKEEPER__WEBHOOKS__SECRETS", "whsec_nonsense!"),
    ];
    let (code, said) = run(&bad).await;
    assert!(
        code == Some(1) && said.contains("webhooks.secrets") && !said.contains("nonsense"),
        "{said}"
    );
}
