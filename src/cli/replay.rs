//! `relaykeeper replay`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use relaykeeper::actors::{Replay, replay};
use relaykeeper::application;
use relaykeeper::config::Settings;
use relaykeeper::store::{PageRequest, RelayFilter, Store};
use uuid::Uuid;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Relay id.
    #[arg(required_unless_present = "all")]
    relay_id: Option<Uuid>,
    /// Replay all relays; print only those that differ.
    #[arg(long, conflicts_with = "relay_id")]
    all: bool,
}

pub(super) fn run(settings: Settings, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let relay_id = args.relay_id;
    application::run(async move {
        let store = Store::connect(&settings.database).await?;
        let differ = match relay_id {
            Some(relay_id) => one(&store, relay_id).await?,
            None => all(&store).await?,
        };
        store.close().await;
        Ok(if differ == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}

#[allow(clippy::print_stdout, reason = "the command's output")]
async fn one(store: &Store, relay_id: Uuid) -> anyhow::Result<usize> {
    let Some(Replay {
        entries,
        difference,
    }) = replay(store, relay_id).await?
    else {
        bail!("no relay has id {relay_id}");
    };
    for entry in &entries {
        let at = entry.at.format("%Y-%m-%d %H:%M:%S%.3f");
        println!(
            "{at}  {:<20} {:<14} {}",
            entry.kind,
            entry.phase,
            entry.actions.join(", ")
        );
    }
    match difference {
        None => {
            println!("{} entries; the stored state is equal", entries.len());
            Ok(0)
        }
        Some(difference) => {
            println!("DIFFERS: {difference}");
            Ok(1)
        }
    }
}

#[allow(clippy::print_stdout, reason = "the command's output")]
async fn all(store: &Store) -> anyhow::Result<usize> {
    let style = ProgressStyle::with_template("{spinner} {pos} relays replayed ({per_sec})")?;
    let progress = ProgressBar::new_spinner().with_style(style);
    let (mut seen, mut differ) = (0_usize, 0_usize);
    let mut cursor = None;
    loop {
        let page = store
            .relays(&RelayFilter::default(), &PageRequest { limit: 200, cursor })
            .await?;
        for stored in page.items {
            let relay_id = *stored.id;
            seen += 1;
            progress.inc(1);
            if let Some(Replay {
                difference: Some(difference),
                ..
            }) = replay(store, relay_id).await?
            {
                differ += 1;
                progress.suspend(|| println!("{relay_id}  {difference}"));
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    progress.finish_and_clear();
    println!("{seen} relays replayed, {differ} differ");
    Ok(differ)
}
