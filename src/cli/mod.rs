//! What relaykeeper can be told to do. Each command's `--help` says what it needs.

mod check;
mod migrate;
#[cfg(feature = "sandbox")]
mod sandbox;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use relaykeeper::config::{self, Settings};
use relaykeeper::telemetry::{self, LogFormat};

/// Puts a seller's Agora channel on air over Cloudflare Stream, keeps it there, takes it down and accounts for it.
///
/// Try it without any account:   relaykeeper sandbox --demo
/// See what is missing:          relaykeeper check
/// Run it:                       relaykeeper serve
///
/// Settings come from ./config.toml (if there is one), then from the environment: every key as
/// RELAYKEEPER__SECTION__KEY, and the customary names (PORT, DATABASE_URL, CLOUDFLARE_STREAM_API_TOKEN, …).
#[derive(Debug, Parser)]
#[command(name = "relaykeeper", version, verbatim_doc_comment)]
struct Cli {
    /// Read the settings from this file instead of ./config.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines look (on standard error; RUST_LOG sets what is logged).
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Pretty)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and drive relays.
    ///
    /// Brings the database's schema up to date, goes on with every relay a process before it left unfinished, and runs
    /// until SIGTERM or SIGINT. Recorders keep running when it goes down: the next process adopts them. A second process
    /// on the same database serves reads, is not ready, and waits.
    Serve(serve::Serve),
    /// Bring the database's schema up, take it down, or show how far it is.
    Migrate(migrate::Migrate),
    /// Are the settings complete, and do both vendors take the credentials?
    ///
    /// Says what is missing and how to get it. Calls both vendors, creates nothing. Exit code 1 when something is wrong.
    Check,
    /// Run the service on simulated vendors: no account, no credentials, no cost.
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::Sandbox),
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = telemetry::init(cli.log_format) {
        return failed(&anyhow::Error::new(error));
    }
    let done = match cli.command {
        Command::Serve(ref serve) => load(&cli).and_then(|settings| serve::run(settings, serve)),
        Command::Migrate(ref migrate) => {
            load(&cli).and_then(|settings| migrate::run(settings, migrate))
        }
        Command::Check => load(&cli).and_then(check::run),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(sandbox) => sandbox::run(sandbox),
    };
    done.unwrap_or_else(|error| failed(&error))
}

/// The settings, as the file and the environment have them.
fn load(cli: &Cli) -> anyhow::Result<Settings> {
    Ok(Settings::load(
        cli.config.as_deref(),
        config::environment(),
    )?)
}

#[allow(clippy::print_stderr, reason = "the command line's own words")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("relaykeeper: {error:#}");
    ExitCode::FAILURE
}
