//! Defaults, precedence, and refusals with their words.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use relaykeeper::config::{
    AgoraBackend, IngestRetention, MediaPushMode, Settings, SettingsError, SettingsProblem,
};
use rstest::rstest;
use secrecy::{ExposeSecret, SecretString};

fn shipped() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml"))
}

fn load(file: &str, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let mut toml = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    toml.write_all(file.as_bytes()).unwrap();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(toml.path()), env)
}

fn from_env(env: &[(&str, &str)]) -> Settings {
    load("", env).unwrap()
}

fn problems(file: &str, env: &[(&str, &str)]) -> Vec<SettingsProblem> {
    match load(file, env) {
        Err(SettingsError::Refused { problems }) => problems,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// The only problem, without its place.
fn refusal(file: &str, env: &[(&str, &str)]) -> String {
    let problems = problems(file, env);
    assert_eq!(problems.len(), 1, "{problems:?}");
    format!("{}: {}", problems[0].key, problems[0].message)
}

fn exposed(secrets: &[SecretString]) -> Vec<&str> {
    secrets.iter().map(ExposeSecret::expose_secret).collect()
}

#[test]
fn the_shipped_file_holds_the_defaults() {
    let read = Settings::load(Some(shipped()), std::iter::empty()).unwrap();
    let default = Settings::default();
    assert_eq!(format!("{read:#?}"), format!("{default:#?}"));
    assert_eq!(
        read.database.url.expose_secret(),
        default.database.url.expose_secret()
    );
    for settings in [&read, &default] {
        for secret in [
            &settings.cloudflare.api_token,
            &settings.cloudflare.live_webhook_secret,
            &settings.cloudflare.stream_webhook_secret,
            &settings.agora.app_certificate,
            &settings.agora.customer_secret,
            &settings.agora.cloud_recording.storage.access_key,
            &settings.agora.cloud_recording.storage.secret_key,
        ] {
            assert_eq!(secret.expose_secret(), "");
        }
    }
    default.validate().unwrap();
    assert!(default.warnings().is_empty(), "{:?}", default.warnings());
}

#[test]
fn a_file_that_is_named_must_exist() {
    let error = Settings::load(Some(Path::new("no-such.toml")), std::iter::empty()).unwrap_err();
    assert!(matches!(error, SettingsError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("no-such.toml"), "{error}");
}

#[test]
fn the_file_wins_over_defaults_and_the_environment_over_the_file() {
    let file = "[relay]\npoll_interval = \"7s\"\nlive_timeout = \"90s\"\n";
    let settings = load(file, &[("RELAYKEEPER__RELAY__POLL_INTERVAL", "200ms")]).unwrap();
    assert_eq!(settings.relay.poll_interval, Duration::from_millis(200));
    assert_eq!(settings.relay.live_timeout, Duration::from_secs(90));
    assert_eq!(settings.relay.reconnect_window, Duration::from_secs(60));
}

#[test]
fn every_kind_of_value_can_be_set_from_the_environment() {
    let settings = from_env(&[
        ("RELAYKEEPER__AGORA__CLOUD_RECORDING__VIDEO__WIDTH", "640"),
        ("RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__BUCKET", "b"),
        ("RELAYKEEPER__CLOUDFLARE__BUDGET_SHARE", "0.5"),
        ("RELAYKEEPER__PRICING__AGORA", "8"),
        ("RELAYKEEPER__WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("RELAYKEEPER__RELAY__LIVE_INPUT_RETENTION", "keep"),
        ("RELAYKEEPER__AGORA__MEDIA_PUSH__MODE", "raw"),
        ("RELAYKEEPER__AGORA__NOT_FOUND_BACKOFF", "100ms, 1s"),
        ("AGORA_BACKEND", "media_push"),
    ]);
    assert_eq!(settings.agora.cloud_recording.video.width, 640);
    assert_eq!(settings.agora.cloud_recording.video.height, 720);
    assert_eq!(settings.agora.cloud_recording.storage.bucket, "b");
    assert_eq!(settings.agora.cloud_recording.storage.vendor, 1);
    assert!((settings.cloudflare.budget_share - 0.5).abs() < f64::EPSILON);
    assert_eq!(settings.pricing.agora_micros(), 8_000_000);
    assert!(settings.webhooks.allow_private);
    assert_eq!(settings.relay.ingest_retention, IngestRetention::Keep);
    assert_eq!(settings.agora.media_push.mode, MediaPushMode::Raw);
    assert_eq!(
        settings.agora.not_found_backoff,
        [Duration::from_millis(100), Duration::from_secs(1)]
    );
    assert_eq!(settings.agora.backend, AgoraBackend::MediaPush);
}

#[test]
fn a_secret_of_digits_or_with_a_comma_or_like_toml_stays_as_it_is() {
    for secret in [
        "00012345678901234567890",
        "1234567890",
        "a,b",
        "true",
        "[x]",
        "{a=1}",
        "1e5",
        "a\"q\"",
    ] {
        let settings = from_env(&[
            ("CLOUDFLARE_STREAM_API_TOKEN", secret),
            ("RELAYKEEPER__AGORA__CUSTOMER_SECRET", secret),
            ("CLOUDFLARE_STREAM_ACCOUNT_ID", secret),
        ]);
        assert_eq!(settings.cloudflare.api_token.expose_secret(), secret);
        assert_eq!(settings.agora.customer_secret.expose_secret(), secret);
        assert_eq!(settings.cloudflare.account_id, secret);
    }
}

#[test]
fn the_customary_names_are_understood() {
    let settings = from_env(&[
        ("PORT", "3000"),
        ("DATABASE_URL", "postgres://u:p@localhost/db"),
        ("CLOUDFLARE_STREAM_ACCOUNT_ID", "account"),
        ("CLOUDFLARE_STREAM_API_TOKEN", "cf-token"),
        ("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:1/client/v4/"),
        ("CLOUDFLARE_STREAM_CUSTOMER_BASE_URL", "http://127.0.0.1:2"),
        ("CLOUDFLARE_STREAM_WEBHOOK_SECRET", "stream"),
        ("CLOUDFLARE_LIVE_WEBHOOK_SECRET", "live"),
        ("AGORA_APP_ID", "app"),
        ("AGORA_APP_CERTIFICATE", "certificate"),
        ("AGORA_CUSTOMER_ID", "customer"),
        ("AGORA_CUSTOMER_SECRET", "customer-secret"),
        ("AGORA_API_BASE_URL", "http://127.0.0.1:3"),
        ("AGORA_BACKEND", "media_push"),
        ("AGORA_WEBHOOK_SECRET", "one,two"),
        (
            "RELAYKEEPER_API_TOKENS",
            "a-token-of-the-api, another-of-the-api,",
        ),
        ("RELAYKEEPER_ADMIN_TOKENS", "a-token-of-an-admin"),
        ("RUST_LOG", "debug"),
        ("RELAYKEEPER_PORT", "tcp://10.0.0.1:8080"),
    ]);
    assert_eq!(
        (settings.server.bind.as_str(), settings.server.port),
        ("::", 3000)
    );
    assert_eq!(
        settings.database.url.expose_secret(),
        "postgres://u:p@localhost/db"
    );
    let cloudflare = &settings.cloudflare;
    assert_eq!(cloudflare.account_id, "account");
    assert_eq!(cloudflare.api_token.expose_secret(), "cf-token");
    assert_eq!(cloudflare.api_base_url, "http://127.0.0.1:1/client/v4");
    assert_eq!(cloudflare.customer_base_url, "http://127.0.0.1:2");
    assert_eq!(cloudflare.stream_webhook_secret.expose_secret(), "stream");
    assert_eq!(cloudflare.live_webhook_secret.expose_secret(), "live");
    let agora = &settings.agora;
    assert_eq!(agora.app_id, "app");
    assert_eq!(agora.app_certificate.expose_secret(), "certificate");
    assert_eq!(agora.customer_id, "customer");
    assert_eq!(agora.customer_secret.expose_secret(), "customer-secret");
    assert_eq!(agora.api_base_url, "http://127.0.0.1:3");
    assert_eq!(agora.backend, AgoraBackend::MediaPush);
    assert_eq!(exposed(&agora.webhook_secrets), ["one", "two"]);
    assert_eq!(
        exposed(&settings.auth.api_tokens),
        ["a-token-of-the-api", "another-of-the-api"]
    );
    assert_eq!(
        exposed(&settings.auth.admin_tokens),
        ["a-token-of-an-admin"]
    );
}

#[test]
fn the_long_form_of_a_name_wins_over_the_customary_one() {
    let settings = from_env(&[("RELAYKEEPER__SERVER__PORT", "4000"), ("PORT", "3000")]);
    assert_eq!(settings.server.port, 4000);
}

#[rstest]
#[case::nothing_set("", &[], "127.0.0.1")]
#[case::port_from_the_environment("", &[("PORT", "80")], "::")]
#[case::bind_in_the_file("[server]\nbind = \"127.0.0.1\"\n", &[("PORT", "80")], "127.0.0.1")]
#[case::bind_in_the_environment("", &[("PORT", "80"), ("RELAYKEEPER__SERVER__BIND", "::1")], "::1")]
#[case::port_in_the_file("[server]\nport = 80\n", &[], "127.0.0.1")]
fn only_port_from_the_environment_opens_the_service_to_the_outside(
    #[case] file: &str,
    #[case] env: &[(&str, &str)],
    #[case] bind: &str,
) {
    assert_eq!(load(file, env).unwrap().server.bind, bind);
}

#[test]
fn an_empty_list_in_the_environment_empties_the_list() {
    let file = "[auth]\napi_tokens = [\"from the file\"]\n"
        .replace(' ', "-")
        .replace("-=-", " = ");
    let settings = load(
        &file,
        &[
            ("RELAYKEEPER_API_TOKENS", ""),
            ("RELAYKEEPER__AGORA__FALLBACK_BASE_URLS", ""),
        ],
    );
    let settings = settings.unwrap();
    assert!(settings.auth.api_tokens.is_empty());
    assert!(settings.agora.fallback_base_urls.is_empty());
}

#[test]
fn an_empty_text_in_the_environment_is_an_empty_text() {
    let file = "[server]\npublic_url = \"https://example.com\"\n";
    let settings = load(file, &[("RELAYKEEPER__SERVER__PUBLIC_URL", "")]).unwrap();
    assert_eq!(settings.server.public_url, "");
}

#[rstest]
#[case(
    "PORT",
    "server.port: must be a whole number from 0 to 65535, but is empty"
)]
#[case(
    "RELAYKEEPER__RELAY__POLL_INTERVAL",
    "relay.poll_interval: must be a duration such as \"5s\", \"200ms\" or \"2m\", but is empty"
)]
#[case(
    "RELAYKEEPER__CLOUDFLARE__BUDGET_SHARE",
    "cloudflare.budget_share: must be a number, but is empty"
)]
#[case(
    "RELAYKEEPER__WEBHOOKS__ALLOW_PRIVATE",
    "webhooks.allow_private: must be true or false, but is empty"
)]
#[case(
    "AGORA_BACKEND",
    "agora.backend: must be one of cloud_recording, media_push, but is empty"
)]
fn an_empty_number_or_duration_is_refused_by_its_variable(#[case] name: &str, #[case] words: &str) {
    assert_eq!(refusal("", &[(name, "")]), words);
    assert!(
        problems("", &[(name, "")])[0]
            .to_string()
            .contains(&format!("({name})"))
    );
}

