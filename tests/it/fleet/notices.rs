//! Vendors' notifications that reach a node without the relay.

use std::collections::BTreeSet;

use relaykeeper::sandbox::SimulatedVendors;

use super::nodes::{Nodes, on_postgres};
use crate::support::service::{nothing_is_left, options, show, vendors_when, violations, webhooks};

/// Keeps the peer messages, which are deleted when they are read.
const KEEP_MESSAGES: &str = "CREATE TABLE kept_messages (recipient bigint, body text); \
    CREATE FUNCTION keep_message() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN INSERT INTO kept_messages VALUES (NEW.recipient, NEW.body); RETURN NEW; END $$; \
    CREATE TRIGGER keep_message AFTER INSERT ON peer_messages FOR EACH ROW EXECUTE FUNCTION keep_message()";
const NOTICES: &str = "FROM kept_messages WHERE body LIKE '{\"notice\":%'";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_notice_goes_to_the_one_node_whose_relay_it_is_about_and_to_none_if_it_is_about_no_relay()
{
    on_postgres(async |database| {
        let vendors = SimulatedVendors::start(options()).unwrap();
        let fleet = Nodes::start(vendors, database, 3, Vec::new()).await;
        let [notified, _, owner] = fleet.all.as_slice() else {
            panic!("three nodes");
        };
        let vendors = &fleet.vendors;
        fleet.raw.execute(KEEP_MESSAGES).await;
        vendors.set_webhooks(webhooks(&notified.service.url));
        let relay = owner.service.go_live(7, &show("show7")).await;
        let owners_epoch = fleet.raw.number("SELECT epoch FROM relays").await;
        vendors.set_seller("show7", Some(12345), false);
        owner.service.in_phase(&relay, "interrupted").await;
        vendors.set_seller("show7", Some(12345), true);
        let relay = owner.service.in_phase(&relay, "live").await;
        let count = format!("SELECT count(*) {NOTICES}");
        let subject = |name: &str| {
            format!("SELECT count(*) {NOTICES} AND body::jsonb -> 'notice' -> 'subject' ? '{name}'")
        };
        // A converter's state changes without its name.
        for name in ["tag", "egress", "ingest", "seller"] {
            let subject = subject(name);
            let sent = async || fleet.raw.number(&subject).await > 0;
            fleet.until(name, sent).await;
        }

        let before = fleet.raw.number(&count).await;
        let delivered = || vendors.state().delivered;
        let delivered_before = delivered();
        vendors.reconnect(&"0".repeat(32));
        vendors.set_seller("another", Some(999), true);
        fleet
            .until("delivered", async || delivered() >= delivered_before + 3)
            .await;
        assert_eq!(fleet.raw.number(&count).await, before, "about no relay");

        // From the end on too: its recording is about to be ready.
        assert_eq!(notified.service.stop_channel(7).await.0, 202);
        owner.service.in_phase(&relay, "ended").await;
        let recipients = format!("SELECT DISTINCT recipient::text {NOTICES}");
        let recipients: BTreeSet<_> = fleet.raw.texts(&recipients).await.into_iter().collect();
        let owner = BTreeSet::from([Some(owners_epoch.to_string())]);
        assert_eq!(recipients, owner);
        let keys = "SELECT count(*) FROM kept_messages WHERE body LIKE '%rtmp%'";
        assert_eq!(fleet.raw.number(keys).await, 0, "a stream key was sent");
        assert_eq!(violations(vendors), [""; 0]);
        vendors_when(vendors, "nothing left", |vendors| {
            nothing_is_left(vendors).then_some(())
        })
        .await;
    })
    .await;
}
