//! The life of a relay as a picture: its phases from left to right, and what happened on the way.

use chrono::{DateTime, Utc};

use super::plot::Percent;
use super::say;
use crate::relay::{Durable, Fact};
use crate::store::StoredEntry;

/// Ticks below the picture.
const TICKS: u64 = 4;
/// A phase that takes less of the picture has no room for its name.
const ROOM: u64 = 9;

/// The row a mark stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// A vendor was called.
    Calls,
    /// A vendor told us, or the marketplace was told.
    Told,
    /// Something was lost, repeated, owed, or ended badly.
    Trouble,
}

impl Row {
    pub(super) fn y(self) -> u64 {
        match self {
            Self::Calls => 62,
            Self::Told => 86,
            Self::Trouble => 110,
        }
    }

    /// Told apart by shape.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Calls => "●",
            Self::Told => "■",
            Self::Trouble => "▲",
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Told => "told",
            Self::Trouble => "trouble",
        }
    }
}

/// A phase.
pub(super) struct Span {
    pub(super) phase: String,
    /// The same in words.
    pub(super) name: String,
    pub(super) x: Percent,
    pub(super) width: Percent,
    pub(super) lasted: String,
    pub(super) has_room: bool,
}

/// Something that happened.
pub(super) struct Mark {
    pub(super) x: Percent,
    pub(super) row: Row,
    pub(super) title: String,
}

/// All of it.
pub(super) struct Picture {
    pub(super) spans: Vec<Span>,
    pub(super) marks: Vec<Mark>,
    pub(super) ticks: Vec<(Percent, String)>,
}

/// The picture of a journal up to `until`.
pub(super) fn picture(journal: &[StoredEntry], until: DateTime<Utc>) -> Option<Picture> {
    let first = journal.first()?.entry.at;
    let last = journal.last()?.entry.at;
    let whole = millis(first, until.max(last)).max(1000);
    let at = |time| Percent::of(millis(first, time), whole);
    let mut phases: Vec<(&str, DateTime<Utc>)> = Vec::new();
    for stored in journal {
        let phase = stored.entry.phase.as_str();
        if phases.last().is_none_or(|(last, _)| *last != phase) {
            phases.push((phase, stored.entry.at));
        }
    }
    let ends = phases.iter().skip(1).map(|(_, begun)| *begun);
    let ends = ends.chain([until.max(last)]);
    let spans = phases.iter().zip(ends).map(|((phase, begun), end)| {
        let (x, width) = (at(*begun), at(*begun).to(at(end)));
        Span {
            name: say::plain(phase),
            phase: (*phase).to_owned(),
            x,
            width,
            lasted: say::short(millis(*begun, end)),
            has_room: width.is_at_least(ROOM),
        }
    });
    let spans = spans.filter(|span| span.phase != "ended").collect();
    let ticks = (0..=TICKS).map(|tick| {
        let after = say::short(whole * tick / TICKS);
        (Percent::of(tick, TICKS), after)
    });
    Some(Picture {
        spans,
        marks: marks(journal, &at),
        ticks: ticks.collect(),
    })
}

fn marks(journal: &[StoredEntry], at: &impl Fn(DateTime<Utc>) -> Percent) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut relay: Option<Durable> = None;
    for stored in journal {
        let entry = &stored.entry;
        let mut mark = |row, what: String| {
            marks.push(Mark {
                x: at(entry.at),
                row,
                title: format!("{} {what}", say::clock(entry.at)),
            });
        };
        for call in say::calls(&entry.actions) {
            mark(Row::Calls, format!("call: {call}"));
        }
        let Ok(fact) = serde_json::from_value::<Fact>(entry.data.clone()) else {
            continue;
        };
        if fact.is_trouble() {
            mark(Row::Trouble, fact.words());
        }
        if matches!(fact, Fact::EgressDiscovered { .. } | Fact::Notified { .. }) {
            mark(Row::Told, fact.words());
        }
        match (&mut relay, &fact) {
            (None, Fact::Requested { spec }) => {
                relay = Some(Durable::new((**spec).clone()));
                mark(Row::Told, "told the marketplace: relay.starting".to_owned());
            }
            (None, _) => {}
            (Some(known), fact) => {
                // A journal that cannot be folded is `relaykeeper replay`'s affair.
                if let Ok(Some(told)) = known.apply(fact, entry.at) {
                    mark(Row::Told, format!("told the marketplace: {told}"));
                }
            }
        }
    }
    marks
}

fn millis(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actors::view::fixture::at;
    use crate::store::JournalEntry;

    fn entry(seq: i64, second: u32, phase: &str, data: serde_json::Value) -> StoredEntry {
        StoredEntry {
            seq,
            entry: JournalEntry {
                at: at(&format!("10:00:{second:02}.000")),
                kind: "any".into(),
                phase: phase.into(),
                data,
                actions: json!([{"call": {"call": "stop_egress"}}]),
            },
        }
    }

    #[test]
    fn phases_fill_the_picture_from_the_first_entry_to_now() {
        let journal = [
            entry(1, 0, "provisioning", json!({})),
            entry(2, 10, "awaiting_live", json!({})),
            entry(3, 15, "awaiting_live", json!({})),
        ];
        let picture = picture(&journal, at("10:00:40.000")).unwrap();
        let spans: Vec<_> = picture
            .spans
            .iter()
            .map(|span| {
                (
                    span.name.as_str(),
                    span.x.to_string(),
                    span.width.to_string(),
                )
            })
            .collect();
        assert_eq!(
            spans,
            [
                ("provisioning", "0.00%".to_owned(), "25.00%".to_owned()),
                ("awaiting live", "25.00%".to_owned(), "75.00%".to_owned()),
            ]
        );
        assert_eq!(picture.ticks.last().unwrap().1, "40.0 s");
        assert_eq!(picture.marks.len(), 3);
    }

    #[test]
    fn a_vendors_notification_is_a_webhook_on_the_picture() {
        let told = json!({"fact": "notified", "hint": {"event": "seller_left"}});
        let journal = [entry(1, 0, "live", json!({})), entry(2, 5, "live", told)];
        let picture = picture(&journal, at("10:00:10.000")).unwrap();
        let mark = picture.marks.iter().find(|mark| mark.row == Row::Told);
        assert!(mark.unwrap().title.contains("the seller has left"));
    }

    #[test]
    fn a_lost_feed_is_trouble() {
        let lost = json!({"fact": "feed_lost", "since": "2026-11-22T10:00:05Z"});
        let journal = [
            entry(1, 0, "live", json!({})),
            entry(2, 5, "interrupted", lost),
        ];
        let picture = picture(&journal, at("10:00:10.000")).unwrap();
        let troubles = picture.marks.iter().filter(|mark| mark.row == Row::Trouble);
        assert_eq!(troubles.count(), 1);
    }
}
