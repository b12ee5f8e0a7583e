//! Refusals, limits and credentials.

use std::time::Duration;

use relaykeeper::platforms::Platform as _;
use relaykeeper::sandbox::{FaultKind, Options, Quotas, VendorCall, VendorFault};
use relaykeeper::vendors::{Class, Done};

use super::support::{MuxBench, client};
use crate::support::bench::{fast, new, permit};

#[tokio::test]
async fn wrong_credentials_are_refused_and_reported() {
    let bench = MuxBench::start(fast());
    let (api, playback) = (
        bench.vendors.mux_api_base_url(),
        bench.vendors.mux_playback_base_url(),
    );
    let stranger = client(&api, &playback, bench.vendors.mux_token_id(), "wrong");
    let refused = stranger.check(permit()).await.unwrap_err();
    assert_eq!(
        (refused.class, refused.status),
        (Class::Unauthorized, Some(401))
    );
    assert!(stranger.health().refusal.is_some());
    bench.platform.check(permit()).await.unwrap();
    assert!(bench.platform.health().last_success.is_some());
    let environment = bench.platform.environment(permit()).await.unwrap();
    assert!(
        environment.starts_with("Sandbox, development"),
        "{environment}"
    );
}

#[tokio::test]
async fn a_plan_without_live_streams_is_a_limit_and_a_condition_for_an_operator() {
    let bench = MuxBench::start(Options {
        mux_free_plan: true,
        ..fast()
    });
    let refused = bench.platform.ensure_ingest(permit(), &new("tag")).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.class, refused.done), (Class::Quota, Done::No));
    let [complaint] = &bench.platform.complaints()[..] else {
        panic!("no complaint");
    };
    assert!(bench.platform.complaint_codes().contains(&complaint.code));
    assert!(complaint.detail.contains("free plan"), "{complaint:?}");
    assert!(
        bench.platform.health().refusal.is_none(),
        "the token is good"
    );
}

#[tokio::test]
async fn a_refusal_by_rate_stops_that_kind_of_call_for_the_time_that_mux_names() {
    let bench = MuxBench::start(Options {
        speed: 1.0,
        create_latency: Duration::ZERO,
        quotas: Quotas::default(),
        ..fast()
    });
    for number in 0..4 {
        bench.create(&format!("tag-{number}")).await;
    }
    let refused = bench.platform.ensure_ingest(permit(), &new("tag-4")).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.class, refused.done),
        (Class::RateLimited, Done::No)
    );
    assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
    let paused: Vec<_> = bench
        .platform
        .governors()
        .into_iter()
        .map(|governor| governor.snapshot())
        .filter(|budget| budget.paused_for.is_some())
        .map(|budget| budget.name)
        .collect();
    assert_eq!(paused, ["mux_writes"]);
    // Waits for the pause.
    bench.create("tag-4").await;
}

#[tokio::test]
async fn each_way_of_failing_has_its_class() {
    let bench = MuxBench::start(fast());
    for (kind, class, done) in [
        (
            FaultKind::Status(500, None),
            Class::Unavailable,
            Done::Unknown,
        ),
        (
            FaultKind::Status(409, None),
            Class::Unavailable,
            Done::Unknown,
        ),
        (FaultKind::Status(403, None), Class::Unauthorized, Done::No),
        (FaultKind::Status(422, None), Class::Rejected, Done::No),
        (FaultKind::Page(403), Class::Unavailable, Done::Unknown),
        (FaultKind::Page(200), Class::Unexpected, Done::Unknown),
        (FaultKind::NotJson, Class::Unexpected, Done::Unknown),
        (FaultKind::CutAfter, Class::Unavailable, Done::Unknown),
        (FaultKind::Hang, Class::Timeout, Done::Unknown),
    ] {
        let call = VendorCall::MuxStreamCreate;
        bench.vendors.fault(VendorFault::once(call, kind.clone()));
        let failed = bench.platform.ensure_ingest(permit(), &new("tag")).await;
        let failed = failed.unwrap_err();
        assert_eq!(
            (failed.class, failed.done),
            (class, done),
            "{kind:?}: {failed}"
        );
    }
    // A read that failed changed nothing.
    let call = VendorCall::MuxStreamList;
    bench
        .vendors
        .fault(VendorFault::once(call, FaultKind::CutAfter));
    let failed = bench.platform.list_tagged(permit()).await.unwrap_err();
    assert_eq!(failed.done, Done::No);
}

#[tokio::test]
async fn an_id_that_would_name_another_endpoint_is_not_sent() {
    let bench = MuxBench::start(fast());
    for id in ["", "..", "a/b", "a?b"] {
        let refused = bench.platform.remove(permit(), id).await.unwrap_err();
        assert_eq!(
            (refused.class, refused.done),
            (Class::Rejected, Done::No),
            "{id}"
        );
    }
    assert!(bench.vendors.state().calls.is_empty());
}
