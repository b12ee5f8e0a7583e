//! What came of the day, and whether anything in it must never be.

mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use relaykeeper::sandbox::Snapshot;
use serde::Serialize;
use serde_json::Value;

use super::owed::Owed;
use super::service::Lives;

/// What the vendors note when a lost answer is looked for (`ARCHITECTURE.md`, decision 3): the same call again under the
/// same name.
const LOOKS: [&str; 3] = ["name_conflict", "resource_reused", "task_conflict"];

/// What was asked for, and how long it took.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    pub(super) relays: u32,
    pub(super) hours: f64,
    pub(super) speed: f64,
    pub(super) seed: u64,
    pub(super) took: Duration,
    /// After the last show, until nothing was left; none: it never came to rest.
    pub(super) settled_after: Option<Duration>,
}

/// What is left at the vendors that costs money.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Left {
    pub(super) live_inputs: Vec<String>,
    /// Recorders that publish, or could.
    pub(super) recorders: Vec<String>,
    /// Names of recorders that are cut off from Cloudflare: they end by themselves.
    pub(super) cut_off: Vec<String>,
}

/// The ledger against what the vendor recorded.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Ledger {
    /// Relays that went live, or of which there is a recording.
    pub(super) relays: usize,
    /// Rows there are.
    pub(super) rows: usize,
    /// Of these, rows that tell the vendor's recordings to the second.
    pub(super) exact: usize,
    /// Of these, rows by the time a relay was live: no recording was found.
    pub(super) by_time: usize,
    /// Relays that should have a row and have none, or the other way round, or whose seconds are not the vendor's.
    pub(super) wrong: Vec<String>,
    /// Seconds in the rows that go by recordings.
    pub(super) seconds: u64,
    /// How long the vendor's recordings of the same relays are.
    pub(super) recorded: Duration,
}

/// The day.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) run: Run,
    /// Starts that were taken.
    pub(super) started: usize,
    /// Relays the service knows at the end.
    pub(super) known: usize,
    pub(super) outcomes: BTreeMap<String, u32>,
    pub(super) unfinished: Vec<String>,
    pub(super) went_live: usize,
    pub(super) replacements: u64,
    pub(super) faults: u64,
    pub(super) lives: Lives,
    pub(super) owed: Owed,
    pub(super) left: Left,
    pub(super) ledger: Ledger,
    pub(super) violations: BTreeMap<String, u32>,
    /// Lines of the service's log that say somebody must act.
    pub(super) errors: Vec<String>,
}

impl Report {
    pub(super) fn of(
        run: Run,
        started: usize,
        relays: &[Value],
        owed: Owed,
        lives: Lives,
        errors: Vec<String>,
        vendors: &Snapshot,
    ) -> Self {
        let mut report = Self {
            run,
            started,
            known: relays.len(),
            outcomes: BTreeMap::new(),
            unfinished: Vec::new(),
            went_live: 0,
            replacements: 0,
            faults: vendors.faults,
            lives,
            owed,
            left: Left::of(vendors),
            ledger: Ledger::default(),
            violations: BTreeMap::new(),
            errors,
        };
        for relay in relays {
            report.add(relay, vendors);
        }
        for violation in &vendors.violations {
            *report
                .violations
                .entry(violation.kind.to_owned())
                .or_default() += 1;
        }
        report
    }

    fn add(&mut self, relay: &Value, vendors: &Snapshot) {
        let text = |pointer: &str| relay.pointer(pointer).and_then(Value::as_str);
        let id = text("/id").unwrap_or_default();
        if text("/ended_at").is_none() {
            self.unfinished.push(id.to_owned());
        }
        let outcome = text("/outcome/code").unwrap_or("none yet");
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        let went_live = text("/live_at").is_some();
        self.went_live += usize::from(went_live);
        let replacements = relay.pointer("/agora/replacements").and_then(Value::as_u64);
        self.replacements += replacements.unwrap_or(0);
        let live_input = text("/stream_key_id");
        let videos = vendors.videos.iter();
        let recorded: Vec<f64> = videos
            .filter(|video| live_input == Some(video.live_input.as_str()))
            .map(|video| video.duration_seconds)
            .collect();
        let cost = relay.get("cost");
        self.ledger.add(id, went_live, &recorded, cost);
    }

    /// What must never be, and is.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut must = |holds: bool, what: &str, which: &[String]| {
            if !holds {
                broken.push(format!("{what} {}", which.join(", ")).trim_end().to_owned());
            }
        };
        let asked = usize::try_from(self.run.relays).unwrap_or(usize::MAX);
        must(self.started == asked, "a start was never taken", &[]);
        must(self.known == self.started, "a relay was lost", &[]);
        must(self.unfinished.is_empty(), "unfinished:", &self.unfinished);
        must(
            self.left.live_inputs.is_empty(),
            "live inputs left:",
            &self.left.live_inputs,
        );
        must(
            self.left.recorders.is_empty(),
            "recorders left:",
            &self.left.recorders,
        );
        must(self.owed.open.is_empty(), "debts open:", &self.owed.open);
        // Each of those that cannot be called is written down.
        let unknown = self.left.cut_off.iter();
        let unknown: Vec<String> = unknown
            .filter(|name| !self.owed.nameless.contains(name))
            .cloned()
            .collect();
        must(unknown.is_empty(), "recorders nobody knows of:", &unknown);
        must(
            self.ledger.wrong.is_empty(),
            "the ledger is wrong:",
            &self.ledger.wrong,
        );
        must(
            self.lives.died.is_empty(),
            "the service ended by itself:",
            &self.lives.died,
        );
        let forbidden: Vec<String> = self
            .violations
            .iter()
            .filter(|(kind, _)| !LOOKS.contains(&kind.as_str()))
            .map(|(kind, times)| format!("{kind} × {times}"))
            .collect();
        must(
            forbidden.is_empty(),
            "a vendor would not have forgiven:",
            &forbidden,
        );
        broken
    }
}

