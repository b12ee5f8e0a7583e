//! Settings that look right and do not work.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use relaykeeper::sandbox::{Options, SimulatedVendors};
use rstest::rstest;

use super::sandbox::environment;
use super::*;

fn checked(more: &[(&str, &str)]) -> Told {
    let place = Place::new();
    let mut command = place.command(&["check"]);
    Told::of(&command.envs(more.iter().copied()).output().unwrap())
}

const PUBLIC_URL: &str = "RELAYKEEPER__SERVER__PUBLIC_URL";
const PAGE: &str = "WRONG    the recorder's page";

#[rstest]
#[case("http://127.0.0.1:8080")]
#[case("https://localhost")]
#[case("https://192.168.1.4")]
#[case("https://[fd00::4]:8443")]
#[case("https://relay.internal")]
#[case("https://relaykeeper")]
#[case("http://relays.example.com")]
fn check_finds_a_page_that_agoras_browser_cannot_open(#[case] url: &str) {
    let told = checked(&[(PUBLIC_URL, url)]);
    assert!(told.code == 1 && told.out.contains(PAGE), "{told:?}");
    let told = checked(&[(PUBLIC_URL, url), ("AGORA_BACKEND", "media_push")]);
    assert!(!told.out.contains(PAGE), "Media Push needs none: {told:?}");
}

#[test]
fn a_public_url_may_be_any_https_host_and_holds_no_path() {
    let told = checked(&[(PUBLIC_URL, "https://relays.example.com/")]);
    assert!(!told.out.contains(PAGE), "{told:?}");
    let told = checked(&[(PUBLIC_URL, "https://example.com/relays")]);
    assert!(
        told.code == 1 && told.err.contains("must not hold a path"),
        "{told:?}"
    );
}

#[rstest]
#[case("CLOUDFLARE_STREAM_API_TOKEN", "\"canary\"")]
#[case("RELAYKEEPER_API_TOKENS", "'canary'")]
#[case("AGORA_WEBHOOK_SECRET", "canary,\"canary\"")]
#[case(PUBLIC_URL, "'https://relays.example.com'")]
fn quotation_marks_around_a_value_are_an_error(#[case] name: &str, #[case] value: &str) {
    let told = checked(&[(name, value)]);
    assert!(
        told.code == 1 && told.err.contains("quotation marks") && told.err.contains(name),
        "{told:?}"
    );
    assert!(!told.err.contains("canary"), "{told:?}");
}

/// Answers every call with 502 while `done` runs. Returns the calls' first lines.
fn lines_of(listener: TcpListener, done: &dyn Fn() -> Told) -> (Told, Vec<String>) {
    listener.set_nonblocking(true).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let calls = std::thread::spawn(move || {
        let mut lines = Vec::new();
        while stopped.try_recv().is_err() {
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(2)))
                .unwrap();
            let mut head = [0; 512];
            let length = stream.read(&mut head).unwrap_or(0);
            let text = String::from_utf8_lossy(&head[..length]);
            lines.push(text.lines().next().unwrap_or_default().to_owned());
            let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
        }
        lines
    });
    let told = done();
    let _ = stop.send(());
    (told, calls.join().unwrap())
}

#[rstest]
#[case("", true)]
#[case("cloudflare.invalid", false)]
fn vendors_are_called_through_the_proxy_of_the_environment(
    #[case] no_proxy: &str,
    #[case] through: bool,
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let vendors = SimulatedVendors::start(Options::default()).unwrap();
    let run = || {
        let place = Place::new();
        let mut command = place.command(&["check"]);
        let command = command
            .envs(environment(&vendors))
            .env(
                "CLOUDFLARE_API_BASE_URL",
                "https://api.cloudflare.invalid/client/v4",
            )
            .env("HTTPS_PROXY", format!("http://user:canary@{address}"))
            .env("NO_PROXY", no_proxy);
        Told::of(&command.output().unwrap())
    };
    let (told, lines) = lines_of(listener, &run);
    let called = lines
        .iter()
        .any(|line| line.starts_with("CONNECT api.cloudflare.invalid:443"));
    assert_eq!(called, through, "{lines:?} {told:?}");
    let said = format!("proxy: http://{address} (HTTPS_PROXY)");
    assert!(
        told.out.contains(&said) && !told.out.contains("canary"),
        "{told:?}"
    );
    assert!(
        told.out.contains("Agora credentials: accepted"),
        "loopback is called directly: {told:?}"
    );
}

#[test]
fn with_port_set_the_service_listens_on_ipv4_and_ipv6() {
    let vendors = SimulatedVendors::start(Options::default()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let place = Place::new();
    let mut command = place.command(&["serve"]);
    command
        .envs(environment(&vendors))
        .env("PORT", port.to_string());
    let mut serve = command.spawn().unwrap();
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let hosts = if has_ipv6 {
        vec!["127.0.0.1", "::1"]
    } else {
        vec!["127.0.0.1"]
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut reached = 0;
    while reached < hosts.len() && Instant::now() < deadline {
        reached = hosts
            .iter()
            .filter(|host| TcpStream::connect((**host, port)).is_ok())
            .count();
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = serve.kill();
    let _ = serve.wait();
    assert_eq!(reached, hosts.len());
}
