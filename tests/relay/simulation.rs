//! Runs the core against a model of Agora and of a platform in virtual time: whatever fails, crashes, is lost or comes
//! late, nothing is left over or done twice.
//!
//! `SEED=…` runs one relay and prints a trace; `SIM_RELAYS=…` sets the number of relays, `SIM_FROM=…` the first seed.

mod dice;
mod faults;
mod kept;
mod mutants;
mod objects;
mod queue;
mod run;
mod vendors;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use strum::IntoEnumIterator;

use crate::platforms::{Lack, Platform, WORST};
use dice::Dice;
use mutants::Mutant;
use run::{Broken, Report, Run};

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The platforms of a run.
#[derive(Debug, Clone, Copy)]
enum Platforms {
    Best,
    Worst,
    Mux,
    Ivs,
    Without(Lack),
    /// Each relay has another.
    Drawn,
}

impl Platforms {
    fn of(self, seed: u64) -> Platform {
        match self {
            Self::Best => Platform::best(),
            Self::Worst => Platform::without(&WORST),
            Self::Mux => Platform::mux(),
            Self::Ivs => Platform::ivs(),
            Self::Without(lack) => Platform::without(&[lack]),
            Self::Drawn => {
                let mut dice = Dice::new(!seed);
                let lacks: Vec<_> = Lack::iter().filter(|_| dice.chance(400)).collect();
                Platform::without(&lacks)
            }
        }
    }

    fn fixed() -> impl Iterator<Item = Self> {
        let one_lack = Lack::iter().map(Self::Without);
        [Self::Best, Self::Worst, Self::Mux]
            .into_iter()
            .chain(one_lack)
    }
}