#[test]
fn the_default_fallback_hosts_apply_only_to_agoras_own_host() {
    let own = "http://127.0.0.1:9";
    assert!(
        from_env(&[("AGORA_API_BASE_URL", own)])
            .agora
            .fallback_base_urls
            .is_empty()
    );
    let chosen = [
        ("AGORA_API_BASE_URL", own),
        (
            "RELAYKEEPER__AGORA__FALLBACK_BASE_URLS",
            "http://127.0.0.1:10/",
        ),
    ];
    assert_eq!(
        from_env(&chosen).agora.fallback_base_urls,
        ["http://127.0.0.1:10"]
    );
    let agoras = from_env(&[("AGORA_API_BASE_URL", "https://api.sd-rtn.com")]);
    assert_eq!(agoras.agora.fallback_base_urls, ["https://api.sd-rtn.com"]);
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
    let file = "# a remark\n[relay]\npol_interval = \"5s\"\n\n[agora.cloud_recording]\nvideo = { widht = 3 }\n\n[janitors]\ngrace = \"1s\"\n\n[server]\npoll_interval = \"1s\"\n";
    let env = [
        ("RELAYKEEPER__AGORA__APPID", "x"),
        ("RELAYKEEPER__relay__poll_interval", "1s"),
        ("RELAYKEEPER__RELAY", "x"),
    ];
    let told: Vec<String> = problems(file, &env)
        .iter()
        .map(|problem| {
            let text = problem.to_string();
            // The file's name is a temporary one.
            match (text.find("(/"), text.find(", line")) {
                (Some(from), Some(to)) => format!("{}({}", &text[..from], &text[to + 2..]),
                _ => text,
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "agora.appid (RELAYKEEPER__AGORA__APPID): is not a setting; the nearest is RELAYKEEPER__AGORA__APP_ID",
            "agora.cloud_recording.video.widht (line 6): is not a setting; the nearest is agora.cloud_recording.video.width",
            "janitors (line 8): is not a setting; the nearest is janitor",
            "relay (RELAYKEEPER__RELAY): is a section: name one of its keys",
            "relay.pol_interval (line 3): is not a setting; the nearest is relay.poll_interval",
            "relay.poll_interval (RELAYKEEPER__relay__poll_interval): is not a setting; the nearest is RELAYKEEPER__RELAY__POLL_INTERVAL",
            "server.poll_interval (line 12): is not a setting; the nearest is relay.poll_interval",
        ]
    );
}

#[test]
fn invalid_toml_is_refused_by_its_line_number_without_its_text() {
    let error = load("[cloudflare]\napi_token = \"hush-hush\n", &[]).unwrap_err();
    assert!(
        matches!(error, SettingsError::Syntax { line: Some(2), .. }),
        "{error:?}"
    );
    assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
}

#[test]
fn all_problems_are_reported_at_once_each_with_its_place() {
    let file = "[relay]\ndeployment = \"Not_Good\"\nmax_duration = 5\n[server]\nport = 70000\n";
    let env = [
        ("RELAYKEEPER__AGORA__MEDIA_PUSH__REGION", "us"),
        ("RELAYKEEPER__JANITOR__GRACE", "soon"),
    ];
    let all = problems(file, &env);
    let keys: Vec<&str> = all.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "agora.media_push.region",
            "janitor.grace",
            "relay.deployment",
            "relay.max_duration",
            "server.port"
        ]
    );
    assert!(
        all.iter().all(|problem| problem.origin.is_some()),
        "{all:?}"
    );
    let text = SettingsError::Refused { problems: all }.to_string();
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn a_value_of_the_wrong_kind_in_a_file_is_refused() {
    let refused = |file| refusal(file, &[]);
    assert_eq!(
        refused("[server]\nport = \"80\"\n"),
        "server.port: must be a whole number from 0 to 65535"
    );
    assert_eq!(
        refused("[auth]\napi_tokens = \"a\"\n"),
        "auth.api_tokens: must be a list"
    );
    assert_eq!(
        refused("server = 3\n"),
        "server: is a section: it takes keys, not a value"
    );
    assert_eq!(
        refused("[agora]\nbackend = \"mediapush\"\n"),
        "agora.backend: must be one of cloud_recording, media_push"
    );
}

