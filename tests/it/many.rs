//! A start with five thousand unfinished relays.
#![cfg(feature = "sandbox")]

use std::time::{Duration, Instant};

use crate::on_both_databases;
use crate::support::database::TestDatabase;
use crate::support::service::{Service, options, settings, show};
use futures_util::future::join_all;
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorCall, VendorFault};
use relaykeeper::store::{Created, NewRelay, Projection, Store, StoredRelay};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const RELAYS: u32 = 5000;
/// From the start of the service until each relay has its actor.
const WITHIN: Duration = Duration::from_secs(5);

on_both_databases!(five_thousand_unfinished_relays_have_their_actors_within_five_seconds);

fn copy(of: &StoredRelay, number: u32, epoch: i64) -> NewRelay {
    let mut row = of.clone();
    row.id = Uuid::now_v7().into();
    row.epoch = epoch;
    row.revision = 0;
    let mut state: Value = row.state.read().unwrap();
    row.channel_id = 100_000 + i64::from(number);
    row.channel_name = format!("copy{number}");
    let input = format!("{number:032x}");
    row.ingest_id = Some(input.clone());
    let spec = &mut state["spec"];
    spec["relay_id"] = json!(*row.id);
    spec["channel_id"] = json!(row.channel_id);
    spec["channel_name"] = json!(row.channel_name);
    state["ingest"]["uid"] = json!(input);
    // It went live long ago: its time limit passed while no process ran.
    state["live_at"] = json!("2020-01-01T00:00:00Z");
    row.state = state.into();
    NewRelay {
        row,
        journal: Vec::new(),
        outbox: Vec::new(),
        projection: Projection::default(),
        idempotency: None,
    }
}

async fn seed(store: &Store, of: &StoredRelay) {
    let epoch = store.take_epoch().await.unwrap();
    let numbers: Vec<u32> = (0..RELAYS).collect();
    for some in numbers.chunks(500) {
        let made = some
            .iter()
            .map(|number| store.create(copy(of, *number, epoch)));
        for created in join_all(made).await {
            assert_eq!(created.unwrap(), Created::Created);
        }
    }
}

async fn actors(service: &Service) -> (u64, Value) {
    let asked = service.as_admin(Method::GET, "/admin/actors?limit=200");
    let page: Value = asked.send().await.unwrap().json().await.unwrap();
    (page["total"].as_u64().unwrap(), page["actors"].clone())
}

async fn five_thousand_unfinished_relays_have_their_actors_within_five_seconds(
    database: TestDatabase,
) {
    let vendors = SimulatedVendors::start(options()).unwrap();
    let mut settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
    settings.server.shutdown_grace = Duration::from_millis(200);
    settings.relay.poll_interval = Duration::from_secs(5);
    settings.relay.live_check_interval = Duration::from_secs(30);
    let service = Service::start(settings.clone()).await;
    let live = service.go_live(1, &show("show1")).await;
    service.shut_down();

    let store = database.open().await;
    let id = live["id"].as_str().unwrap().parse().unwrap();
    let stored = store.relay(id).await.unwrap().unwrap();
    seed(&store, &stored).await;
    if !database.is_sqlite() {
        // Once the seeding node has left, its relays are unowned.
        store
            .leave(store.instance().await.unwrap().epoch)
            .await
            .unwrap();
    }
    store.close().await;
    // No poll is answered: nothing may be decided.
    for call in [
        VendorCall::Lifecycle,
        VendorCall::Manifest,
        VendorCall::Hosts,
        VendorCall::ConverterGet,
    ] {
        vendors.fault(VendorFault::forever(call, FaultKind::Status(503, None)));
    }

    let began = Instant::now();
    let service = Service::start(settings).await;
    let ready = began.elapsed();
    let (total, first) = actors(&service).await;
    let took = began.elapsed();
    println!("{RELAYS} relays: ready after {ready:.2?}, all in /admin/actors after {took:.2?}");
    assert_eq!(total, u64::from(RELAYS) + 1);
    assert!(took < WITHIN, "{took:?}");
    // Another start does not wait behind all these polls.
    let asked = Instant::now();
    let (status, other) = service.start_channel(2, &show("show2")).await;
    let answered = asked.elapsed();
    println!("another channel's start was answered after {answered:.2?}");
    assert_eq!(status, 201, "{other:#}");
    // Each is past its max_duration.
    let phases = first
        .as_array()
        .unwrap()
        .iter()
        .map(|actor| &actor["phase"]);
    assert!(phases.clone().count() > 100);
    for phase in phases {
        assert!(phase == "live" || phase == "interrupted", "{phase}");
    }
}
