//! Old journals stay readable: each journal in `tests/fixtures/journals` replays to the state stored with it.
//!
//! They come from soak runs. To add some, for example with a new fact, run `./scripts/soak`, and then
//!
//! ```sh
//! RELAYKEEPER_JOURNALS_FROM=sqlite://target/soak/service.db cargo test --test it journals::kinds
//! ```
//!
//! writes one journal of every kind that is missing. Existing files never change.

mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::support::database::TestDatabase;
use kept::{Kept, all, kind_of, write};
use relaykeeper::actors::replay;
use relaykeeper::relay::Fact;
use relaykeeper::store::{PageRequest, RelayFilter};

fn facts() -> BTreeSet<String> {
    let journals = all().into_iter().flat_map(|(_, kept)| kept.journal);
    journals.map(|entry| entry.kind).collect()
}

#[tokio::test]
async fn every_kept_journal_replays_to_the_state_stored_with_it() {
    let database = TestDatabase::sqlite();
    let store = database.store().await;
    for (name, kept) in all() {
        let relay_id = kept.store(&store).await;
        let replayed = replay(&store, relay_id).await.unwrap().unwrap();
        assert_eq!(replayed.difference, kept.difference, "{name}");
        let entries = kept.journal.len() - usize::from(kept.difference.is_some());
        assert_eq!(replayed.entries.len(), entries, "{name}");
    }
}

#[tokio::test]
async fn replay_all_exits_1_if_a_relay_was_ended_by_force() {
    let database = TestDatabase::sqlite();
    let store = database.store().await;
    let replay_all = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
        command
            .args(["replay", "--all"])
            .env_clear()
            .env("DATABASE_URL", &database.url);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said)
    };
    let (whole, forced): (Vec<_>, Vec<_>) = all()
        .into_iter()
        .partition(|(_, kept)| kept.difference.is_none());
    for (_, kept) in &whole {
        kept.store(&store).await;
    }
    let (code, said) = replay_all();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("{} relays replayed, 0 differ", whole.len())));
    let mut ids = Vec::new();
    for (_, kept) in &forced {
        ids.push(kept.store(&store).await);
    }
    let (code, said) = replay_all();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        ids.iter().all(|id| said.contains(&id.to_string())),
        "{said}"
    );
}

#[test]
fn journals_of_good_and_bad_relays_on_both_backends_are_kept() {
    let kinds: Vec<String> = all().into_iter().map(|(name, _)| name).collect();
    for backend in ["cloud_recording", "media_push"] {
        for life in [
            "stopped_by_request",
            "replaced",
            "seller_left",
            "never_live",
            "interrupted",
        ] {
            let kept = kinds
                .iter()
                .any(|name| name.starts_with(backend) && name.contains(life));
            assert!(kept, "{backend} {life}: {kinds:#?}");
        }
    }
    // A converter whose start was lost is found by its name, without a fact.
    for life in [
        "cloud_recording-stopped_by_request-start_lost",
        "media_push-internal-ended_by_force",
    ] {
        assert!(kinds.iter().any(|name| name == life), "{life}");
    }
}

#[test]
fn a_fact_is_written_as_it_was_read() {
    for (name, kept) in all() {
        for entry in kept.journal {
            let Ok(fact) = serde_json::from_value::<Fact>(entry.data.clone()) else {
                assert_eq!(entry.kind, "ended_by_force", "{name}");
                continue;
            };
            let written = serde_json::to_value(&fact).unwrap();
            assert_eq!(written, entry.data, "{name}");
        }
    }
    assert!(facts().len() > 20, "{:?}", facts());
}

#[tokio::test]
async fn kinds_of_journals_that_are_missing_are_added_from_a_named_database() {
    let Ok(url) = std::env::var("RELAYKEEPER_JOURNALS_FROM") else {
        return;
    };
    let settings = relaykeeper::config::DatabaseSettings {
        url: url.into(),
        ..relaykeeper::config::DatabaseSettings::default()
    };
    let store = relaykeeper::store::Store::connect(&settings).await.unwrap();
    let mut lives: BTreeMap<String, Kept> = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = PageRequest { limit: 200, cursor };
        let page = store.relays(&RelayFilter::default(), &page).await.unwrap();
        for relay in page.items {
            let kept = Kept::of(&store, relay).await;
            let shorter = |other: &Kept| kept.journal.len() < other.journal.len();
            let kind = kind_of(&kept);
            if lives.get(&kind).is_none_or(shorter) {
                lives.insert(kind, kept);
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let known: BTreeSet<String> = all().into_iter().map(|(name, _)| name).collect();
    for (kind, kept) in lives.into_iter().filter(|(kind, _)| !known.contains(kind)) {
        println!("{kind}: {} entries", kept.journal.len());
        write(&kind, &kept);
    }
}
