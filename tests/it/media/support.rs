//! Encoders, ingests without a relay, and what players see.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use relaykeeper::sandbox::{Options, SimulatedVendors};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::aws::Aws;
use crate::support::service::until;

/// Cloudflare answers browsers alone.
const BROWSER: &str = "Mozilla/5.0 (test)";

/// The vendors' waits are short: what is tested takes real time already.
pub(crate) fn options() -> Options {
    let short = Duration::from_millis(100);
    Options {
        media: true,
        wire_speed: Some(1.0),
        create_latency: short,
        acquire_latency: short,
        start_latency: short,
        latency: Duration::from_millis(4),
        push_after: short,
        converter_push_after: short,
        recording_ready_after: short,
        mux_asset_id_after: Duration::ZERO,
        ivs_ends_after: short,
        ..Options::default()
    }
}

/// ffmpeg as a person would run it; killed when dropped.
pub(super) struct Encoder(Child);

impl Encoder {
    /// `testsrc2` and a tone, at 640x360 with 15 frames and a key frame a second.
    pub(super) fn push(url: &str) -> Self {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg
            .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-re"])
            .args(["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=15"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"])
            .args([
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-tune",
                "zerolatency",
            ])
            .args(["-pix_fmt", "yuv420p", "-b:v", "500k", "-threads", "1"])
            .args(["-g", "15", "-keyint_min", "15", "-sc_threshold", "0"])
            .args(["-c:a", "aac", "-b:a", "64k", "-ac", "1", "-f", "flv", url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self(ffmpeg.spawn().expect("ffmpeg"))
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Ends by itself, with an error.
    pub(super) async fn fails(mut self) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        let status: ExitStatus = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "ffmpeg goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut text = String::new();
        let mut errors = self.0.stderr.take().unwrap();
        errors.read_to_string(&mut text).unwrap();
        assert!(!status.success(), "{text}");
        text
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An ingest that the test made.
pub(super) struct Ingest {
    pub(super) platform: &'static str,
    pub(super) id: String,
    pub(super) publish_url: String,
    pub(super) manifest: String,
}

pub(super) struct Ingests(Aws);

impl Ingests {
    pub(super) fn start() -> Self {
        Self(Aws::of(SimulatedVendors::start(options()).unwrap()))
    }

    pub(super) fn vendors(&self) -> &SimulatedVendors {
        &self.0.vendors
    }

    pub(super) async fn create(&self, platform: &'static str) -> Ingest {
        self.create_with(platform, false).await
    }

    pub(super) async fn create_with(
        &self,
        platform: &'static str,
        has_low_latency: bool,
    ) -> Ingest {
        let vendors = self.vendors();
        let (id, publish_url, manifest) = match platform {
            "cloudflare" => {
                let mut body = json!({"recording": {"mode": "automatic", "timeoutSeconds": 20}});
                body["preferLowLatency"] = has_low_latency.into();
                let made = self.cloudflare(Method::POST, "", body).await;
                let made = &made["result"];
                let uid = text(made, "/uid");
                let url = text(made, "/rtmps/url") + &text(made, "/rtmps/streamKey");
                let base = vendors.customer_base_url();
                (
                    uid.clone(),
                    url,
                    format!("{base}/{uid}/manifest/video.m3u8"),
                )
            }
            "mux" => {
                let public = json!(["public"]);
                let asset = json!({"playback_policies": public});
                let mode = if has_low_latency { "low" } else { "standard" };
                let body = json!({"playback_policies": public, "new_asset_settings": asset, "latency_mode": mode});
                let made = self.mux(Method::POST, "", body).await;
                let made = &made["data"];
                let key = text(made, "/stream_key");
                let playback = text(made, "/playback_ids/0/id");
                let base = vendors.mux_playback_base_url();
                let url = format!("{}/{key}", vendors.mux_ingest_url());
                (text(made, "/id"), url, format!("{base}/{playback}.m3u8"))
            }
            _ => {
                let mode = if has_low_latency { "LOW" } else { "NORMAL" };
                let made = json!({"name": "channel", "latencyMode": mode});
                let made = self.0.create(made).await;
                let endpoint = text(&made.made, "/channel/ingestEndpoint");
                let key = text(&made.made, "/streamKey/value");
                (
                    made.arn,
                    format!("rtmps://{endpoint}/app/{key}"),
                    made.manifest,
                )
            }
        };
        Ingest {
            platform,
            id,
            publish_url,
            manifest,
        }
    }

    /// No encoder is accepted any more.
    pub(super) async fn disable(&self, ingest: &Ingest) {
        let id = &ingest.id;
        match ingest.platform {
            "cloudflare" => {
                let body = json!({"enabled": false});
                self.cloudflare(Method::PUT, &format!("/{id}"), body).await;
            }
            "mux" => {
                let path = format!("/{id}/disable");
                self.mux(Method::PUT, &path, Value::Null).await;
            }
            _ => {
                let keys = json!({"channelArn": id});
                let keys = self.0.call("ListStreamKeys", keys).await;
                let key = json!({"arn": text(&keys, "/streamKeys/0/arn")});
                self.0.call("DeleteStreamKey", key).await;
                self.0.ask("StopStream", json!({"channelArn": id})).await;
            }
        }
    }

    pub(super) async fn cloudflare(&self, method: Method, path: &str, body: Value) -> Value {
        let (base, account) = (
            self.vendors().cloudflare_api_base_url(),
            self.vendors().account_id(),
        );
        let url = format!("{base}/accounts/{account}/stream/live_inputs{path}");
        let call = self.0.http.request(method, url).json(&body);
        let call = call.bearer_auth(self.vendors().cloudflare_api_token());
        let answer = call.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.unwrap_or_default()
    }

    async fn mux(&self, method: Method, path: &str, body: Value) -> Value {
        let vendors = self.vendors();
        let url = format!("{}/video/v1/live-streams{path}", vendors.mux_api_base_url());
        let call = self.0.http.request(method, url);
        let call = call.basic_auth(vendors.mux_token_id(), Some(vendors.mux_token_secret()));
        let call = match body.is_null() {
            true => call,
            false => call.json(&body),
        };
        let answer = call.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.unwrap_or_default()
    }
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("{pointer}: {value:#}"))
        .to_owned()
}

/// A file over HTTP, as a player gets it: the status and the content.
pub(super) async fn fetch(url: &str) -> (u16, Vec<u8>) {
    let call = reqwest::Client::new()
        .get(url)
        .header("User-Agent", BROWSER);
    let answer = call.send().await.unwrap();
    (
        answer.status().as_u16(),
        answer.bytes().await.unwrap().to_vec(),
    )
}

/// A multivariant playlist and its only rendition.
pub(crate) struct Player {
    master: String,
}

impl Player {
    pub(crate) fn of(master: &str) -> Self {
        Self {
            master: master.to_owned(),
        }
    }

    pub(crate) fn low_latency(master: &str) -> Self {
        Self::of(&format!("{master}?protocol=llhls"))
    }

    pub(super) async fn is_playable(&self) -> bool {
        fetch(&self.master).await.0 == 200
    }

    pub(crate) async fn waits(&self) {
        until("playable", async || self.is_playable().await).await;
    }

    /// The rendition's URL.
    pub(super) async fn media(&self) -> String {
        let (status, text) = fetch(&self.master).await;
        let text = String::from_utf8(text).unwrap();
        assert_eq!(status, 200, "{text}");
        beside(&self.master, text.lines().last().unwrap())
    }

    pub(super) async fn playlist(&self) -> String {
        let (status, text) = fetch(&self.media().await).await;
        assert_eq!(status, 200);
        String::from_utf8(text).unwrap()
    }

    /// What a playlist names answers.
    pub(super) async fn fetches_all_of(&self, playlist: &str) -> usize {
        let media = self.media().await;
        let files = playlist
            .lines()
            .filter_map(|line| match line.split_once("URI=\"") {
                Some((_, _)) if line.contains("PRELOAD-HINT") => None,
                Some((_, rest)) => rest.split('"').next(),
                None if line.starts_with('#') => None,
                None => Some(line),
            });
        let mut count = 0;
        for file in files {
            let (status, content) = fetch(&beside(&media, file)).await;
            assert_eq!((status, content.is_empty()), (200, false), "{file}");
            count += 1;
        }
        count
    }

    /// The number of the newest segment.
    pub(super) async fn newest(&self) -> u64 {
        let playlist = self.playlist().await;
        let segment = segments(&playlist).last().copied().unwrap().to_owned();
        let number = segment.trim_start_matches("seg_").trim_end_matches(".m4s");
        number.parse().unwrap()
    }

    /// Codecs and sizes, as ffprobe finds them.
    pub(super) fn streams(&self) -> Vec<String> {
        let entries = "stream=codec_name,width,height";
        let mut streams = self.probe(&["-show_entries", entries]);
        streams.sort();
        streams.dedup();
        streams
    }

    /// Of the whole recording: ffprobe counts the pictures, of which there are 15 a second.
    pub(super) fn seconds(&self) -> f64 {
        let count = [
            "-select_streams",
            "v",
            "-count_packets",
            "-show_entries",
            "stream=nb_read_packets",
        ];
        let pictures = self.probe(&count);
        let pictures: u32 = pictures[0].parse().unwrap();
        f64::from(pictures) / 15.0
    }

    fn probe(&self, arguments: &[&str]) -> Vec<String> {
        let mut ffprobe = Command::new("ffprobe");
        ffprobe.args(["-v", "error", "-user_agent", BROWSER, "-of", "csv=p=0"]);
        let found = ffprobe.args(arguments).arg(&self.master).output().unwrap();
        let errors = String::from_utf8_lossy(&found.stderr);
        assert!(found.status.success(), "{errors}");
        let text = String::from_utf8(found.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| line.trim_end_matches(',').to_owned())
            .collect()
    }

    /// The last picture and the sound of the newest segment.
    pub(super) async fn sees(&self) -> Seen {
        let media = self.media().await;
        let playlist = self.playlist().await;
        let init = playlist.rsplit("#EXT-X-MAP:URI=\"").next().unwrap();
        let init = init.split('"').next().unwrap();
        let newest = segments(&playlist).last().copied().unwrap().to_owned();
        let (_, mut content) = fetch(&beside(&media, init)).await;
        content.extend(fetch(&beside(&media, &newest)).await.1);
        let seen_at = Utc::now().timestamp_millis();
        let pictures = decode(&content, &["-f", "rawvideo", "-pix_fmt", "gray"]);
        let (picture, _) = pictures.as_chunks::<{ WIDTH * HEIGHT }>();
        let sound = decode(&content, &["-f", "s16le", "-ac", "1"]);
        let (samples, _) = sound.as_chunks::<2>();
        Seen {
            seen_at,
            picture: picture.last().unwrap().to_vec(),
            loudest: samples
                .iter()
                .map(|pair| i16::from_le_bytes(*pair).unsigned_abs())
                .max(),
        }
    }
}

const WIDTH: usize = 640;
const HEIGHT: usize = 360;

fn decode(content: &[u8], output: &[&str]) -> Vec<u8> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-i", "pipe:0"])
        .args(output)
        .arg("pipe:1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, content) = (ffmpeg.stdin.take().unwrap(), content.to_vec());
    let written = std::thread::spawn(move || input.write_all(&content));
    let output = ffmpeg.wait_with_output().unwrap();
    assert!(output.status.success());
    written.join().unwrap().unwrap();
    output.stdout
}

pub(super) struct Seen {
    seen_at: i64,
    /// Luma.
    picture: Vec<u8>,
    pub(super) loudest: Option<u16>,
}

impl Seen {
    fn luma(&self, column: usize, row: usize) -> u8 {
        self.picture[row * WIDTH + column]
    }

    /// How old the picture is, by the clock in it.
    pub(super) fn delay(&self) -> Duration {
        let mut clock = 0_u32;
        for bar in 0..32 {
            let column = bar * 20 + 10;
            let (bit, inverse) = (self.luma(column, 20) > 128, self.luma(column, 60) > 128);
            assert_ne!(bit, inverse, "bar {bar} is unclear");
            clock = clock << 1 | u32::from(bit);
        }
        let seen_at = u32::try_from(self.seen_at & i64::from(u32::MAX)).unwrap();
        Duration::from_millis(u64::from(seen_at.wrapping_sub(clock)))
    }

    /// The brightest of what is below the clock.
    pub(super) fn brightest(&self) -> u8 {
        self.picture[85 * WIDTH..].iter().copied().max().unwrap()
    }
}

pub(super) fn segments(playlist: &str) -> Vec<&str> {
    let lines = playlist.lines();
    lines.filter(|line| !line.starts_with('#')).collect()
}

/// Resolves a playlist's reference.
pub(super) fn beside(url: &str, reference: &str) -> String {
    let url = reqwest::Url::parse(url).unwrap();
    url.join(reference).unwrap().to_string()
}
