//! PostgreSQL that fails over or is behind a pooler, and alarms of several nodes.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use relaykeeper::sandbox::{SimulatedVendors, VendorCall};
use reqwest::Method;
use serde_json::Value;

use super::nodes::{Nodes, on_postgres};
use crate::support::program::Program;
use crate::support::proxy::Proxy;
use crate::support::service::{Answer, calls, nothing_is_left, options, vendors_when, violations};

const RELAYS: i64 = 6;

/// As in a failover.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_read_only_database_stops_all_nodes_until_it_is_writable_again() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let fleet = Nodes::start(vendors, database, 2, Vec::new()).await;
        fleet.go_live(1..RELAYS + 1).await;
        fleet.read_only(true).await;
        let ready = async || {
            let mut ready = 0;
            for node in &fleet.all {
                let asked = node.service.request(Method::GET, "/readyz");
                ready += usize::from(Answer::to(asked).await.status == 200);
            }
            ready
        };
        fleet
            .until("no node ready", async || ready().await == 0)
            .await;
        // No node has a lease now, and none calls a vendor.
        fleet
            .until("dropped", async || {
                let lost = |log: String| log.contains("lost the lease; dropping relays");
                fleet.all.iter().all(|node| lost(node.log()))
            })
            .await;
        let before = calls(&fleet.vendors, VendorCall::Lifecycle).len();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = calls(&fleet.vendors, VendorCall::Lifecycle).len();
        assert_eq!(before, after, "a call without a lease");
        for node in &fleet.all {
            let (status, problem) = node.service.stop_channel(1).await;
            assert_eq!(status, 503, "{problem:#}");
            // Reads still work.
            let relay = node.service.get("/v1/channels/1").await;
            assert_eq!(relay["relay"]["phase"], "live");
        }
        fleet.read_only(false).await;
        for node in &fleet.all {
            node.service.wait_until_ready().await;
        }
        fleet.until_driven().await;
        assert_eq!(fleet.number("phase = 'live'").await, RELAYS);
        stop_all(&fleet).await;
    })
    .await;
}

/// A pooler in transaction mode drops NOTIFY, as the proxy does here.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn nodes_that_get_no_notifications_of_postgresql_poll_and_say_so() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let server: url::Url = database.url.parse().unwrap();
        let target = (server.host_str().unwrap(), server.port().unwrap());
        let proxy = Proxy::deaf_to(target).await;
        let mut deaf = server.clone();
        deaf.set_port(Some(proxy.port())).unwrap();
        let mut fleet = Nodes::start(vendors, database, 0, Vec::new()).await;
        for _ in 0..2 {
            fleet.add_at(deaf.as_str()).await;
        }
        fleet
            .until("it says so", async || {
                let says_so = |log: String| log.contains("LISTEN does not work");
                fleet.all.iter().all(|node| says_so(node.log()))
            })
            .await;
        fleet.go_live(1..RELAYS + 1).await;
        let took = fleet.stop(1..RELAYS + 1).await;
        let (half, most) = (took[took.len() / 2], took[took.len() - 1]);
        println!("stops at another node were heard after p50 {half:.0?}, at most {most:.0?}");
        assert!(most < Duration::from_secs(1), "{most:?}");
        let asked = Instant::now();
        fleet
            .until("all over", async || {
                fleet.number("ended_at IS NULL").await == 0
            })
            .await;
        println!("all over {:.1?} later", asked.elapsed());
        stop_all(&fleet).await;
    })
    .await;
}

/// The leader's own credentials are valid: it does not see the cause.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn an_alarm_of_one_node_is_shown_by_all_until_its_cause_or_that_node_is_gone() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let mut fleet = Nodes::start(vendors, database, 1, Vec::new()).await;
        let wrong = ("CLOUDFLARE_STREAM_API_TOKEN", "a-wrong-token".to_owned());
        fleet.settings.push(wrong);
        fleet.add().await;
        let name = format!("/{}", fleet.all[1].id());
        let refused = async |node: &Program| {
            let health = node.service.get("/v1/health").await;
            let alarms = health["alarms"].as_array().unwrap().clone();
            let mut alarms = alarms.into_iter();
            alarms.find(|alarm| alarm["code"] == "credentials-refused")
        };
        let time = |alarm: &Value, field: &str| {
            DateTime::parse_from_rfc3339(alarm[field].as_str().unwrap()).unwrap()
        };
        for node in &fleet.all {
            // The leader does not clear it in two rounds.
            fleet
                .until("an alarm that stands", async || {
                    // Makes the other node call Cloudflare.
                    fleet.all[1].service.get("/v1/health").await;
                    refused(node).await.is_some_and(|alarm| {
                        assert_eq!(alarm["subject"], "cloudflare");
                        assert!(alarm["node"].as_str().unwrap().ends_with(&name));
                        time(&alarm, "last_seen_at") - time(&alarm, "since") > TimeDelta::seconds(9)
                    })
                })
                .await;
        }
        fleet.all.pop().unwrap().kill();
        let over = async || refused(&fleet.all[0]).await.is_none();
        fleet.until("over with its node", over).await;
    })
    .await;
}

/// Stops all relays, and checks that nothing is left and nothing was created twice.
async fn stop_all(fleet: &Nodes) {
    for channel in 1..=RELAYS {
        fleet.all[0].service.stop_channel(channel).await;
    }
    fleet
        .until("all over", async || {
            fleet.number("ended_at IS NULL").await == 0
        })
        .await;
    vendors_when(&fleet.vendors, "nothing left", |vendors| {
        nothing_is_left(vendors).then_some(())
    })
    .await;
    let state = fleet.vendors.state();
    let relays = usize::try_from(RELAYS).unwrap();
    assert_eq!(state.live_inputs.len(), relays);
    assert_eq!(state.egresses.len(), relays);
    assert_eq!(violations(&fleet.vendors), [""; 0]);
}
