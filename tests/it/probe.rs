//! `relaykeeper probe` on simulated vendors.
#![cfg(feature = "sandbox")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use crate::support::service::nothing_is_left;
use relaykeeper::sandbox::{FaultKind, Options, SimulatedVendors, VendorCall, VendorFault};

async fn probe(vendors: &SimulatedVendors, backend: &str, fixtures: &Path) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    tokio::process::Command::new(env!("CARGO_BIN_EXE_relaykeeper"))
        .args(["probe", "--fixtures"])
        .arg(fixtures)
        .env_clear()
        .current_dir(folder.path())
        .envs(vendors.environment())
        .envs(vendors.mux_environment())
        .envs(vendors.ivs_environment())
        .env("AGORA_BACKEND", backend)
        .env("RELAYKEEPER__VENDORS__WRITE_TIMEOUT", "5s")
        .output()
        .await
        .expect("it runs")
}

fn out(output: &Output) -> String {
    let (out, error) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(error)
    )
}

/// No seller is in any channel.
fn vendors() -> SimulatedVendors {
    let options = Options {
        sellers_present: false,
        ..Options::default()
    };
    SimulatedVendors::start(options).expect("vendors")
}

/// From the printed table.
fn verdict(output: &Output, name: &str) -> String {
    let text = out(output);
    let row = text
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some(name));
    let row = row.unwrap_or_else(|| panic!("no row {name}: {text}"));
    row.split_whitespace().next().expect("a verdict").to_owned()
}

#[tokio::test]
async fn on_vendors_that_follow_the_documents_nothing_differs_and_nothing_is_left() {
    let vendors = vendors();
    for (backend, products) in [("cloud_recording", "cr-"), ("media_push", "mp-")] {
        let fixtures = tempfile::tempdir().expect("a folder");
        let output = probe(&vendors, backend, fixtures.path()).await;
        assert!(output.status.success(), "{}", out(&output));
        assert!(out(&output).contains(" 0 differ, "), "{}", out(&output));
        let rows = out(&output);
        let rows = rows
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1));
        let tried = |name: &&str| {
            ["cf-", "mx-", "iv-", "ag-", products]
                .iter()
                .any(|part| name.starts_with(part))
        };
        for name in rows.filter(tried).collect::<BTreeSet<_>>() {
            assert_eq!(verdict(&output, name), "holds", "{name}: {}", out(&output));
        }
        assert!(nothing_is_left(&vendors), "{:#?}", vendors.state());

        let mut written = String::new();
        for file in std::fs::read_dir(fixtures.path()).expect("the folder") {
            written += &std::fs::read_to_string(file.expect("a file").path()).expect("text");
        }
        assert!(written.contains("live_inputs.rotate_keys") && written.contains("<account>"));
        assert!(written.contains("mux.reset_stream_key"));
        let secrets = vendors.issued_secrets();
        let ours = [
            vendors.cloudflare_api_token(),
            vendors.agora_customer_secret(),
            vendors.mux_token_secret(),
            vendors.ivs_secret_access_key(),
        ];
        let secrets = secrets.iter().map(String::as_str).chain(ours);
        for secret in secrets {
            assert!(!written.contains(secret), "a fixture holds {secret}");
            assert!(!out(&output).contains(secret), "the table holds {secret}");
        }
    }
}

#[tokio::test]
async fn differences_are_reported_and_everything_is_cleaned_up() {
    let vendors = vendors();
    let fixtures = tempfile::tempdir().expect("a folder");
    vendors.fault(VendorFault::once(
        VendorCall::LiveInputRotateKeys,
        FaultKind::Status(404, None),
    ));
    vendors.fault(VendorFault::once(
        VendorCall::LiveInputVideos,
        FaultKind::NotJson,
    ));
    vendors.fault(VendorFault::once(VendorCall::Hosts, FaultKind::Refuse));
    let output = probe(&vendors, "media_push", fixtures.path()).await;
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert_eq!(verdict(&output, "cf-rotate"), "DIFFERS");
    assert_eq!(verdict(&output, "cf-videos"), "DIFFERS");
    assert_eq!(verdict(&output, "ag-hosts"), "unclear");
    assert_eq!(verdict(&output, "cf-delete"), "holds");
    assert!(nothing_is_left(&vendors), "{:#?}", vendors.state());
}

#[tokio::test]
async fn an_ingest_or_converter_whose_answer_was_lost_is_deleted_too() {
    let vendors = vendors();
    let fixtures = tempfile::tempdir().expect("a folder");
    let lost = |call, after| VendorFault {
        after,
        ..VendorFault::once(call, FaultKind::CutAfter)
    };
    // The probe's first create must be refused.
    vendors.fault(lost(VendorCall::LiveInputCreate, 1));
    vendors.fault(lost(VendorCall::MuxStreamCreate, 0));
    vendors.fault(lost(VendorCall::IvsChannelCreate, 0));
    vendors.fault(lost(VendorCall::ConverterCreate, 0));
    let output = probe(&vendors, "media_push", fixtures.path()).await;
    assert!(output.status.success(), "{}", out(&output));
    assert_eq!(verdict(&output, "cf-create"), "unclear");
    assert_eq!(verdict(&output, "mx-create"), "unclear");
    assert_eq!(verdict(&output, "iv-create"), "unclear");
    assert_eq!(verdict(&output, "mp-create"), "unclear");
    let inputs = vendors.state().live_inputs;
    for platform in ["cloudflare", "mux", "ivs"] {
        assert!(
            inputs.iter().any(|input| input.platform == platform),
            "{platform}: it was made"
        );
    }
    assert!(nothing_is_left(&vendors), "{:#?}", vendors.state());
}

#[tokio::test]
async fn what_cannot_be_deleted_is_named() {
    let vendors = vendors();
    let fixtures = tempfile::tempdir().expect("a folder");
    vendors.fault(VendorFault::forever(
        VendorCall::LiveInputDelete,
        FaultKind::Status(503, None),
    ));
    let output = probe(&vendors, "cloud_recording", fixtures.path()).await;
    assert_eq!(output.status.code(), Some(1));
    let uid = &vendors.state().live_inputs[0].uid;
    let told = format!("LEFT BEHIND: live input {uid}");
    assert!(out(&output).contains(&told), "{}", out(&output));
}

#[tokio::test]
async fn the_document_lists_every_probed_assumption() {
    let vendors = vendors();
    let fixtures = tempfile::tempdir().expect("a folder");
    let output = probe(&vendors, "cloud_recording", fixtures.path()).await;
    let text = out(&output);
    let names: BTreeSet<&str> = text
        .lines()
        .filter(|line| {
            ["holds ", "DIFFERS ", "unclear "]
                .iter()
                .any(|word| line.starts_with(word))
        })
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert!(names.len() > 30, "{text}");
    let document = include_str!("../../docs/vendors/README.md");
    let documented: BTreeSet<&str> = document
        .split('`')
        .filter(|word| names.contains(word))
        .collect();
    assert_eq!(documented, names);
}
