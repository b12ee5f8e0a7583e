//! `relaykeeper probe`: which of the assumptions in `docs/vendors/README.md` hold at the real vendors.
//!
//! It speaks HTTP of its own and not through the vendors' clients: those read leniently, and what is wanted here is what
//! the vendor really says. Nothing is broadcast; what is made is deleted again, also after Ctrl-C.

mod agora;
mod assumptions;
mod client;
mod cloudflare;
mod fixtures;
mod redact;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use relaykeeper::application;
use relaykeeper::config::Settings;
use relaykeeper::relay::{Namespace, ResourceTag};
use uuid::Uuid;

use assumptions::ProbeFindings;
use client::ProbeClient;

/// How to probe.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// Write each exchange, its secrets removed, to a file in this folder.
    #[arg(long, value_name = "FOLDER")]
    fixtures: Option<PathBuf>,
}

#[allow(clippy::print_stdout, reason = "the answer to the command")]
pub(super) fn run(settings: Settings, args: &ProbeArgs) -> anyhow::Result<ExitCode> {
    let folder = args.fixtures.clone();
    application::run(async move {
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let tag = tag(&settings);
        println!("What is made bears the tag {tag}, and is deleted again.");
        println!(
            "Should this be killed: relaykeeper sweep --database {}\n",
            tag.namespace.database
        );
        let mut findings = ProbeFindings::default();
        let tag = tag.to_string();
        let mut client = ProbeClient::new(&settings, &tag)?;
        let left = probe(&settings, &tag, &mut client, &mut findings).await?;
        print!("{}", findings.table());
        if let Some(folder) = &folder {
            let files = fixtures::write(folder, client.tape())?;
            println!("{files} exchanges written to {}", folder.display());
        }
        for object in &left {
            println!("LEFT BEHIND: {object}; delete it by hand");
        }
        Ok(match left.is_empty() && findings.differing() == 0 {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    })
}

/// Walks through both vendors, or the one whose credentials are there; answers what could not be deleted.
async fn probe(
    settings: &Settings,
    tag: &str,
    client: &mut ProbeClient,
    findings: &mut ProbeFindings,
) -> anyhow::Result<Vec<String>> {
    let missing = settings.missing_for_serve();
    let lacks = |vendor: &str| {
        missing
            .iter()
            .any(|missing| missing.key.starts_with(vendor))
    };
    let (no_cloudflare, no_agora) = (
        lacks("cloudflare."),
        ["agora.app_id", "agora.customer"].into_iter().any(lacks),
    );
    if no_cloudflare && no_agora {
        bail!(
            "there are no credentials of either vendor; `relaykeeper check` says what is missing"
        );
    }
    let mut left = Vec::new();
    if !no_cloudflare {
        let mut cloudflare = cloudflare::CloudflareProbe::new(settings, tag);
        let walked = interruptible(cloudflare.walk(client, findings)).await;
        left.extend(cloudflare.clean_up(client).await);
        walked?;
    }
    if !no_agora {
        let mut agora = agora::AgoraProbe::new(settings, tag);
        let walked = interruptible(agora.walk(client, findings)).await;
        left.extend(agora.clean_up(client).await);
        walked?;
    }
    Ok(left)
}

/// Ctrl-C ends the walk and not the cleaning up after it.
async fn interruptible(walk: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::select! {
        () = walk => Ok(()),
        _ = tokio::signal::ctrl_c() => bail!("interrupted; what was made is deleted"),
    }
}

/// A mark of a database that does not exist: no service takes what the probe makes for an orphan of its own, and
/// `sweep --database` finds it.
fn tag(settings: &Settings) -> ResourceTag {
    ResourceTag {
        namespace: Namespace {
            deployment: settings.relay.deployment.clone(),
            database: hex::encode(rand::random::<[u8; 4]>()),
        },
        relay: Uuid::now_v7(),
        attempt: 1,
    }
}
