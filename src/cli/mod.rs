//! What relaykeeper can be told to do. Each command's `--help` says what it needs.

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

use clap::{Parser, Subcommand};
use relaykeeper::config::{self, LogFormat, Settings};
use relaykeeper::telemetry;

/// Why a database in memory cannot be served from.
const IN_MEMORY: &str = "`database.url` names a database in memory: a restart would forget relays whose egresses run on, and \
                         cost money. Name a file, such as sqlite://relaykeeper.db?mode=rwc";

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
    /// How log lines look (on standard error; RUST_LOG sets what is logged). Without it the settings say.
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Serve the API and drive relays.
    ///
    /// Brings the database's schema up to date, goes on with every relay a process before it left unfinished, and runs
    /// until SIGTERM or SIGINT. Egresses keep running when it goes down: the next process adopts them. A second process
    /// on the same database serves reads, is not ready, and waits.
    Serve(serve::ServeArgs),
    /// Bring the database's schema up, take it down, or show how far it is.
    Migrate(migrate::MigrateArgs),
    /// Are the settings complete, and do both vendors take the credentials?
    ///
    /// Says what is missing and how to get it. Calls both vendors, but nothing that costs money. Exit code 1 when something
    /// is wrong.
    Check,
    /// Try at the real vendors what is assumed of them, at no cost: docs/vendors/README.md lists it.
    ///
    /// Makes one ingest (Media Push: and one converter for a channel nobody is in), reads, changes and deletes it, and
    /// asks for what is not there. Says of each assumption whether it holds. Exit code 1 when one differs, or when something
    /// could not be deleted.
    Probe(probe::ProbeArgs),
    /// Fold a relay's journal through the life cycle again, and compare what comes out with what is stored.
    ///
    /// Shows each entry: time, fact, phase after it, calls that were asked for. Exit code 1 when the stored state differs.
    Replay(replay::ReplayArgs),
    /// Remove from the vendors what is ours and nobody's: once, and show all that bears a tag.
    ///
    /// The running service does the same at every `janitor.interval`. Objects younger than `janitor.grace`, of unfinished
    /// relays, named by a cleanup job, or kept by policy are left alone; marks of other deployments or databases are only shown.
    Sweep(sweep::SweepArgs),
    /// Set up Cloudflare's webhooks, show how they are set up, or send a test message to the marketplace.
    Webhooks(webhooks::WebhooksArgs),
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Run the service on simulated vendors: no account, no credentials, no cost.
    ///
    /// Starts both vendors on this machine and the service on them, prints its address, its tokens and what to try, and runs
    /// until Ctrl-C. With --demo: one relay from its start to its end, told as it happens.
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::SandboxArgs),
}

impl CliCommand {
    /// What is logged when `RUST_LOG` does not say.
    fn usual_logs(&self) -> &'static str {
        match self {
            Self::Serve(_) => telemetry::DEFAULT_FILTER,
            // What these print is their answer: logs would only get in between.
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

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let settings = load(&cli);
    let told = settings.as_ref().map(|settings| &settings.telemetry);
    let format = cli
        .log_format
        .or(told.ok().map(|told| told.log_format))
        .unwrap_or_default();
    let collector = told.map_or("", |told| &told.otlp_endpoint);
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
        CliCommand::Replay(ref which) => settings.and_then(|settings| replay::run(settings, which)),
        CliCommand::Sweep(ref args) => settings.and_then(|settings| sweep::run(settings, args)),
        CliCommand::Webhooks(ref which) => {
            settings.and_then(|settings| webhooks::run(settings, which))
        }
        #[cfg(feature = "sandbox")]
        CliCommand::Sandbox(ref sandbox) => {
            settings.and_then(|settings| sandbox::run(sandbox, settings))
        }
    };
    done.unwrap_or_else(|error| failed(&error))
}

/// What `GET /openapi.json` serves: no settings are needed for it.
#[allow(clippy::print_stdout, reason = "the answer to the command")]
fn openapi() -> ExitCode {
    print!("{}", relaykeeper::api::openapi::text());
    ExitCode::SUCCESS
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