#[rstest]
#[case(
    "RELAYKEEPER__RELAY__DEPLOYMENT",
    "seventeen-letters",
    "1 to 16 of a-z"
)]
#[case("RELAYKEEPER__RELAY__DEPLOYMENT", "a_b", "1 to 16 of a-z")]
#[case("RELAYKEEPER__RELAY__DEPLOYMENT", "", "1 to 16 of a-z")]
#[case("RELAYKEEPER__RELAY__POLL_INTERVAL", "0s", "longer than zero")]
#[case("RELAYKEEPER__RELAY__POLL_INTERVAL", "-5s", "a duration such as")]
#[case("RELAYKEEPER__RELAY__POLL_INTERVAL", "5", "a duration such as")]
#[case("RELAYKEEPER__RELAY__MAX_DURATION", "1000y", "100 years")]
#[case("RELAYKEEPER__RELAY__FEED_TIMEOUT", "25h", "at most 1 day")]
#[case("RELAYKEEPER__RELAY__FEED_TIMEOUT", "0s", "longer than zero")]
#[case(
    "RELAYKEEPER__RELAY__DELETE_RECORDING_AFTER_DAYS",
    "29",
    "30 to 1096 days"
)]
#[case(
    "RELAYKEEPER__RELAY__DELETE_RECORDING_AFTER_DAYS",
    "1097",
    "30 to 1096 days"
)]
#[case("RELAYKEEPER__CLOUDFLARE__BUDGET_SHARE", "0", "above 0 and at most 1")]
#[case(
    "RELAYKEEPER__CLOUDFLARE__BUDGET_SHARE",
    "1.01",
    "above 0 and at most 1"
)]
#[case(
    "RELAYKEEPER__CLOUDFLARE__BUDGET_SHARE",
    "NaN",
    "above 0 and at most 1"
)]
#[case(
    "RELAYKEEPER__CLOUDFLARE__BUDGET_SHARE",
    "0.0001",
    "less than one call"
)]
#[case(
    "RELAYKEEPER__CLOUDFLARE__REQUESTS_PER_5_MINUTES",
    "-1",
    "a whole number"
)]
#[case("CLOUDFLARE_API_BASE_URL", "ftp://example.com", "http:// or https://")]
#[case("CLOUDFLARE_API_BASE_URL", "api.cloudflare.com", "is not a URL")]
#[case("CLOUDFLARE_API_BASE_URL", "", "is not a URL")]
#[case(
    "AGORA_API_BASE_URL",
    "https://u:p@example.com",
    "user name or password"
)]
#[case(
    "CLOUDFLARE_STREAM_CUSTOMER_BASE_URL",
    "https://example.com/?a=b",
    "query"
)]
#[case("CLOUDFLARE_STREAM_API_TOKEN", "with a blank", "a blank")]
#[case("RELAYKEEPER_API_TOKENS", "a-much-longer-line\nend", "a blank")]
#[case("DATABASE_URL", "mysql://localhost/db", "sqlite:// or postgres://")]
#[case("RELAYKEEPER__AGORA__NOT_FOUND_BACKOFF", "", "at least one wait")]
#[case("RELAYKEEPER__AGORA__NOT_FOUND_BACKOFF", "5s,0s", "longer than zero")]
#[case(
    "RELAYKEEPER__AGORA__CLOUD_RECORDING__VIDEO__WIDTH",
    "239",
    "240 to 1920"
)]
#[case(
    "RELAYKEEPER__AGORA__CLOUD_RECORDING__VIDEO__BITRATE_KBPS",
    "1999",
    "2000 to 10000"
)]
#[case(
    "RELAYKEEPER__AGORA__CLOUD_RECORDING__VIDEO__FRAME_RATE",
    "61",
    "5 to 60"
)]
#[case(
    "RELAYKEEPER__AGORA__CLOUD_RECORDING__MAX_RECORDING_HOURS",
    "721",
    "1 to 720"
)]
#[case("RELAYKEEPER__AGORA__CLOUD_RECORDING__RECORDING_UID_BASE", "0", "1 to")]
#[case(
    "RELAYKEEPER__AGORA__CLOUD_RECORDING__RECORDING_UID_BASE",
    "4294967295",
    "1 to"
)]
#[case("RELAYKEEPER__AGORA__MEDIA_PUSH__VIDEO__GOP_SECONDS", "11", "2 to 10")]
#[case("RELAYKEEPER__AGORA__MEDIA_PUSH__VIDEO__FRAME_RATE", "31", "1 to 30")]
#[case(
    "RELAYKEEPER__AGORA__MEDIA_PUSH__VIDEO__BITRATE_KBPS",
    "10001",
    "2000 to 10000"
)]
#[case("RELAYKEEPER__AGORA__MEDIA_PUSH__IDLE_TIMEOUT", "4s", "5s to 1 day")]
#[case(
    "RELAYKEEPER__AGORA__MEDIA_PUSH__REGION",
    "NA",
    "one of cn, ap, na, eu"
)]
#[case("RELAYKEEPER__PRICING__AGORA", "-1", "0 to 1000000")]
#[case("RELAYKEEPER__PRICING__AGORA", "0.0000001", "at most 6 decimals")]
#[case(
    "RELAYKEEPER__WEBHOOKS__ENDPOINT",
    "https://example.com",
    "needs a secret"
)]
fn a_value_that_cannot_work_is_refused(
    #[case] name: &str,
    #[case] value: &str,
    #[case] words: &str,
) {
    let problems = problems("", &[(name, value)]);
    let told = problems[0].to_string();
    assert!(problems.len() == 1 && told.contains(words), "{problems:?}");
    // A setting that is not set is named by its key alone.
    assert!(
        told.contains(name) || problems[0].origin.is_none(),
        "{told}"
    );
}

