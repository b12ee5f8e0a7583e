//! `relaykeeper soak`: a day of many channels on simulated vendors, everything going wrong now and then, and a report of
//! what came of it.
//!
//! The service is this same program, `serve`, as a process of its own: it is killed without warning, told to go, and
//! started again on the same database. The vendors live here, so they survive it, as real ones would. They run as much
//! faster as is asked; the service's timers are shortened as much, but for those a busy machine could not keep
//! ([`service::timers`]).

mod door;
mod marketplace;
mod memory;
mod owed;
mod report;
mod service;
mod shows;
mod weather;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use relaykeeper::application;
use relaykeeper::config::Database;
use relaykeeper::sandbox::{Options, Quotas, Vendors, WebhookUrls};
use relaykeeper::store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use door::Door;
use marketplace::Marketplace;
use owed::Owed;
use report::{Left, Report, Run};
use service::{Mishaps, Service};
use weather::Weather;

/// Where the database and the service's log are, begun anew with each run.
const FOLDER: &str = "relaykeeper-soak";
/// Recorders of each of Agora's products at once: what is tried here is not their quota.
const RECORDERS: usize = 10_000;
/// Between two looks at whether all has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a day, and how full.
#[derive(Debug, Args)]
pub(super) struct Soak {
    /// So many relays are started in all, one after another on each of several channels.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    relays: u32,
    /// How long it lasts by the vendors' clock, in hours.
    #[arg(long, default_value_t = 24.0, value_parser = hours)]
    hours: f64,
    /// How much faster than the wall clock the vendors are, and as far as the machine allows the service's timers.
    #[arg(long, default_value_t = 100.0, value_parser = speed)]
    speed: f64,
    /// What goes wrong is drawn from this; when left out, from a seed that the report tells.
    #[arg(long)]
    seed: Option<u64>,
    /// How long, by the wall clock, it may take after the last show until nothing is left and nothing owed. An Agora task that
    /// answered 404 is looked for again for four minutes.
    #[arg(long, default_value = "6m", value_parser = humantime::parse_duration)]
    settle: Duration,
    /// Write the report to this file too: as JSON if it ends in .json, else as Markdown.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[allow(clippy::print_stdout, reason = "the answer to the command")]
pub(super) fn run(told: &Soak) -> anyhow::Result<ExitCode> {
    let seed = told.seed.unwrap_or_else(rand::random);
    let report = application::run(async move {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            report = day(told, seed) => report,
            _ = terminate.recv() => anyhow::bail!("told to stop before the day was over"),
            _ = interrupt.recv() => anyhow::bail!("told to stop before the day was over"),
        }
    })?;
    println!("{}", report.markdown());
    if let Some(file) = &told.report {
        let text = if file.extension().is_some_and(|ending| ending == "json") {
            serde_json::to_string_pretty(&report)?
        } else {
            report.markdown()
        };
        std::fs::write(file, text)
            .with_context(|| format!("the report cannot be written to {}", file.display()))?;
    }
    Ok(if report.broken().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A whole day, and the time until all has come to rest.
async fn day(told: &Soak, seed: u64) -> anyhow::Result<Report> {
    let lasts = Duration::from_secs_f64(told.hours * 3600.0 / told.speed);
    let folder = begin_anew(Path::new(FOLDER))?;
    let vendors = Vendors::start(Options {
        speed: told.speed,
        wire_speed: Some(1.0),
        seed: Some(seed),
        // How prompt a busy machine is is not what is tried here.
        start_within: Duration::from_secs(60),
        quotas: Quotas {
            max_recorders: RECORDERS,
            max_converters: RECORDERS,
            ..Quotas::default()
        },
        ..Options::default()
    })
    .context("the simulated vendors cannot be started")?;
    let mut dice = StdRng::seed_from_u64(seed);
    let channels = shows::plan(told.relays, lasts, &mut dice);
    let mut service = Service::new(&vendors, told.speed, folder)?;
    let door = service.door().clone();
    vendors.set_webhooks(webhooks(&door.url));
    service.start().await?;

    let progress = progress(told.relays);
    let weather = Weather::new(&vendors, told.speed, &mut dice);
    let mishaps = Mishaps::new(&mut dice);
    let marketplace = Marketplace::new(door.clone(), &vendors);
    let began = Instant::now();
    let (started, ended, ()) = tokio::join!(
        marketplace.play(channels, began, &progress),
        mishaps.happen(&mut service, lasts),
        weather.blow(lasts),
    );
    ended?;
    vendors.clear_faults();
    progress.set_message("comes to rest");
    let store = Store::connect(&Database {
        url: service.database_url().into(),
        ..Database::default()
    })
    .await?;
    let settled_after = settle(&door, &store, &vendors, told.settle).await;
    progress.finish_and_clear();

    let relays = marketplace.relays(&started).await;
    let state = vendors.state();
    let owed = Owed::read(&store, &state).await?;
    store.close().await;
    let run = Run {
        relays: told.relays,
        hours: told.hours,
        speed: told.speed,
        seed,
        took: began.elapsed(),
        settled_after,
    };
    let (lives, errors) = (service.lives(), service.errors());
    let report = Report::of(run, started.len(), &relays, owed, lives, errors, &state);
    service.terminate().await;
    Ok(report)
}

/// Waits until every relay has ended, nothing is left at the vendors and nothing is owed; how long that took, or none when
/// it took too long.
async fn settle(
    door: &Door,
    store: &Store,
    vendors: &Vendors,
    limit: Duration,
) -> Option<Duration> {
    let began = Instant::now();
    loop {
        let state = vendors.state();
        let owed = Owed::read(store, &state).await;
        let is_settled = owed.is_ok_and(|owed| owed.is_settled());
        if is_settled && door.in_work().await == Some(0) && Left::of(&state).nothing() {
            return Some(began.elapsed());
        }
        if began.elapsed() >= limit {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn webhooks(url: &str) -> WebhookUrls {
    let at = |path: &str| Some(format!("{url}/webhooks/{path}"));
    WebhookUrls {
        cloudflare_live: at("cloudflare/live"),
        cloudflare_stream: at("cloudflare/stream"),
        agora: at("agora"),
        duplicates: true,
        reordered: true,
    }
}

fn progress(relays: u32) -> ProgressBar {
    // On standard error; drawn on a terminal only.
    let progress = ProgressBar::new(u64::from(relays));
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bar:32} {pos}/{len} shows, {elapsed} {msg}")
    {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(200));
    progress
}

/// What an earlier run left speaks of vendors that are gone.
fn begin_anew(folder: &Path) -> anyhow::Result<PathBuf> {
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
                return Err(error).with_context(|| format!("cannot begin {file} anew"));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(folder)
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if (0.01..=1000.0).contains(&hours) => Ok(hours),
        Ok(_) | Err(_) => Err("a number from 0.01 to 1000 is wanted".to_owned()),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (1.0..=1000.0).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err("a number from 1 to 1000 is wanted".to_owned()),
    }
}
