//! `relaykeeper webhooks register`: sets up all webhooks, or reverts its changes. Can be repeated.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use relaykeeper::config::Settings;
use relaykeeper::platforms::cloudflare::{Cloudflare, StreamWebhook};
use secrecy::{ExposeSecret as _, SecretString};

use super::secrets_file::SecretsFile;
use super::{LiveDestination, WebhookUrls, live_destination};
use crate::cli::permit_request;

struct PreviousWebhooks {
    stream: Option<StreamWebhook>,
    destination: Option<LiveDestination>,
    policies: Vec<String>,
}

impl PreviousWebhooks {
    /// The Stream webhook if it points elsewhere.
    fn other_stream(&self, urls: &WebhookUrls) -> Option<&StreamWebhook> {
        let mut stream = self.stream.iter();
        stream.find(|webhook| webhook.notification_url != urls.stream)
    }
}

#[allow(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn register(
    cloudflare: &Cloudflare,
    settings: &Settings,
    urls: &WebhookUrls,
    replace: bool,
    path: &Path,
) -> anyhow::Result<ExitCode> {
    let policies = cloudflare.notification_policies(permit_request()).await?;
    let before = PreviousWebhooks {
        stream: cloudflare.stream_webhook(permit_request()).await?,
        destination: live_destination(cloudflare, urls).await?,
        policies: policies.into_iter().map(|policy| policy.id).collect(),
    };
    if let Some(other) = before.other_stream(urls)
        && !replace
    {
        bail!(
            "the account's only Stream webhook points to {}; use --replace to change it",
            other.notification_url
        );
    }
    // Before any change: a secret that cannot be written would be lost.
    let mut file = SecretsFile::open(path)?;
    let known = file
        .secrets
        .live
        .clone()
        .or_else(|| configured(&settings.cloudflare.live_webhook_secret));
    if before.destination.is_some() && known.is_none() && !replace {
        bail!(
            "there is a destination of live notifications for {} already, and its secret is neither in {} nor in \
             CLOUDFLARE_LIVE_WEBHOOK_SECRET. Cloudflare does not show it again: set it, or run this command with --replace, \
             which deletes the destination and creates another one with a new secret",
            urls.live,
            path.display()
        );
    }
    let done = set_up(cloudflare, settings, urls, &before, known, &mut file).await;
    if let Err(error) = done {
        take_back(cloudflare, urls, &before)
            .await
            .with_context(|| {
                format!(
                    "{error:#}. Not all of it could be undone; the secrets stay in {}, and the next run of this command goes \
                     on from there",
                    path.display()
                )
            })?;
        file.restore()?;
        return Err(error);
    }
    println!("Stream webhook: points to {}", urls.stream);
    println!("live notifications: point to {}", urls.live);
    println!(
        "the secrets are in {}: put its lines into the environment of `serve` and restart it. Until then notifications are \
         refused, and relaykeeper polls as it does without them",
        path.display()
    );
    if file.secrets.stream.is_none() {
        println!(
            "WRONG: Cloudflare set the Stream webhook and does not show its secret: the secret of live notifications is in \
             the file, that of the Stream webhook is not. Run this command again later; until then the Stream webhook's \
             calls are refused"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn set_up(
    cloudflare: &Cloudflare,
    settings: &Settings,
    urls: &WebhookUrls,
    before: &PreviousWebhooks,
    known: Option<SecretString>,
    file: &mut SecretsFile,
) -> anyhow::Result<()> {
    let name = format!("relaykeeper {}", settings.relay.deployment);
    // A destination whose secret is lost is recreated.
    let kept = before.destination.as_ref().filter(|_| known.is_some());
    file.secrets.live = Some(known.unwrap_or_else(new_secret));
    let destination = match kept {
        Some(kept) => kept.id.clone(),
        None => {
            // Cloudflare does not show the secret again.
            file.save()?;
            if let Some(lost) = &before.destination {
                remove_destination(cloudflare, &lost.id).await?;
            }
            make_destination(cloudflare, urls, &name, file).await?
        }
    };
    if !kept.is_some_and(|kept| kept.is_used) {
        cloudflare
            .create_live_policy(permit_request(), &name, &destination)
            .await?;
    }
    file.secrets.stream = match stream_secret(before, settings, urls, file) {
        Some(secret) => Some(secret),
        None => {
            let set = cloudflare
                .set_stream_webhook(permit_request(), &urls.stream)
                .await?;
            match set.secret {
                Some(secret) => Some(secret),
                None => {
                    let read = cloudflare.stream_webhook(permit_request()).await?;
                    read.and_then(|webhook| webhook.secret)
                }
            }
        }
    };
    file.save()
}

async fn make_destination(
    cloudflare: &Cloudflare,
    urls: &WebhookUrls,
    name: &str,
    file: &SecretsFile,
) -> anyhow::Result<String> {
    let secret = file.secrets.live.clone().unwrap_or_default();
    cloudflare
        .create_notification_destination(permit_request(), name, &urls.live, &secret)
        .await
        .with_context(|| {
            format!(
                "the destination of live notifications was not created: Cloudflare first calls {}, which must answer 2xx. \
                 `relaykeeper serve` must be running, and server.public_url must lead to it from the internet",
                urls.live
            )
        })
}

/// The secret, if known, of a Stream webhook that already points to us. Setting the webhook again might change it.
fn stream_secret(
    before: &PreviousWebhooks,
    settings: &Settings,
    urls: &WebhookUrls,
    file: &SecretsFile,
) -> Option<SecretString> {
    let current = before
        .stream
        .as_ref()
        .filter(|webhook| webhook.notification_url == urls.stream)?;
    let shown = current.secret.clone();
    shown
        .or_else(|| file.secrets.stream.clone())
        .or_else(|| configured(&settings.cloudflare.stream_webhook_secret))
}

fn configured(secret: &SecretString) -> Option<SecretString> {
    (!secret.expose_secret().is_empty()).then(|| secret.clone())
}

fn new_secret() -> SecretString {
    hex::encode(rand::random::<[u8; 32]>()).into()
}

/// Reverts all changes, by the current state: the response to a change may have been lost.
async fn take_back(
    cloudflare: &Cloudflare,
    urls: &WebhookUrls,
    before: &PreviousWebhooks,
) -> anyhow::Result<()> {
    let live = take_back_live(cloudflare, urls, before).await;
    let stream = take_back_stream(cloudflare, urls, before).await;
    live.and(stream)
}

async fn take_back_stream(
    cloudflare: &Cloudflare,
    urls: &WebhookUrls,
    before: &PreviousWebhooks,
) -> anyhow::Result<()> {
    let other = before.other_stream(urls);
    if before.stream.is_some() && other.is_none() {
        return Ok(());
    }
    let now = cloudflare.stream_webhook(permit_request()).await?;
    if now.is_none_or(|webhook| webhook.notification_url != urls.stream) {
        return Ok(());
    }
    match other {
        Some(other) => {
            let url = &other.notification_url;
            let set = cloudflare.set_stream_webhook(permit_request(), url).await;
            set.with_context(|| format!("the Stream webhook went to {url} before"))?;
        }
        None => cloudflare.delete_stream_webhook(permit_request()).await?,
    }
    Ok(())
}

async fn take_back_live(
    cloudflare: &Cloudflare,
    urls: &WebhookUrls,
    before: &PreviousWebhooks,
) -> anyhow::Result<()> {
    let Some(now) = live_destination(cloudflare, urls).await? else {
        return Ok(());
    };
    let old = before.destination.as_ref();
    if old.is_none_or(|old| old.id != now.id) {
        return remove_destination(cloudflare, &now.id).await;
    }
    for policy in cloudflare.notification_policies(permit_request()).await? {
        if policy.uses(&now.id) && !before.policies.contains(&policy.id) {
            cloudflare
                .delete_notification_policy(permit_request(), &policy.id)
                .await?;
        }
    }
    Ok(())
}

async fn remove_destination(cloudflare: &Cloudflare, id: &str) -> anyhow::Result<()> {
    for policy in cloudflare.notification_policies(permit_request()).await? {
        if policy.uses(id) {
            cloudflare
                .delete_notification_policy(permit_request(), &policy.id)
                .await?;
        }
    }
    cloudflare
        .delete_notification_destination(permit_request(), id)
        .await?;
    Ok(())
}