#[test]
fn the_idle_timeout_of_a_converter_must_exceed_the_waits_on_media_push() {
    let short = [("RELAYKEEPER__AGORA__MEDIA_PUSH__IDLE_TIMEOUT", "149s")];
    assert!(load("", &short).is_ok(), "not this backend");
    let file = "[agora]\nbackend = \"media_push\"\n";
    let words = refusal(file, &short);
    assert!(
        words.contains("agora.media_push.idle_timeout") && words.contains("by 30s"),
        "{words}"
    );
    assert!(
        load(
            file,
            &[("RELAYKEEPER__AGORA__MEDIA_PUSH__IDLE_TIMEOUT", "150s")]
        )
        .is_ok()
    );
    assert!(load(file, &[("RELAYKEEPER__RELAY__RECONNECT_WINDOW", "4m")]).is_err());
}

#[test]
fn timers_shortened_for_a_test_are_accepted() {
    let seconds = [
        "RELAY__POLL_INTERVAL",
        "RELAY__PROVISIONING_TIMEOUT",
        "RELAY__LIVE_TIMEOUT",
        "RELAY__LIVE_CHECK_INTERVAL",
        "RELAY__RECONNECT_WINDOW",
        "RELAY__FEED_TIMEOUT",
        "RELAY__MAX_DURATION",
        "RELAY__RECORDING_TIMEOUT",
        "RELAY__START_WAIT",
        "JANITOR__INTERVAL",
        "JANITOR__GRACE",
        "VENDORS__READ_TIMEOUT",
        "VENDORS__WRITE_TIMEOUT",
        "CLOUDFLARE__RECORDINGS_INTERVAL",
        "AGORA__NOT_FOUND_BACKOFF",
        "AGORA__CLOUD_RECORDING__QUERY_INTERVAL",
        "AGORA__MEDIA_PUSH__QUERY_INTERVAL",
        "SERVER__SHUTDOWN_GRACE",
        "DATABASE__JOURNAL_RETENTION",
    ]
    .map(|key| format!("RELAYKEEPER__{key}"));
    let env: Vec<(&str, &str)> = seconds.iter().map(|name| (name.as_str(), "1ms")).collect();
    load("", &env).unwrap();
}

