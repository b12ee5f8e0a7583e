use std::collections::BTreeMap;

use relaykeeper::sandbox::{VendorCall, WorldSnapshot};

use super::nodes::Nodes;

/// After a lost answer the next owner repeats the creation, which finds the converter by its name.
const EXPECTED: [&str; 1] = ["name_conflict"];

/// Each relay had one ingest, one egress and one cost row; its journal and messages are complete and in order; no vendor's
/// limit was exceeded; nothing is left.
pub async fn check(nodes: &Nodes, relays: usize) {
    let state = nodes.vendors.state();
    let violations: Vec<_> = state
        .violations
        .iter()
        .filter(|violation| !EXPECTED.contains(&violation.kind))
        .collect();
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!(state.live_inputs.len(), relays, "an ingest each");
    assert_eq!(state.egresses.len(), relays, "an egress each");
    assert!(state.live_inputs.iter().all(|input| input.deleted));
    assert!(state.egresses.iter().all(|one| !one.is_alive()));
    one_list_for_all(&state);
    let raw = &nodes.raw;
    let relays = i64::try_from(relays).unwrap();
    assert_eq!(nodes.number("ended_at IS NOT NULL").await, relays);
    assert_eq!(
        raw.number("SELECT count(*) FROM stream_costs").await,
        relays
    );
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM stream_costs GROUP BY relay_id HAVING count(*) > 1) x";
    assert_eq!(raw.number(twice).await, 0, "one cost row each");
    assert_eq!(raw.number("SELECT count(*) FROM cleanup_jobs").await, 0);
    journals(nodes).await;
    messages(nodes).await;
}

/// All nodes together list recordings once per interval.
fn one_list_for_all(state: &WorldSnapshot) {
    let lists = state.calls.iter();
    let lists = lists.filter(|call| call.call == VendorCall::VideoList.name());
    let mut at: Vec<_> = lists.map(|call| call.at).collect();
    at.sort();
    let closest = at.windows(2).map(|two| two[1] - two[0]).min();
    println!(
        "{} lists of recordings, {closest:?} apart at least",
        at.len()
    );
    // The interval is 2 s; answers may overtake each other.
    let second = chrono::TimeDelta::seconds(1);
    assert!(
        closest.is_some_and(|closest| closest > second),
        "{closest:?}"
    );
}

/// Each journal is as long as its row says, has no gap, is in order of time, and names the node of each entry.
async fn journals(nodes: &Nodes) {
    let gaps = "SELECT count(*) FROM (SELECT e.relay_id FROM relay_events e JOIN relays r ON r.id = e.relay_id \
        GROUP BY e.relay_id, r.revision HAVING count(*) <> max(e.seq) OR min(e.seq) <> 1 OR max(e.seq) <> r.revision) x";
    assert_eq!(nodes.raw.number(gaps).await, 0, "a gap in a journal");
    let back = "SELECT count(*) FROM relay_events a JOIN relay_events b ON a.relay_id = b.relay_id AND b.seq = a.seq + 1 \
        WHERE b.at < a.at - interval '1 second'";
    assert_eq!(nodes.raw.number(back).await, 0, "time went back");
    let unowned = "SELECT count(*) FROM relay_events WHERE epoch IS NULL OR epoch = 0";
    assert_eq!(nodes.raw.number(unowned).await, 0, "each has its writer");
}

async fn messages(nodes: &Nodes) {
    let gaps = "SELECT count(*) FROM (SELECT 1 FROM outbox GROUP BY channel_id \
        HAVING min(sequence) <> 1 OR max(sequence) <> count(*)) x";
    assert_eq!(
        nodes.raw.number(gaps).await,
        0,
        "a gap in a channel's messages"
    );
    let back = "SELECT count(*) FROM outbox a JOIN outbox b ON a.channel_id = b.channel_id \
        AND b.sequence = a.sequence + 1 WHERE b.id <= a.id";
    assert_eq!(nodes.raw.number(back).await, 0, "messages out of order");
    let order = "SELECT channel_id || ' ' || type FROM outbox ORDER BY channel_id, sequence";
    let mut lives: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in nodes.raw.texts(order).await.into_iter().flatten() {
        let (channel, kind) = line.split_once(' ').unwrap();
        if kind.starts_with("relay.") {
            lives
                .entry(channel.to_owned())
                .or_default()
                .push(kind.to_owned());
        }
    }
    for (channel, life) in lives {
        assert_eq!(
            life,
            [
                "relay.starting",
                "relay.live",
                "relay.stopped",
                "relay.ended"
            ],
            "channel {channel}"
        );
    }
}
