//! Several nodes on one PostgreSQL: each relay has one owner and stays on air, whatever happens to nodes.
#![cfg(feature = "sandbox")]

mod check;
mod kept_ingests;
mod nodes;
mod notices;
mod platforms;
mod stops;
mod trouble;

use std::time::{Duration, Instant};

use crate::support::listener::Listener;
use crate::support::proxy::Proxy;
use crate::support::service::{
    Answer, nothing_is_left, options, show, vendors_when, violations, webhooks,
};
use check::check;
use futures_util::future::join_all;
use nodes::{Nodes, on_postgres};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors};
use reqwest::Method;

/// Default of `RELAYKEEPER_FLEET_RELAYS`, the number of relays.
const RELAYS: i64 = 300;
const LEASE: Duration = Duration::from_secs(8);

fn relays() -> i64 {
    let relays = std::env::var("RELAYKEEPER_FLEET_RELAYS").ok();
    relays.map_or(RELAYS, |relays| relays.parse().expect("a number"))
}

/// Real time, because of the vendors' rate limits, with quotas for all relays.
fn in_real_time() -> Options {
    Options {
        speed: 1.0,
        wire_speed: None,
        quotas: Quotas {
            cloudflare_requests: 6000,
            media_push_per_second: 60,
            max_converters: 1000,
            ..Quotas::default()
        },
        ..options()
    }
}

fn settings() -> Vec<(&'static str, String)> {
    let settings = [
        ("RELAYKEEPER__FLEET__LEASE", "8s"),
        ("RELAYKEEPER__FLEET__RENEWAL", "1s"),
        ("RELAYKEEPER__RELAY__POLL_INTERVAL", "5s"),
        ("RELAYKEEPER__RELAY__LIVE_CHECK_INTERVAL", "20s"),
        ("RELAYKEEPER__RELAY__LIVE_TIMEOUT", "60s"),
        ("RELAYKEEPER__RELAY__PROVISIONING_TIMEOUT", "60s"),
        ("RELAYKEEPER__RELAY__FEED_TIMEOUT", "60s"),
        ("RELAYKEEPER__RELAY__RECORDING_TIMEOUT", "60s"),
        ("RELAYKEEPER__CLOUDFLARE__REQUESTS_PER_5_MINUTES", "6000"),
        (
            "RELAYKEEPER__CLOUDFLARE__CUSTOMER_REQUESTS_PER_SECOND",
            "200",
        ),
        ("RELAYKEEPER__CLOUDFLARE__RECORDINGS_INTERVAL", "2s"),
        ("RELAYKEEPER__AGORA__MEDIA_PUSH__REQUESTS_PER_SECOND", "60"),
        ("RELAYKEEPER__AGORA__MEDIA_PUSH__QUERY_INTERVAL", "20s"),
        ("RELAYKEEPER__SERVER__REQUESTS_PER_SECOND", "0"),
        ("RELAYKEEPER__JANITOR__INTERVAL", "30s"),
    ];
    settings
        .map(|(name, value)| (name, value.to_owned()))
        .into()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn relays_stay_on_air_when_nodes_are_killed_replaced_frozen_or_cut_off() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(in_real_time()).unwrap();
        let mut fleet = Nodes::start(vendors, database, 3, settings()).await;
        let relays = relays();
        let began = Instant::now();
        fleet.go_live(1..relays + 1).await;
        println!("{relays} relays live after {:.1?}", began.elapsed());
        fleet.until_spread(3).await;

        killed(&mut fleet).await;
        killed(&mut fleet).await;
        fleet.add().await;
        fleet.add().await;
        let spread = fleet.until_spread(3).await;
        println!("two nodes joined: spread after {spread:.1?}");
        rolled(&mut fleet).await;
        frozen(&mut fleet).await;
        cut_off(&mut fleet).await;

        fleet.assert_all_list_the_fleet(relays).await;
        let took = fleet.stop(1..relays + 1).await;
        let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
        let (half, most, worst) = (at(50), at(99), took[took.len() - 1]);
        println!("stops at another node were heard after p50 {half:.0?}, p99 {most:.0?}, at most {worst:.0?}");
        assert!(most <= Duration::from_secs(1), "{most:?}");
        fleet
            .until("all over", async || {
                fleet.number("ended_at IS NULL").await == 0
                    && fleet.raw.number("SELECT count(*) FROM cleanup_jobs").await == 0
                    && nothing_is_left(&fleet.vendors)
            })
            .await;
        check(&fleet, usize::try_from(relays).unwrap()).await;
    })
    .await;
}

