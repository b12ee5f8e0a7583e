//! `relaykeeper sweep`.

use std::process::ExitCode;

use clap::Args;
use relaykeeper::actors::{FindingVerdict, Sweep, sweep_once};
use relaykeeper::application;
use relaykeeper::config::Settings;

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Only show what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Sweep tags of this database id (8 hexadecimal digits), for a database that is lost. Run with --dry-run first.
    #[arg(long, value_name = "ID", value_parser = database_id)]
    database: Option<String>,
}

fn database_id(text: &str) -> Result<String, String> {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if text.len() == 8 && text.bytes().all(hex) {
        Ok(text.to_owned())
    } else {
        Err("must be 8 lower-case hexadecimal digits: the second part of a tag".into())
    }
}

#[allow(clippy::print_stdout, reason = "the command's output")]
pub(super) fn run(settings: Settings, args: &SweepArgs) -> anyhow::Result<ExitCode> {
    let (dry_run, database) = (args.dry_run, args.database.clone());
    application::run(async move {
        let sweep = sweep_once(settings, database.as_deref(), dry_run).await?;
        println!(
            "{:<10} {:<34} {:<24} {:<9} TAG",
            "KIND", "ID", "CREATED", "VERDICT"
        );
        for finding in &sweep.findings {
            let created = finding
                .created
                .map(|at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
            let (kind, verdict) = (finding.kind.to_string(), finding.verdict.to_string());
            let created = created.as_deref().unwrap_or("-");
            println!(
                "{kind:<10} {:<34} {created:<24} {verdict:<9} {}",
                finding.id, finding.tag
            );
        }
        println!("{}", summary(&sweep, dry_run));
        Ok(ExitCode::SUCCESS)
    })
}

fn summary(sweep: &Sweep, dry_run: bool) -> String {
    let cut = if sweep.may_be_cut || sweep.converters_may_be_cut {
        "; the vendor's list may be truncated; run it again"
    } else {
        ""
    };
    let (verdict, what) = if dry_run {
        (FindingVerdict::Orphan, "would be removed")
    } else {
        (FindingVerdict::Removed, "removed")
    };
    let (tagged, foreign) = (sweep.findings.len(), sweep.count(FindingVerdict::Foreign));
    format!(
        "{tagged} tagged, {} {what}, {foreign} of others kept{cut}",
        sweep.count(verdict)
    )
}