/// Runs seeds on all cores. Returns the reports of relays that broke no rule, and the broken rules by seed.
fn run_all(
    from: u64,
    relays: u64,
    platforms: Platforms,
    mutant: Mutant,
) -> (Vec<Report>, Vec<Broken>) {
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
                    match Run::of(seed, &platforms.of(seed), mutant, false) {
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

fn failure_text(platforms: Platforms, broken: &Broken) -> String {
    format!(
        "{}\nSEED={}: {}\n(run it alone: SEED={} cargo test -p relaykeeper-relay-tests {})",
        broken.trace,
        broken.seed,
        broken.rule,
        broken.seed,
        match platforms {
            Platforms::Best | Platforms::Without(_) => "nothing_leaks_and",
            Platforms::Worst => "nothing_leaks_on_the_worst",
            Platforms::Mux => "nothing_leaks_on_mux",
            Platforms::Ivs => "nothing_leaks_on_ivs",
            Platforms::Drawn => "nothing_leaks_on_any",
        }
    )
}

/// Runs this many relays, which must break no rule.
fn nothing_leaks(platforms: Platforms, relays: u64) -> Vec<Report> {
    let traced = |seed| Run::of(seed, &platforms.of(seed), Mutant::None, true);
    if let Some(seed) = env("SEED") {
        let ended = traced(seed);
        panic!(
            "{}",
            ended.map_or_else(|b| failure_text(platforms, &b), |r| format!("{r:?}"))
        );
    }
    let relays = env("SIM_RELAYS").unwrap_or(relays);
    let from = env("SIM_FROM").unwrap_or(1);
    let (reports, broken) = run_all(from, relays, platforms, Mutant::None);
    if let Some(first) = broken.first() {
        let first = traced(first.seed).expect_err("a seed is deterministic");
        panic!(
            "{}\n{} of {relays}: {:#?}",
            failure_text(platforms, &first),
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
            reports.iter().any(|r| r.unnamed_egress),
            "an egress of unknown handle"
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
    reports
}

#[test]
fn nothing_leaks_and_nothing_is_lost_whatever_fails() {
    nothing_leaks(Platforms::Best, 100_000);
}

#[test]
fn nothing_leaks_on_the_worst_platform() {
    let reports = nothing_leaks(Platforms::Worst, 10_000);
    if reports.len() >= 10_000 {
        assert!(reports.iter().any(|r| r.looked_up), "an ingest looked up");
        assert!(reports.iter().any(|r| r.had_others), "two of one tag");
        assert!(reports.iter().any(|r| r.waited), "a removal that waits");
        assert!(reports.iter().any(|r| r.not_final), "an early recording");
    }
}

#[test]
fn nothing_leaks_on_mux() {
    nothing_leaks(Platforms::Mux, 10_000);
}

#[test]
fn nothing_leaks_on_ivs() {
    nothing_leaks(Platforms::Ivs, 10_000);
}

#[test]
fn nothing_leaks_on_any_platform() {
    nothing_leaks(Platforms::Drawn, 10_000);
}

/// Plants a bug. On every platform that it can hurt it must break its rule within 10,000 relays.
fn caught(mutant: Mutant, by: &str) {
    let hurt: Vec<_> = Platforms::fixed()
        .filter(|platforms| mutant.hurts(&platforms.of(0)))
        .collect();
    assert!(!hurt.is_empty(), "{mutant:?} hurts nothing");
    for platforms in hurt {
        let seed = caught_on(platforms, mutant, by);
        println!("{mutant:?} is caught on {platforms:?} in relay {seed}");
    }
}

fn caught_on(platforms: Platforms, mutant: Mutant, by: &str) -> u64 {
    let mut seen = BTreeMap::new();
    let (mut from, mut relays) = (1, 50);
    while from < 10_000 {
        let (_, broken) = run_all(from, relays, platforms, mutant);
        let caught = broken.iter().find(|broken| broken.rule.contains(by));
        if let Some(Broken { seed, .. }) = caught {
            return *seed;
        }
        seen.append(&mut tally(&broken));
        from += relays;
        relays = (relays * 2).min(10_001 - from);
    }
    panic!("{mutant:?} was not seen as \"{by}\" on {platforms:?}, only as {seen:?}");
}

#[test]
fn a_start_repeated_without_polling_is_caught() {
    caught(Mutant::StartWithoutPolling, "is unowned");
}

#[test]
fn an_ingest_created_twice_is_caught() {
    caught(Mutant::CreateBlindly, "is unowned");
}

#[test]
fn a_replacement_without_a_new_key_is_caught() {
    caught(Mutant::ReplaceWithoutRenewing, "egresses can publish");
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
fn an_ingest_that_is_never_closed_is_caught() {
    caught(Mutant::CloseForgotten, "is not closed");
}

#[test]
fn an_ingest_that_is_never_removed_is_caught() {
    caught(Mutant::RemoveForgotten, "is unowned");
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

#[test]
fn a_second_ingest_of_the_same_tag_that_is_forgotten_is_caught() {
    caught(Mutant::OthersForgotten, "is unowned");
}

#[test]
fn a_look_up_that_is_believed_once_is_caught() {
    caught(Mutant::LookUpBelieved, "is unowned");
}

#[test]
fn an_ingest_that_is_given_up_while_its_broadcast_goes_on_is_caught() {
    caught(Mutant::StillLiveMeansRemoved, "is unowned");
}

#[test]
fn a_recording_that_is_taken_before_it_is_complete_is_caught() {
    caught(Mutant::ReadyMeansFinal, "ms counts");
}

#[test]
fn a_search_for_recordings_where_there_are_none_is_caught() {
    caught(
        Mutant::RecordingsExpected,
        "searched for where there are none",
    );
}

#[test]
fn a_kept_ingest_whose_key_is_not_renewed_is_caught() {
    caught(Mutant::KeptKeyStays, "can publish");
}

#[test]
fn a_show_that_goes_on_with_an_earlier_broadcast_is_caught() {
    caught(Mutant::BroadcastGoesOn, "glued to");
}

#[test]
fn an_earlier_show_taken_for_this_one_is_caught() {
    caught(
        Mutant::EarlierSessionsForgotten,
        "an earlier show's recording is claimed",
    );
}
