//! `relaykeeper webhooks`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use relaykeeper::actors::Endpoint;
use relaykeeper::actors::view::WireTime;
use relaykeeper::application;
use relaykeeper::config::Settings;
use relaykeeper::vendors::cloudflare::Cloudflare;
use relaykeeper::vendors::governor::{Caller, Priority};
use relaykeeper::vendors::lease::Lease;
use secrecy::{ExposeSecret, SecretString};

/// What to do about webhooks: Cloudflare's to this service (they are hints: without them relaykeeper polls; Agora's are set
/// up in its console), and this service's to the marketplace.
#[derive(Debug, Args)]
pub(super) struct Webhooks {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Have Cloudflare call this service at server.public_url: live notifications, and the Stream video webhook.
    ///
    /// The token needs Notifications:Edit besides Stream:Edit. The secrets go to a file that only its owner can read.
    Register {
        /// Take the account's one Stream webhook over from whoever has it now.
        #[arg(long)]
        replace: bool,
        /// Where the secrets go, as lines to put into the environment. It must not exist yet.
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

pub(super) fn run(settings: Settings, webhooks: &Webhooks) -> anyhow::Result<ExitCode> {
    let command = webhooks.command.clone();
    application::run(async move {
        let cloudflare =
            || Cloudflare::new(&settings.cloudflare, &settings.vendors, &Lease::for_good());
        match command {
            Command::SendTest => send_test(&settings).await,
            Command::Status => status(&cloudflare()?, &Urls::of(&settings)?).await,
            Command::Register {
                replace,
                secrets_file,
            } => {
                let urls = Urls::of(&settings)?;
                register(&cloudflare()?, &settings, &urls, replace, &secrets_file).await
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
struct Urls {
    live: String,
    stream: String,
}

impl Urls {
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

fn asks() -> Caller {
    Caller {
        priority: Priority::Start,
        until: tokio::time::Instant::now() + Duration::from_secs(30),
    }
}

#[allow(clippy::print_stdout, reason = "the answer to the command")]
async fn status(cloudflare: &Cloudflare, urls: &Urls) -> anyhow::Result<ExitCode> {
    let mut complete = true;
    match cloudflare.stream_webhook(asks()).await? {
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
        Some((_, true)) => println!("live notifications: go to us"),
        Some((_, false)) => {
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

/// Our destination's id, and whether a policy sends live inputs' events there.
async fn live_destination(
    cloudflare: &Cloudflare,
    urls: &Urls,
) -> anyhow::Result<Option<(String, bool)>> {
    let destinations = cloudflare.notification_destinations(asks()).await?;
    let ours = destinations
        .into_iter()
        .find(|destination| destination.url.as_ref() == Some(&urls.live));
    let Some(ours) = ours else { return Ok(None) };
    let policies = cloudflare.notification_policies(asks()).await?;
    let used = policies
        .iter()
        .any(|policy| policy.tells_of_live_inputs(&ours.id));
    Ok(Some((ours.id, used)))
}

#[allow(clippy::print_stdout, reason = "the answer to the command")]
async fn register(
    cloudflare: &Cloudflare,
    settings: &Settings,
    urls: &Urls,
    replace: bool,
    secrets_file: &PathBuf,
) -> anyhow::Result<ExitCode> {
    let current = cloudflare.stream_webhook(asks()).await?;
    if let Some(other) = current
        .as_ref()
        .filter(|webhook| webhook.notification_url != urls.stream)
        && !replace
    {
        bail!(
            "the account's only Stream webhook goes to {}; --replace takes it over",
            other.notification_url
        );
    }
    // Before anything is changed: a secret that cannot be written down would be lost.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(secrets_file)
        .with_context(|| {
            format!(
                "the secrets cannot be written to {}",
                secrets_file.display()
            )
        })?;
    let live = match live_destination(cloudflare, urls).await? {
        Some((id, used)) => {
            if !used {
                cloudflare
                    .create_live_policy(asks(), &settings.relay.deployment, &id)
                    .await?;
            }
            println!(
                "live notifications: the destination was there; its secret cannot be read again and stays as it is"
            );
            None
        }
        None => {
            let secret = random_secret();
            let name = format!("relaykeeper {}", settings.relay.deployment);
            let id = cloudflare
                .create_notification_destination(asks(), &name, &urls.live, &secret)
                .await?;
            writeln!(
                file,
                "CLOUDFLARE_LIVE_WEBHOOK_SECRET={}",
                secret.expose_secret()
            )?;
            cloudflare.create_live_policy(asks(), &name, &id).await?;
            Some(id)
        }
    };
    let webhook = cloudflare.set_stream_webhook(asks(), &urls.stream).await?;
    let secret = webhook
        .secret
        .context("Cloudflare set the Stream webhook and did not tell its secret")?;
    writeln!(
        file,
        "CLOUDFLARE_STREAM_WEBHOOK_SECRET={}",
        secret.expose_secret()
    )?;
    file.sync_all()?;
    println!("Stream webhook: goes to {}", urls.stream);
    if live.is_some() {
        println!("live notifications: go to {}", urls.live);
    }
    println!(
        "the secrets are in {}: put its lines into the environment of `serve`",
        secrets_file.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// 32 random bytes, in hexadecimal digits.
fn random_secret() -> SecretString {
    let bytes: [u8; 32] = rand::random();
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}
