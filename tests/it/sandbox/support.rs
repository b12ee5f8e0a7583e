//! Simulated vendors and direct calls to them.

use std::time::{Duration, Instant};

use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub(crate) const BROWSER: &str = "Mozilla/5.0 (test)";

pub(crate) struct Sandbox {
    pub(crate) vendors: SimulatedVendors,
    pub(crate) http: reqwest::Client,
}

pub(crate) fn fast() -> Options {
    Options {
        speed: 50.0,
        quotas: Quotas {
            cloud_recording_per_second: 1000,
            ..Quotas::default()
        },
        ..Options::default()
    }
}

impl Sandbox {
    pub(crate) fn start(options: Options) -> Self {
        let vendors = SimulatedVendors::start(options).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            vendors,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn cloudflare(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!(
            "{}/accounts/{}/stream{path}",
            self.vendors.cloudflare_api_base_url(),
            self.vendors.account_id()
        );
        self.http
            .request(method, url)
            .bearer_auth(self.vendors.cloudflare_api_token())
    }

    pub(crate) fn recording(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!(
            "{}/v1/apps/{}/cloud_recording/{path}",
            self.vendors.agora_base_url(),
            self.vendors.agora_app_id()
        );
        self.agora(method, url)
    }

    pub(crate) fn push(&self, method: Method, before: &str, path: &str) -> RequestBuilder {
        let url = format!(
            "{}{before}/v1/projects/{}{path}",
            self.vendors.agora_base_url(),
            self.vendors.agora_app_id()
        );
        self.agora(method, url)
    }

    pub(crate) fn hosts(&self, base_url: &str, channel: &str) -> RequestBuilder {
        let app = self.vendors.agora_app_id();
        let url = format!("{base_url}/dev/v1/channel/user/{app}/{channel}/hosts_only");
        self.agora(Method::GET, url)
    }

    fn agora(&self, method: Method, url: String) -> RequestBuilder {
        self.http.request(method, url).basic_auth(
            self.vendors.agora_customer_id(),
            Some(self.vendors.agora_customer_secret()),
        )
    }

    pub(crate) async fn create_converter(&self, name: &str, rtmp: &str) -> (u16, Value) {
        let create = self.push(Method::POST, "/na", "/rtmp-converters");
        send(create.json(&converter(name, rtmp))).await
    }

    pub(crate) fn customer(&self, path: &str) -> RequestBuilder {
        self.http
            .get(format!("{}{path}", self.vendors.customer_base_url()))
            .header("User-Agent", BROWSER)
    }

    pub(crate) async fn live_input(&self) -> (String, String) {
        let body = json!({"recording": {"mode": "automatic", "timeoutSeconds": 20}});
        let (status, body) = send(self.cloudflare(Method::POST, "/live_inputs").json(&body)).await;
        assert_eq!(status, 200, "{body}");
        let text = |pointer: &str| body.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        (
            text("/result/uid"),
            format!(
                "{}{}",
                text("/result/rtmps/url"),
                text("/result/rtmps/streamKey")
            ),
        )
    }

    pub(crate) async fn acquire(&self, cname: &str) -> String {
        let body = json!({"cname": cname, "uid": "900000001", "clientRequest": {"scene": 1}});
        let (status, body) = send(self.recording(Method::POST, "acquire").json(&body)).await;
        assert_eq!(status, 200, "{body}");
        body["resourceId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn start_on(&self, resource: &str, body: &Value) -> (u16, Value) {
        let path = format!("resourceid/{resource}/mode/web/start");
        send(self.recording(Method::POST, &path).json(body)).await
    }

    pub(crate) async fn start_task(
        &self,
        cname: &str,
        page: &str,
        rtmp: &str,
        ready_timeout: u64,
    ) -> Task {
        let resource = self.acquire(cname).await;
        let body = start_body(cname, page, rtmp, ready_timeout);
        let (status, body) = self.start_on(&resource, &body).await;
        assert_eq!(status, 200, "{body}");
        let sid = body["sid"].as_str().unwrap().to_owned();
        Task {
            path: format!("resourceid/{resource}/sid/{sid}/mode/web"),
            cname: cname.to_owned(),
            sid,
        }
    }

    pub(crate) async fn start_page(
        &self,
        page: &MockServer,
        rtmp: &str,
        ready_timeout: u64,
    ) -> Task {
        let url = format!("{}/recorder?a=b", page.uri());
        self.start_task("relay", &url, rtmp, ready_timeout).await
    }

    pub(crate) async fn until_ended(&self, task: &Task) {
        until("ended", || async { self.query(task).await.0 == 404 }).await;
    }

    pub(crate) async fn query(&self, task: &Task) -> (u16, Value) {
        send(self.recording(Method::GET, &format!("{}/query", task.path))).await
    }

    /// The status of the push.
    pub(crate) async fn output(&self, task: &Task) -> String {
        let (_, body) = self.query(task).await;
        let services = body["serverResponse"]["extensionServiceState"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let push = services
            .iter()
            .find(|service| service["serviceName"] == "rtmp_publish_service");
        push.map(|push| {
            push["payload"]["outputs"][0]["status"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .unwrap_or_default()
    }

    pub(crate) async fn stop(&self, task: &Task) -> (u16, Value) {
        let body =
            json!({"cname": task.cname, "uid": "900000001", "clientRequest": {"async_stop": true}});
        send(
            self.recording(Method::POST, &format!("{}/stop", task.path))
                .json(&body),
        )
        .await
    }

    pub(crate) async fn lifecycle(&self, uid: &str) -> Value {
        send(self.customer(&format!("/{uid}/lifecycle"))).await.1
    }

    pub(crate) async fn until_live(&self, uid: &str) {
        until("live", || async {
            self.lifecycle(uid).await["live"] == true
        })
        .await;
    }

    pub(crate) async fn manifest(&self, uid: &str) -> (u16, String) {
        let response = self
            .customer(&format!("/{uid}/manifest/video.m3u8"))
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn playlist(&self, uid: &str) -> String {
        self.customer(&format!("/{uid}/manifest/stream_t720.m3u8"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    pub(crate) fn violations(&self) -> Vec<&'static str> {
        self.vendors
            .state()
            .violations
            .iter()
            .map(|violation| violation.kind)
            .collect()
    }
}

pub(crate) struct Task {
    pub(crate) path: String,
    pub(crate) cname: String,
    pub(crate) sid: String,
}

pub(crate) fn start_body(cname: &str, page: &str, rtmp: &str, ready_timeout: u64) -> Value {
    json!({"cname": cname, "uid": "900000001", "clientRequest": {
        "extensionServiceConfig": {"errorHandlePolicy": "error_abort", "extensionServices": [
            {"serviceName": "web_recorder_service", "errorHandlePolicy": "error_abort", "serviceParam": {
                "url": page, "audioProfile": 1, "videoWidth": 1280, "videoHeight": 720, "maxRecordingHour": 2, "readyTimeout": ready_timeout}},
            {"serviceName": "rtmp_publish_service", "errorHandlePolicy": "error_ignore", "serviceParam": {"outputs": [{"rtmpUrl": rtmp}]}}]},
        "recordingFileConfig": {"avFileType": ["hls"]},
        "storageConfig": {"vendor": 1, "region": 0, "bucket": "b", "accessKey": "ak", "secretKey": "sk"}}})
}

pub(crate) fn converter(name: &str, rtmp: &str) -> Value {
    json!({"converter": {"name": name, "rtmpUrl": rtmp, "idleTimeout": 20, "transcodeOptions": {"rtcChannel": "show68",
        "audioOptions": {"rtcStreamUids": [7]},
        "videoOptions": {"canvas": {"width": 1280, "height": 720}, "bitrate": 3420, "frameRate": 30, "gop": 120,
            "layout": [{"rtcStreamUid": 7, "region": {"xPos": 0, "yPos": 0, "zIndex": 1, "width": 1280, "height": 720}}]}}}})
}

pub(crate) async fn send(request: RequestBuilder) -> (u16, Value) {
    let response: Response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

/// Polls for up to ten seconds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut poll: impl FnMut() -> F) {
    let begin = Instant::now();
    while !poll().await {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "never came: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A recorder page. Without a certificate any token is valid.
pub(crate) async fn page(vendors: &SimulatedVendors, leave: bool) -> MockServer {
    page_with_token(vendors, leave, "007").await
}

pub(crate) async fn page_with_token(
    vendors: &SimulatedVendors,
    leave: bool,
    token: &str,
) -> MockServer {
    let page = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/recorder"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&page)
        .await;
    let token =
        json!({"app_id": vendors.agora_app_id(), "channel": "show68", "uid": 55, "token": token});
    Mock::given(method("POST"))
        .and(path("/recorder/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(token))
        .mount(&page)
        .await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({"leave": leave}));
    Mock::given(method("POST"))
        .and(path("/recorder/presence"))
        .respond_with(answer)
        .mount(&page)
        .await;
    page
}

pub(crate) async fn posts(page: &MockServer, path: &str) -> Vec<Value> {
    let requests: Vec<Request> = page.received_requests().await.unwrap();
    requests
        .iter()
        .filter(|request| request.url.path() == path)
        .map(|request| serde_json::from_slice(&request.body).unwrap_or(Value::Null))
        .collect()
}

pub(crate) fn uncertified() -> Options {
    Options {
        certificate: false,
        ..fast()
    }
}
