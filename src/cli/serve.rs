//! `relaykeeper serve`.

use std::process::ExitCode;

use anyhow::bail;
use relaykeeper::application::{self, Application};
use relaykeeper::config::Settings;
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
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
    application::run(async move {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let application = Application::build(settings).await?;
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
