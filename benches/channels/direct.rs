//! The vendors' own critical path as it is on this machine: the program's vendor clients call the simulator for a hundred
//! starts at once (create the live input and acquire, then start), without a service or a database between. What is beyond
//! the path on paper is the simulator's timers and a hundred connections' calls on two cores.

use std::time::Duration;

use chrono::Utc;
use futures_util::future::join_all;
use relaykeeper::config;
use relaykeeper::vendors::agora::Agora;
use relaykeeper::vendors::agora::cloud_recording::StartRequest;
use relaykeeper::vendors::cloudflare::{Cloudflare, NewLiveInput};
use relaykeeper::vendors::governor::{Caller, Priority};
use relaykeeper::vendors::lease::Lease;

use crate::added::beyond;
use crate::vendors::{Addresses, House};

/// Calls nobody limits, in a second.
const NEVER: u32 = 1_000_000;

/// Rounds of so many starts at once; how much later than it could each was answered, in milliseconds.
pub async fn starts(vendors: &mut House, rounds: usize, at_once: usize) -> Vec<f64> {
    let (cloudflare, agora) = clients(&vendors.at);
    // The first makes the governor know its budget, and is not counted.
    start(&cloudflare, &agora, 0).await;
    let mut added = Vec::new();
    for round in 0..rounds {
        let from = 1 + round * at_once;
        let starts = (from..from + at_once).map(async |number| {
            let asked = Utc::now();
            (start(&cloudflare, &agora, number).await, asked)
        });
        let started = join_all(starts).await;
        let theirs = vendors.starts();
        let late = started
            .iter()
            .filter_map(|(resource, asked)| beyond(resource, *asked, &theirs));
        added.extend(late);
    }
    added
}

/// One start; its resource id.
async fn start(cloudflare: &Cloudflare, agora: &Agora, number: usize) -> String {
    let tag = format!("direct_00000000_{number:032x}_1");
    let uid = 1 + number as u32;
    let new = NewLiveInput {
        tag: tag.clone(),
        name: format!("direct {number}"),
        timeout_seconds: 180,
        delete_recording_after_days: Some(30),
    };
    let recording = agora.cloud_recording();
    let (input, resource) = tokio::join!(
        cloudflare.create_live_input(caller(), &new),
        recording.acquire(caller(), &tag, uid, 4)
    );
    let target = input.expect("a live input").live_input.rtmps;
    let request = StartRequest {
        resource_id: resource.expect("a resource"),
        cname: tag,
        uid,
        page_url: "http://127.0.0.1:9/recorder?channel=direct".into(),
        rtmp_url: target.expect("a target").publish_url(),
        max_recording_hours: 3,
        ready_timeout_seconds: 60,
    };
    let started = recording.start(caller(), &request).await;
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

fn caller() -> Caller {
    Caller {
        priority: Priority::Start,
        until: tokio::time::Instant::now() + Duration::from_secs(30),
    }
}
