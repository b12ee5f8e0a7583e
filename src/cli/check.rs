//! `relaykeeper check`.

use std::process::ExitCode;

use relaykeeper::application::{self, descriptors};
use relaykeeper::config::{AgoraBackend, DefaultIngestOwner, IvsCredentials, Settings};
use relaykeeper::platforms::Platform as _;
use relaykeeper::platforms::Platforms;
use relaykeeper::platforms::cloudflare::{Cloudflare, TokenState};
use relaykeeper::platforms::ivs::{IvsPlatform, RecordingConfigurationState};
use relaykeeper::platforms::mux::MuxPlatform;
use relaykeeper::store::Store;
use relaykeeper::vendors;
use relaykeeper::vendors::agora::Agora;
use relaykeeper::vendors::lease::Lease;
use relaykeeper::vendors::{Class, VendorError};
use secrecy::ExposeSecret as _;

use super::permit_request;

#[derive(Default)]
struct CheckReport {
    bad: usize,
}

#[allow(clippy::print_stdout, reason = "the command's output")]
impl CheckReport {
    fn good(&self, what: &str, detail: &str) {
        println!("ok       {what}: {detail}");
    }

    fn note(&self, what: &str, detail: &str) {
        println!("note     {what}: {detail}");
    }

    fn bad(&mut self, what: &str, detail: &str) {
        self.bad += 1;
        println!("WRONG    {what}: {detail}");
    }

    fn sum(&self) -> ExitCode {
        match self.bad {
            0 => {
                println!("\nNothing is wrong: `relaykeeper serve` can start.");
                return ExitCode::SUCCESS;
            }
            1 => println!("\nOne thing is wrong."),
            many => println!("\n{many} things are wrong."),
        }
        ExitCode::FAILURE
    }
}

pub(super) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    application::run(async move {
        let mut report = CheckReport::default();
        for missing in settings.missing_for_serve() {
            report.bad(
                missing.key,
                &format!("missing; set {}: {}", missing.env, missing.how),
            );
        }
        for problem in settings.warnings() {
            report.note("settings", &problem.to_string());
        }
        if let Some(what) = settings.page_out_of_reach() {
            report.bad(
                "the recorder's page",
                &format!(
                    "{what}: Agora's cloud browser must reach it from the internet over https"
                ),
            );
        }
        match vendors::proxy() {
            Ok(Some(proxy)) => report.note("proxy", &format!("{proxy} for calls to vendors")),
            Ok(None) => report.note("proxy", "none (HTTPS_PROXY is not set)"),
            Err(error) => report.bad("proxy", &error.to_string()),
        }
        let runtime = tokio::runtime::Handle::current();
        let platforms = Platforms::of_settings(&settings, &runtime, &Lease::for_good(), None)?;
        for problem in platforms.video_problems(&settings.agora) {
            report.bad("video", &problem.to_string());
        }
        open_files(&settings, &report);
        database(&settings, &mut report).await;
        cloudflare(&settings, &mut report).await?;
        mux(&settings, &mut report).await?;
        ivs(&settings, &mut report).await?;
        agora(&settings, &mut report).await?;
        Ok(report.sum())
    })
}

fn open_files(settings: &Settings, report: &CheckReport) {
    let limit = descriptors::raise();
    let wanted = settings.server.max_connections;
    let connections = descriptors::connections(wanted, limit);
    let limit = limit.map_or("no limit".to_owned(), |limit| limit.to_string());
    if connections < wanted {
        report.note(
            "open files",
            &format!(
                "{limit}: `serve` accepts {connections} connections instead of server.max_connections ({wanted}); raise the limit (ulimit -Hn, LimitNOFILE, --ulimit nofile)"
            ),
        );
    } else {
        report.good("open files", &limit);
    }
}

async fn database(settings: &Settings, report: &mut CheckReport) {
    if settings.database.is_in_memory() {
        return report.bad("database", super::IN_MEMORY);
    }
    let store = match Store::connect(&settings.database).await {
        Ok(store) => store,
        Err(error) => return report.bad("database", &error.to_string()),
    };
    match store.migration_status().await {
        Ok(migrations) => match migrations
            .iter()
            .filter(|migration| !migration.applied)
            .count()
        {
            0 => report.good("database", "connected; schema up to date"),
            _ => report.good(
                "database",
                "connected; `serve` or `migrate up` will update the schema",
            ),
        },
        Err(error) => report.bad("database", &error.to_string()),
    }
    match store.quick_check().await {
        Ok(found) if found.is_empty() => {}
        Ok(found) => report.bad(
            "database",
            &format!("it is damaged; restore a backup: {}", found.join("; ")),
        ),
        Err(error) => report.bad("database", &format!("its integrity check failed: {error}")),
    }
    if let Some(mode) = store.open_to_others() {
        report.note(
            "database",
            &format!("the file is readable by other users (mode {mode:03o}); run chmod 600"),
        );
    }
    store.close().await;
}

