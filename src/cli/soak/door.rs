//! The service's API, as the marketplace calls it: a service that is down is no error, it is asked again.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the service is, and the operator's token, which lets one in everywhere.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) url: String,
    pub(super) token: String,
    http: Client,
}

impl Door {
    pub(super) fn new(url: String) -> anyhow::Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            // A process that was killed left its connections behind.
            .pool_max_idle_per_host(0)
            .build()?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        Ok(Self { url, token, http })
    }

    pub(super) async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What it answers; none when it does not.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Option<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .header("Prefer", "wait=0");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        Some((status, answer.json().await.ok()?))
    }

    /// The relay as it is.
    pub(super) async fn relay(&self, id: &str) -> Option<Value> {
        let (status, relay) = self
            .ask(Method::GET, &format!("/v1/relays/{id}"), None, None)
            .await?;
        (status == StatusCode::OK).then_some(relay)
    }

    /// How many relays are in work.
    pub(super) async fn in_work(&self) -> Option<u64> {
        let (_, actors) = self
            .ask(Method::GET, "/admin/actors?limit=1", None, None)
            .await?;
        actors.get("total")?.as_u64()
    }
}
