mod database_url;
#[cfg(feature = "sandbox")]
mod setting_up;

use std::process::{Command, Output};

use tempfile::TempDir;

/// An empty folder to run the program in, with an empty environment.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaykeeper"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear();
        command
    }

    fn run(&self, arguments: &[&str]) -> Told {
        Told::of(&self.command(arguments).output().unwrap())
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.path().join(file), text).unwrap();
    }
}

#[derive(Debug)]
struct Told {
    code: i32,
    out: String,
    err: String,
}

impl Told {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

/// The settings that `serve` needs on the default backend.
const NEEDED: [&str; 11] = [
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
];

#[test]
fn help_names_the_commands_and_where_settings_come_from() {
    let told = Place::new().run(&["--help"]);
    assert_eq!(told.code, 0, "{told:?}");
    for part in [
        "relaykeeper check",
        "relaykeeper serve",
        "migrate",
        "RELAYKEEPER__SECTION__KEY",
        "config.toml",
    ] {
        assert!(told.out.contains(part), "no {part} in {}", told.out);
    }
    for command in ["serve", "check", "migrate"] {
        let told = Place::new().run(&[command, "--help"]);
        assert!(told.code == 0 && told.out.lines().count() > 8, "{told:?}");
    }
}

#[test]
fn serve_refuses_to_start_and_names_every_setting_that_is_missing() {
    let told = Place::new().run(&["serve"]);
    assert_eq!(told.code, 1, "{told:?}");
    for key in NEEDED {
        assert!(told.err.contains(key), "no {key} in {}", told.err);
    }
    assert!(
        told.err.contains("CLOUDFLARE_STREAM_API_TOKEN"),
        "{}",
        told.err
    );
}

#[test]
fn check_names_every_setting_that_is_missing_and_exits_1() {
    let told = Place::new().run(&["check"]);
    assert_eq!(told.code, 1, "{told:?}");
    for key in NEEDED {
        assert!(told.out.contains(key), "no {key} in {}", told.out);
    }
    assert!(told.out.contains("11 things are wrong"), "{}", told.out);
}

#[test]
fn the_file_beside_the_service_is_read_when_there_is_one() {
    let place = Place::new();
    assert!(place.run(&["check"]).out.contains("agora.app_id"));
    place.write(
        "config.toml",
        "[agora]\napp_id = \"0123456789abcdef0123456789abcdef\"\n",
    );
    let told = place.run(&["check"]);
    assert!(!told.out.contains("agora.app_id"), "{told:?}");
    assert!(told.out.contains("10 things are wrong"), "{told:?}");
}

#[test]
fn media_push_needs_neither_a_public_address_nor_a_bucket() {
    let place = Place::new();
    let told = Told::of(
        &place
            .command(&["serve"])
            .env("AGORA_BACKEND", "media_push")
            .output()
            .unwrap(),
    );
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.err.contains("agora.app_id"), "{}", told.err);
    assert!(
        !told.err.contains("storage") && !told.err.contains("public_url"),
        "{}",
        told.err
    );
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_known_one() {
    let place = Place::new();
    place.write("config.toml", "[relay]\npol_interval = \"5s\"\n");
    for command in ["serve", "check"] {
        let told = place.run(&[command]);
        assert_eq!(told.code, 1, "{told:?}");
        assert!(
            told.err
                .contains("relay.pol_interval (config.toml, line 2)"),
            "{}",
            told.err
        );
        assert!(told.err.contains("relay.poll_interval"), "{}", told.err);
    }
}

#[test]
fn migrate_brings_the_schema_up_and_takes_it_down() {
    let place = Place::new();
    let told = place.run(&["migrate", "status"]);
    assert!(told.code == 0 && told.out.contains("pending"), "{told:?}");
    let told = place.run(&["migrate", "up"]);
    assert!(told.code == 0 && !told.out.contains("pending"), "{told:?}");
    let told = place.run(&["migrate", "down"]);
    assert!(told.code == 0 && !told.out.contains("applied"), "{told:?}");
}

#[cfg(feature = "sandbox")]
mod sandbox {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Stdio};
    use std::time::Duration;

    use relaykeeper::sandbox::{Options, SimulatedVendors};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const PHASES: [&str; 7] = [
        "provisioning",
        "awaiting_live",
        "live",
        "interrupted",
        "stopping",
        "finalizing",
        "ended",
    ];

    #[rstest]
    #[case("cloud_recording", "cloudflare", "/manifest/video.m3u8")]
    #[case("media_push", "cloudflare", "/manifest/video.m3u8")]
    #[case("media_push", "mux", ".m3u8")]
    #[case("cloud_recording", "ivs", "/media/hls/master.m3u8")]
    fn the_demo_shows_a_relay_in_all_its_phases_and_what_came_of_it(
        #[case] backend: &str,
        #[case] platform: &str,
        #[case] url: &str,
    ) {
        let demo = [
            "sandbox",
            "--demo",
            "--backend",
            backend,
            "--platform",
            platform,
        ];
        let told = Place::new().run(&demo);
        assert_eq!(told.code, 0, "{told:?}");
        let mut rest = told.out.as_str();
        for phase in PHASES {
            let (_, behind) = rest
                .split_once(phase)
                .unwrap_or_else(|| panic!("no {phase} in {}", told.out));
            rest = behind;
        }
        for part in [
            "HLS URL",
            url,
            "recording",
            "cost",
            "$0.0",
            "nothing, at either vendor",
        ] {
            assert!(rest.contains(part), "no {part} in {rest}");
        }
        assert!(
            !told.err.contains("WARN") && !told.err.contains("ERROR"),
            "{}",
            told.err
        );
    }

