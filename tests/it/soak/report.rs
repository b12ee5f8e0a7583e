//! What happened in the run, and which promises it broke.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaykeeper::sandbox::WorldSnapshot;
use serde::Serialize;
use serde_json::Value;

use super::cleanup::Cleanup;
use super::service::Processes;
use crate::support::service::AFTER_A_LOST_ANSWER;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    pub(super) relays: u32,
    pub(super) hours: f64,
    pub(super) speed: f64,
    pub(super) seed: u64,
    pub(super) took: Duration,
    /// Since the last show; `None`: something was left in the end.
    pub(super) settled_after: Option<Duration>,
}

/// What still exists at the vendors and costs money.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Left {
    pub(super) live_inputs: Vec<String>,
    /// Egresses that publish, or could.
    pub(super) egresses: Vec<String>,
    /// Egresses that cannot reach Cloudflare: they end by themselves.
    pub(super) cut_off: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Ledger {
    /// Relays that went live or have a recording.
    pub(super) relays: usize,
    pub(super) rows: usize,
    /// Rows equal to the vendor's recordings, to the second.
    pub(super) exact: usize,
    /// Rows computed from the time live: no recording was found.
    pub(super) by_time: usize,
    /// Relays with a missing, unexpected or differing row.
    pub(super) wrong: Vec<String>,
    /// Seconds in the rows computed from recordings.
    pub(super) seconds: u64,
    /// Of the vendor's recordings of the same relays.
    pub(super) recorded: Duration,
}

/// Ingests that channels keep.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Kept {
    /// Relays that used one.
    pub(super) relays: usize,
    /// The ingests.
    pub(super) ingests: BTreeSet<String>,
    /// The relays of each recording.
    claims: BTreeMap<String, u32>,
    /// Channels that could not give theirs up.
    pub(super) never_given_up: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) run: Run,
    pub(super) started: usize,
    /// In the service at the end.
    pub(super) known: usize,
    pub(super) outcomes: BTreeMap<String, u32>,
    pub(super) unfinished: Vec<String>,
    pub(super) went_live: usize,
    pub(super) replacements: u64,
    pub(super) faults: u64,
    pub(super) processes: Processes,
    pub(super) cleanup: Cleanup,
    pub(super) left: Left,
    pub(super) ledger: Ledger,
    pub(super) kept: Kept,
    pub(super) violations: BTreeMap<String, u32>,
    /// The ERROR lines of the service's log.
    pub(super) errors: Vec<String>,
}

impl Report {
    pub(super) fn of(
        run: Run,
        started: usize,
        relays: &[Value],
        cleanup: Cleanup,
        processes: Processes,
        errors: Vec<String>,
        vendors: &WorldSnapshot,
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
            processes,
            cleanup,
            left: Left::of(vendors),
            ledger: Ledger::default(),
            kept: Kept::default(),
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

    fn add(&mut self, relay: &Value, vendors: &WorldSnapshot) {
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
        let recordings = relay.get("recordings").and_then(Value::as_array);
        let recordings = recordings.into_iter().flatten();
        let claimed: Vec<&str> = recordings
            .filter_map(|one| one.get("id")?.as_str())
            .collect();
        for recording in &claimed {
            *self.kept.claims.entry((*recording).to_owned()).or_default() += 1;
        }
        let keeps = text("/ingest_owner") == Some("channel");
        if let Some(ingest) = live_input.filter(|_| keeps) {
            self.kept.relays += 1;
            self.kept.ingests.insert(ingest.to_owned());
        }
        let videos = vendors.videos.iter();
        let recorded: Vec<f64> = videos
            .filter(|video| match keeps {
                true => claimed.contains(&video.uid.as_str()),
                false => live_input == Some(video.live_input.as_str()),
            })
            .map(|video| video.duration_seconds)
            .collect();
        let cost = relay.get("cost");
        self.ledger.add(id, went_live, &recorded, cost);
    }

    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut must = |holds: bool, what: &str, which: &[String]| {
            if !holds {
                broken.push(format!("{what} {}", which.join(", ")).trim_end().to_owned());
            }
        };
        let asked = usize::try_from(self.run.relays).unwrap_or(usize::MAX);
        must(self.started == asked, "a start was never accepted", &[]);
        must(self.known == self.started, "a relay was lost", &[]);
        must(self.unfinished.is_empty(), "unfinished:", &self.unfinished);
        must(
            self.left.live_inputs.is_empty(),
            "live inputs left:",
            &self.left.live_inputs,
        );
        must(
            self.left.egresses.is_empty(),
            "egresses left:",
            &self.left.egresses,
        );
        must(
            self.cleanup.open.is_empty(),
            "open cleanups:",
            &self.cleanup.open,
        );
        // One that cannot be stopped has a cleanup job.
        let unknown = self.left.cut_off.iter();
        let unknown: Vec<String> = unknown
            .filter(|name| !self.cleanup.unknown_sessions.contains(name))
            .cloned()
            .collect();
        must(
            unknown.is_empty(),
            "egresses without a cleanup job:",
            &unknown,
        );
        must(
            self.ledger.wrong.is_empty(),
            "the ledger is wrong:",
            &self.ledger.wrong,
        );
        must(
            self.kept.never_given_up.is_empty(),
            "kept ingests were never given up:",
            &self.kept.never_given_up,
        );
        let claims = self.kept.claims.iter();
        let twice: Vec<String> = claims
            .filter(|(_, relays)| **relays > 1)
            .map(|(recording, _)| recording.clone())
            .collect();
        must(twice.is_empty(), "recordings of two relays:", &twice);
        must(
            self.processes.crashed.is_empty(),
            "the service ended by itself:",
            &self.processes.crashed,
        );
        let forbidden: Vec<String> = self
            .violations
            .iter()
            .filter(|(kind, _)| !AFTER_A_LOST_ANSWER.contains(&kind.as_str()))
            .map(|(kind, times)| format!("{kind} × {times}"))
            .collect();
        must(forbidden.is_empty(), "violations at a vendor:", &forbidden);
        broken
    }
}

