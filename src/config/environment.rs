//! Maps environment variables to keys.

pub(super) const PREFIX: &str = "RELAYKEEPER__";

/// Short names and their keys, as in `config.toml`.
const SHORT_NAMES: [(&str, &str); 11] = [
    ("PORT", "server.port"),
    ("DATABASE_URL", "database.url"),
    ("RELAYKEEPER_API_TOKENS", "auth.api_tokens"),
    ("RELAYKEEPER_ADMIN_TOKENS", "auth.admin_tokens"),
    ("AGORA_APP_ID", "agora.app_id"),
    ("AGORA_APP_CERTIFICATE", "agora.app_certificate"),
    ("AGORA_CUSTOMER_ID", "agora.customer_id"),
    ("AGORA_CUSTOMER_SECRET", "agora.customer_secret"),
    ("AGORA_API_BASE_URL", "agora.api_base_url"),
    ("AGORA_BACKEND", "agora.backend"),
    ("AGORA_WEBHOOK_SECRET", "agora.webhook_secrets"),
];

/// All short names and their keys.
pub(super) fn short_names() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHORT_NAMES.into_iter().chain(super::platform_short_names())
}

/// The short name of `key`, or else the long one.
pub(super) fn variable(key: &str) -> String {
    short_names()
        .find(|(_, short)| *short == key)
        .map_or_else(|| long_name(key), |(name, _)| name.to_owned())
}

/// `relay.poll_interval` as `RELAYKEEPER__RELAY__POLL_INTERVAL`.
pub(super) fn long_name(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// This process's environment, for [`super::Settings::load`]. Skips variables that are not Unicode.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