async fn cloudflare(settings: &Settings, report: &mut CheckReport) -> anyhow::Result<()> {
    let ours = &settings.cloudflare;
    if ours.account_id.is_empty() || ours.api_token.expose_secret().is_empty() {
        return Ok(());
    }
    let cloudflare = Cloudflare::new(&settings.cloudflare, &settings.vendors, &Lease::for_good())?;
    match cloudflare.verify_token(permit_request()).await {
        Ok(TokenState::Active) => report.good("Cloudflare token", "active"),
        Ok(state) => report.bad(
            "Cloudflare token",
            &format!("it is {state:?}; create one with Stream:Edit"),
        ),
        Err(error) => report.bad(
            "Cloudflare token",
            &explain(&error, "create one with the permission Stream:Edit"),
        ),
    }
    match cloudflare.storage_usage(permit_request()).await {
        Ok(usage) => {
            let limit = usage
                .limit_minutes
                .map(|limit| format!(" of {limit:.0}"))
                .unwrap_or_default();
            report.good(
                "Cloudflare Stream",
                &format!("{:.0}{limit} minutes stored", usage.total_minutes),
            );
            if usage
                .limit_minutes
                .is_some_and(|limit| usage.total_minutes >= limit)
            {
                report.bad(
                    "Cloudflare Stream",
                    "storage is full; new broadcasts will be rejected; buy more minutes",
                );
            }
        }
        Err(error) => report.bad(
            "Cloudflare Stream",
            &explain(
                &error,
                "the token needs Stream:Edit on this account, and Stream must be enabled",
            ),
        ),
    }
    // Without an answer, only the settings are checked.
    let _ = cloudflare.learn_customer_host(permit_request()).await;
    if let Some(what) = cloudflare.customer().contradiction() {
        report.bad(
            "Cloudflare customer host",
            &format!("{what}; correct or unset CLOUDFLARE_STREAM_CUSTOMER_BASE_URL"),
        );
    } else if settings.cloudflare.customer_base_url.is_empty() {
        report.note(
            "Cloudflare customer host",
            "not set; read from Cloudflare's responses (CLOUDFLARE_STREAM_CUSTOMER_BASE_URL sets it)",
        );
    }
    Ok(())
}

async fn mux(settings: &Settings, report: &mut CheckReport) -> anyhow::Result<()> {
    if !settings.mux.has_credentials() {
        return Ok(());
    }
    let mux = MuxPlatform::new(settings, &Lease::for_good())?;
    let remedy = "create an access token with Mux Video, read and write";
    match mux.check(permit_request()).await {
        Ok(()) => report.good("Mux token", "accepted; it reads live streams"),
        Err(error) => report.bad("Mux token", &explain(&error, remedy)),
    }
    if let Ok(environment) = mux.environment(permit_request()).await {
        report.note("Mux environment", &environment);
    }
    report.note(
        "Mux recordings",
        "kept and billed until they are deleted: relay.delete_recording_after_days has no effect at Mux",
    );
    Ok(())
}

async fn ivs(settings: &Settings, report: &mut CheckReport) -> anyhow::Result<()> {
    let ours = &settings.ivs;
    if !ours.has_credentials() {
        return Ok(());
    }
    let ivs = IvsPlatform::new(settings, &Lease::for_good())?;
    let remedy =
        "its user needs the policy of docs/credentials.md, and IVS must be offered in ivs.region";
    if let Err(error) = ivs.check(permit_request()).await {
        report.bad("IVS access key", &explain(&error, remedy));
        return Ok(());
    }
    let accepted = format!("accepted; it lists channels of {}", ours.region);
    report.good("IVS access key", &accepted);
    if ours.credentials == IvsCredentials::Keys && !ours.session_token.expose_secret().is_empty() {
        report.note(
            "IVS access key",
            "temporary: it expires and is not renewed; at AWS ivs.credentials = \"role\" is",
        );
    }
    let kind = format!("{}, as ivs.channel_type says", ours.channel_type);
    report.note("IVS channel type", &kind);
    match ivs.recording_configuration(permit_request()).await {
        Ok(None) => report.note(
            "IVS recordings",
            "none: ivs.recording_configuration_arn is empty, so a start must say enable_recording: false",
        ),
        Ok(Some(configuration)) => ivs_recordings(settings, &configuration, report),
        Err(error) => report.bad("IVS recordings", &explain(&error, remedy)),
    }
    match ivs.check_bucket().await {
        None => {}
        Some(Ok(())) => report.good("IVS bucket", "can be listed"),
        Some(Err(error)) => report.bad(
            "IVS bucket",
            &explain(
                &error,
                "its user needs s3:ListBucket, s3:GetObject and s3:DeleteObject on it",
            ),
        ),
    }
    Ok(())
}

