//! `relaykeeper migrate`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use relaykeeper::application;
use relaykeeper::config::Settings;
use relaykeeper::store::{DatabaseLock, Store};

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(subcommand)]
    command: MigrateCommand,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum MigrateCommand {
    /// Apply pending migrations. `serve` does so too.
    Up,
    /// Revert migrations, the last first. Drops relaykeeper's own tables with their rows; of a `channels` table that existed
    /// before, drops only the added columns.
    Down {
        /// How many. Default: all.
        #[arg(long)]
        steps: Option<u32>,
    },
    /// Show applied and pending migrations.
    Status,
}

#[allow(clippy::print_stdout, reason = "the command's output")]
pub(super) fn run(settings: Settings, migrate: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let command = migrate.command;
    application::run(async move {
        let store = Store::connect(&settings.database).await?;
        let _lock = match command {
            MigrateCommand::Status => None,
            MigrateCommand::Up | MigrateCommand::Down { .. } => {
                let Ok(lock) = DatabaseLock::try_acquire(&settings.database)? else {
                    anyhow::bail!("another process uses the database; stop it first");
                };
                Some(lock)
            }
        };
        match command {
            MigrateCommand::Up => store.migrate().await?,
            MigrateCommand::Down { steps } => {
                let acting = store.acting().await?;
                if !acting.is_empty() {
                    anyhow::bail!("{} use this database; stop them first", acting.join(", "));
                }
                store.migrate_down(steps).await?;
            }
            MigrateCommand::Status => {}
        }
        for migration in store.migration_status().await? {
            println!(
                "{:<8} {}",
                if migration.applied {
                    "applied"
                } else {
                    "pending"
                },
                migration.name
            );
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}
