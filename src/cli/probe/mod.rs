//! `relaykeeper probe`: tests the assumptions listed in `docs/vendors/README.md` at the real vendors.
//!
//! Has its own HTTP client, because the vendor clients parse leniently. Broadcasts nothing, and deletes what it creates, also after
//! Ctrl-C.

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

#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// Write each exchange, without secrets, to a file in this folder.
    #[arg(long, value_name = "FOLDER")]
    fixtures: Option<PathBuf>,
}

#[allow(clippy::print_stdout, reason = "the command's output")]
pub(super) fn run(settings: Settings, args: &ProbeArgs) -> anyhow::Result<ExitCode> {
    let folder = args.fixtures.clone();
    application::run(async move {
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let tag = tag(&settings);
        println!("Objects are created with the tag {tag} and deleted afterwards.");
        println!(
            "If this process is killed, run: relaykeeper sweep --database {}\n",
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

/// Probes the vendors that have credentials. Returns the objects that it could not delete.
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
        !settings.cloudflare.has_credentials(),
        ["agora.app_id", "agora.customer"].into_iter().any(lacks),
    );
    if no_cloudflare && no_agora {
        bail!("no vendor has credentials; run `relaykeeper check`");
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

/// Ctrl-C ends the probe but not its cleanup.
async fn interruptible(walk: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::select! {
        () = walk => Ok(()),
        _ = tokio::signal::ctrl_c() => bail!("interrupted; created objects were deleted"),
    }
}

/// The random database id keeps services from taking the objects for their orphans; `sweep --database` finds them.
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
