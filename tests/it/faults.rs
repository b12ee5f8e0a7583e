//! Every vendor call fails in every way, once and for good.
//!
//! `RELAYKEEPER_TEST_FAULTS=all`: also what is left out to save time. `RELAYKEEPER_TEST_FAULT=agora`: only cases whose description
//! contains that.
#![cfg(feature = "sandbox")]

mod gate;
mod life;
mod matrix;

use life::{Host, at_once, forever, once, refused_for_a_while, refused_for_good};
use matrix::{
    Life, Use, Wrong, cases, everything, kept_cases, representative, representative_of_kept, usage,
};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::VendorCall;
use rstest::rstest;
use strum::IntoEnumIterator;

#[test]
fn every_call_is_tried_or_there_is_a_reason_why_not() {
    let tried: Vec<VendorCall> = cases(Wrong::Hang).iter().map(|case| case.call).collect();
    for call in VendorCall::iter() {
        let never = matches!(usage(call), Use::Never(reason) if !reason.is_empty());
        assert_ne!(tried.contains(&call), never, "{call}");
    }
}

#[rstest]
#[case(Wrong::InternalError)]
#[case(Wrong::Unavailable)]
#[case(Wrong::TooMany)]
#[case(Wrong::CutBefore)]
#[case(Wrong::CutAfter)]
#[case(Wrong::Hang)]
#[case(Wrong::NotJson)]
#[case(Wrong::Page)]
#[case(Wrong::Blocked)]
#[case(Wrong::Refused)]
fn a_call_that_goes_wrong_once_keeps_no_channel_off_air(#[case] wrong: Wrong) {
    at_once(12, cases(wrong), once);
}

#[test]
fn a_call_that_goes_wrong_for_good_ends_a_relay_in_time_and_leaves_nothing() {
    // Most cases wait half a minute.
    at_once(32, representative(), forever);
}

#[test]
fn a_call_on_a_kept_ingest_that_goes_wrong_once_keeps_no_channel_off_air() {
    at_once(12, representative_of_kept(), once);
}

#[test]
fn a_call_on_a_kept_ingest_that_goes_wrong_for_good_ends_a_relay_in_time_and_leaves_nothing() {
    let mut cases = representative_of_kept();
    // A stop that cannot renew the key waits half a minute.
    cases.retain(|case| everything() || case.life != Life::AgainWithStaleKey);
    at_once(32, cases, forever);
}

/// Most calls are as with an ingest of the relay: left out unless all is tried.
#[rstest]
#[case(Wrong::InternalError)]
#[case(Wrong::Unavailable)]
#[case(Wrong::TooMany)]
#[case(Wrong::CutBefore)]
#[case(Wrong::CutAfter)]
#[case(Wrong::Hang)]
#[case(Wrong::NotJson)]
#[case(Wrong::Page)]
#[case(Wrong::Blocked)]
#[case(Wrong::Refused)]
fn a_channel_that_keeps_its_ingest_bears_every_call_that_goes_wrong(
    #[case] wrong: Wrong,
    #[values(false, true)] for_good: bool,
) {
    if everything() {
        match for_good {
            false => at_once(12, kept_cases(wrong), once),
            true => at_once(32, kept_cases(wrong), forever),
        }
    }
}

#[rstest]
#[case::cloudflare(Host::Cloudflare)]
#[case::cloudflare_for_buyers(Host::Customer)]
#[case::agora(Host::Agora)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_refuses_connections_for_a_while_keeps_no_channel_off_air(
    #[case] host: Host,
    #[values(AgoraBackend::CloudRecording, AgoraBackend::MediaPush)] backend: AgoraBackend,
) {
    refused_for_a_while(host, backend).await;
}

#[rstest]
#[case::cloudflare(Host::Cloudflare, "vendor_unavailable")]
#[case::cloudflare_for_buyers(Host::Customer, "live_timeout")]
#[case::agora(Host::Agora, "vendor_unavailable")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_refuses_connections_for_good_ends_a_relay_in_time(
    #[case] host: Host,
    #[case] outcome: &str,
    #[values(AgoraBackend::CloudRecording, AgoraBackend::MediaPush)] backend: AgoraBackend,
) {
    refused_for_good(host, backend, outcome).await;
}
