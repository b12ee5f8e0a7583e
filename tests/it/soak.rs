//! The soak (`docs/soak.md`). The vendors live in this process and outlive the service's.
#![cfg(feature = "sandbox")]

mod cleanup;
mod client;
mod marketplace;
mod memory;
mod report;
mod schedule;
mod service;
mod vendor_faults;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use relaykeeper::application;
use relaykeeper::config::DatabaseSettings;
use relaykeeper::sandbox::{Quotas, SimulatedVendors, WebhookUrls};
use relaykeeper::{sandbox, store::Store};
use tokio::time::Instant;

use crate::support::service::webhooks;
use cleanup::Cleanup;
use client::Client;
use marketplace::Marketplace;
use report::{Left, Report, Run};
use service::{ProcessFaults, Service};
use vendor_faults::VendorFaults;

const OPTIONS: &str = "RELAYKEEPER_SOAK";
/// Of each of Agora's products: more than a run needs.
const EGRESSES: usize = 10_000;
const POLL_EVERY: Duration = Duration::from_millis(500);

/// Starts shows on simulated vendors while vendors, sellers and the service fail.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// How many relays are started, on several channels.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    relays: u32,
    /// Hours of the run on the vendors' clock (0.01 to 1000).
    #[arg(long, default_value_t = 24.0, value_parser = |text: &str| within(text, 0.01))]
    hours: f64,
    /// How many times as fast as the wall clock the vendors run (1 to 1000); the service's timers follow as far as the machine allows.
    #[arg(long, default_value_t = 100.0, value_parser = |text: &str| within(text, 1.0))]
    speed: f64,
    /// Seed of the schedule and the faults. The default is random.
    #[arg(long)]
    seed: Option<u64>,
    /// How long the service has after the last show to remove everything at the vendors, by the wall clock. It polls an Agora
    /// task that answered 404 for up to four minutes at speed 1.
    #[arg(long, default_value = "6m", value_parser = humantime::parse_duration)]
    settle: Duration,
    /// File of the report: JSON if it ends in .json, else Markdown.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Folder of the service's database and log; those of an earlier run are deleted.
    #[arg(long, default_value = "target/soak")]
    folder: PathBuf,
}

fn within(text: &str, at_least: f64) -> Result<f64, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (at_least..=1000.0).contains(number));
    number.ok_or_else(|| format!("must be a number from {at_least} to 1000"))
}

fn options(options: &str) -> Options {
    Options::parse_from(std::iter::once("soak").chain(options.split_whitespace()))
}

#[test]
fn after_faults_and_crashes_nothing_is_left_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let options = match std::env::var(OPTIONS) {
        Ok(asked) => options(&asked),
        Err(_) => Options {
            folder: folder.path().to_owned(),
            ..options("--relays 16 --hours 0.35 --speed 100 --settle 25s")
        },
    };
    let report = soak(&options);
    println!("{}", report.markdown());
    if let Some(file) = &options.report {
        write(&report, file).unwrap();
    }
    let broken = report.broken();
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(report.faults > 0 && report.processes.killed > 0 && report.ledger.rows > 0);
}

#[test]
fn a_run_that_does_not_settle_reports_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let report = soak(&Options {
        folder: folder.path().to_owned(),
        ..options("--relays 40 --hours 0.02 --speed 100 --settle 0s --seed 3")
    });
    let text = report.markdown();
    assert!(!report.broken().is_empty(), "{text}");
    assert!(text.contains("Broken promises"), "{text}");
}

#[test]
fn options_out_of_range_are_refused() {
    for refused in ["--relays 0", "--hours 0", "--speed 1001", "--settle soon"] {
        let options = std::iter::once("soak").chain(refused.split_whitespace());
        assert!(Options::try_parse_from(options).is_err(), "{refused}");
    }
}

fn write(report: &Report, file: &Path) -> anyhow::Result<()> {
    let is_json = file.extension().is_some_and(|ending| ending == "json");
    let text = match is_json {
        true => serde_json::to_string_pretty(report)?,
        false => report.markdown(),
    };
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn soak(options: &Options) -> Report {
    let seed = options.seed.unwrap_or_else(rand::random);
    application::run(run(options, seed)).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"))
}

async fn run(options: &Options, seed: u64) -> anyhow::Result<Report> {
    let duration = Duration::from_secs_f64(options.hours * 3600.0 / options.speed);
    let folder = empty_folder(&options.folder)?;
    let vendors = SimulatedVendors::start(sandbox::Options {
        speed: options.speed,
        wire_speed: Some(1.0),
        seed: Some(seed),
        // A busy machine starts late.
        start_within: Duration::from_secs(60),
        quotas: Quotas {
            max_egresses: EGRESSES,
            max_converters: EGRESSES,
            ..Quotas::default()
        },
        ..sandbox::Options::default()
    })
    .context("cannot start the simulated vendors")?;
    let mut rng = StdRng::seed_from_u64(seed);
    let channels = schedule::plan(options.relays, duration, &mut rng);
    let ids: Vec<u64> = channels.iter().map(|channel| channel.id).collect();
    let mut service = Service::new(&vendors, options.speed, &folder)?;
    let client = service.client().clone();
    vendors.set_webhooks(WebhookUrls {
        duplicates: true,
        reordered: true,
        ..webhooks(service.url())
    });
    service.start().await?;

    let vendor_faults = VendorFaults::new(&vendors, options.speed, &mut rng);
    let process_faults = ProcessFaults::new(&mut rng);
    let marketplace = Marketplace::new(client.clone(), &vendors);
    let began = Instant::now();
    let (started, faults, ()) = tokio::join!(
        marketplace.play(channels, began),
        process_faults.run(&mut service, duration),
        vendor_faults.run(duration),
    );
    faults?;
    vendors.clear_faults();
    let store = Store::connect(&DatabaseSettings {
        url: service.database_url().into(),
        ..DatabaseSettings::default()
    })
    .await?;
    let never_given_up = marketplace.give_up(&ids).await;
    let settled_after = settle(&client, &store, &vendors, options.settle).await;

    let relays = marketplace.relays(&started).await;
    let state = vendors.state();
    let cleanup = Cleanup::read(&store, &state).await?;
    store.close().await;
    let run = Run {
        relays: options.relays,
        hours: options.hours,
        speed: options.speed,
        seed,
        took: began.elapsed(),
        settled_after,
    };
    let (processes, errors) = (service.processes(), service.errors());
    let mut report = Report::of(
        run,
        started.len(),
        &relays,
        cleanup,
        processes,
        errors,
        &state,
    );
    report.kept.never_given_up = never_given_up;
    service.terminate().await;
    Ok(report)
}

/// Waits until every relay has ended and nothing is left to remove; `None` if the limit passed first.
async fn settle(
    client: &Client,
    store: &Store,
    vendors: &SimulatedVendors,
    limit: Duration,
) -> Option<Duration> {
    let began = Instant::now();
    loop {
        let state = vendors.state();
        let cleanup = Cleanup::read(store, &state).await;
        let is_done = cleanup.is_ok_and(|cleanup| cleanup.is_done());
        if is_done && client.actors().await == Some(0) && Left::of(&state).is_nothing() {
            return Some(began.elapsed());
        }
        if began.elapsed() >= limit {
            return None;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The vendors of an earlier run are gone.
fn empty_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    for file in [
        service::DATABASE.to_owned(),
        format!("{}-wal", service::DATABASE),
        format!("{}-shm", service::DATABASE),
        service::LOG.to_owned(),
    ] {
        match std::fs::remove_file(folder.join(&file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot delete {file}"));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(folder)
}