impl Left {
    pub(super) fn of(vendors: &Snapshot) -> Self {
        let mut left = Self::default();
        let inputs = vendors.live_inputs.iter().filter(|input| !input.deleted);
        left.live_inputs
            .extend(inputs.map(|input| input.uid.clone()));
        for recorder in vendors.recorders.iter().filter(|one| one.is_alive()) {
            if recorder.product == "cloud_recording" && !recorder.publishing {
                left.cut_off.push(recorder.name.clone());
            } else {
                left.recorders.push(recorder.id.clone());
            }
        }
        left
    }

    /// Whether nothing is left, or what ends by itself.
    pub(super) fn nothing(&self) -> bool {
        self.live_inputs.is_empty() && self.recorders.is_empty()
    }
}

/// A video's length as the vendor's API tells it.
fn milliseconds(seconds: f64) -> Duration {
    Duration::from_secs_f64((seconds * 1000.0).round() / 1000.0)
}

impl Ledger {
    fn add(&mut self, relay: &str, went_live: bool, recorded: &[f64], cost: Option<&Value>) {
        let cost = cost.filter(|cost| !cost.is_null());
        let belongs = went_live || !recorded.is_empty();
        self.relays += usize::from(belongs);
        self.rows += usize::from(cost.is_some());
        let Some(cost) = cost else {
            if belongs {
                self.wrong.push(format!("{relay} has no row"));
            }
            return;
        };
        let seconds = cost
            .get("duration_seconds")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        if !belongs {
            self.wrong.push(format!("{relay} has a row of {seconds} s"));
        } else if cost.get("source").and_then(Value::as_str) == Some("recording") {
            // Each to the millisecond, as the vendor's API tells them; floats do not add up to whole seconds.
            let vendors: Duration = recorded.iter().map(|one| milliseconds(*one)).sum();
            self.seconds += seconds;
            self.recorded += vendors;
            let rounded_up = vendors.as_secs() + u64::from(vendors.subsec_nanos() > 0);
            if seconds == rounded_up {
                self.exact += 1;
            } else {
                self.wrong
                    .push(format!("{relay} tells {seconds} s of {vendors:?}"));
            }
        } else {
            self.by_time += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ledger(went_live: bool, recorded: &[f64], cost: Value) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.add("a relay", went_live, recorded, Some(&cost));
        ledger
    }

    fn row(seconds: u64) -> Value {
        json!({ "duration_seconds": seconds, "source": "recording" })
    }

    #[test]
    fn a_row_tells_the_vendors_seconds_rounded_up() {
        assert_eq!(ledger(true, &[9.2, 3.1], row(13)).exact, 1);
        assert_eq!(ledger(true, &[9.2, 3.1], row(12)).wrong.len(), 1);
        // As floats they add up to 60.00000000000001.
        assert_eq!(ledger(true, &[24.1, 19.3, 16.6], row(60)).exact, 1);
    }

    #[test]
    fn who_went_live_or_was_recorded_has_a_row_and_nobody_else_has() {
        assert_eq!(ledger(true, &[], Value::Null).wrong.len(), 1);
        assert_eq!(ledger(false, &[1.0], Value::Null).wrong.len(), 1);
        assert_eq!(ledger(false, &[], row(1)).wrong.len(), 1);
        assert!(ledger(false, &[], Value::Null).wrong.is_empty());
    }

    /// A day on which everything went as it should.
    fn good() -> Report {
        Report {
            run: Run {
                relays: 1,
                hours: 1.0,
                speed: 100.0,
                seed: 1,
                took: Duration::from_secs(36),
                settled_after: Some(Duration::from_secs(1)),
            },
            started: 1,
            known: 1,
            outcomes: BTreeMap::new(),
            unfinished: Vec::new(),
            went_live: 1,
            replacements: 0,
            faults: 1,
            lives: Lives::default(),
            owed: Owed::default(),
            left: Left::default(),
            ledger: Ledger::default(),
            violations: BTreeMap::from([("name_conflict".to_owned(), 1)]),
            errors: Vec::new(),
        }
    }

    #[test]
    fn whatever_must_not_be_is_told() {
        assert_eq!(good().broken(), Vec::<String>::new());
        let spoil: [fn(&mut Report); 10] = [
            |day| day.started = 0,
            |day| day.known = 0,
            |day| day.unfinished.push("a relay".into()),
            |day| day.left.live_inputs.push("an input".into()),
            |day| day.left.recorders.push("a recorder".into()),
            |day| day.left.cut_off.push("a recorder nobody wrote down".into()),
            |day| day.owed.open.push("delete_video a video".into()),
            |day| day.ledger.wrong.push("a relay has no row".into()),
            |day| day.lives.died.push("in life 2".into()),
            |day| {
                day.violations.insert("double_publish".into(), 1);
            },
        ];
        for (place, spoil) in spoil.iter().enumerate() {
            let mut day = good();
            spoil(&mut day);
            assert!(!day.broken().is_empty(), "spoilt {place}");
        }
    }
}
