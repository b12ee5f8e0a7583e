//! The client of IVS against moto, an independent fake of AWS: the operations on channels that it has, and S3.
#![cfg(feature = "sandbox")]

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};
use relaykeeper::config::Settings;
use relaykeeper::platforms::ivs::IvsPlatform;
use relaykeeper::platforms::{NewIngest, Platform as _, RecordingsSearch, Removal};
use relaykeeper::relay::RecordingState;
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::lease::Lease;
use secrecy::ExposeSecret as _;
use serde_json::json;

const BUCKET: &str = "recordings";

struct Moto {
    process: Child,
    url: String,
}

impl Moto {
    /// Installs moto below `target` if it is not there yet.
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto");
        let server = folder.join("bin/moto_server");
        if !server.exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
            let pip = folder.join("bin/pip");
            run(Command::new(pip).args(["install", "--quiet", "moto[server]==5.2.5"]));
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(server)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let moto = Self { process, url };
        let deadline = Instant::now() + Duration::from_secs(30);
        while reqwest::get(format!("{}/moto-api/", moto.url))
            .await
            .is_err()
        {
            assert!(Instant::now() < deadline, "moto does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        moto
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

fn permit() -> PermitRequest {
    PermitRequest::within(Priority::Start, Duration::from_secs(10))
}

fn new(tag: &str) -> NewIngest {
    NewIngest {
        latency: relaykeeper::relay::Latency::Low,
        tag: tag.to_owned(),
        title: "show".to_owned(),
        feed_timeout_seconds: 180,
        delete_recording_after_days: None,
    }
}

fn client(url: &str) -> IvsPlatform {
    let mut settings = Settings::default();
    let ivs = &mut settings.ivs;
    ivs.region = "eu-west-1".into();
    ivs.access_key_id = "AKIDEXAMPLE".into();
    ivs.secret_access_key = "secret".into();
    ivs.requests_per_second = 1000;
    ivs.recording_configuration_arn =
        "arn:aws:ivs:eu-west-1:123456789012:recording-configuration/abcd".into();
    ivs.recording_bucket = BUCKET.into();
    ivs.api_base_url = url.to_owned();
    ivs.s3_endpoint = url.to_owned();
    IvsPlatform::new(&settings, &Lease::for_good()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python: ./scripts/test runs it"]
async fn channels_and_recordings_at_moto() {
    let moto = Moto::start().await;
    let ivs = client(&moto.url);
    ivs.check(permit()).await.unwrap();
    let created = ivs.ensure_ingest(permit(), &new("tag-0")).await.unwrap();
    assert_eq!(created.ignored_settings, [""; 0]);
    let url = created.publish_url.expose_secret();
    assert!(
        url.starts_with("rtmps://ingest.example.com:443/app/"),
        "{url}"
    );
    for number in 1..150 {
        let tag = format!("tag-{number}");
        ivs.ensure_ingest(permit(), &new(&tag)).await.unwrap();
    }
    let list = ivs.list_tagged(permit()).await.unwrap();
    assert_eq!((list.ingests.len(), list.may_be_cut), (150, false));
    let list = ivs.find_tagged(permit(), "tag-0").await.unwrap();
    let [found] = &list.with_tag("tag-0")[..] else {
        panic!("{list:?}");
    };
    assert_eq!(found.id, created.id);
    assert!(found.created.is_some());

    recordings(&moto, &ivs, &created.id).await;
    for _ in 0..2 {
        let removed = ivs.remove(permit(), &created.id).await.unwrap();
        assert_eq!(removed, Removal::Gone);
    }
}

async fn recordings(moto: &Moto, ivs: &IvsPlatform, channel: &str) {
    ivs.check_bucket().await.unwrap().unwrap_err();
    let made = reqwest::Client::new()
        .put(format!("{}/{BUCKET}", moto.url))
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        )
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 200, "{}", made.text().await.unwrap());
    ivs.check_bucket().await.unwrap().unwrap();
    let store = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_endpoint(&moto.url)
        .with_allow_http(true)
        .with_region("eu-west-1")
        .with_access_key_id("AKIDEXAMPLE")
        .with_secret_access_key("secret")
        .with_client_options(object_store::ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap();
    let mut parts = channel.split(':').skip(4);
    let account = parts.next().unwrap();
    let id = parts.next().unwrap().trim_start_matches("channel/");
    let show = |date: &str, id_of_recording: &str| {
        format!("ivs/v1/{account}/{id}/{date}/{id_of_recording}")
    };
    let put = async |key: String, text: String| {
        let key = object_store::path::Path::from(key);
        store.put(&key, PutPayload::from(text)).await.unwrap();
    };
    let (first, second) = (
        show("2026/9/1/7/5", "aaaa"),
        show("2026/11/29/10/5", "bbbb"),
    );
    let started = json!({"recording_started_at": "2026-09-01T07:05:01Z"}).to_string();
    let ended = json!({
        "recording_started_at": "2026-09-01T07:05:01Z",
        "media": {"hls": {"path": "media/hls", "playlist": "master.m3u8", "duration_ms": 61_000}},
    });
    put(
        format!("{first}/events/recording-started.json"),
        started.clone(),
    )
    .await;
    put(
        format!("{first}/events/recording-ended.json"),
        ended.to_string(),
    )
    .await;
    for segment in 0..1_100 {
        put(
            format!("{first}/media/hls/720p30/{segment}.ts"),
            String::new(),
        )
        .await;
    }
    put(format!("{second}/events/recording-started.json"), started).await;

    let all = RecordingsSearch::Thorough(permit());
    let all = ivs.recordings(channel, all).await.unwrap();
    let states: Vec<_> = all.iter().map(|one| (one.id.as_str(), one.state)).collect();
    assert_eq!(
        states,
        [
            (second.as_str(), RecordingState::Processing),
            (first.as_str(), RecordingState::Ready),
        ],
        "IVS does not pad dates: November comes before September"
    );
    assert_eq!(all[1].duration_ms, Some(61_000));
    assert_eq!(
        all[1].location(),
        Some(format!("s3://{BUCKET}/{first}").as_str())
    );
    for _ in 0..2 {
        ivs.delete_recording(permit(), &first).await.unwrap();
    }
    let left: Vec<_> = {
        use futures_util::TryStreamExt as _;
        store.list(None).try_collect().await.unwrap()
    };
    assert_eq!(left.len(), 1, "{left:?}");
}
