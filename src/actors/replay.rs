//! A relay's journal, folded through the life cycle again: what is stored must be what happened.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::records;
use crate::relay::{Durable, Fact, Phase};
use crate::store::{PageRequest, Store, StoreError};

/// Entries read at once.
const PAGE: u32 = 500;

/// One entry of a journal, as the fold saw it.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// When.
    pub at: DateTime<Utc>,
    /// What: the fact's name.
    pub kind: String,
    /// The phase after it.
    pub phase: Phase,
    /// The calls that were asked for with it.
    pub actions: Vec<String>,
}

/// What a replay came to.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Entry by entry, as far as they could be folded.
    pub entries: Vec<Replayed>,
    /// What is wrong; nothing when the fold is what is stored.
    pub difference: Option<String>,
}

/// Replays a relay's journal; none when there is no such relay.
///
/// # Errors
/// When the database does not answer.
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
                    "it was ended by force, which no fact describes".into(),
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
                        "it does not begin with a request: its beginning is purged".into(),
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
    let difference = match (fold, records::durable(&stored)) {
        (None, _) => Some("its journal is empty".into()),
        (_, Err(unreadable)) => Some(unreadable.to_string()),
        (Some(fold), Ok(durable)) => difference(&fold, &durable),
    };
    Ok(Some(Replay {
        entries,
        difference,
    }))
}

/// The names of the calls among a journal entry's actions.
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

/// The members in which two states differ.
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
