//! Replays a relay's journal through the core, and compares the result with the stored state.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::records;
use crate::relay::{Durable, Fact, Phase};
use crate::store::{PageRequest, Store, StoreError};

const PAGE: u32 = 500;

/// One replayed journal entry.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The fact's name.
    pub kind: String,
    /// The phase after the entry.
    pub phase: Phase,
    /// The calls requested with the entry.
    pub actions: Vec<String>,
}

/// The result of a replay.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The entries, up to the first that cannot be replayed.
    pub entries: Vec<Replayed>,
    /// How the result differs from the stored state.
    pub difference: Option<String>,
}

/// `None`: there is no such relay.
pub async fn replay(store: &Store, relay_id: Uuid) -> Result<Option<Replay>, StoreError> {
    let Some(stored) = store.relay(relay_id).await? else {
        return Ok(None);
    };
    let mut entries = Vec::new();
    let mut fold: Option<Durable> = None;
    let mut cursor = None;
    let failed = |entries: Vec<Replayed>, difference: String| {
        Ok(Some(Replay {
            entries,
            difference: Some(difference),
        }))
    };
    loop {
        let page = store
            .journal(
                relay_id,
                &PageRequest {
                    limit: PAGE,
                    cursor,
                },
            )
            .await?;
        for stored in page.items {
            let (seq, entry) = (stored.seq, stored.entry);
            if entry.kind == records::ENDED_BY_FORCE {
                return failed(
                    entries,
                    "the relay was ended by force, which no fact describes".into(),
                );
            }
            let fact: Fact = match serde_json::from_value(entry.data) {
                Ok(fact) => fact,
                Err(error) => {
                    return failed(entries, format!("entry {seq} cannot be read: {error}"));
                }
            };
            match (&mut fold, &fact) {
                (None, Fact::Requested { spec }) => fold = Some(Durable::new((**spec).clone())),
                (None, _) => {
                    return failed(
                        entries,
                        "the journal does not start with a request: its start was purged".into(),
                    );
                }
                (Some(durable), fact) => {
                    if let Err(error) = durable.apply(fact, entry.at) {
                        return failed(entries, format!("entry {seq} cannot follow: {error}"));
                    }
                }
            }
            let phase = fold
                .as_ref()
                .map_or(Phase::Provisioning, |durable| durable.phase);
            let actions = calls_of(&entry.actions);
            entries.push(Replayed {
                at: entry.at,
                kind: entry.kind,
                phase,
                actions,
            });
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let difference = match (fold, stored.durable()) {
        (None, _) => Some("the journal is empty".into()),
        (_, Err(unreadable)) => Some(unreadable.to_string()),
        (Some(fold), Ok(durable)) => difference(&fold, &durable),
    };
    Ok(Some(Replay {
        entries,
        difference,
    }))
}

/// The names of the calls in a journal entry's actions.
#[must_use]
pub fn calls_of(actions: &Value) -> Vec<String> {
    let name = |action: &Value| {
        action
            .pointer("/call/call")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    actions
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(name)
        .collect()
}

fn difference(fold: &Durable, stored: &Durable) -> Option<String> {
    if fold == stored {
        return None;
    }
    let members = |durable: &Durable| serde_json::to_value(durable).unwrap_or_default();
    let (fold, stored) = (members(fold), members(stored));
    let differ = |(member, value): &(&String, &Value)| stored.get(member.as_str()) != Some(*value);
    let names: Vec<&str> = fold
        .as_object()
        .into_iter()
        .flatten()
        .filter(differ)
        .map(|(member, _)| member.as_str())
        .collect();
    Some(format!("the stored state differs in: {}", names.join(", ")))
}
