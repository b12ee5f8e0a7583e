//! A kept journal: a JSON file with one entry per line.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use relaykeeper::actors::replay;
use relaykeeper::store::{
    Created, JournalEntry, NewRelay, PageRequest, Projection, Store, StoredRelay,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::messages::ended;

pub struct Kept {
    pub relay_id: Uuid,
    pub backend: String,
    pub outcome: Option<String>,
    pub state_version: i32,
    pub state: Value,
    /// The difference that a replay finds; only a forced end has one.
    pub difference: Option<String>,
    pub journal: Vec<JournalEntry>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journals")
}

pub fn all() -> Vec<(String, Kept)> {
    let files = std::fs::read_dir(folder()).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        (name, Kept::read(&serde_json::from_str(&text).unwrap()))
    };
    files.into_iter().map(read).collect()
}

pub fn kind_of(kept: &Kept) -> String {
    let happened = |kind: &str| kept.journal.iter().any(|entry| entry.kind == kind);
    let mut words = vec![kept.backend.clone()];
    words.push(kept.outcome.clone().unwrap_or("unfinished".into()));
    let notable = [
        ("egress_replacing", "replaced"),
        ("egress_discovered", "start_lost"),
        ("seller_away", "interrupted"),
        ("feed_lost", "feed_lost"),
        ("notified", "notified"),
        ("cleanup_added", "cleanup"),
        ("ended_by_force", "ended_by_force"),
    ];
    let notable = notable.iter().filter(|(fact, _)| happened(fact));
    words.extend(notable.map(|(_, word)| (*word).to_owned()));
    if !happened("live") {
        words.push("never_live".into());
    }
    words.join("-")
}

pub fn write(name: &str, kept: &Kept) {
    let entries = kept.journal.iter().map(|entry| {
        let entry = json!({
            "at": entry.at, "kind": entry.kind, "phase": entry.phase,
            "data": entry.data, "actions": entry.actions,
        });
        format!("    {entry}")
    });
    let entries: Vec<String> = entries.collect();
    let text = format!(
        "{{\n  \"relay_id\": {},\n  \"backend\": {},\n  \"outcome\": {},\n  \"state_version\": {},\n  \"state\": {},\n  \
         \"difference\": {},\n  \"journal\": [\n{}\n  ]\n}}\n",
        json!(kept.relay_id),
        json!(kept.backend),
        json!(kept.outcome),
        kept.state_version,
        kept.state,
        json!(kept.difference),
        entries.join(",\n")
    );
    std::fs::write(folder().join(format!("{name}.json")), text).unwrap();
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Kept {
    fn read(value: &Value) -> Self {
        let entry = |entry: &Value| JournalEntry {
            at: text(&entry["at"]).parse::<DateTime<Utc>>().unwrap(),
            kind: text(&entry["kind"]),
            phase: text(&entry["phase"]).as_str().into(),
            data: entry["data"].clone(),
            actions: entry["actions"].clone(),
        };
        Self {
            relay_id: text(&value["relay_id"]).parse().unwrap(),
            backend: text(&value["backend"]),
            outcome: value["outcome"].as_str().map(str::to_owned),
            state_version: i32::try_from(value["state_version"].as_i64().unwrap()).unwrap(),
            state: value["state"].clone(),
            difference: value["difference"].as_str().map(str::to_owned),
            journal: value["journal"]
                .as_array()
                .unwrap()
                .iter()
                .map(entry)
                .collect(),
        }
    }

    pub async fn of(store: &Store, relay: StoredRelay) -> Self {
        let mut journal = Vec::new();
        let mut cursor = None;
        loop {
            let page = PageRequest { limit: 200, cursor };
            let page = store.journal(*relay.id, &page).await.unwrap();
            journal.extend(page.items.into_iter().map(|stored| stored.entry));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let replayed = replay(store, *relay.id).await.unwrap().unwrap();
        Self {
            relay_id: *relay.id,
            backend: relay.backend.to_string(),
            outcome: relay.outcome.map(|code| code.to_string()),
            state_version: relay.state_version,
            state: relay.state.read().unwrap(),
            difference: replayed.difference,
            journal,
        }
    }

    pub async fn store(&self, store: &Store) -> Uuid {
        let at = self.journal.first().unwrap().at;
        let row = StoredRelay {
            backend: self.backend.as_str().into(),
            outcome: self.outcome.as_deref().map(Into::into),
            stopped_at: None,
            state: self.state.clone().into(),
            state_version: self.state_version,
            epoch: store.take_epoch().await.unwrap(),
            ..ended(self.relay_id, 1, at)
        };
        let new = NewRelay {
            row,
            journal: self.journal.clone(),
            outbox: Vec::new(),
            projection: Projection::default(),
            idempotency: None,
        };
        assert_eq!(store.create(new).await, Ok(Created::Created));
        self.relay_id
    }
}
