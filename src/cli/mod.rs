//! The command line: one file per command.

mod check;
mod migrate;
mod probe;
mod replay;
#[cfg(feature = "sandbox")]
mod sandbox;
mod serve;
mod sweep;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use relaykeeper::config::{self, LogFormat, Settings};
use relaykeeper::telemetry;
use relaykeeper::vendors::governor::{PermitRequest, Priority};

const IN_MEMORY: &str = "`database.url` names a database in memory: after a restart, egresses would keep running unmanaged, at \
                         cost. Use a file, such as sqlite://relaykeeper.db?mode=rwc";

/// Broadcasts a seller's Agora channel over a streaming platform, stops it, and accounts for its cost.
///
/// Try it without any account:   relaykeeper sandbox --demo
/// Check the settings:           relaykeeper check
/// Run the service:              relaykeeper serve
///
/// Settings are read from ./config.toml (if present) and the environment: every key as RELAYKEEPER__SECTION__KEY,
/// some also by a short name (PORT, DATABASE_URL, AGORA_APP_ID, …).
#[derive(Debug, Parser)]
#[command(name = "relaykeeper", version, verbatim_doc_comment)]
struct Cli {
    /// Read settings from this file instead of ./config.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Format of log lines on standard error; overrides telemetry.log_format. RUST_LOG filters them.
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Serve the API and drive relays until SIGTERM or SIGINT.
    ///
    /// Migrates the database and resumes unfinished relays. On exit egresses keep running; the next process adopts them. On SQLite
    /// a second process only serves reads, and takes over when the first one exits.
    Serve(serve::ServeArgs),
    /// Apply, revert or show database migrations.
    Migrate(migrate::MigrateArgs),
    /// Check the settings, the database and both vendors' credentials.
    ///
    /// Prints what is missing and where to get it. Costs nothing. Exit code 1: something is wrong.
    Check,
    /// Test assumptions about the real vendors, free of charge (docs/vendors/README.md lists them).
    ///
    /// Creates and deletes one ingest (with Media Push also a converter for an empty channel), and requests objects that do not
    /// exist. Exit code 1: an assumption differs, or an object could not be deleted.
    Probe(probe::ProbeArgs),
    /// Replay a relay's journal and compare the result with the stored state.
    ///
    /// Prints time, fact, phase and calls of each entry. Exit code 1: the stored state differs.
    Replay(replay::ReplayArgs),
    /// Remove orphans from both vendors once, and list every object with a resource tag.
    ///
    /// The service does the same every `janitor.interval`. Keeps objects that are younger than `janitor.grace`, belong to an
    /// unfinished relay or a cleanup job, or are kept by policy. Only lists objects of other deployments or databases.
    Sweep(sweep::SweepArgs),
    /// Set up or show the platform's webhooks, or send a test message to the marketplace.
    Webhooks(webhooks::WebhooksArgs),
    /// Print the OpenAPI document.
    Openapi,
    /// Run the service with simulated vendors: no account, no credentials, no cost.
    ///
    /// Prints its address, its tokens and commands to try, and runs until Ctrl-C. With --demo: runs one relay from start to end.
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::SandboxArgs),
}

impl CliCommand {
    /// The log filter if `RUST_LOG` is unset.
    fn usual_logs(&self) -> &'static str {
        match self {
            Self::Serve(_) => telemetry::DEFAULT_FILTER,
            // Logs would clutter their output.
            Self::Migrate(_)
            | Self::Check
            | Self::Openapi
            | Self::Probe(_)
            | Self::Replay(_)
            | Self::Sweep(_)
            | Self::Webhooks(_) => "warn",
            #[cfg(feature = "sandbox")]
            Self::Sandbox(_) => "warn",
        }
    }
}

pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let settings = load(&cli);
    let configured = settings.as_ref().map(|settings| &settings.telemetry);
    let format = cli
        .log_format
        .or(configured.ok().map(|configured| configured.log_format))
        .unwrap_or_default();
    let collector = configured.map_or("", |configured| &configured.otlp_endpoint);
    let _telemetry = match telemetry::init_or(format, cli.command.usual_logs(), collector) {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(&anyhow::Error::new(error)),
    };
    let done = match cli.command {
        CliCommand::Serve(ref serve) => settings.and_then(|settings| serve::run(settings, serve)),
        CliCommand::Migrate(ref migrate) => {
            settings.and_then(|settings| migrate::run(settings, migrate))
        }
        CliCommand::Check => settings.and_then(check::run),
        CliCommand::Openapi => Ok(openapi()),
        CliCommand::Probe(ref args) => settings.and_then(|settings| probe::run(settings, args)),
        CliCommand::Replay(ref args) => settings.and_then(|settings| replay::run(settings, args)),
        CliCommand::Sweep(ref args) => settings.and_then(|settings| sweep::run(settings, args)),
        CliCommand::Webhooks(ref args) => {
            settings.and_then(|settings| webhooks::run(settings, args))
        }
        #[cfg(feature = "sandbox")]
        CliCommand::Sandbox(ref sandbox) => {
            settings.and_then(|settings| sandbox::run(sandbox, settings))
        }
    };
    done.unwrap_or_else(|error| failed(&error))
}

/// Needs no settings.
#[allow(clippy::print_stdout, reason = "the command's output")]
fn openapi() -> ExitCode {
    print!("{}", relaykeeper::api::openapi::text());
    ExitCode::SUCCESS
}

/// For a command's vendor call: no relay waits for it.
fn permit_request() -> PermitRequest {
    PermitRequest {
        priority: Priority::Start,
        until: tokio::time::Instant::now() + Duration::from_secs(30),
    }
}

fn load(cli: &Cli) -> anyhow::Result<Settings> {
    Ok(Settings::load(
        cli.config.as_deref(),
        config::environment(),
    )?)
}

#[allow(clippy::print_stderr, reason = "the command's messages")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("relaykeeper: {error:#}");
    ExitCode::FAILURE
}
