//! Signed calls to the simulated Amazon IVS and S3.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) struct Aws {
    pub(crate) vendors: SimulatedVendors,
    pub(crate) http: reqwest::Client,
}

/// How a call is signed.
pub(crate) struct Signature {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
    pub(crate) service: &'static str,
    pub(crate) at: DateTime<Utc>,
    pub(crate) signed: Vec<&'static str>,
}

/// Every call is admitted.
pub(crate) fn unlimited() -> Options {
    Options {
        speed: 50.0,
        latency: Duration::ZERO,
        create_latency: Duration::ZERO,
        quotas: Quotas {
            ivs_per_second: 10_000,
            ivs_tags_per_second: 10_000,
            ..Quotas::default()
        },
        ..Options::default()
    }
}

impl Aws {
    pub(crate) fn start(options: Options) -> Self {
        Self::of(SimulatedVendors::start(options).unwrap())
    }

    pub(crate) fn of(vendors: SimulatedVendors) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            vendors,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn signature(&self, service: &'static str) -> Signature {
        let mut signed = vec!["host", "x-amz-content-sha256", "x-amz-date"];
        if service == "ivs" {
            signed.remove(1);
        }
        Signature {
            key: self.vendors.ivs_access_key_id().to_owned(),
            secret: self.vendors.ivs_secret_access_key().to_owned(),
            token: None,
            region: self.vendors.ivs_region().to_owned(),
            service,
            at: Utc::now(),
            signed,
        }
    }

    pub(crate) fn request(
        &self,
        method: Method,
        url: &str,
        body: Vec<u8>,
        with: &Signature,
    ) -> RequestBuilder {
        let url = Url::parse(url).unwrap();
        let hash = hex::encode(Sha256::digest(&body));
        let (time, date) = (
            with.at.format("%Y%m%dT%H%M%SZ").to_string(),
            with.at.format("%Y%m%d").to_string(),
        );
        let host = format!("127.0.0.1:{}", url.port().unwrap());
        let mut headers = vec![("host", host), ("x-amz-date", time.clone())];
        if with.service == "s3" {
            headers.push(("x-amz-content-sha256", hash.clone()));
        }
        if let Some(token) = &with.token {
            headers.push(("x-amz-security-token", token.clone()));
        }
        let value = |name: &str| {
            let found = headers.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let lines: String = with
            .signed
            .iter()
            .map(|name| format!("{name}:{}\n", value(name)))
            .collect();
        let mut query: Vec<&str> = url.query().unwrap_or_default().split('&').collect();
        query.sort_unstable();
        // In tests every `%` of a path is the API's, which encodes it again.
        let path = match with.service {
            "s3" => url.path().to_owned(),
            _ => url.path().replace('%', "%25"),
        };
        let signed = with.signed.join(";");
        let request = format!(
            "{method}\n{path}\n{}\n{lines}\n{signed}\n{hash}",
            query.join("&")
        );
        let scope = format!("{date}/{}/{}/aws4_request", with.region, with.service);
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex::encode(Sha256::digest(request))
        );
        let mut key = format!("AWS4{}", with.secret).into_bytes();
        for part in [&date, &with.region, with.service, "aws4_request", &text] {
            let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            key = mac.chain_update(part).finalize().into_bytes().to_vec();
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={}",
            with.key,
            hex::encode(key)
        );
        let mut request = self.http.request(method, url).body(body);
        for (name, value) in headers.into_iter().skip(1) {
            request = request.header(name, value);
        }
        request.header("Authorization", authorization)
    }

    pub(crate) fn ivs(&self, operation: &str, body: &Value, with: &Signature) -> RequestBuilder {
        let url = format!("{}/{operation}", self.vendors.ivs_api_base_url());
        let body = body.to_string().into_bytes();
        let request = self.request(Method::POST, &url, body, with);
        request.header("Content-Type", "application/json")
    }

    /// The status, the type of the error or "", and the body.
    pub(crate) async fn ask(&self, operation: &str, body: Value) -> (u16, String, Value) {
        let request = self.ivs(operation, &body, &self.signature("ivs"));
        said(request.send().await.unwrap()).await
    }

    /// The body of a successful call.
    pub(crate) async fn call(&self, operation: &str, body: Value) -> Value {
        let (status, kind, body) = self.ask(operation, body).await;
        assert!(status < 300, "{operation}: {status} {kind} {body:#}");
        body
    }

    /// The status and the type of the error of a refused call.
    pub(crate) async fn refused(&self, operation: &str, body: Value) -> (u16, String) {
        let (status, kind, body) = self.ask(operation, body).await;
        assert!(
            body["exceptionMessage"].is_string(),
            "{operation}: {status} {body:#}"
        );
        (status, kind)
    }

    pub(crate) async fn create(&self, body: Value) -> Channel {
        let made = self.call("CreateChannel", body).await;
        let text = |pointer: &str| made.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let playback = Url::parse(&text("/channel/playbackUrl")).unwrap();
        Channel {
            arn: text("/channel/arn"),
            key: text("/streamKey/arn"),
            publish_url: format!(
                "rtmps://{}:443/app/{}",
                text("/channel/ingestEndpoint"),
                text("/streamKey/value")
            ),
            manifest: format!(
                "{}{}",
                self.vendors.ivs_playback_base_url(),
                playback.path()
            ),
            made,
        }
    }

    pub(crate) async fn until_live(&self, channel: &Channel) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (status, _, body) = self
                .ask("GetStream", json!({"channelArn": channel.arn}))
                .await;
            if status == 200 && body["stream"]["health"] == "HEALTHY" {
                return body["stream"].clone();
            }
            assert!(Instant::now() < deadline, "{body:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_offline(&self, channel: &Channel) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self
            .ask("GetStream", json!({"channelArn": channel.arn}))
            .await
            .0
            == 200
        {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A call to the bucket of recordings: the status and the text.
    pub(crate) async fn s3(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        self.s3_with(method, path, body, |request| request).await
    }

    pub(crate) async fn s3_with(
        &self,
        method: Method,
        path: &str,
        body: &str,
        change: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> (u16, String) {
        let url = format!(
            "{}/{}{path}",
            self.vendors.ivs_s3_endpoint(),
            self.vendors.ivs_recording_bucket()
        );
        let signature = self.signature("s3");
        let request = self.request(method, &url, body.as_bytes().to_vec(), &signature);
        let answer = change(request).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn manifest(&self, channel: &Channel) -> u16 {
        let answer = self.http.get(&channel.manifest).send().await.unwrap();
        answer.status().as_u16()
    }
}

pub(crate) struct Channel {
    pub(crate) arn: String,
    /// The stream key's ARN.
    pub(crate) key: String,
    pub(crate) publish_url: String,
    pub(crate) manifest: String,
    pub(crate) made: Value,
}

impl Channel {
    pub(crate) fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap()
    }
}

impl Signature {
    pub(crate) fn late(mut self, by: TimeDelta) -> Self {
        self.at -= by;
        self
    }
}

pub(crate) async fn said(answer: Response) -> (u16, String, Value) {
    let status = answer.status().as_u16();
    let kind = answer.headers().get("x-amzn-errortype");
    let kind = kind.map_or("", |kind| kind.to_str().unwrap());
    let kind = kind.split(':').next().unwrap().to_owned();
    let bytes = answer.bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    (status, kind, body)
}
