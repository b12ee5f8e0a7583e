//! `relaykeeper probe`: tests the assumptions listed in `docs/vendors/README.md` at the real vendors.
//!
//! Has its own HTTP client, because the vendor clients parse leniently. Broadcasts nothing, and deletes what it creates, also after
//! Ctrl-C.

mod agora;
mod assumptions;
mod client;
mod cloudflare;
mod fixtures;
mod ivs;
mod mux;
mod redact;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
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
    let has_cloudflare = settings.cloudflare.has_credentials();
    let has_mux = settings.mux.has_credentials();
    let has_ivs = settings.ivs.has_credentials();
    let has_agora = !["agora.app_id", "agora.customer"].into_iter().any(lacks);
    if !(has_cloudflare || has_mux || has_ivs || has_agora) {
        bail!("no vendor has credentials; run `relaykeeper check`");
    }
    let mut left = Vec::new();
    if has_cloudflare {
        let cloudflare = cloudflare::CloudflareProbe::new(settings, tag);
        try_vendor(cloudflare, client, findings, &mut left).await?;
    }
    if has_mux {
        try_vendor(
            mux::MuxProbe::new(settings, tag),
            client,
            findings,
            &mut left,
        )
        .await?;
    }
    if has_ivs {
        try_vendor(
            ivs::IvsProbe::new(settings, tag)?,
            client,
            findings,
            &mut left,
        )
        .await?;
    }
    if has_agora {
        try_vendor(
            agora::AgoraProbe::new(settings, tag),
            client,
            findings,
            &mut left,
        )
        .await?;
    }
    Ok(left)
}

/// The assumptions about one vendor.
trait VendorProbe {
    async fn walk(&mut self, client: &mut ProbeClient, findings: &mut ProbeFindings);

    /// Deletes the created objects; returns those that remain.
    async fn clean_up(&mut self, client: &mut ProbeClient) -> Vec<String>;
}

/// Ctrl-C ends the walk but not the cleanup.
async fn try_vendor(
    mut vendor: impl VendorProbe,
    client: &mut ProbeClient,
    findings: &mut ProbeFindings,
    left: &mut Vec<String>,
) -> anyhow::Result<()> {
    let walked = tokio::select! {
        () = vendor.walk(client, findings) => Ok(()),
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted; created objects were deleted")),
    };
    left.extend(vendor.clean_up(client).await);
    walked
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
