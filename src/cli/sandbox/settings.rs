//! The service's settings in a sandbox.

use relaykeeper::config::{
    AgoraBackend, AgoraSettings, AuthSettings, CloudRecordingSettings, CloudflareSettings,
    DatabaseSettings, IvsSettings, MuxSettings, PlatformsSettings, ServerSettings, Settings,
    StorageSettings, WebhooksSettings,
};
use relaykeeper::sandbox::SimulatedVendors;

use super::{DATABASE, Endpoint, SandboxArgs, SandboxBackend};

/// Keeps timers and prices of the settings; replaces addresses and credentials by the simulated vendors'.
pub(super) fn of_sandbox(
    loaded: Settings,
    args: &SandboxArgs,
    vendors: &SimulatedVendors,
    endpoint: &Endpoint,
) -> Settings {
    let usual = Settings::default();
    let backend = match args.backend {
        None => loaded.agora.backend,
        Some(SandboxBackend::CloudRecording) => AgoraBackend::CloudRecording,
        Some(SandboxBackend::MediaPush) => AgoraBackend::MediaPush,
    };
    let database = if args.demo {
        "sqlite::memory:".to_owned()
    } else {
        format!("sqlite://{DATABASE}?mode=rwc")
    };
    Settings {
        server: ServerSettings {
            public_url: endpoint.url.clone(),
            shutdown_grace: loaded.server.shutdown_grace,
            requests_per_second: loaded.server.requests_per_second,
            cors_origins: loaded.server.cors_origins,
            ..usual.server
        },
        database: DatabaseSettings {
            url: database.into(),
            ..usual.database
        },
        auth: AuthSettings {
            api_tokens: vec![endpoint.api_token.clone()],
            admin_tokens: vec![endpoint.admin_token.clone()],
        },
        runtime: loaded.runtime,
        fleet: loaded.fleet,
        relay: loaded.relay,
        janitor: loaded.janitor,
        vendors: loaded.vendors,
        telemetry: loaded.telemetry,
        ingest: loaded.ingest,
        platforms: match args.platform {
            None => loaded.platforms,
            Some(platform) => PlatformsSettings {
                default: platform.name().to_owned(),
            },
        },
        cloudflare: CloudflareSettings {
            account_id: vendors.account_id().to_owned(),
            api_token: vendors.cloudflare_api_token().into(),
            api_base_url: vendors.cloudflare_api_base_url(),
            customer_base_url: vendors.customer_base_url(),
            recordings_interval: loaded.cloudflare.recordings_interval,
            live_webhook_secret: vendors.live_webhook_secret().into(),
            stream_webhook_secret: vendors.stream_webhook_secret().into(),
            ..usual.cloudflare
        },
        mux: MuxSettings {
            token_id: vendors.mux_token_id().to_owned(),
            token_secret: vendors.mux_token_secret().into(),
            api_base_url: vendors.mux_api_base_url(),
            playback_base_url: vendors.mux_playback_base_url(),
            ingest_url: vendors.mux_ingest_url().to_owned(),
            webhook_secrets: vec![vendors.mux_webhook_secret().into()],
            recordings_interval: loaded.mux.recordings_interval,
            ..usual.mux
        },
        ivs: IvsSettings {
            region: vendors.ivs_region().to_owned(),
            access_key_id: vendors.ivs_access_key_id().to_owned(),
            secret_access_key: vendors.ivs_secret_access_key().into(),
            api_base_url: vendors.ivs_api_base_url(),
            playback_base_url: vendors.ivs_playback_base_url(),
            channel_type: loaded.ivs.channel_type,
            recording_configuration_arn: vendors.ivs_recording_configuration_arn().to_owned(),
            recording_bucket: vendors.ivs_recording_bucket().to_owned(),
            s3_endpoint: vendors.ivs_s3_endpoint(),
            vod_base_url: vendors.ivs_vod_base_url(),
            webhook_secret: vendors.ivs_webhook_secret().into(),
            recordings_interval: loaded.ivs.recordings_interval,
            ..usual.ivs
        },
        agora: AgoraSettings {
            app_id: vendors.agora_app_id().to_owned(),
            app_certificate: vendors.agora_app_certificate().into(),
            customer_id: vendors.agora_customer_id().to_owned(),
            customer_secret: vendors.agora_customer_secret().into(),
            api_base_url: vendors.agora_base_url(),
            fallback_base_urls: vec![vendors.agora_fallback_base_url()],
            backend,
            webhook_secrets: vec![vendors.agora_webhook_secret().into()],
            not_found_backoff: loaded.agora.not_found_backoff,
            cloud_recording: CloudRecordingSettings {
                page_url: String::new(),
                storage: StorageSettings {
                    bucket: "sandbox".into(),
                    access_key: "sandbox".into(),
                    secret_key: "sandbox".into(),
                    ..StorageSettings::default()
                },
                ..loaded.agora.cloud_recording
            },
            media_push: loaded.agora.media_push,
            ..usual.agora
        },
        pricing: loaded.pricing,
        webhooks: WebhooksSettings {
            endpoint: args.receiver.clone().unwrap_or_default(),
            secrets: args.receiver_secret.iter().cloned().collect(),
            allow_private: true,
            ..usual.webhooks
        },
    }
}