#[test]
fn what_serve_lacks_is_named_with_its_variable_and_where_to_get_it() {
    let missing = Settings::default().missing_for_serve();
    let keys: Vec<&str> = missing.iter().map(|missing| missing.key).collect();
    assert_eq!(
        keys,
        [
            "auth.api_tokens",
            "auth.admin_tokens",
            "cloudflare.account_id",
            "cloudflare.api_token",
            "agora.app_id",
            "agora.customer_id",
            "agora.customer_secret",
            "server.public_url",
            "agora.cloud_recording.storage.bucket",
            "agora.cloud_recording.storage.access_key",
            "agora.cloud_recording.storage.secret_key",
        ]
    );
    assert_eq!(missing[3].env, "CLOUDFLARE_STREAM_API_TOKEN");
    assert_eq!(missing[7].env, "RELAYKEEPER__SERVER__PUBLIC_URL");
    assert!(missing.iter().all(|missing| missing.how.len() > 20));

    // Setting what is named is enough.
    let values: Vec<(String, &str)> = missing
        .iter()
        .map(|missing| {
            (
                missing.env.clone(),
                if missing.key.ends_with("url") {
                    "https://example.com"
                } else if missing.key == "auth.api_tokens" {
                    "a-token-of-the-api"
                } else if missing.key == "auth.admin_tokens" {
                    "a-token-of-an-admin"
                } else {
                    "set"
                },
            )
        })
        .collect();
    let env: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    assert!(from_env(&env).missing_for_serve().is_empty());
}

