//! `relaykeeper webhooks register`: sets up all of it, or leaves everything as it was. Can be repeated.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use relaykeeper::config::Settings;
use relaykeeper::vendors::cloudflare::{Cloudflare, StreamWebhook};
use secrecy::{ExposeSecret as _, SecretString};

use super::secrets_file::SecretsFile;
use super::{Destination, Urls, asks, live_destination};

#[allow(clippy::print_stdout, reason = "the answer to the command")]
pub(super) async fn register(
    cloudflare: &Cloudflare,
    settings: &Settings,
    urls: &Urls,
    replace: bool,
    path: &Path,
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
    let known = live_destination(cloudflare, urls).await?;
    // Before anything is changed: a secret that cannot be written would be lost.
    let mut file = SecretsFile::open(path)?;
    let done = set_up(
        cloudflare,
        settings,
        urls,
        current,
        known.as_ref(),
        &mut file,
    )
    .await;
    if let Err(error) = done {
        if known.is_none() {
            take_back(cloudflare, urls).await.with_context(|| {
                format!(
                    "{error:#}. The destination for {} could not be removed again; its secret stays in {}, and the next \
                     run of this command goes on from there",
                    urls.live,
                    path.display()
                )
            })?;
            file.restore()?;
        }
        return Err(error);
    }
    println!("Stream webhook: goes to {}", urls.stream);
    println!("live notifications: go to {}", urls.live);
    if file.secrets.live.is_none() {
        println!(
            "note: the destination of live notifications was there already, and Cloudflare does not show its secret again: \
             CLOUDFLARE_LIVE_WEBHOOK_SECRET stays as it is. If it is lost, delete the destination in Cloudflare's dashboard \
             (Notifications, Destinations) and run this command again"
        );
    }
    println!(
        "the secrets are in {}: put its lines into the environment of `serve` and restart it. Until then notifications are \
         refused, and relaykeeper polls as it does without them",
        path.display()
    );
    Ok(ExitCode::SUCCESS)
}

async fn set_up(
    cloudflare: &Cloudflare,
    settings: &Settings,
    urls: &Urls,
    current: Option<StreamWebhook>,
    known: Option<&Destination>,
    file: &mut SecretsFile,
) -> anyhow::Result<()> {
    let name = format!("relaykeeper {}", settings.relay.deployment);
    let destination = match known {
        Some(known) => known.id.clone(),
        None => {
            let secret = match &file.secrets.live {
                Some(secret) => secret.clone(),
                None => live_secret(settings),
            };
            file.secrets.live = Some(secret.clone());
            // Cloudflare does not show it again.
            file.save()?;
            cloudflare
                .create_notification_destination(asks(), &name, &urls.live, &secret)
                .await
                .with_context(|| {
                    format!(
                        "the destination of live notifications was not made. Cloudflare calls {} while it makes it, and wants \
                         2xx: `relaykeeper serve` must be running, and server.public_url must lead to it from the internet",
                        urls.live
                    )
                })?
        }
    };
    if !known.is_some_and(|known| known.is_used) {
        cloudflare
            .create_live_policy(asks(), &name, &destination)
            .await?;
    }
    if let Some(secret) = stream_secret(current, settings, urls, file) {
        file.secrets.stream = Some(secret);
    } else {
        let webhook = cloudflare.set_stream_webhook(asks(), &urls.stream).await?;
        let secret = webhook
            .secret
            .context("Cloudflare set the Stream webhook and did not show its secret")?;
        file.secrets.stream = Some(secret);
    }
    file.save()
}

/// The secret of the Stream webhook that is set already, where it is known. Setting it once more might change it.
fn stream_secret(
    current: Option<StreamWebhook>,
    settings: &Settings,
    urls: &Urls,
    file: &SecretsFile,
) -> Option<SecretString> {
    let current = current.filter(|webhook| webhook.notification_url == urls.stream)?;
    let configured = &settings.cloudflare.stream_webhook_secret;
    let configured = (!configured.expose_secret().is_empty()).then(|| configured.clone());
    current
        .secret
        .or_else(|| file.secrets.stream.clone())
        .or(configured)
}

/// The secret that `serve` knows, or a new one.
fn live_secret(settings: &Settings) -> SecretString {
    let known = &settings.cloudflare.live_webhook_secret;
    if !known.expose_secret().is_empty() {
        return known.clone();
    }
    let bytes: [u8; 32] = rand::random();
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}

/// Removes our destination and the policies that use it. Looks it up: the answer that named it may have been lost.
async fn take_back(cloudflare: &Cloudflare, urls: &Urls) -> anyhow::Result<()> {
    let Some(destination) = live_destination(cloudflare, urls).await? else {
        return Ok(());
    };
    for policy in cloudflare.notification_policies(asks()).await? {
        if policy.uses(&destination.id) {
            cloudflare
                .delete_notification_policy(asks(), &policy.id)
                .await?;
        }
    }
    cloudflare
        .delete_notification_destination(asks(), &destination.id)
        .await?;
    Ok(())
}
