//! Runs the core against a model of both vendors in virtual time: whatever fails, crashes, is lost or comes late,
//! nothing is left over or done twice.
//!
//! `SEED=…` runs one relay and prints a trace; `SIM_RELAYS=…` sets the number of relays, `SIM_FROM=…` the first seed.

mod dice;
mod faults;
mod mutants;
mod objects;
mod queue;
mod run;
mod vendors;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use mutants::Mutant;
use run::{Broken, Report, Run};

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs seeds on all cores. Returns the reports of relays that broke no rule, and the broken rules by seed.
fn run_all(from: u64, relays: u64, mutant: Mutant) -> (Vec<Report>, Vec<Broken>) {
    let next = AtomicU64::new(from);
    let all = Mutex::new((Vec::new(), Vec::new()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let (mut reports, mut broken) = (Vec::new(), Vec::new());
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + relays {
                        break;
                    }
                    match Run::of(seed, mutant, false) {
                        Ok(report) => reports.push(report),
                        Err(rule) => broken.push(rule),
                    }
                }
                let mut all = all.lock().unwrap();
                all.0.extend(reports);
                all.1.extend(broken);
            });
        }
    });
    let (reports, mut broken) = all.into_inner().unwrap();
    broken.sort_by_key(|broken: &Broken| broken.seed);
    (reports, broken)
}

/// The broken rules, how often, and the first seed of each.
fn tally(broken: &[Broken]) -> BTreeMap<String, (usize, u64)> {
    let mut rules = BTreeMap::new();
    for broken in broken {
        let rule = broken.rule.chars().filter(|c| !c.is_ascii_digit()).take(50);
        let (times, _) = rules.entry(rule.collect()).or_insert((0, broken.seed));
        *times += 1;
    }
    rules
}

fn failure_text(broken: &Broken) -> String {
    format!(
        "{}\nSEED={}: {}\n(run it alone: SEED={} cargo test -p relaykeeper-relay-tests nothing_leaks)",
        broken.trace, broken.seed, broken.rule, broken.seed
    )
}

#[test]
fn nothing_leaks_and_nothing_is_lost_whatever_fails() {
    if let Some(seed) = env("SEED") {
        let broken = Run::of(seed, Mutant::None, true);
        panic!(
            "{}",
            broken.map_or_else(|b| failure_text(&b), |r| format!("{r:?}"))
        );
    }
    let relays = env("SIM_RELAYS").unwrap_or(100_000);
    let (reports, broken) = run_all(env("SIM_FROM").unwrap_or(1), relays, Mutant::None);
    if let Some(first) = broken.first() {
        let first = Run::of(first.seed, Mutant::None, true).expect_err("a seed is deterministic");
        panic!(
            "{}\n{} of {relays}: {:#?}",
            failure_text(&first),
            broken.len(),
            tally(&broken)
        );
    }
    let mut outcomes = BTreeMap::<String, usize>::new();
    for report in &reports {
        let name = report
            .outcome
            .map_or("never stored".into(), |o| o.to_string());
        *outcomes.entry(name).or_default() += 1;
    }
    let sum = |of: fn(&Report) -> u32| reports.iter().map(|r| u64::from(of(r))).sum::<u64>();
    println!(
        "{} relays: {outcomes:?}; live {}, interrupted {}, replaced {}, crashes {}, faults {}, cleanup jobs {}, events {}",
        reports.len(),
        reports.iter().filter(|r| r.live).count(),
        reports.iter().filter(|r| r.interrupted).count(),
        sum(|r| r.replacements),
        sum(|r| r.crashes),
        sum(|r| r.faults),
        sum(|r| r.cleanup_jobs),
        sum(|r| r.events),
    );
    if relays >= 10_000 {
        // A case that never occurs proves nothing.
        assert!(
            reports.iter().any(|r| r.unknown_egress),
            "an egress of unknown session"
        );
        assert!(
            reports.iter().any(|r| r.replacements == 2),
            "two replacements"
        );
        for code in [
            "seller_left",
            "live_timeout",
            "recorder_lost",
            "live_input_gone",
            "max_duration",
            "vendor_unauthorized",
        ] {
            assert!(outcomes.contains_key(code), "{code} in {outcomes:?}");
        }
    }
}

/// Plants a bug, which must break its rule within 10,000 relays.
fn caught(mutant: Mutant, by: &str) {
    const AT_ONCE: u64 = 500;
    let mut seen = BTreeMap::new();
    for part in 0..20 {
        let (_, broken) = run_all(1 + part * AT_ONCE, AT_ONCE, mutant);
        let caught = broken.iter().find(|broken| broken.rule.contains(by));
        if let Some(Broken { seed, rule, .. }) = caught {
            println!("{mutant:?} is caught in relay {seed}: {rule}");
            return;
        }
        seen.append(&mut tally(&broken));
    }
    panic!("{mutant:?} was not seen as \"{by}\", only as {seen:?}");
}

#[test]
fn a_start_repeated_without_polling_is_caught() {
    caught(Mutant::StartWithoutPolling, "is unowned");
}

#[test]
fn an_ingest_created_twice_is_caught() {
    caught(Mutant::CreateWithoutKey, "is unowned");
}

#[test]
fn a_replacement_without_new_keys_is_caught() {
    caught(Mutant::ReplaceWithoutRotating, "egresses can publish");
}

#[test]
fn one_404_taken_for_the_end_is_caught() {
    caught(Mutant::OneMissMeansGone, "is not proved gone");
}

#[test]
fn an_egress_that_is_never_stopped_is_caught() {
    caught(Mutant::StopForgetsEgress, "is unowned");
}

#[test]
fn an_ingest_that_is_never_disabled_is_caught() {
    caught(Mutant::DisableForgotten, "is not disabled");
}

#[test]
fn an_ingest_that_is_never_deleted_is_caught() {
    caught(Mutant::DeleteForgotten, "is unowned");
}

#[test]
fn a_cleanup_job_that_is_never_written_is_caught() {
    caught(Mutant::CleanupJobsDropped, "is unowned");
}

#[test]
fn a_call_whose_intent_is_not_stored_is_caught() {
    caught(Mutant::ActBeforeStore, "is unowned");
}

#[test]
fn a_store_that_forgets_is_caught() {
    caught(Mutant::LastEntryLost, "out of order");
}