async fn killed(fleet: &mut Nodes) {
    let mut node = fleet.all.remove(0);
    node.kill();
    let left = fleet.all.len();
    let took = fleet.until_spread(left).await;
    println!("a node was killed: its relays were others' after {took:.1?}");
    assert!(took < LEASE + Duration::from_secs(4), "{took:?}");
}

/// A rolling deployment.
async fn rolled(fleet: &mut Nodes) {
    for _ in 0..fleet.all.len() {
        fleet.add().await;
        let mut old = fleet.all.remove(0);
        let asked_at = Instant::now();
        old.terminate();
        let gone = asked_at.elapsed();
        let rows = fleet.raw.number("SELECT count(*) FROM nodes").await;
        assert_eq!(
            rows,
            i64::try_from(fleet.all.len()).unwrap(),
            "it left no row"
        );
        let driven = fleet.until_driven().await;
        println!("a node went after {gone:.1?}: its relays were others' {driven:.1?} later");
        assert!(driven < Duration::from_secs(3), "{driven:?}");
    }
    fleet.until_spread(fleet.all.len()).await;
}

/// A node is stopped for longer than its lease.
async fn frozen(fleet: &mut Nodes) {
    let node = &fleet.all[0];
    node.signal("STOP");
    let began = Instant::now();
    fleet.until_spread(fleet.all.len() - 1).await;
    println!(
        "a node froze: its relays were others' after {:.1?}",
        began.elapsed()
    );
    tokio::time::sleep(LEASE.saturating_sub(began.elapsed())).await;
    node.signal("CONT");
    fleet
        .until("awake", async || {
            node.log().contains("lost the lease; dropping relays")
        })
        .await;
    fleet.until_spread(fleet.all.len()).await;
    node.service.wait_until_ready().await;
}

/// A node loses the database.
async fn cut_off(fleet: &mut Nodes) {
    let database: url::Url = fleet.database.url.parse().unwrap();
    let target = (database.host_str().unwrap(), database.port().unwrap());
    let proxy = Proxy::to(target).await;
    let mut by_proxy = database.clone();
    by_proxy.set_port(Some(proxy.port())).unwrap();
    fleet.add_at(by_proxy.as_str()).await;
    fleet.until_spread(fleet.all.len()).await;
    let node = fleet.all.last().unwrap();
    proxy.cut();
    let began = Instant::now();
    fleet
        .until("it says so", async || {
            let asked = node.service.request(Method::GET, "/readyz");
            Answer::to(asked).await.status == 503
        })
        .await;
    println!(
        "a node was cut off: not ready after {:.1?}",
        began.elapsed()
    );
    fleet.until_spread(fleet.all.len() - 1).await;
    println!("its relays were others' after {:.1?}", began.elapsed());
    proxy.mend();
    node.service.wait_until_ready().await;
    fleet.until_spread(fleet.all.len()).await;
    let mut gone = fleet.all.pop().unwrap();
    gone.terminate();
    fleet.until_driven().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_channel_has_one_relay_whichever_node_it_is_started_and_stopped_at() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let fleet = Nodes::start(vendors, database, 2, Vec::new()).await;
        for round in 1..=5usize {
            let body = show("show7");
            let nodes = || fleet.all.iter().chain(&fleet.all).map(|node| &node.service);
            let started = join_all(nodes().map(|node| node.start_channel(7, &body))).await;
            let ids: Vec<_> = started.iter().map(|(_, relay)| &relay["id"]).collect();
            assert!(ids.iter().all(|id| *id == ids[0]), "{started:#?}");
            let created = started.iter().filter(|(status, _)| *status == 201);
            assert!(created.count() <= 1, "{started:#?}");
            assert_eq!(fleet.vendors.state().live_inputs.len(), round);
            for node in &fleet.all {
                node.service.in_phase(&started[0].1, "live").await;
            }
            let stopped = join_all(nodes().map(|node| node.stop_channel(7))).await;
            for (status, relay) in &stopped {
                assert!(*status == 202 || *status == 200, "{status} {relay:#}");
                assert_eq!(&relay["id"], ids[0]);
            }
        }
        schema_is_not_taken_down_under(&fleet);
        let over = async || fleet.number("ended_at IS NULL").await == 0;
        fleet.until("all over", over).await;
        vendors_when(&fleet.vendors, "nothing left", |vendors| {
            nothing_is_left(vendors).then_some(())
        })
        .await;
        assert_eq!(fleet.vendors.state().egresses.len(), 5);
        assert_eq!(violations(&fleet.vendors), [""; 0]);
    })
    .await;
}

