//! Whichever node has the relay uses the ingest that its channel keeps.

use std::time::Duration;

use futures_util::future::join_all;
use relaykeeper::sandbox::{SimulatedVendors, VendorCall};
use reqwest::Method;

use super::nodes::{Nodes, on_postgres};
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
