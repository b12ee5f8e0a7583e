//! `relaykeeper serve`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use relaykeeper::application::{self, Application};
use relaykeeper::config::Settings;
use tokio::signal::unix::{SignalKind, signal};

/// How to serve.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// On SIGTERM or SIGINT stop every relay, and exit when all recorders are down and no live input lets anybody in.
    ///
    /// Waits two minutes at most; what is not down by then, and what vendors did not answer, the next process on the same
    /// database goes on with. Recordings are found and live inputs deleted by that process as well. Without this flag
    /// nothing is stopped: recorders keep running, and the next process adopts them.
    #[arg(long)]
    stop_all_on_exit: bool,
}

pub(super) fn run(settings: Settings, serve: &Serve) -> anyhow::Result<ExitCode> {
    let missing = settings.missing_for_serve();
    if !missing.is_empty() {
        let lines = missing
            .iter()
            .map(|missing| format!("\n  {} ({}): {}", missing.key, missing.env, missing.how));
        bail!("settings are missing:{}", lines.collect::<String>());
    }
    for problem in settings.warnings() {
        tracing::warn!("{problem}");
    }
    let stops_all = serve.stop_all_on_exit;
    application::run(async move {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let application = Application::build(settings)
            .await?
            .stopping_all_on_exit(stops_all);
        tracing::info!(address = %application.address()?, "listening");
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        application.run_until(stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}