/// `migrate down` is refused and names the nodes.
fn schema_is_not_taken_down_under(fleet: &Nodes) {
    let mut down = std::process::Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
    down.args(["migrate", "down"])
        .env_clear()
        .env("DATABASE_URL", &fleet.database.url);
    let output = down.output().unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    for node in &fleet.all {
        let name = format!("/{}", node.id());
        assert!(stderr.contains(&name), "{stderr}");
    }
}

/// The public address leads to the node that does not own the relay.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn what_vendors_tell_one_node_reaches_the_owner_of_the_relay() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let mut fleet = Nodes::start(vendors, database, 0, Vec::new()).await;
        fleet.backend = AgoraBackend::CloudRecording;
        fleet.add().await;
        let public_url = fleet.all[0].service.url.clone();
        fleet
            .settings
            .push(("RELAYKEEPER__SERVER__PUBLIC_URL", public_url.clone()));
        fleet.add().await;
        fleet.vendors.set_webhooks(webhooks(&public_url));
        let [other, owner] = fleet.all.as_slice() else {
            panic!("two nodes");
        };
        let listen = other.service.request(Method::GET, "/v1/events");
        let mut listener = Listener::of(listen.send().await.unwrap());
        // The recorder's page calls the other node.
        let relay = owner.service.go_live(7, &show("show7")).await;
        fleet.vendors.set_seller("show7", Some(12345), false);
        owner.service.in_phase(&relay, "interrupted").await;
        fleet.vendors.set_seller("show7", Some(12345), true);
        owner.service.in_phase(&relay, "live").await;
        // The journal names the notifications that the relay used.
        let notified = "SELECT count(*) FROM relay_events WHERE kind = 'notified'";
        let heard = async || fleet.raw.number(notified).await > 0;
        fleet.until("heard of", heard).await;
        let page = format!("/v1/relays/{}", relay["id"].as_str().unwrap());
        assert_eq!(other.service.get(&page).await["phase"], "live");
        // A second relay of the channel on the other node waits for the first one's egress.
        assert_eq!(other.service.stop_channel(7).await.0, 202);
        let second = other.service.go_live(7, &show("show7")).await;
        assert_ne!(second["id"], relay["id"]);
        owner.service.in_phase(&relay, "ended").await;
        assert_eq!(owner.service.stop_channel(7).await.0, 202);
        other.service.in_phase(&second, "ended").await;
        let mut kinds = Vec::new();
        while kinds.iter().filter(|kind| *kind == "relay.ended").count() < 2 {
            kinds.push(listener.next().await.unwrap().kind);
        }
        for kind in ["relay.starting", "relay.live", "relay.stopped"] {
            let count = kinds.iter().filter(|one| *one == kind).count();
            assert_eq!(count, 2, "{kind} in {kinds:?}");
        }
        assert_eq!(violations(&fleet.vendors), [""; 0]);
        vendors_when(&fleet.vendors, "nothing left", |vendors| {
            nothing_is_left(vendors).then_some(())
        })
        .await;
    })
    .await;
}
