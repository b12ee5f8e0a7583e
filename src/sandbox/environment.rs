//! Variables that point a service to the simulated vendors.

use super::simulated_vendors::SimulatedVendors;

impl SimulatedVendors {
    /// Of Cloudflare and Agora.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        [
            ("CLOUDFLARE_STREAM_ACCOUNT_ID", self.account_id()),
            ("CLOUDFLARE_STREAM_API_TOKEN", self.cloudflare_api_token()),
            ("CLOUDFLARE_API_BASE_URL", &self.cloudflare_api_base_url()),
            (
                "CLOUDFLARE_STREAM_CUSTOMER_BASE_URL",
                &self.customer_base_url(),
            ),
            ("CLOUDFLARE_LIVE_WEBHOOK_SECRET", self.live_webhook_secret()),
            (
                "CLOUDFLARE_STREAM_WEBHOOK_SECRET",
                self.stream_webhook_secret(),
            ),
            ("AGORA_APP_ID", self.agora_app_id()),
            ("AGORA_APP_CERTIFICATE", self.agora_app_certificate()),
            ("AGORA_CUSTOMER_ID", self.agora_customer_id()),
            ("AGORA_CUSTOMER_SECRET", self.agora_customer_secret()),
            ("AGORA_API_BASE_URL", &self.agora_base_url()),
            (
                "RELAYKEEPER__AGORA__FALLBACK_BASE_URLS",
                &self.agora_fallback_base_url(),
            ),
            ("AGORA_WEBHOOK_SECRET", self.agora_webhook_secret()),
            (
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__BUCKET",
                "bucket",
            ),
            (
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__ACCESS_KEY",
                "storage-access-key",
            ),
            (
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__SECRET_KEY",
                "storage-secret-key",
            ),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }

    /// Of Mux, which puts it on too.
    pub fn mux_environment(&self) -> Vec<(&'static str, String)> {
        [
            ("MUX_TOKEN_ID", self.mux_token_id()),
            ("MUX_TOKEN_SECRET", self.mux_token_secret()),
            ("MUX_API_BASE_URL", &self.mux_api_base_url()),
            ("MUX_PLAYBACK_BASE_URL", &self.mux_playback_base_url()),
            ("MUX_INGEST_URL", self.mux_ingest_url()),
            ("MUX_WEBHOOK_SECRET", self.mux_webhook_secret()),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }

    /// Of IVS, which puts it on too.
    pub fn ivs_environment(&self) -> Vec<(&'static str, String)> {
        [
            ("AWS_REGION", self.ivs_region()),
            ("AWS_ACCESS_KEY_ID", self.ivs_access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", self.ivs_secret_access_key()),
            ("IVS_API_BASE_URL", &self.ivs_api_base_url()),
            ("IVS_PLAYBACK_BASE_URL", &self.ivs_playback_base_url()),
            (
                "IVS_RECORDING_CONFIGURATION_ARN",
                self.ivs_recording_configuration_arn(),
            ),
            ("IVS_RECORDING_BUCKET", self.ivs_recording_bucket()),
            ("IVS_S3_ENDPOINT", &self.ivs_s3_endpoint()),
            ("IVS_VOD_BASE_URL", &self.ivs_vod_base_url()),
            ("IVS_WEBHOOK_SECRET", self.ivs_webhook_secret()),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }
}
