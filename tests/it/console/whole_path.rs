//! From the seller's camera to a buyer's screen on one machine. `RELAYKEEPER_TEST_WHOLE_PATH=1` runs it: it also needs Xvfb and PulseAudio.
//! `--no-capture` shows the delay.
//!
//! The test is Agora's cloud browser: it opens the recorder's page on a screen, and publishes screen and sound with ffmpeg.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{Marketplace, Options};
use relaykeeper::vendors::agora::page::Ready;
use serde_json::json;

use super::browser::{Browser, MEDIA};
use super::buyers_page::{SENSES, in_state, plays, seller_within};
use super::recorder_page::{PARTICIPANTS, WEB_SDK, link};
use crate::media::support::options;
use crate::support::service::{API_TOKEN, Stage, publish_url, show};

const CHANNEL: i64 = 42;
/// On a quiet machine it is 3.5 s.
const DELAY_MS: u32 = 8_000;
/// The seller is in another browser: the test carries the messages of the channel.
const BRIDGE: &str = "window.sent = [];
window.BroadcastChannel = class {
  constructor() { window.bridge = this; }
  postMessage(message) { sent.push(message); }
};";

/// Killed when dropped.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(started.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A screen of 640x360, and its display's name.
fn screen() -> (Process, String) {
    let mut xvfb = Command::new("Xvfb");
    xvfb.args(["-displayfd", "1", "-screen", "0", "640x360x24"]);
    xvfb.args(["-nolisten", "tcp", "-noreset"]);
    let mut xvfb = Process::start(xvfb.stdout(Stdio::piped()));
    let mut number = String::new();
    let output = xvfb.0.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut number).unwrap();
    (xvfb, format!(":{}", number.trim()))
}

/// A sound card whose output can be recorded, and its server's address.
fn sound_card(folder: &Path) -> (Process, String) {
    let socket = folder.join("pulse.sock");
    let protocol = format!(
        "module-native-protocol-unix socket={} auth-anonymous=1",
        socket.display()
    );
    let mut pulse = Command::new("pulseaudio");
    pulse.args(["-n", "--daemonize=no", "--exit-idle-time=-1"]);
    pulse.args(["-L", &protocol]);
    pulse.args(["-L", "module-null-sink sink_name=page rate=44100"]);
    pulse.env("XDG_RUNTIME_DIR", folder).env("HOME", folder);
    let pulse = Process::start(&mut pulse);
    (pulse, format!("unix:{}", socket.display()))
}

fn publish(url: &str, environment: &[(&str, &str)], display: &str) -> Process {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "error"]);
    ffmpeg.args(["-thread_queue_size", "64", "-f", "x11grab"]);
    ffmpeg.args(["-framerate", "15", "-video_size", "640x360"]);
    ffmpeg.args(["-draw_mouse", "0", "-i", display]);
    ffmpeg.args(["-thread_queue_size", "64", "-f", "pulse"]);
    ffmpeg.args(["-fragment_size", "3528", "-i", "page.monitor"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast"]);
    ffmpeg.args(["-tune", "zerolatency", "-pix_fmt", "yuv420p"]);
    ffmpeg.args(["-b:v", "700k", "-g", "30", "-sc_threshold", "0"]);
    ffmpeg.args(["-threads", "1", "-c:a", "aac", "-b:a", "64k"]);
    ffmpeg.args(["-ac", "1", "-ar", "44100", "-flush_packets", "1"]);
    ffmpeg.args(["-flvflags", "no_duration_filesize", "-f", "flv", url]);
    Process::start(ffmpeg.envs(environment.iter().copied()))
}

/// Carries the messages between seller and page, for ever.
async fn connect(one: &Browser, other: &Browser) {
    loop {
        for (from, to) in [(one, other), (other, one)] {
            let messages = from.run("return window.sent?.splice(0) ?? []").await;
            for message in messages.as_array().unwrap() {
                to.run(&format!("bridge.onmessage({{ data: {message} }})"))
                    .await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and ffmpeg, and on demand Xvfb and PulseAudio"]
async fn a_buyer_sees_and_hears_the_seller_through_page_screen_encoder_and_platform() {
    if std::env::var("RELAYKEEPER_TEST_WHOLE_PATH").is_err() {
        return;
    }
    let options = Options {
        // The simulated egress publishes nothing: the test does.
        push_after: Duration::from_secs(3600),
        ..options()
    };
    let stage = Stage::with(AgoraBackend::CloudRecording, options, |settings| {
        settings.relay.live_timeout = Duration::from_secs(60);
        settings.relay.reconnect_window = Duration::from_secs(60);
        settings.relay.feed_timeout = Duration::from_secs(60);
        settings.relay.recording_timeout = Duration::from_secs(20);
    })
    .await;
    let service = &stage.service;
    let folder = tempfile::tempdir().unwrap();
    let (_xvfb, display) = screen();
    let (_pulse, pulse) = sound_card(folder.path());
    let environment = [("DISPLAY", display.as_str()), ("PULSE_SERVER", &pulse)];

    let seller = Browser::open_with(&service.url, &MEDIA).await;
    seller.go("/livez").await;
    seller.run(BRIDGE).await;
    seller.run(PARTICIPANTS).await;
    let page = Browser::on_screen(&service.url, &environment, &MEDIA).await;
    // Scripts are added to the page that is shown, and a browser with a screen begins with one of its own.
    page.go("/livez").await;
    page.before_each_page(BRIDGE).await;
    page.before_each_page(WEB_SDK).await;
    let marketplace = Marketplace::start(&service.url, API_TOKEN.into()).unwrap();
    let buyer = Browser::open_with(&service.url, &MEDIA).await;
    buyer.go_to(&marketplace.watch_url(CHANNEL)).await;

    let mut show = show("show68");
    show["latency"] = json!("low");
    let (_, relay) = service.start_channel(CHANNEL, &show).await;
    page.go(&link(&stage, &relay, Ready::FirstFrame)).await;
    let watched = async {
        seller.run("enter(12345, 'red', 440, true)").await;
        page.wait("window.seen.calls.includes('notifyReady')").await;
        let ingest = relay["stream_key_id"].as_str().unwrap();
        let url = publish_url(&stage.vendors, ingest).await;
        let _ffmpeg = publish(&url, &environment, &display);
        service.in_phase(&relay, "live").await;
        in_state(&buyer, "live").await;
        buyer.click("#sound").await;
        buyer.run(SENSES).await;
        page.screenshot("whole-path-page", false).await;
        buyer.screenshot("whole-path-buyer", false).await;
        let live = plays(&buyer, &seller_within(DELAY_MS)).await;
        println!("{live}");

        seller.run("leave(12345)").await;
        in_state(&buyer, "interrupted").await;
        plays(&buyer, "now.brightest < 40 && now.loudness < 0.005").await;
        seller.run("enter(12345, 'red', 440, true)").await;
        in_state(&buyer, "live").await;
        plays(&buyer, &seller_within(DELAY_MS)).await;
        let ended = service.come_down(CHANNEL).await;
        assert_eq!(ended["recordings"][0]["state"], json!("ready"), "{ended:#}");
    };
    tokio::select! {
        () = watched => {}
        () = connect(&seller, &page) => {}
    }
}
