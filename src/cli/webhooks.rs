//! `relaykeeper webhooks`.

mod register;
mod secrets_file;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use relaykeeper::actors::Endpoint;
use relaykeeper::actors::view::WireTime;
use relaykeeper::application;
use relaykeeper::config::Settings;
use relaykeeper::platforms::cloudflare::Cloudflare;
use relaykeeper::vendors::lease::Lease;

use super::permit_request;

#[derive(Debug, Args)]
pub(super) struct WebhooksArgs {
    #[command(subcommand)]
    command: WebhooksCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum WebhooksCommand {
    /// Make Cloudflare call this service at server.public_url: live notifications and the Stream video webhook.
    ///
    /// `serve` must be running and reachable there: Cloudflare tests the URL first. The API token needs Notifications:Edit besides
    /// Stream:Edit. Writes the secrets to a file that only its owner can read. A failed run reverts its changes; a repeated run
    /// keeps what is set up.
    Register {
        /// Replace the account's only Stream webhook if it points elsewhere, and recreate our live notification destination if its
        /// secret is lost.
        #[arg(long)]
        replace: bool,
        /// File for the secrets, as environment variables. May contain those of an earlier run.
        #[arg(long, value_name = "FILE", default_value = "relaykeeper-webhooks.env")]
        secrets_file: PathBuf,
    },
    /// Show where Cloudflare's webhooks point.
    Status,
    /// Send one signed test message (type `webhook.test`) to the marketplace's endpoint and print the response.
    ///
    /// Needs webhooks.endpoint and webhooks.secrets, and no database. Exit code 1: the message was not accepted.
    SendTest,
}

pub(super) fn run(settings: Settings, webhooks: &WebhooksArgs) -> anyhow::Result<ExitCode> {
    let command = webhooks.command.clone();
    application::run(async move {
        let cloudflare =
            || Cloudflare::new(&settings.cloudflare, &settings.vendors, &Lease::for_good());
        match command {
            WebhooksCommand::SendTest => send_test(&settings).await,
            WebhooksCommand::Status => status(&cloudflare()?, &WebhookUrls::of(&settings)?).await,
            WebhooksCommand::Register {
                replace,
                secrets_file,
            } => {
                let urls = WebhookUrls::of(&settings)?;
                register::register(&cloudflare()?, &settings, &urls, replace, &secrets_file).await
            }
        }
    })
}

#[allow(clippy::print_stdout, reason = "the command's output")]
async fn send_test(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Some(endpoint) = Endpoint::of(&settings.webhooks)? else {
        bail!("webhooks.endpoint is not set");
    };
    let now = chrono::Utc::now();
    let id = format!("test_{}", uuid::Uuid::new_v4().simple());
    let body = serde_json::json!({
        "type": "webhook.test",
        "timestamp": WireTime(now),
        "data": {},
    });
    match endpoint.send(&id, body.to_string(), now).await {
        Ok(answered) => {
            let accepted = answered.is_accepted();
            let word = if accepted { "accepted" } else { "NOT accepted" };
            println!("{id}: {word}, the endpoint responded {}", answered.status);
            if !answered.excerpt.trim().is_empty() {
                println!("{}", answered.excerpt.trim());
            }
            Ok(if accepted {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Err(error) => {
            println!("{id}: NOT accepted: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

struct WebhookUrls {
    live: String,
    stream: String,
}

impl WebhookUrls {
    fn of(settings: &Settings) -> anyhow::Result<Self> {
        let public_url = settings.server.public_url.trim_end_matches('/');
        if public_url.is_empty() {
            bail!("server.public_url is not set");
        }
        Ok(Self {
            live: format!("{public_url}/webhooks/cloudflare/live"),
            stream: format!("{public_url}/webhooks/cloudflare/stream"),
        })
    }
}

#[allow(clippy::print_stdout, reason = "the command's output")]
async fn status(cloudflare: &Cloudflare, urls: &WebhookUrls) -> anyhow::Result<ExitCode> {
    let mut complete = true;
    match cloudflare.stream_webhook(permit_request()).await? {
        Some(webhook) if webhook.notification_url == urls.stream => {
            println!("Stream webhook: points to this service")
        }
        Some(webhook) => {
            complete = false;
            println!("Stream webhook: points to {}", webhook.notification_url);
        }
        None => {
            complete = false;
            println!("Stream webhook: not set");
        }
    }
    match live_destination(cloudflare, urls).await? {
        Some(ours) if ours.is_used => println!("live notifications: point to this service"),
        Some(_) => {
            complete = false;
            println!("live notifications: the destination has no policy");
        }
        None => {
            complete = false;
            println!("live notifications: not set up");
        }
    }
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct LiveDestination {
    id: String,
    /// Whether a policy sends live input events to it.
    is_used: bool,
}

async fn live_destination(
    cloudflare: &Cloudflare,
    urls: &WebhookUrls,
) -> anyhow::Result<Option<LiveDestination>> {
    let destinations = cloudflare
        .notification_destinations(permit_request())
        .await?;
    let ours = destinations
        .into_iter()
        .find(|destination| destination.url.as_ref() == Some(&urls.live));
    let Some(ours) = ours else { return Ok(None) };
    let policies = cloudflare.notification_policies(permit_request()).await?;
    let is_used = policies
        .iter()
        .any(|policy| policy.tells_of_live_inputs(&ours.id));
    Ok(Some(LiveDestination {
        id: ours.id,
        is_used,
    }))
}
