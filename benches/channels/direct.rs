//! The vendors' critical path on this machine: the vendor clients call the simulator without service and database.

use std::time::Duration;

use chrono::Utc;
use futures_util::future::join_all;
use relaykeeper::config;
use relaykeeper::platforms::cloudflare::{Cloudflare, NewLiveInput};
use relaykeeper::vendors::agora::Agora;
use relaykeeper::vendors::agora::cloud_recording::RecordingStartRequest;
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::lease::Lease;

use crate::added::excess_ms;
use crate::vendors::{Addresses, VendorsProcess};

const NEVER: u32 = 1_000_000;

/// Returns each start's time beyond the critical path, in milliseconds.
pub async fn starts(vendors: &mut VendorsProcess, rounds: usize, at_once: usize) -> Vec<f64> {
    let (cloudflare, agora) = clients(&vendors.at);
    // Not counted: the governor learns its budget.
    start(&cloudflare, &agora, 0).await;
    let mut added = Vec::new();
    for round in 0..rounds {
        let from = 1 + round * at_once;
        let starts = (from..from + at_once).map(async |number| {
            let asked = Utc::now();
            (start(&cloudflare, &agora, number).await, asked)
        });
        let started = join_all(starts).await;
        let answered_at = vendors.starts();
        let late = started
            .iter()
            .filter_map(|(resource, asked)| excess_ms(resource, *asked, &answered_at));
        added.extend(late);
    }
    added
}

/// Returns the resource id.
async fn start(cloudflare: &Cloudflare, agora: &Agora, number: usize) -> String {
    let tag = format!("direct_00000000_{number:032x}_1");
    let uid = 1 + number as u32;
    let new = NewLiveInput {
        low_latency: false,
        tag: tag.clone(),
        name: format!("direct {number}"),
        timeout_seconds: 180,
        delete_recording_after_days: Some(30),
    };
    let recording = agora.cloud_recording();
    let (input, resource) = tokio::join!(
        cloudflare.create_live_input(permit_request(), &new),
        recording.acquire(permit_request(), &tag, uid, 4)
    );
    let target = input.expect("a live input").live_input.rtmps;
    let request = RecordingStartRequest {
        resource_id: resource.expect("a resource"),
        cname: tag,
        uid,
        page_url: "http://127.0.0.1:9/recorder?channel=direct".into(),
        rtmp_url: target.expect("a target").publish_url(),
        max_recording_hours: 3,
        ready_timeout_seconds: 60,
    };
    let started = recording.start(permit_request(), &request).await;
    started.expect("it starts");
    request.resource_id
}

fn clients(at: &Addresses) -> (Cloudflare, Agora) {
    let cloudflare = config::CloudflareSettings {
        account_id: at.account_id.clone(),
        api_token: at.cloudflare_token.clone().into(),
        api_base_url: at.cloudflare.clone(),
        customer_base_url: at.customer.clone(),
        requests_per_5_minutes: NEVER,
        ..config::CloudflareSettings::default()
    };
    let mut agora = config::AgoraSettings {
        app_id: at.app_id.clone(),
        customer_id: at.customer_id.clone(),
        customer_secret: at.customer_secret.clone().into(),
        api_base_url: at.agora.clone(),
        fallback_base_urls: Vec::new(),
        ..config::AgoraSettings::default()
    };
    agora.cloud_recording.requests_per_second = NEVER;
    agora.cloud_recording.storage = config::StorageSettings {
        bucket: "bucket".into(),
        access_key: "storage-access-key".into(),
        secret_key: "storage-secret-key".into(),
        ..config::StorageSettings::default()
    };
    let (vendors, lease) = (config::VendorsSettings::default(), Lease::for_good());
    let cloudflare = Cloudflare::new(&cloudflare, &vendors, &lease).expect("a client");
    let agora = Agora::new(&agora, &vendors, &lease).expect("a client");
    (cloudflare, agora)
}

fn permit_request() -> PermitRequest {
    PermitRequest {
        priority: Priority::Start,
        until: tokio::time::Instant::now() + Duration::from_secs(30),
    }
}
