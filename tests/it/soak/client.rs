//! Calls the service. While it is down, a call returns `None`, and the caller repeats it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub(super) struct Client {
    url: String,
    /// An admin's: every route accepts it.
    token: String,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            // A killed process leaves dead connections behind.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            url: url.to_owned(),
            token: token.to_owned(),
            http,
        })
    }

    pub(super) async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        idempotency_key: Option<&str>,
        body: Option<&Value>,
    ) -> Option<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .header("Prefer", "wait=0");
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        Some((status, answer.json().await.ok()?))
    }

    pub(super) async fn relay(&self, id: &str) -> Option<Value> {
        let path = format!("/v1/relays/{id}");
        let (status, relay) = self.call(Method::GET, &path, None, None).await?;
        (status == StatusCode::OK).then_some(relay)
    }

    pub(super) async fn actors(&self) -> Option<u64> {
        let path = "/admin/actors?limit=1";
        let (_, actors) = self.call(Method::GET, path, None, None).await?;
        actors.get("total")?.as_u64()
    }
}