#[test]
fn the_regions_variable_alone_does_not_ask_for_ivs() {
    let lacks = |env: &[(&str, &str)]| {
        let missing = from_env(env).missing_for_serve().into_iter();
        let keys = missing.map(|missing| missing.key);
        keys.filter(|key| key.starts_with("ivs."))
            .collect::<Vec<_>>()
    };
    assert_eq!(lacks(&[("AWS_REGION", "eu-west-1")]), [""; 0]);
    assert_eq!(
        lacks(&[("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")]),
        ["ivs.secret_access_key", "ivs.region"]
    );
    assert_eq!(
        lacks(&[("RELAYKEEPER__PLATFORMS__DEFAULT", "ivs")]),
        ["ivs.access_key_id", "ivs.secret_access_key", "ivs.region"]
    );
    let role = ("RELAYKEEPER__IVS__CREDENTIALS", "role");
    assert_eq!(lacks(&[role]), ["ivs.region"]);
    assert_eq!(lacks(&[role, ("AWS_REGION", "eu-west-1")]), [""; 0]);
}

#[test]
fn settings_of_ivs_that_need_another_say_so() {
    let refused = load(
        "",
        &[
            ("IVS_VOD_BASE_URL", "https://vod.example"),
            ("AWS_REGION", "EU"),
        ],
    );
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("ivs.vod_base_url (IVS_VOD_BASE_URL): needs ivs.recording_bucket"));
    assert!(refused.contains("ivs.region (AWS_REGION): must be a region's name"));
    let wrong = load("[ivs]\nchannel_type = \"HUGE\"", &[]).unwrap_err();
    assert!(wrong.to_string().contains("one of"), "{wrong}");
}

