//! The owners of the relays that a notification is about.

use relaykeeper::relay::Subject;

use super::*;
use crate::on_both_databases;

on_both_databases!(the_owners_of_unfinished_relays_are_found_by_each_subject);

async fn the_owners_of_unfinished_relays_are_found_by_each_subject(database: TestDatabase) {
    let store = database.store().await;
    let epoch = store.take_epoch().await.unwrap();
    let mut ids = Vec::new();
    for channel_id in 1..=3 {
        let relay = StoredRelay {
            ingest_id: Some(format!("ingest{channel_id}")),
            egress_id: Some(["ab1", "AB2", "ab3"][ids.len()].into()),
            channel_name: "show".into(),
            seller_uid: 12345,
            ..row(channel_id)
        };
        ids.push(*made(&store, relay, epoch).await.id);
    }
    // The third has ended.
    let change = "UPDATE relays SET epoch = 100 + channel_id, \
        ended_at = CASE WHEN channel_id = 3 THEN requested_at END";
    database.raw().await.execute(change).await;
    let owners = async |subject: Subject| {
        let mut owners = store.owners(&subject).await.unwrap();
        owners.sort_unstable();
        owners
    };
    let tag = |id: Uuid| format!("shop_0a1b2c3d_{}_1", id.simple()).parse().unwrap();
    for (index, expected) in [vec![101], vec![102], vec![]].into_iter().enumerate() {
        let number = index + 1;
        assert_eq!(owners(Subject::Tag(tag(ids[index]))).await, expected);
        let ingest = |platform| Subject::ingest(platform, &format!("ingest{number}"));
        assert_eq!(owners(ingest("cloudflare")).await, expected);
        assert_eq!(owners(ingest("another")).await, [0; 0]);
        let egress = Subject::Egress(format!("ab{number}"));
        assert_eq!(owners(egress).await, expected);
    }
    let seller = |channel_name: &str, uid| Subject::Seller {
        channel_name: channel_name.to_owned(),
        uid,
    };
    assert_eq!(owners(seller("show", 12345)).await, [101, 102]);
    for other in [seller("show", 12346), seller("sho", 12345)] {
        assert_eq!(owners(other).await, [0; 0]);
    }
    let stopping = "UPDATE relays SET phase = 'stopping' WHERE channel_id = 1";
    database.raw().await.execute(stopping).await;
    assert_eq!(owners(seller("show", 12345)).await, [102]);
    let ingest = Subject::ingest("cloudflare", "ingest1");
    assert_eq!(owners(ingest).await, [101]);
}
