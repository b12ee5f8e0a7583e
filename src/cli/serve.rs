//! `relaykeeper serve`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use relaykeeper::application::{self, Application, descriptors};
use relaykeeper::config::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How to serve.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// On SIGTERM or SIGINT stop every relay, and exit when all egresses are down and no ingest lets anybody in.
    ///
    /// Waits two minutes at most, or until a second signal; what is not down by then, and what vendors did not answer, the next process on the same
    /// database goes on with. Recordings are found and ingests deleted by that process as well. Without this flag
    /// nothing is stopped: egresses keep running, and the next process adopts them.
    #[arg(long)]
    stop_all_on_exit: bool,
}

pub(super) fn run(settings: Settings, serve: &ServeArgs) -> anyhow::Result<ExitCode> {
    let missing = settings.missing_for_serve();
    if !missing.is_empty() {
        let lines = missing
            .iter()
            .map(|missing| format!("\n  {} ({}): {}", missing.key, missing.env, missing.how));
        bail!("settings are missing:{}", lines.collect::<String>());
    }
    if settings.database.is_in_memory() {
        bail!(super::IN_MEMORY);
    }
    for problem in settings.warnings() {
        tracing::warn!("{problem}");
    }
    if let Some(proxy) = relaykeeper::vendors::proxy()? {
        tracing::info!(%proxy, "vendors are called through a proxy");
    }
    let (limit, wanted) = (descriptors::raise(), settings.server.max_connections);
    let connections = descriptors::connections(wanted, limit);
    if connections < wanted {
        tracing::warn!(
            open_files = limit,
            connections,
            "the limit of open files is too low for server.max_connections: fewer connections are served"
        );
    }
    let stops_all = serve.stop_all_on_exit;
    let threads = settings.runtime.clone();
    application::run_on(&threads, async move {
        let signals = signals()?;
        let mut application = Application::build(settings).await?;
        if stops_all {
            application = application.stopping_all_on_exit(heard(signals.clone(), 2));
        }
        tracing::info!(address = %application.address()?, "listening");
        application.run_until(heard(signals, 1)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Counts the signals that tell a process to go.
fn signals() -> std::io::Result<watch::Receiver<u32>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Once it is listened to, it no longer ends the process. Who has a certificate reads it again.
    let _hang_up = signal(SignalKind::hangup())?;
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            count.send_modify(|count| *count += 1);
        }
    });
    Ok(counted)
}

/// Returns when so many have come.
async fn heard(mut signals: watch::Receiver<u32>, times: u32) {
    if signals.wait_for(|count| *count >= times).await.is_err() {
        // Nobody counts any more: then none comes.
        std::future::pending::<()>().await;
    }
}