#[test]
fn media_push_needs_neither_a_page_nor_a_bucket() {
    let missing = from_env(&[("AGORA_BACKEND", "media_push")]).missing_for_serve();
    assert_eq!(missing.len(), 7, "{missing:?}");
}

#[test]
fn a_page_url_makes_the_public_url_optional() {
    let settings = from_env(&[(
        "RELAYKEEPER__AGORA__CLOUD_RECORDING__PAGE_URL",
        "https://example.com/page?a=b",
    )]);
    assert!(
        settings
            .missing_for_serve()
            .iter()
            .all(|missing| missing.key != "server.public_url")
    );
}

#[test]
fn suspicious_values_are_only_warned_about() {
    let settings = from_env(&[
        ("AGORA_APP_ID", "short"),
        ("AGORA_APP_CERTIFICATE", "short"),
        ("RELAYKEEPER__RELAY__MAX_DURATION", "30h"),
        ("RELAYKEEPER__WEBHOOKS__SECRETS", "plain"),
        ("RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__VENDOR", "11"),
    ]);
    let warnings = settings.warnings();
    let keys: Vec<&str> = warnings
        .iter()
        .map(|warning| warning.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "agora.app_id",
            "agora.app_certificate",
            "agora.cloud_recording.storage.vendor",
            "webhooks.secrets",
            "agora.cloud_recording.max_recording_hours",
        ]
    );
}