    #[test]
    fn a_demo_that_goes_wrong_exits_1_and_says_why() {
        let told = Place::new().run(&[
            "sandbox",
            "--demo",
            "--fault",
            "agora.cloud_recording.acquire=401,times=forever",
        ]);
        assert_eq!(told.code, 1, "{told:?}");
        assert!(told.err.contains("vendor_unauthorized"), "{}", told.err);
        assert!(
            told.out.contains("ended"),
            "it is told to its end: {}",
            told.out
        );
    }

    #[rstest]
    #[case("nonsense", "CALL=KIND")]
    #[case("agora.nonsense=503", "`agora.nonsense` is not a call")]
    #[case("agora.channel.hosts=nonsense", "`nonsense` is not a kind of fault")]
    fn an_unknown_fault_is_refused_with_the_calls_and_kinds_there_are(
        #[case] fault: &str,
        #[case] said: &str,
    ) {
        let told = Place::new().run(&["sandbox", "--demo", "--fault", fault]);
        assert_eq!(told.code, 2, "{told:?}");
        for part in [
            said,
            "cloudflare.live_inputs.create",
            "agora.media_push.list",
            "cut-after",
            "not-found-for",
        ] {
            assert!(told.err.contains(part), "no {part} in {}", told.err);
        }
    }

    /// Killed when dropped.
    struct Running {
        child: Child,
        printed: Vec<String>,
    }

    impl Running {
        fn start(place: &Place, arguments: &[&str]) -> Self {
            let mut command = place.command(&["sandbox"]);
            let mut child = command
                .args(arguments)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap())
                .lines()
                .map(Result::unwrap);
            let mut printed = Vec::new();
            while printed
                .iter()
                .filter(|line: &&String| line.contains("curl "))
                .count()
                < 5
            {
                printed.push(lines.next().expect("the sandbox ended early"));
            }
            Self { child, printed }
        }

