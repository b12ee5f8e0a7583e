//! `relaykeeper sandbox`.

use std::process::ExitCode;

use clap::Args;

/// What the sandbox can be told.
#[derive(Debug, Args)]
pub(super) struct Sandbox {}

pub(super) fn run(_: Sandbox) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