const SECRETS: [&str; 13] = [
    "DATABASE__URL",
    "AUTH__API_TOKENS",
    "AUTH__ADMIN_TOKENS",
    "CLOUDFLARE__API_TOKEN",
    "CLOUDFLARE__LIVE_WEBHOOK_SECRET",
    "CLOUDFLARE__STREAM_WEBHOOK_SECRET",
    "AGORA__APP_CERTIFICATE",
    "AGORA__CUSTOMER_SECRET",
    "AGORA__WEBHOOK_SECRETS",
    "AGORA__CLOUD_RECORDING__STORAGE__ACCESS_KEY",
    "AGORA__CLOUD_RECORDING__STORAGE__SECRET_KEY",
    "WEBHOOKS__SECRETS",
    "WEBHOOKS__ENDPOINT",
];

#[test]
fn no_secret_is_printed_with_the_settings() {
    let names = SECRETS.map(|key| format!("RELAYKEEPER__{key}"));
    let env: Vec<(&str, &str)> = names
        .iter()
        .filter(|name| !name.ends_with("ENDPOINT"))
        .map(|name| {
            (
                name.as_str(),
                if name.ends_with("URL") {
                    "postgres://u:canary@db/x"
                } else if name.ends_with("API_TOKENS") {
                    "canary-of-the-api"
                } else if name.ends_with("ADMIN_TOKENS") {
                    "canary-of-an-admin"
                } else {
                    "canary"
                },
            )
        })
        .collect();
    let settings = from_env(&env);
    assert_eq!(settings.agora.customer_secret.expose_secret(), "canary");
    assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
    assert!(!format!("{:?}", settings.warnings()).contains("canary"));
}

#[test]
fn no_value_is_printed_with_a_refusal() {
    // A value in the wrong place may be a secret.
    for key in SECRETS {
        let env = format!("RELAYKEEPER__{key}");
        let told = load("", &[(&env, "canary \n://")]).map_or_else(
            |error| format!("{error} {error:?}"),
            |_| panic!("{key} accepted"),
        );
        assert!(!told.contains("canary"), "{told}");

        let (section, name) = key.rsplit_once("__").unwrap();
        let section = section.replace("__", ".").to_lowercase();
        let file = format!(
            "[{section}]\n{} = {{ canary = 12345678 }}\n",
            name.to_lowercase()
        );
        let told =
            load(&file, &[]).map_or_else(|error| error.to_string(), |_| panic!("{key} accepted"));
        assert!(!told.contains("12345678"), "{told}");
    }
    for key in [
        "SERVER__PORT",
        "AGORA__BACKEND",
        "RELAY__POLL_INTERVAL",
        "AGORA__API_BASE_URL",
    ] {
        let told = load("", &[(&format!("RELAYKEEPER__{key}"), "canary")])
            .unwrap_err()
            .to_string();
        assert!(!told.contains("canary"), "{told}");
    }
}

#[test]
fn tokens_that_are_short_or_in_both_lists_are_refused() {
    let long = "0123456789abcdef";
    let refused = |api: &str, admin: &str| {
        let tokens = [
            ("RELAYKEEPER_API_TOKENS", api),
            ("RELAYKEEPER_ADMIN_TOKENS", admin),
        ];
        load("", &tokens).err().map(|error| error.to_string())
    };
    assert_eq!(refused(long, "fedcba9876543210"), None);
    for (api, admin, key, why) in [
        (
            &long[1..],
            "fedcba9876543210",
            "auth.api_tokens",
            "less than 16",
        ),
        (long, "short", "auth.admin_tokens", "less than 16"),
        (long, long, "auth.admin_tokens", "auth.api_tokens as well"),
    ] {
        let told = refused(api, admin).unwrap();
        assert!(told.contains(key) && told.contains(why), "{told}");
        assert!(!told.contains(api), "{told}");
    }
}
