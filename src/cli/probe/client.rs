//! The probe's HTTP client; records all exchanges.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relaykeeper::config::Settings;
use relaykeeper::platforms::ivs::IvsSigner;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::redact::{Redactor, leave_others_out};

/// The customer host rejects other user agents (`cloudflare-stream.md §3.6`).
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                          Chrome/142.0.0.0 Safari/537.36";

const RATE_LIMITED_TRIES: usize = 3;
/// After a 429 that names no wait.
const RATE_LIMITED_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Recorded response headers: those the vendor clients read, and request ids.
const HEADERS: [&str; 9] = [
    "content-type",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "cf-ray",
    "x-request-id",
    "x-resource-id",
    "x-amzn-errortype",
    "x-amzn-requestid",
];

#[derive(Debug, Clone)]
pub(super) enum ProbeAuth {
    /// For the public customer host.
    None,
    /// Cloudflare's API token.
    Bearer(String),
    /// Agora's customer id and secret, Mux's token id and secret.
    Basic(String, String),
    /// An access key of AWS's.
    Aws(IvsSigner),
}

#[derive(Debug)]
pub(super) struct ProbeRequest {
    name: &'static str,
    method: Method,
    url: String,
    auth: ProbeAuth,
    key: Option<String>,
    body: Option<Value>,
}

impl ProbeRequest {
    /// `name` is the call's and its fixture's.
    pub(super) fn new(name: &'static str, method: Method, url: String, auth: &ProbeAuth) -> Self {
        Self {
            name,
            method,
            url,
            auth: auth.clone(),
            key: None,
            body: None,
        }
    }

    pub(super) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

#[derive(Debug)]
pub(super) struct ProbeResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The body as JSON: a string if it is not JSON, `Null` if empty.
    pub(super) body: Value,
}

impl ProbeResponse {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn summary(&self) -> String {
        let code = ["/errors/0/code", "/code", "/error/type"]
            .iter()
            .find_map(|pointer| self.body.pointer(pointer));
        match (code, self.aws_error()) {
            (Some(code), _) => format!("{}, code {code}", self.status),
            (None, Some(error)) => format!("{}, {error}", self.status),
            (None, None) => self.status.to_string(),
        }
    }

    /// It may have a suffix after a colon (`ivs.md §1.4`).
    pub(super) fn aws_error(&self) -> Option<&str> {
        self.header("x-amzn-errortype")?.split(':').next()
    }
}

pub(super) struct ProbeClient {
    client: reqwest::Client,
    timeout: Duration,
    tag: String,
    redactor: Redactor,
    tape: Vec<(&'static str, Value)>,
}

impl ProbeClient {
    /// Does not record list items without `tag`: they are others'.
    pub(super) fn new(settings: &Settings, tag: &str) -> anyhow::Result<Self> {
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let client = match relaykeeper::vendors::proxy()? {
            Some(proxy) => builder.proxy(proxy.rule()?),
            None => builder,
        }
        .build()?;
        let (cloudflare, agora) = (&settings.cloudflare, &settings.agora);
        let (mux, ivs) = (&settings.mux, &settings.ivs);
        let basic = |id: &str, secret: &SecretString| {
            STANDARD.encode(format!("{id}:{}", secret.expose_secret()))
        };
        let agora_basic = basic(&agora.customer_id, &agora.customer_secret);
        let mux_basic = basic(&mux.token_id, &mux.token_secret);
        let redactor = Redactor::new([
            (agora_basic.trim_end_matches('='), "<authorization>"),
            (mux_basic.trim_end_matches('='), "<authorization>"),
            (ivs.secret_access_key.expose_secret(), "<secret-access-key>"),
            (ivs.session_token.expose_secret(), "<session-token>"),
            (&ivs.access_key_id, "<access-key-id>"),
            (mux.token_secret.expose_secret(), "<token-secret>"),
            (&mux.token_id, "<token-id>"),
            (cloudflare.api_token.expose_secret(), "<api-token>"),
            (&cloudflare.account_id, "<account>"),
            (agora.customer_secret.expose_secret(), "<customer-secret>"),
            (&agora.customer_id, "<customer-id>"),
            (&agora.app_id, "<app-id>"),
        ]);
        Ok(Self {
            client,
            timeout: settings.vendors.write_timeout,
            tag: tag.to_owned(),
            redactor,
            tape: Vec::new(),
        })
    }

    /// Waits while a vendor's rate limit refuses it. The error omits the URL.
    pub(super) async fn ask(&mut self, ask: ProbeRequest) -> Result<ProbeResponse, String> {
        for _ in 0..RATE_LIMITED_TRIES {
            let answer = self.exchange(&ask).await?;
            if answer.status != 429 {
                return Ok(answer);
            }
            let named = answer.header("retry-after");
            let wait = named.and_then(|seconds| seconds.parse().ok());
            let wait = wait.map_or(RATE_LIMITED_WAIT, Duration::from_secs);
            tokio::time::sleep(wait.clamp(Duration::from_secs(1), LONGEST_WAIT)).await;
        }
        self.exchange(&ask).await
    }

    async fn exchange(&mut self, ask: &ProbeRequest) -> Result<ProbeResponse, String> {
        let mut request = self
            .client
            .request(ask.method.clone(), &ask.url)
            .timeout(self.timeout);
        request = match &ask.auth {
            ProbeAuth::None | ProbeAuth::Aws(_) => request,
            ProbeAuth::Bearer(token) => request.bearer_auth(token),
            ProbeAuth::Basic(user, password) => request.basic_auth(user, Some(password)),
        };
        if let Some(key) = &ask.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let failure = |error: reqwest::Error| {
            let error = anyhow::Error::new(error.without_url());
            format!("no answer: {error:#}")
        };
        let mut request = request.build().map_err(failure)?;
        if let ProbeAuth::Aws(signer) = &ask.auth {
            signer
                .sign(&mut request)
                .await
                .map_err(|error| error.to_string())?;
        }
        let response = self.client.execute(request).await.map_err(failure)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.map_err(failure)?;
        let body = match text.as_str() {
            "" => Value::Null,
            json => serde_json::from_str(json).unwrap_or(Value::String(text)),
        };
        self.redactor.learn(&body);
        self.keep(ask, status, &headers, &body);
        Ok(ProbeResponse {
            status: status.as_u16(),
            headers,
            body,
        })
    }

    fn keep(&mut self, ask: &ProbeRequest, status: StatusCode, headers: &HeaderMap, body: &Value) {
        let kept: serde_json::Map<String, Value> = HEADERS
            .iter()
            .filter_map(|name| {
                Some((
                    (*name).to_owned(),
                    headers.get(*name)?.to_str().ok()?.into(),
                ))
            })
            .collect();
        let mut body = body.clone();
        let left_out = leave_others_out(&mut body, &self.tag);
        let exchange = json!({
            "call": ask.name,
            "request": {
                "method": ask.method.as_str(),
                "url": ask.url,
                "idempotency_key": ask.key,
                "body": ask.body,
            },
            "response": { "status": status.as_u16(), "headers": kept, "body": body },
            "others_left_out": left_out,
        });
        self.tape.push((ask.name, exchange));
    }

    pub(super) fn tape(&self) -> impl Iterator<Item = (&'static str, Value)> {
        self.tape
            .iter()
            .map(|(name, exchange)| (*name, self.redactor.redacted(exchange)))
    }
}
