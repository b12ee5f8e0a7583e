//! Whichever node has the relay uses the ingest that its channel keeps.

use std::time::Duration;

use futures_util::future::join_all;
use relaykeeper::sandbox::{Options, SimulatedVendors, VendorCall};
use reqwest::Method;

use super::nodes::{Nodes, on_postgres};
use crate::support::proxy::Proxy;
use crate::support::service::{Answer, alive, calls, nothing_is_left, options, show, violations};

const LEASE: Duration = Duration::from_secs(4);

fn settings() -> Vec<(&'static str, String)> {
    let settings = [
        ("RELAYKEEPER__INGEST__OWNER", "channel"),
        ("RELAYKEEPER__FLEET__LEASE", "4s"),
        ("RELAYKEEPER__FLEET__RENEWAL", "500ms"),
        // A node's death lasts longer than its lease.
        ("RELAYKEEPER__RELAY__FEED_TIMEOUT", "8s"),
    ];
    settings
        .map(|(name, value)| (name, value.to_owned()))
        .into()
}

/// Three starts at once; then the node of the second show dies, and a node that knows no key has the relay.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn three_nodes_make_one_ingest_and_it_outlives_the_node_whose_relay_used_it() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let mut fleet = Nodes::start(vendors, database, 3, settings()).await;
        let body = show("show42");
        let starts = fleet.all.iter();
        let starts = starts.map(|node| node.service.start_channel(42, &body));
        let mut relays: Vec<_> = join_all(starts)
            .await
            .into_iter()
            .map(|one| one.1)
            .collect();
        relays.dedup_by_key(|relay| relay["id"].clone());
        let [first] = &relays[..] else {
            panic!("one relay: {relays:#?}");
        };
        let first = fleet.all[1].service.in_phase(first, "live").await;
        let mut urls = vec![first["hls_playback_url"].clone()];
        fleet.all[2].service.stop_channel(42).await;

        let second = fleet.all[0].service.go_live(42, &body).await;
        urls.push(second["hls_playback_url"].clone());
        fleet.all.remove(0).kill();
        let took = fleet.until_driven().await;
        assert!(took < LEASE + Duration::from_secs(4), "{took:?}");
        let egress = alive(&fleet.vendors).remove(0);
        assert!(fleet.vendors.kill(&egress.id, None));
        let service = &fleet.all[0].service;
        service
            .relay_when(&second, "live with another egress", |relay| {
                relay["phase"] == "live" && relay["agora"]["replacements"] == 1
            })
            .await;
        service.stop_channel(42).await;

        fleet.add().await;
        for node in &fleet.all {
            let relay = node.service.go_live(42, &body).await;
            urls.push(relay["hls_playback_url"].clone());
            node.service.stop_channel(42).await;
        }
        urls.dedup();
        assert_eq!(urls.len(), 1, "{urls:?}");
        let over = async || fleet.number("ended_at IS NULL").await == 0;
        fleet.until("all over", over).await;

        let number = async |sql| fleet.raw.number(sql).await;
        assert_eq!(number("SELECT COUNT(*) FROM relays").await, 5);
        assert_eq!(number("SELECT COUNT(*) FROM recordings").await, 5);
        let each = "SELECT COUNT(DISTINCT relay_id) FROM recordings WHERE state = 'ready'";
        assert_eq!(number(each).await, 5);
        let free = "SELECT COUNT(*) FROM kept_ingests WHERE holder IS NULL AND NOT key_stale";
        assert_eq!(number(free).await, 1);
        assert_eq!(calls(&fleet.vendors, VendorCall::LiveInputCreate).len(), 1);
        assert_eq!(violations(&fleet.vendors), [""; 0]);

        let given_up = fleet.all[2]
            .service
            .request(Method::DELETE, "/v1/channels/42/ingest");
        assert_eq!(Answer::to(given_up).await.status, 202);
        let gone = async || nothing_is_left(&fleet.vendors);
        fleet.until("nothing left", gone).await;
    })
    .await;
}

/// It renews a key and cannot save that; the node that takes its relay over renews the key again, as the same version.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_node_that_lost_its_lease_does_not_publish_with_a_key_that_another_renewed() {
    on_postgres(async |database| {
        // A call takes 400 ms.
        let slow = Options {
            latency: Duration::from_secs(8),
            ..options()
        };
        let vendors = SimulatedVendors::start(slow).unwrap();
        let server: url::Url = database.url.parse().unwrap();
        let proxy = Proxy::to((server.host_str().unwrap(), server.port().unwrap())).await;
        let mut by_proxy = server.clone();
        by_proxy.set_port(Some(proxy.port())).unwrap();
        let mut fleet = Nodes::start(vendors, database, 0, settings()).await;
        fleet.add_at(by_proxy.as_str()).await;
        let body = show("show42");
        let first = fleet.all[0].service.go_live(42, &body).await;
        fleet.add().await;
        let [cut_off, other] = fleet.all.as_slice() else {
            panic!("two nodes");
        };

        let egress = alive(&fleet.vendors).remove(0);
        assert!(fleet.vendors.kill(&egress.id, None));
        let stale = "SELECT COUNT(*) FROM kept_ingests WHERE key_stale";
        let is_stale = async || fleet.raw.number(stale).await == 1;
        fleet.until("being renewed", is_stale).await;
        proxy.cut();
        other
            .service
            .relay_when(&first, "live with another egress", |relay| {
                relay["phase"] == "live" && relay["agora"]["replacements"] == 1
            })
            .await;
        let renewals = calls(&fleet.vendors, VendorCall::LiveInputRotateKeys).len();
        assert_eq!(renewals, 2, "each node renewed it");
        other.service.stop_channel(42).await;
        let free = "SELECT COUNT(*) FROM kept_ingests WHERE holder IS NULL AND key_version = 1";
        let is_free = async || fleet.raw.number(free).await == 1;
        fleet.until("free", is_free).await;

        proxy.mend();
        cut_off.service.wait_until_ready().await;
        let second = cut_off.service.go_live(42, &body).await;
        assert_eq!(second["agora"]["replacements"], 0);
        cut_off.service.stop_channel(42).await;
        let over = async || fleet.number("ended_at IS NULL").await == 0;
        fleet.until("all over", over).await;
        assert_eq!(violations(&fleet.vendors), [""; 0]);
    })
    .await;
}