        /// The rest of the line that begins with `name`.
        fn line(&self, name: &str) -> &str {
            let line = self
                .printed
                .iter()
                .find_map(|line| line.trim().strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {:?}", self.printed))
                .trim()
        }

        /// Makes the request of a printed `curl` line.
        async fn curl(&self, which: usize) -> (u16, Value) {
            let line = self
                .printed
                .iter()
                .filter(|line| line.contains("curl "))
                .nth(which)
                .unwrap();
            let mut words = words(line).into_iter().skip(1);
            let (mut method, mut url, mut headers, mut body) = (None, None, Vec::new(), None);
            while let Some(word) = words.next() {
                match word.as_str() {
                    "-X" => method = words.next(),
                    "-H" => headers.push(words.next().unwrap()),
                    "-d" => body = words.next(),
                    _ => url = Some(word),
                }
            }
            let method = method.as_deref().unwrap_or("GET").parse().unwrap();
            let mut request = client().request(method, url.unwrap());
            for header in headers {
                let (name, value) = header.split_once(": ").unwrap();
                request = request.header(name, value);
            }
            let answer = request.body(body.unwrap_or_default()).send().await.unwrap();
            (answer.status().as_u16(), answer.json().await.unwrap())
        }

        async fn reaches(&self, phase: &str) -> Value {
            for _ in 0..600 {
                let (status, channel) = self.curl(1).await;
                assert_eq!(status, 200, "{channel}");
                if channel["relay"]["phase"] == phase {
                    return channel["relay"].clone();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            panic!("the relay was never {phase}: {:?}", self.curl(1).await);
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Splits a shell line with single quotes.
    fn words(line: &str) -> Vec<String> {
        let parts = line.trim().split('\'').enumerate();
        parts
            .flat_map(|(place, part)| match place % 2 {
                0 => part
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
                _ => vec![part.to_owned()],
            })
            .collect()
    }

    fn client() -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().no_proxy().build().unwrap()
    }

    #[tokio::test]
    async fn the_printed_lines_put_a_channel_on_air_show_it_and_take_it_down() {
        let place = Place::new();
        place.write(
            "config.toml",
            "[relay]\npoll_interval = \"200ms\"\n[cloudflare]\nrecordings_interval = \"200ms\"\n",
        );
        let mut sandbox = Running::start(&place, &["--speed", "20", "--webhooks"]);
        assert!(place.0.path().join("relaykeeper-sandbox.db").exists());
        assert!(sandbox.line("api token").len() >= 32);
        assert!(sandbox.line("vendors").starts_with("http://127.0.0.1:"));
        let page = client().get(sandbox.line("buyers' page")).send().await;
        let page = page.unwrap().text().await.unwrap();
        assert!(page.contains("<video "), "{page}");

        let (status, relay) = sandbox.curl(0).await;
        assert_eq!((status, &relay["channel_id"]), (201, &json!(42)), "{relay}");
        sandbox.reaches("live").await;
        let (status, relay) = sandbox.curl(2).await;
        assert_eq!(
            (status, &relay["relay_status"]),
            (202, &json!("stopped")),
            "{relay}"
        );
        let relay = sandbox.reaches("ended").await;
        assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay}");
        assert_eq!(relay["recordings"][0]["state"], "ready", "{relay}");

        // The standard library sends only SIGKILL.
        let pid = sandbox.child.id().to_string();
        assert!(
            Command::new("/bin/sh")
                .args(["-c", &format!("kill -TERM {pid}")])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(sandbox.child.wait().unwrap().code(), Some(0));
    }

    #[tokio::test]
    async fn a_channel_without_its_seller_goes_live_when_the_printed_line_brings_them() {
        let place = Place::new();
        place.write("config.toml", "[relay]\npoll_interval = \"200ms\"\n");
        let sandbox = Running::start(
            &place,
            &["--speed", "20", "--absent", "--backend", "media_push"],
        );
        sandbox.curl(0).await;
        sandbox.reaches("awaiting_live").await;
        assert_eq!(sandbox.curl(3).await, (200, json!({"ok": true})));
        sandbox.reaches("live").await;
        assert_eq!(sandbox.curl(4).await, (200, json!({"ok": true})));
    }

    #[test]
    fn a_taken_port_is_an_error_when_asked_for_and_else_another_is_used() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let told = Place::new().run(&["sandbox", "--port", &port]);
        assert!(
            told.code == 1
                && told
                    .err
                    .contains(&format!("cannot listen on 127.0.0.1:{port}")),
            "{told:?}"
        );
        let place = Place::new();
        place.write("config.toml", &format!("[server]\nport = {port}\n"));
        let sandbox = Running::start(&place, &[]);
        assert!(!sandbox.line("address").ends_with(&format!(":{port}")));
    }

    pub(super) fn environment(vendors: &SimulatedVendors) -> Vec<(&'static str, String)> {
        let mut environment = vendors.environment();
        environment.extend([
            ("RELAYKEEPER_API_TOKENS", "0123456789abcdef0123".to_owned()),
            (
                "RELAYKEEPER_ADMIN_TOKENS",
                "fedcba98765432100000".to_owned(),
            ),
            (
                "RELAYKEEPER__SERVER__PUBLIC_URL",
                "https://relays.example.com".to_owned(),
            ),
            (
                "RELAYKEEPER__AGORA__CLOUD_RECORDING__STORAGE__SECRET_KEY",
                "secret-canary".to_owned(),
            ),
        ]);
        environment
    }

    #[rstest]
    #[case("cloud_recording", "Agora Cloud Recording")]
    #[case("media_push", "Agora Media Push")]
    fn check_succeeds_with_credentials_that_both_vendors_accept(
        #[case] backend: &str,
        #[case] product: &str,
    ) {
        let vendors = SimulatedVendors::start(Options::default()).unwrap();
        let place = Place::new();
        let mut check = place.command(&["check"]);
        let told = Told::of(
            &check
                .envs(environment(&vendors))
                .env("AGORA_BACKEND", backend)
                .output()
                .unwrap(),
        );
        assert_eq!(told.code, 0, "{told:?}");
        for part in [
            "Cloudflare token: active",
            "Agora credentials: accepted",
            product,
            "Nothing is wrong",
        ] {
            assert!(told.out.contains(part), "no {part} in {}", told.out);
        }
        let state = vendors.state();
        assert!(
            state.live_inputs.is_empty() && state.egresses.is_empty(),
            "nothing was made"
        );
    }

    #[rstest]
    #[case(
        "CLOUDFLARE_STREAM_API_TOKEN",
        "WRONG    Cloudflare token",
        "WRONG    Agora"
    )]
    #[case(
        "AGORA_CUSTOMER_SECRET",
        "WRONG    Agora credentials",
        "WRONG    Cloudflare"
    )]
    fn check_tells_which_credentials_are_refused_and_never_what_they_are(
        #[case] wrong: &str,
        #[case] said: &str,
        #[case] not_said: &str,
    ) {
        let vendors = SimulatedVendors::start(Options::default()).unwrap();
        let place = Place::new();
        let mut check = place.command(&["check"]);
        let told = Told::of(
            &check
                .envs(environment(&vendors))
                .env(wrong, "credential-canary")
                .output()
                .unwrap(),
        );
        assert_eq!(told.code, 1, "{told:?}");
        assert!(
            told.out.contains(said) && !told.out.contains(not_said),
            "{}",
            told.out
        );
        let all = format!("{}{}", told.out, told.err);
        assert!(
            !all.contains("canary") && !all.contains(vendors.agora_customer_secret()),
            "{all}"
        );
    }
}
