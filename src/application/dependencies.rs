//! What the API needs of the vendors: health and viewer counts.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use strum::VariantNames as _;

use crate::actors::{AlarmCode, NodeContext, VendorClients};
use crate::api::health::Health;
use crate::api::{Dependencies, VendorWatch, Viewers};
use crate::console;
use crate::platforms::{Platform, Platforms};
use crate::vendors::governor::{BudgetSnapshot, PermitRequest, Priority};

/// How long a probe may wait for its permit: relays' calls come first.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to read capabilities; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(super) fn of(context: &Arc<NodeContext>) -> Dependencies {
    let clock = context.clone();
    Dependencies {
        clock: Arc::new(move || clock.now()),
        health: Health {
            platforms: context.vendors.platforms.iter().map(platform).collect(),
            agora: agora(&context.vendors),
            budgets: budgets(context.vendors.clone()),
            alarm_codes: alarm_codes(&context.vendors.platforms),
        },
        viewers: viewers(context.vendors.clone()),
        platforms: context.vendors.platforms.clone(),
        egresses: context.vendors.egresses.clone(),
        node: context.node.clone(),
        pages: console::pages(&context.vendors.platforms.playback_hosts()),
    }
}

fn permit_request(priority: Priority) -> PermitRequest {
    PermitRequest::within(priority, PATIENCE)
}

/// Reads what the platforms' capabilities depend on.
pub(super) async fn read_capabilities(context: Arc<NodeContext>) {
    let platforms = context.vendors.platforms.iter();
    let reads = platforms.map(|platform| async {
        let mut pause = FIRST_PAUSE;
        let permit = || permit_request(Priority::Janitor);
        while let Err(error) = platform.read_capabilities(permit()).await {
            tracing::debug!(platform = platform.name(), %error, "its capabilities cannot be read; retrying");
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    });
    join_all(reads).await;
}

fn platform(platform: &Arc<dyn Platform>) -> (&'static str, VendorWatch) {
    let (success, error) = (platform.clone(), platform.clone());
    let (refused, probe) = (platform.clone(), platform.clone());
    let watch = VendorWatch::new(
        move || success.health().last_success,
        move || error.health().last_error,
        move || refused.health().refusal.is_some(),
        move || {
            let platform = probe.clone();
            Box::pin(async move { platform.check(permit_request(Priority::Janitor)).await })
        },
    );
    (platform.name(), watch)
}

fn alarm_codes(platforms: &Platforms) -> Vec<&'static str> {
    let of_platforms = platforms
        .iter()
        .flat_map(|platform| platform.complaint_codes());
    AlarmCode::VARIANTS
        .iter()
        .chain(of_platforms)
        .copied()
        .collect()
}

fn agora(vendors: &Arc<VendorClients>) -> VendorWatch {
    let (success, error) = (vendors.clone(), vendors.clone());
    let (refused, probe) = (vendors.clone(), vendors.clone());
    VendorWatch::new(
        move || success.agora.last_success(),
        move || error.agora.last_error(),
        move || refused.agora.refusal().is_some(),
        move || {
            let vendors = probe.clone();
            Box::pin(async move {
                vendors
                    .agora
                    .media_push()
                    .check_credentials(permit_request(Priority::Janitor))
                    .await
            })
        },
    )
}

fn budgets(vendors: Arc<VendorClients>) -> Arc<dyn Fn() -> Vec<BudgetSnapshot> + Send + Sync> {
    Arc::new(move || {
        let platforms = vendors.platforms.budgets();
        platforms.chain(vendors.agora.budgets()).collect()
    })
}

fn viewers(vendors: Arc<VendorClients>) -> Viewers {
    Viewers::new(Arc::new(move |platform, ingest| {
        let vendors = vendors.clone();
        Box::pin(async move {
            let platform = vendors.platforms.get(platform.as_str())?;
            platform
                .viewers(permit_request(Priority::Janitor), &ingest)
                .await
        })
    }))
}
