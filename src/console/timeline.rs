use chrono::{DateTime, Utc};

use super::chart::Percent;
use super::format;
use crate::relay::{Announcement, Durable, Fact, Phase};
use crate::store::{Named, StoredEntry};

const TICKS: u64 = 4;
/// Phases narrower than this percentage have no label.
const MIN_LABEL_PERCENT: u64 = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimelineRow {
    Calls,
    /// Webhooks from vendors and to the marketplace.
    Messages,
    /// Losses, retries, failures.
    Trouble,
}

impl TimelineRow {
    pub(super) fn y(self) -> u64 {
        match self {
            Self::Calls => 62,
            Self::Messages => 86,
            Self::Trouble => 110,
        }
    }

    /// Rows differ by shape, not only by colour.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Calls => "●",
            Self::Messages => "■",
            Self::Trouble => "▲",
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Messages => "messages",
            Self::Trouble => "trouble",
        }
    }
}

pub(super) struct PhaseSpan {
    pub(super) phase: String,
    pub(super) name: String,
    pub(super) x: Percent,
    pub(super) width: Percent,
    pub(super) lasted: String,
    pub(super) shows_label: bool,
}

pub(super) struct TimelineEvent {
    pub(super) x: Percent,
    pub(super) row: TimelineRow,
    pub(super) title: String,
}

pub(super) struct RelayTimeline {
    pub(super) spans: Vec<PhaseSpan>,
    pub(super) events: Vec<TimelineEvent>,
    pub(super) ticks: Vec<(Percent, String)>,
}

pub(super) fn timeline(journal: &[StoredEntry], until: DateTime<Utc>) -> Option<RelayTimeline> {
    let first = journal.first()?.entry.at;
    let last = journal.last()?.entry.at;
    let whole = millis(first, until.max(last)).max(1000);
    let at = |time| Percent::of(millis(first, time), whole);
    let mut phases: Vec<(&Named<Phase>, DateTime<Utc>)> = Vec::new();
    for stored in journal {
        let phase = &stored.entry.phase;
        if phases.last().is_none_or(|(last, _)| *last != phase) {
            phases.push((phase, stored.entry.at));
        }
    }
    let ends = phases.iter().skip(1).map(|(_, begun)| *begun);
    let ends = ends.chain([until.max(last)]);
    let spans = phases
        .iter()
        .zip(ends)
        .filter(|((phase, _), _)| **phase != Phase::Ended);
    let spans = spans.map(|((phase, begun), end)| {
        let (x, width) = (at(*begun), at(*begun).to(at(end)));
        PhaseSpan {
            name: format::readable(phase),
            phase: phase.to_string(),
            x,
            width,
            lasted: format::short_duration(millis(*begun, end)),
            shows_label: width.is_at_least(MIN_LABEL_PERCENT),
        }
    });
    let spans = spans.collect();
    let ticks = (0..=TICKS).map(|tick| {
        let after = format::short_duration(whole * tick / TICKS);
        (Percent::of(tick, TICKS), after)
    });
    Some(RelayTimeline {
        spans,
        events: events(journal, &at),
        ticks: ticks.collect(),
    })
}

fn events(journal: &[StoredEntry], at: &impl Fn(DateTime<Utc>) -> Percent) -> Vec<TimelineEvent> {
    let mut events = Vec::new();
    let mut relay: Option<Durable> = None;
    for stored in journal {
        let entry = &stored.entry;
        let mut event = |row, what: String| {
            events.push(TimelineEvent {
                x: at(entry.at),
                row,
                title: format!("{} {what}", format::time_of_day(entry.at)),
            });
        };
        for call in format::call_names(&entry.actions) {
            event(TimelineRow::Calls, format!("call: {call}"));
        }
        let Ok(fact) = serde_json::from_value::<Fact>(entry.data.clone()) else {
            continue;
        };
        if fact.is_trouble() {
            event(TimelineRow::Trouble, fact.describe());
        }
        if matches!(fact, Fact::EgressDiscovered { .. } | Fact::Notified { .. }) {
            event(TimelineRow::Messages, fact.describe());
        }
        match (&mut relay, &fact) {
            (None, Fact::Requested { spec }) => {
                relay = Some(Durable::new((**spec).clone()));
                event(TimelineRow::Messages, sent(Announcement::Starting));
            }
            (None, _) => {}
            (Some(known), fact) => {
                // `relaykeeper replay` reports journals that do not fold.
                if let Ok(Some(message)) = known.apply(fact, entry.at) {
                    event(TimelineRow::Messages, sent(message));
                }
            }
        }
    }
    events
}

fn sent(message: Announcement) -> String {
    format!("sent to the marketplace: {message}")
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
    fn phases_fill_the_timeline_from_the_first_entry_to_now() {
        let journal = [
            entry(1, 0, "provisioning", json!({})),
            entry(2, 10, "awaiting_live", json!({})),
            entry(3, 15, "awaiting_live", json!({})),
        ];
        let timeline = timeline(&journal, at("10:00:40.000")).unwrap();
        let spans: Vec<_> = timeline
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
        assert_eq!(timeline.ticks.last().unwrap().1, "40.0 s");
        assert_eq!(timeline.events.len(), 3);
    }

    #[test]
    fn a_vendors_notification_is_a_webhook_on_the_timeline() {
        let notified = json!({"fact": "notified", "hint": {"event": "seller_left"}});
        let journal = [
            entry(1, 0, "live", json!({})),
            entry(2, 5, "live", notified),
        ];
        let timeline = timeline(&journal, at("10:00:10.000")).unwrap();
        let event = timeline
            .events
            .iter()
            .find(|event| event.row == TimelineRow::Messages);
        assert!(event.unwrap().title.contains("the seller left"));
    }

    #[test]
    fn a_lost_feed_is_trouble() {
        let lost = json!({"fact": "feed_lost", "since": "2026-11-22T10:00:05Z"});
        let journal = [
            entry(1, 0, "live", json!({})),
            entry(2, 5, "interrupted", lost),
        ];
        let timeline = timeline(&journal, at("10:00:10.000")).unwrap();
        let troubles = timeline
            .events
            .iter()
            .filter(|event| event.row == TimelineRow::Trouble);
        assert_eq!(troubles.count(), 1);
    }
}
