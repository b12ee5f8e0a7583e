//! Stops at a node that does not own the relay.

use std::time::{Duration, Instant};

use relaykeeper::sandbox::SimulatedVendors;

use super::nodes::{Nodes, on_postgres};
use crate::support::proxy::Proxy;
use crate::support::service::options;

const READ_OF_A_RELAY: &str = r#"FROM "relays" WHERE "relays"."id" = $1"#;
const PROMPT: i64 = 8;

/// The other node reads a relay when the owner has acted. Until then only its round, once a second, reads it in case that the
/// notification was lost.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_stop_at_another_node_is_answered_when_the_owner_acted_and_hardly_reads_before() {
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let server: url::Url = database.url.parse().unwrap();
        let proxy = Proxy::counting_to((server.host_str().unwrap(), server.port().unwrap())).await;
        let mut counted = server.clone();
        counted.set_port(Some(proxy.port())).unwrap();
        let mut fleet = Nodes::start(vendors, database, 1, Vec::new()).await;
        // So few relays stay at their node.
        fleet.go_live(1..PROMPT + 2).await;
        fleet.add_at(counted.as_str()).await;
        let [owner, other] = fleet.all.as_slice() else {
            panic!("two nodes");
        };
        let mut took = Vec::new();
        for channel in 1..=PROMPT {
            let asked = Instant::now();
            let (status, relay) = other.service.stop_channel(channel).await;
            took.push(asked.elapsed());
            assert_eq!(status, 202, "{relay:#}");
            assert_ne!(relay["phase"], "live", "not stopping: {relay:#}");
        }
        took.sort();
        let reads = proxy.executions(READ_OF_A_RELAY);
        println!("{PROMPT} stops took {took:.0?} and {reads} reads");
        let (half, most) = (took[took.len() / 2], usize::try_from(PROMPT).unwrap() + 2);
        assert!(half < Duration::from_millis(250), "{took:?}");
        assert!((1..=most).contains(&reads), "{reads}");

        owner.signal("STOP");
        let asked = Instant::now();
        let (status, relay) = other.service.stop_channel(PROMPT + 1).await;
        let reads = proxy.executions(READ_OF_A_RELAY) - reads;
        let took = asked.elapsed();
        println!("a stop whose owner did not act took {took:.1?} and {reads} reads");
        owner.signal("CONT");
        assert_eq!((status.as_u16(), &relay["phase"]), (202, &"live".into()));
        assert!(took >= Duration::from_secs(2), "{took:?}");
        assert!((1..=4).contains(&reads), "{reads}");
        let over = async || fleet.number("ended_at IS NULL").await == 0;
        fleet.until("all over", over).await;
    })
    .await;
}
