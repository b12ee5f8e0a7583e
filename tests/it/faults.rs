//! Every vendor call fails in every way, once and for good.
//!
//! `RELAYKEEPER_TEST_FAULTS=all`: also what is left out to save time. `RELAYKEEPER_TEST_FAULT=agora`: only cases whose description
//! contains that.
#![cfg(feature = "sandbox")]

mod fate;
mod gate;
mod hosts;
mod life;
mod matrix;
mod usage;

use hosts::{hosts, kept_hosts, refused_for_a_while, refused_for_good, refused_with_a_kept_ingest};
use life::{at_once, forever, once};
use matrix::{
    Wrong, cases, changes_and_some_others, everything, kept_cases, representative,
    representative_of_kept,
};
use relaykeeper::sandbox::VendorCall;
use rstest::rstest;
use strum::IntoEnumIterator;
use usage::{Life, Use, usage};

use crate::support::platform::TestPlatform;

#[test]
fn every_call_is_tried_or_there_is_a_reason_why_not() {
    let tried = TestPlatform::iter().flat_map(|platform| cases(platform, Wrong::Hang));
    let tried: Vec<VendorCall> = tried.map(|case| case.call).collect();
    for call in VendorCall::iter() {
        let never =
            matches!(usage(call), Use::Never(reason) | Use::Untried(reason) if !reason.is_empty());
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
#[case(Wrong::ErrorAfter)]
#[case(Wrong::Page)]
#[case(Wrong::Blocked)]
#[case(Wrong::Refused)]
fn a_call_that_goes_wrong_once_keeps_no_channel_off_air(#[case] wrong: Wrong) {
    at_once(12, cases(TestPlatform::Cloudflare, wrong), once);
}

#[rstest]
fn a_call_to_another_platform_that_goes_wrong_once_keeps_no_channel_off_air(
    #[values(TestPlatform::Mux, TestPlatform::Ivs)] platform: TestPlatform,
) {
    at_once(24, changes_and_some_others(platform), once);
}

#[rstest]
fn a_call_that_goes_wrong_for_good_ends_a_relay_in_time_and_leaves_nothing(
    #[values(TestPlatform::Cloudflare, TestPlatform::Mux, TestPlatform::Ivs)]
    platform: TestPlatform,
) {
    // Most cases wait half a minute.
    at_once(32, representative(platform), forever);
}

#[rstest]
fn a_call_on_a_kept_ingest_that_goes_wrong_once_keeps_no_channel_off_air(
    #[values(TestPlatform::Cloudflare, TestPlatform::Mux, TestPlatform::Ivs)]
    platform: TestPlatform,
) {
    at_once(12, representative_of_kept(platform), once);
}

#[rstest]
fn a_call_on_a_kept_ingest_that_goes_wrong_for_good_ends_a_relay_in_time_and_leaves_nothing(
    #[values(TestPlatform::Cloudflare, TestPlatform::Mux, TestPlatform::Ivs)]
    platform: TestPlatform,
) {
    // Waits for the same deadlines on each platform.
    if platform != TestPlatform::Cloudflare && !everything() {
        return;
    }
    let mut cases = representative_of_kept(platform);
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
#[case(Wrong::ErrorAfter)]
#[case(Wrong::Page)]
#[case(Wrong::Blocked)]
#[case(Wrong::Refused)]
fn a_channel_that_keeps_its_ingest_bears_every_call_that_goes_wrong(
    #[case] wrong: Wrong,
    #[values(TestPlatform::Cloudflare, TestPlatform::Mux, TestPlatform::Ivs)]
    platform: TestPlatform,
    #[values(false, true)] for_good: bool,
) {
    if everything() {
        match for_good {
            false => at_once(12, kept_cases(platform, wrong), once),
            true => at_once(32, kept_cases(platform, wrong), forever),
        }
    }
}

#[test]
fn a_host_that_refuses_connections_for_a_while_keeps_no_channel_off_air() {
    at_once(16, hosts(), refused_for_a_while);
}

#[test]
fn a_host_that_refuses_connections_for_good_ends_a_relay_in_time() {
    at_once(16, hosts(), refused_for_good);
}

#[test]
fn a_kept_ingest_outlasts_a_host_that_refuses_connections_during_a_show() {
    at_once(16, kept_hosts(), refused_with_a_kept_ingest);
}