fn ivs_recordings(
    settings: &Settings,
    configuration: &RecordingConfigurationState,
    report: &mut CheckReport,
) {
    let ours = &settings.ivs;
    if !configuration.is_active() {
        let state = format!("the recording configuration is {}", configuration.state);
        return report.bad("IVS recordings", &format!("{state}: create another one"));
    }
    let window = humantime::format_duration(configuration.window);
    report.good(
        "IVS recordings",
        &format!("the recording configuration is active; its reconnect window is {window}"),
    );
    if settings.ingest.owner == DefaultIngestOwner::Channel && !configuration.window.is_zero() {
        report.note(
            "IVS recordings",
            "two shows of a channel within the reconnect window may share a recording: with ingest.owner = \"channel\" take 0",
        );
    }
    let bucket = configuration.bucket.as_deref();
    if ours.recording_bucket.is_empty() {
        let named = bucket.unwrap_or("the configuration's bucket");
        let found = format!("not searched for: set ivs.recording_bucket ({named})");
        report.note("IVS recordings", &found);
    } else if bucket.is_some_and(|bucket| bucket != ours.recording_bucket) {
        let other = bucket.unwrap_or_default();
        let wrong = format!("they are written to {other}: correct ivs.recording_bucket");
        report.bad("IVS bucket", &wrong);
    } else if ours.vod_base_url.is_empty() {
        report.note(
            "IVS recordings",
            "have a location and no URL: ivs.vod_base_url is empty",
        );
    }
}

async fn agora(settings: &Settings, report: &mut CheckReport) -> anyhow::Result<()> {
    let ours = &settings.agora;
    let secret = ours.customer_secret.expose_secret();
    if ours.app_id.is_empty() || ours.customer_id.is_empty() || secret.is_empty() {
        return Ok(());
    }
    let agora = Agora::new(&settings.agora, &settings.vendors, &Lease::for_good())?;
    match agora.media_push().check_credentials(permit_request()).await {
        Ok(()) => report.good("Agora credentials", "accepted"),
        Err(error) => {
            let remedy = "use the customer id and secret of the App ID's account: Agora Console, RESTful API";
            report.bad("Agora credentials", &explain(&error, remedy));
            if error.class == Class::Unauthorized {
                // The product calls would fail the same way.
                return Ok(());
            }
        }
    }
    match settings.agora.backend {
        AgoraBackend::CloudRecording => {
            let uid = settings.agora.cloud_recording.recording_uid_base;
            match agora
                .cloud_recording()
                .acquire(permit_request(), "relaykeeper-check", uid, 1)
                .await
            {
                Ok(_) => report.good(
                    "Agora Cloud Recording",
                    "enabled (acquired a resource, at no cost)",
                ),
                Err(error) => report.bad(
                    "Agora Cloud Recording",
                    &explain(
                        &error,
                        "enable Cloud Recording for the App ID in the console",
                    ),
                ),
            }
            report.note(
                "the recorder's page",
                "not tested: server.public_url must be reachable from the internet",
            );
            report.note(
                "Agora storage",
                "not tested: wrong bucket keys end an egress soon after its start",
            );
        }
        AgoraBackend::MediaPush => match agora.media_push().list(permit_request()).await {
            Ok(list) => report.good(
                "Agora Media Push",
                &format!("enabled; {} converters running", list.converters.len()),
            ),
            Err(error) => report.bad(
                "Agora Media Push",
                &explain(
                    &error,
                    "enable the Media Push RESTful API for the App ID in the console",
                ),
            ),
        },
    }
    Ok(())
}

fn explain(error: &VendorError, remedy: &str) -> String {
    match error.class {
        Class::Unavailable | Class::Timeout => {
            format!("{error}; check that this machine can reach the vendor")
        }
        Class::RateLimited => format!("{error}; try again later"),
        Class::Unauthorized
        | Class::Rejected
        | Class::NotFound
        | Class::Conflict
        | Class::Quota
        | Class::Unexpected => format!("{error}; {remedy}"),
    }
}
