//! The Agora client over HTTP: what it sends, and what each documented answer means (`agora.md`).

mod channel;
mod cloud_recording;
mod fail_over;
mod media_push;
mod whole;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use relaykeeper::config;
use relaykeeper::vendors::agora::channel::Hosts;
use relaykeeper::vendors::agora::cloud_recording::{
    OutputStatus, RecordingQueryAnswer, RecordingStartAnswer, RecordingStartRequest,
    RecordingStopAnswer, RecordingTask, RecordingTaskStatus, RecordingUpdateAnswer,
};
use relaykeeper::vendors::agora::media_push::{
    ConverterState, CreateAnswer, DeleteAnswer, GetAnswer, NewConverter,
};
use relaykeeper::vendors::agora::{Agora, AgoraSetupError};
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::lease::Lease;
use relaykeeper::vendors::{Class, Done, VendorError};
use rstest::rstest;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use wiremock::matchers::{
    any, body_json, header, method, path, query_param, query_param_is_missing,
};
use wiremock::{Mock, MockServer, ResponseTemplate};

const KEY: &str = "0f8e1d2c3b4a59687766554433221100k42";
const RECORDING: &str = "/v1/apps/app/cloud_recording";

fn settings(base: &str, fallbacks: &[String]) -> config::AgoraSettings {
    let mut settings = config::AgoraSettings {
        app_id: "app".into(),
        customer_id: "customer".into(),
        customer_secret: "customer-s3cret".into(),
        api_base_url: base.into(),
        fallback_base_urls: fallbacks.to_vec(),
        ..config::AgoraSettings::default()
    };
    settings.cloud_recording.storage = config::StorageSettings {
        vendor: 1,
        region: 2,
        bucket: "bucket".into(),
        access_key: "access-k3y".into(),
        secret_key: "storage-s3cret".into(),
    };
    settings
}

fn build(settings: &config::AgoraSettings) -> Agora {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Agora::new(settings, &vendors(), &Lease::for_good()).unwrap()
}

/// Long enough for a busy machine to answer.
fn vendors() -> config::VendorsSettings {
    config::VendorsSettings {
        read_timeout: Duration::from_secs(5),
        write_timeout: Duration::from_secs(5),
        ..config::VendorsSettings::default()
    }
}

fn agora(server: &MockServer) -> Agora {
    build(&settings(&server.uri(), &[]))
}

fn permit() -> PermitRequest {
    PermitRequest {
        priority: Priority::Start,
        until: tokio::time::Instant::now() + Duration::from_secs(30),
    }
}

fn rtmp_url() -> SecretString {
    format!("rtmps://live.cloudflare.com:443/live/{KEY}").into()
}

fn start_request() -> RecordingStartRequest {
    RecordingStartRequest {
        resource_id: "res/1".into(),
        cname: "relaykeeper_0a1b2c3d_00ff_1".into(),
        uid: 900_000_001,
        page_url: "https://r.example/recorder?channel=show&sig=51gnature".into(),
        rtmp_url: rtmp_url(),
        max_recording_hours: 3,
        ready_timeout_seconds: 60,
    }
}

fn task() -> RecordingTask {
    RecordingTask {
        resource_id: "res".into(),
        sid: "sid1".into(),
        cname: "tag".into(),
        uid: 900_000_001,
    }
}

fn converter() -> NewConverter {
    NewConverter {
        low_latency: false,
        name: "relaykeeper_0a1b2c3d_00ff_1".into(),
        channel: "show68".into(),
        seller_uid: 201,
        rtmp_url: rtmp_url(),
        idle_timeout: Duration::from_secs(240),
        region: "NA".into(),
    }
}

async fn always(status: u16, body: Value) -> MockServer {
    answering(ResponseTemplate::new(status).set_body_json(body)).await
}

/// Gives this answer to every call.
async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

async fn start_egress(agora: &Agora) -> Result<RecordingStartAnswer, VendorError> {
    let start = start_request();
    agora.cloud_recording().start(permit(), &start).await
}

async fn query_egress(agora: &Agora) -> Result<RecordingQueryAnswer, VendorError> {
    agora.cloud_recording().query(permit(), &task()).await
}

async fn stop_egress(agora: &Agora) -> Result<RecordingStopAnswer, VendorError> {
    agora.cloud_recording().stop(permit(), &task()).await
}

async fn create_converter(agora: &Agora) -> Result<CreateAnswer, VendorError> {
    agora.media_push().create(permit(), &converter()).await
}

/// No call can arrive there.
async fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Reads a call and hangs up: the call may have taken effect.
async fn hangs_up() -> String {
    hangs_up_counting(Arc::default()).await
}

async fn hangs_up_counting(calls: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = [0_u8; 4096];
            if stream.read(&mut seen).await.is_ok_and(|read| read > 0) {
                calls.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    format!("http://{address}")
}

async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

fn class_of(error: &VendorError) -> (Class, Done) {
    (error.class, error.done)
}
