//! Relays on all platforms at once, driven by any node.

use std::time::Duration;

use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorFault};
use strum::IntoEnumIterator as _;

use super::nodes::{Nodes, on_postgres};
use crate::support::platform::TestPlatform;
use crate::support::service::{nothing_is_left, options, show, violations};

const LEASE: Duration = Duration::from_secs(4);
/// The channels' first.
const FIRST: i64 = 42;
/// Of each platform, and in all.
const RELAYS: i64 = 2;
const ALL: i64 = 6;

fn settings(vendors: &SimulatedVendors) -> Vec<(&'static str, String)> {
    let of_platforms = TestPlatform::iter().flat_map(|platform| platform.environment(vendors));
    let of_test = [
        ("RELAYKEEPER__FLEET__LEASE", "4s"),
        ("RELAYKEEPER__FLEET__RENEWAL", "500ms"),
    ];
    let of_test = of_test.map(|(name, value)| (name, value.to_owned()));
    of_platforms.chain(of_test).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn relays_on_three_platforms_survive_their_node_while_one_platform_is_away() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let of_vendors = settings(&vendors);
        let mut fleet = Nodes::start(vendors, database, 2, of_vendors).await;
        let mut relays = Vec::new();
        for number in 0..ALL {
            let channel = FIRST + number;
            let place = usize::try_from(number / RELAYS).unwrap();
            let platform = TestPlatform::iter().nth(place).unwrap().name();
            let node = usize::try_from(number % RELAYS).unwrap();
            let mut body = show(&format!("show{channel}"));
            body["platform"] = platform.into();
            let relay = fleet.all[node].service.go_live(channel, &body).await;
            assert_eq!(relay["platform"], platform);
            relays.push(relay);
        }
        for call in TestPlatform::Mux.calls() {
            fleet
                .vendors
                .fault(VendorFault::forever(call, FaultKind::Refuse));
        }
        fleet.all.remove(0).kill();
        let took = fleet.until_driven().await;
        assert!(took < LEASE + Duration::from_secs(4), "{took:?}");

        let service = &fleet.all[0].service;
        for number in (0..RELAYS).chain(2 * RELAYS..ALL) {
            service.stop_channel(FIRST + number).await;
        }
        let others = async || fleet.number("ended_at IS NOT NULL").await == 2 * RELAYS;
        fleet.until("over on the other platforms", others).await;
        for relay in relays.iter().filter(|relay| relay["platform"] == "mux") {
            service.in_phase(relay, "live").await;
        }
        fleet.vendors.clear_faults();
        for number in RELAYS..2 * RELAYS {
            service.stop_channel(FIRST + number).await;
        }
        let over = async || fleet.number("ended_at IS NULL").await == 0;
        fleet.until("all over", over).await;

        let number = async |sql| fleet.raw.number(sql).await;
        let each = "SELECT COUNT(DISTINCT relay_id) FROM recordings WHERE state = 'ready'";
        assert_eq!(number(each).await, ALL);
        assert_eq!(number("SELECT COUNT(*) FROM stream_costs").await, ALL);
        let gone = async || nothing_is_left(&fleet.vendors);
        fleet.until("nothing left", gone).await;
        assert_eq!(violations(&fleet.vendors), [""; 0]);
    })
    .await;
}