impl Left {
    pub(super) fn of(vendors: &WorldSnapshot) -> Self {
        let mut left = Self::default();
        let inputs = vendors.live_inputs.iter().filter(|input| !input.deleted);
        left.live_inputs
            .extend(inputs.map(|input| input.uid.clone()));
        for egress in vendors.egresses.iter().filter(|one| one.is_alive()) {
            if egress.product == "cloud_recording" && !egress.publishing {
                left.cut_off.push(egress.name.clone());
            } else {
                left.egresses.push(egress.id.clone());
            }
        }
        left
    }

    /// Whether only what ends by itself is left.
    pub(super) fn is_nothing(&self) -> bool {
        self.live_inputs.is_empty() && self.egresses.is_empty()
    }
}

/// As the vendor's API reports it.
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
            // Each to the millisecond: floats do not add up to whole seconds.
            let vendors: Duration = recorded.iter().map(|one| milliseconds(*one)).sum();
            self.seconds += seconds;
            self.recorded += vendors;
            let rounded_up = vendors.as_secs() + u64::from(vendors.subsec_nanos() > 0);
            if seconds == rounded_up {
                self.exact += 1;
            } else {
                self.wrong
                    .push(format!("{relay} has {seconds} s of {vendors:?}"));
            }
        } else {
            self.by_time += 1;
        }
    }
}

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
    fn a_row_has_the_vendors_seconds_rounded_up() {
        assert_eq!(ledger(true, &[9.2, 3.1], row(13)).exact, 1);
        assert_eq!(ledger(true, &[9.2, 3.1], row(12)).wrong.len(), 1);
        // As floats they add up to 60.00000000000001.
        assert_eq!(ledger(true, &[24.1, 19.3, 16.6], row(60)).exact, 1);
    }

    #[test]
    fn relays_that_went_live_or_were_recorded_have_a_row_and_no_others() {
        assert_eq!(ledger(true, &[], Value::Null).wrong.len(), 1);
        assert_eq!(ledger(false, &[1.0], Value::Null).wrong.len(), 1);
        assert_eq!(ledger(false, &[], row(1)).wrong.len(), 1);
        assert!(ledger(false, &[], Value::Null).wrong.is_empty());
    }

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
            processes: Processes::default(),
            cleanup: Cleanup::default(),
            left: Left::default(),
            ledger: Ledger::default(),
            kept: Kept::default(),
            violations: BTreeMap::from([("name_conflict".to_owned(), 1)]),
            errors: Vec::new(),
        }
    }

    #[test]
    fn each_broken_promise_is_reported() {
        assert_eq!(good().broken(), Vec::<String>::new());
        let breaks: [fn(&mut Report); 12] = [
            |run| run.started = 0,
            |run| run.known = 0,
            |run| run.unfinished.push("a relay".into()),
            |run| run.left.live_inputs.push("an input".into()),
            |run| run.left.egresses.push("an egress".into()),
            |run| {
                run.left
                    .cut_off
                    .push("an egress without a cleanup job".into())
            },
            |run| run.cleanup.open.push("delete_recording a recording".into()),
            |run| run.ledger.wrong.push("a relay has no row".into()),
            |run| run.kept.never_given_up.push("channel 1".into()),
            |run| {
                run.kept.claims.insert("a recording".into(), 2);
            },
            |run| run.processes.crashed.push("process 2".into()),
            |run| {
                run.violations.insert("double_publish".into(), 1);
            },
        ];
        for (place, broken) in breaks.iter().enumerate() {
            let mut run = good();
            broken(&mut run);
            assert!(!run.broken().is_empty(), "case {place}");
        }
    }
}
