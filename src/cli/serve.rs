//! `relaykeeper serve`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use relaykeeper::application::{self, Application, descriptors};
use relaykeeper::config::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// On SIGTERM or SIGINT stop all relays, and exit when no egress runs and no ingest accepts a stream.
    ///
    /// Waits at most two minutes, or until a second signal. The next process on the same database finishes the rest, recordings
    /// and deletions too. Default: relays keep running and the next process adopts them.
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
        tracing::info!(%proxy, "calling vendors through a proxy");
    }
    let (limit, wanted) = (descriptors::raise(), settings.server.max_connections);
    let connections = descriptors::connections(wanted, limit);
    if connections < wanted {
        tracing::warn!(
            open_files = limit,
            connections,
            "open file limit too low for server.max_connections; accepting fewer connections"
        );
    }
    let stops_all = serve.stop_all_on_exit;
    let threads = settings.runtime.clone();
    application::run_on(&threads, async move {
        let signals = signals()?;
        let mut application = Application::build(settings).await?;
        if stops_all {
            application = application.stopping_all_on_exit(received(signals.clone(), 2));
        }
        tracing::info!(address = %application.address()?, "listening");
        application.run_until(received(signals, 1)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn signals() -> std::io::Result<watch::Receiver<u32>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Without a listener SIGHUP would end the process. The TLS module reloads certificates on it.
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

async fn received(mut signals: watch::Receiver<u32>, times: u32) {
    if signals.wait_for(|count| *count >= times).await.is_err() {
        // The counting task is gone: no signal arrives.
        std::future::pending::<()>().await;
    }
}
