//! `relaykeeper webhooks`.

mod register;
mod secrets_file;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use relaykeeper::actors::Endpoint;
use relaykeeper::actors::view::WireTime;
use relaykeeper::application;
use relaykeeper::config::Settings;
use relaykeeper::vendors::cloudflare::Cloudflare;
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::lease::Lease;

/// What to do about webhooks: Cloudflare's to this service (they are hints: without them relaykeeper polls; Agora's are set
/// up in its console), and this service's to the marketplace.
#[derive(Debug, Args)]
pub(super) struct WebhooksArgs {
    #[command(subcommand)]
    command: WebhooksCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum WebhooksCommand {
    /// Have Cloudflare call this service at server.public_url: live notifications, and the Stream video webhook.
    ///
    /// `serve` must be running and reachable there: Cloudflare tests the address first. The token needs Notifications:Edit
    /// besides Stream:Edit. The secrets go to a file that only its owner can read. A run that fails leaves everything as it
    /// was; a repeated run changes nothing that is set up already.
    Register {
        /// Take the account's one Stream webhook over from whoever has it now. Where our destination of live notifications
        /// is there and its secret is lost: delete it, and make it again with a new secret.
        #[arg(long)]
        replace: bool,
        /// Where the secrets go, as lines to put into the environment. It may hold those of an earlier run.
        #[arg(long, value_name = "FILE", default_value = "relaykeeper-webhooks.env")]
        secrets_file: PathBuf,
    },
    /// Show what Cloudflare calls now.
    Status,
    /// Send a signed test message to the marketplace's endpoint, once, and say what came back.
    ///
    /// Its type is `webhook.test`. Needs webhooks.endpoint and webhooks.secrets, and no database. Exit code 1 when it is not
    /// taken.
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

#[allow(clippy::print_stdout, reason = "the answer to the command")]
async fn send_test(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Some(endpoint) = Endpoint::of(&settings.webhooks)? else {
        bail!("set webhooks.endpoint first: it is where messages to the marketplace go");
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
            let was_taken = answered.was_taken();
            let word = if was_taken { "taken" } else { "NOT taken" };
            println!("{id}: {word}, the endpoint answered {}", answered.status);
            if !answered.excerpt.trim().is_empty() {
                println!("{}", answered.excerpt.trim());
            }
            Ok(if was_taken {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Err(error) => {
            println!("{id}: NOT taken: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Where Cloudflare is to call.
struct WebhookUrls {
    live: String,
    stream: String,
}

impl WebhookUrls {
    fn of(settings: &Settings) -> anyhow::Result<Self> {
        let public_url = settings.server.public_url.trim_end_matches('/');
        if public_url.is_empty() {
            bail!("set server.public_url first: it is where Cloudflare is to call");
        }
        Ok(Self {
            live: format!("{public_url}/webhooks/cloudflare/live"),
            stream: format!("{public_url}/webhooks/cloudflare/stream"),
        })
    }
}

fn permit_request() -> PermitRequest {
    PermitRequest {
        priority: Priority::Start,
        until: tokio::time::Instant::now() + Duration::from_secs(30),
    }
}

#[allow(clippy::print_stdout, reason = "the answer to the command")]
async fn status(cloudflare: &Cloudflare, urls: &WebhookUrls) -> anyhow::Result<ExitCode> {
    let mut complete = true;
    match cloudflare.stream_webhook(permit_request()).await? {
        Some(webhook) if webhook.notification_url == urls.stream => {
            println!("Stream webhook: goes to us")
        }
        Some(webhook) => {
            complete = false;
            println!("Stream webhook: goes to {}", webhook.notification_url);
        }
        None => {
            complete = false;
            println!("Stream webhook: not set");
        }
    }
    match live_destination(cloudflare, urls).await? {
        Some(ours) if ours.is_used => println!("live notifications: go to us"),
        Some(_) => {
            complete = false;
            println!("live notifications: the destination is there, a policy that uses it is not");
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

/// Our destination of live notifications.
struct LiveDestination {
    id: String,
    /// Whether a policy sends live inputs' events there.
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
