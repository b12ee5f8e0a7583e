//! What the API needs of the vendors: health and viewer counts.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::{NodeContext, VendorClients};
use crate::api::health::Health;
use crate::api::{Dependencies, VendorWatch, Viewers};
use crate::console;
use crate::vendors::governor::{BudgetSnapshot, PermitRequest, Priority};

/// How long a probe may wait for its permit: relays' calls come first.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn of(context: &Arc<NodeContext>) -> Dependencies {
    let clock = context.clone();
    Dependencies {
        clock: Arc::new(move || clock.now()),
        health: Health {
            cloudflare: cloudflare(&context.vendors),
            agora: agora(&context.vendors),
            budgets: budgets(context.vendors.clone()),
        },
        viewers: viewers(context.vendors.clone()),
        node: context.node.clone(),
        pages: console::pages(&context.settings),
    }
}

fn permit_request(priority: Priority) -> PermitRequest {
    PermitRequest::within(priority, PATIENCE)
}

fn cloudflare(vendors: &Arc<VendorClients>) -> VendorWatch {
    let (success, error) = (vendors.clone(), vendors.clone());
    let (refused, probe) = (vendors.clone(), vendors.clone());
    VendorWatch::new(
        move || success.cloudflare.last_success(),
        move || error.cloudflare.last_error(),
        move || refused.cloudflare.refusal().is_some(),
        move || {
            let vendors = probe.clone();
            Box::pin(async move {
                vendors
                    .cloudflare
                    .storage_usage(permit_request(Priority::Janitor))
                    .await
                    .map(|_| ())
            })
        },
    )
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
        let (cloudflare, agora) = (&vendors.cloudflare, &vendors.agora);
        let mut budgets = vec![cloudflare.budget(), cloudflare.customer().budget()];
        budgets.extend(agora.budgets());
        budgets
    })
}

fn viewers(vendors: Arc<VendorClients>) -> Viewers {
    Viewers::new(Arc::new(move |ingest| {
        let vendors = vendors.clone();
        Box::pin(async move {
            vendors
                .cloudflare
                .customer()
                .views(permit_request(Priority::Janitor), &ingest)
                .await
                .ok()
        })
    }))
}
