//! Messages after a database was restored from a backup.

use std::time::Duration;

use relaykeeper::config::AgoraBackend;

use super::{SECRET, is_end, telling};
use crate::support::marketplace::{Marketplace, Message};
use crate::support::service::{self, Service, Stage, show};

/// A restored database reissues sequence numbers and continues the same relays.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_reuses_no_webhook_id_for_another_message() {
    let marketplace = Marketplace::start().await;
    let stage = telling(&marketplace).await;
    stage.service.go_live(42, &show("show68")).await;
    marketplace.when("live", |all| all.len() >= 2).await;
    let Stage {
        vendors,
        service,
        database,
    } = stage;
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.db");
    let raw = database.raw().await;
    raw.execute(&format!("VACUUM INTO '{}'", backup.display()))
        .await;
    service.come_down(42).await;
    let before = marketplace.when("the end", |all| all.len() >= 5).await;
    service.shut_down();
    let url = format!("sqlite://{}?mode=rwc", backup.display());
    let mut settings = service::settings(&vendors, AgoraBackend::CloudRecording, &url);
    settings.webhooks.endpoint = marketplace.url();
    settings.webhooks.secrets = vec![SECRET.into()];
    settings.webhooks.allow_private = true;
    settings.server.shutdown_grace = Duration::from_millis(200);
    let restored = Service::start(settings).await;
    restored.come_down(42).await;
    let ended = |all: &[Message]| all.len() > before.len() && is_end(&all[all.len() - 1]);
    let heard = marketplace.when("the end again", ended).await;
    let again = &heard[before.len()..];
    assert!(again.iter().any(|one| one.sequence() == 3), "{again:#?}");
    for message in again {
        let same = before.iter().find(|one| one.id == message.id);
        assert!(
            same.is_none_or(|one| one.body == message.body),
            "{message:#?}"
        );
    }
}
