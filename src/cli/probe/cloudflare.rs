//! Cloudflare Stream: one live input from creation to deletion (`cloudflare-stream.md §1, §2, §3, §4`).

mod polls;

use relaykeeper::config::Settings;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::VendorProbe;
use super::assumptions::ProbeFindings;
use super::client::{ProbeAuth, ProbeClient, ProbeRequest, ProbeResponse};

/// The error code of an invalid retention (`cloudflare-stream.md §2.2`).
const BAD_RETENTION: i64 = 10_060;

pub(super) struct CloudflareProbe {
    account: String,
    base: String,
    customer: Option<String>,
    auth: ProbeAuth,
    bad_auth: ProbeAuth,
    tag: String,
    unanswered_create: bool,
    made: Vec<String>,
}

impl VendorProbe for CloudflareProbe {
    async fn walk(&mut self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        if !self.credentials(client, findings).await {
            return;
        }
        self.refusals(client, findings).await;
        let Some((uid, created)) = self.create(client, findings).await else {
            return;
        };
        self.polls(client, findings, &uid, &created).await;
        self.changes(client, findings, &uid, &created).await;
        self.recordings(client, findings, &uid).await;
        self.delete(client, findings, &uid).await;
    }

    async fn clean_up(&mut self, client: &mut ProbeClient) -> Vec<String> {
        if self.unanswered_create
            && let Ok(answer) = client
                .ask(self.create_request("live_inputs.create.lookup"))
                .await
        {
            self.made.extend(uid_of(&answer));
        }
        let mut left = Vec::new();
        for uid in std::mem::take(&mut self.made) {
            let gone = client
                .ask(self.delete_request("live_inputs.clean_up", &uid))
                .await;
            if !gone.is_ok_and(|answer| answer.is_success() || answer.status == 404) {
                left.push(format!("live input {uid}"));
            }
        }
        left
    }
}

impl CloudflareProbe {
    pub(super) fn new(settings: &Settings, tag: &str) -> Self {
        let cloudflare = &settings.cloudflare;
        let base = cloudflare.api_base_url.trim_end_matches('/').to_owned();
        let token = cloudflare.api_token.expose_secret();
        let customer = cloudflare.customer_base_url.trim_end_matches('/');
        Self {
            account: format!("{base}/accounts/{}", cloudflare.account_id),
            base,
            customer: Some(customer.to_owned()).filter(|customer| !customer.is_empty()),
            auth: ProbeAuth::Bearer(token.to_owned()),
            bad_auth: ProbeAuth::Bearer(invalid_token(token)),
            tag: tag.to_owned(),
            unanswered_create: false,
            made: Vec::new(),
        }
    }

    async fn credentials(&self, client: &mut ProbeClient, findings: &mut ProbeFindings) -> bool {
        let url = format!("{}/user/tokens/verify", self.base);
        let bad = ProbeRequest::new("tokens.verify.bad", Method::GET, url, &self.bad_auth);
        match client.ask(bad).await {
            Ok(answer) => {
                let refused = matches!(answer.status, 401 | 403);
                findings.judge("cf-bad-token", refused, answer.summary());
            }
            Err(why) => findings.unclear("cf-bad-token", why),
        }
        // An account's own token is verified by the account, any other by the user.
        let mut why = String::new();
        let (user, account) = (format!("{}/user", self.base), &self.account);
        for url in [&user, account].map(|owner| format!("{owner}/tokens/verify")) {
            match client.ask(self.get("tokens.verify", url)).await {
                Ok(answer) if answer.text("/result/status") == Some("active") => {
                    findings.judge("cf-token", true, "active");
                    return true;
                }
                Ok(answer) => why = answer.summary(),
                Err(error) => why = error,
            }
        }
        findings.judge("cf-token", false, why);
        false
    }

    async fn refusals(&mut self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        let unknown = self.live_input(&Uuid::new_v4().simple().to_string());
        match client
            .ask(self.get("live_inputs.get.unknown", unknown))
            .await
        {
            Ok(answer) => {
                let explained = answer.status == 404 && answer.body.pointer("/errors/0").is_some();
                findings.judge("cf-not-found", explained, answer.summary());
            }
            Err(why) => findings.unclear("cf-not-found", why),
        }
        let mut body = self.wanted();
        if let Some(body) = body.as_object_mut() {
            body.insert("deleteRecordingAfterDays".into(), 1.into());
        }
        let url = format!("{}/stream/live_inputs", self.account);
        let ask = ProbeRequest::new("live_inputs.create.refused", Method::POST, url, &self.auth)
            .body(body);
        match client.ask(ask).await {
            Ok(answer) => {
                self.made.extend(uid_of(&answer));
                let code = answer
                    .body
                    .pointer("/errors/0/code")
                    .and_then(Value::as_i64);
                let refused = answer.status == 400 && code == Some(BAD_RETENTION);
                findings.judge("cf-retention", refused, answer.summary());
            }
            Err(why) => findings.unclear("cf-retention", why),
        }
    }

    async fn create(
        &mut self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
    ) -> Option<(String, ProbeResponse)> {
        self.unanswered_create = true;
        let created = match client.ask(self.create_request("live_inputs.create")).await {
            Ok(created) => created,
            Err(why) => {
                findings.unclear("cf-create", why);
                return None;
            }
        };
        let uid = uid_of(&created);
        let keyed = created.text("/result/rtmps/streamKey").is_some();
        let good = created.is_success() && uid.is_some() && keyed;
        findings.judge("cf-create", good, created.summary());
        let uid = uid.filter(|_| created.is_success())?;
        self.made.push(uid.clone());
        self.unanswered_create = false;
        let differing = differences(&self.wanted(), created.body.get("result"));
        findings.judge("cf-echo", differing.is_empty(), listed(&differing));
        let meta = created.text("/result/meta/relaykeeper");
        findings.judge(
            "cf-meta",
            meta == Some(&self.tag),
            meta.unwrap_or("no meta"),
        );
        self.playback(findings, &created);
        match (
            created.header("ratelimit"),
            created.header("ratelimit-policy"),
        ) {
            (Some(limit), policy) => {
                let saw = format!("{limit}; policy {}", policy.unwrap_or("missing"));
                findings.judge("cf-ratelimit", limit.contains(";r="), saw);
            }
            (None, _) => findings.judge("cf-ratelimit", false, "no Ratelimit header"),
        }
        match client
            .ask(self.create_request("live_inputs.create.again"))
            .await
        {
            Ok(again) => {
                let second = uid_of(&again);
                let same = second.as_ref() == Some(&uid);
                self.made.extend(second.filter(|_| !same));
                let saw = format!(
                    "{}, {} live input",
                    again.summary(),
                    if same { "the same" } else { "another" }
                );
                findings.judge("cf-key-replay", same, saw);
            }
            Err(why) => findings.unclear("cf-key-replay", why),
        }
        Some((uid, created))
    }

    /// The playback host becomes the customer host unless the settings name one.
    fn playback(&mut self, findings: &mut ProbeFindings, created: &ProbeResponse) {
        let hls = created.text("/result/playback/hls");
        let host = hls.and_then(|hls| url::Url::parse(hls).ok());
        let host = host.map(|url| url.origin().ascii_serialization());
        let known = host.as_ref().is_some_and(|host| {
            self.customer.as_ref() == Some(host)
                || (host.starts_with("https://customer-")
                    && host.ends_with(".cloudflarestream.com"))
        });
        findings.judge(
            "cf-playback",
            known,
            host.as_deref().unwrap_or("no playback.hls"),
        );
        self.customer = self.customer.take().or(host);
    }

    async fn delete(&mut self, client: &mut ProbeClient, findings: &mut ProbeFindings, uid: &str) {
        match client
            .ask(self.delete_request("live_inputs.delete", uid))
            .await
        {
            Ok(answer) => findings.judge("cf-delete", answer.is_success(), answer.summary()),
            Err(why) => return findings.unclear("cf-delete", why),
        }
        match client
            .ask(self.delete_request("live_inputs.delete.again", uid))
            .await
        {
            Ok(answer) => findings.judge("cf-delete-again", answer.status == 404, answer.summary()),
            Err(why) => findings.unclear("cf-delete-again", why),
        }
        let videos = format!("{}/videos", self.live_input(uid));
        match client
            .ask(self.get("live_inputs.videos.deleted", videos))
            .await
        {
            Ok(answer) => {
                let none = answer.body.get("result") == Some(&json!([]));
                findings.judge(
                    "cf-deleted-videos",
                    answer.status == 404 || none,
                    answer.summary(),
                );
            }
            Err(why) => findings.unclear("cf-deleted-videos", why),
        }
        match client
            .ask(self.create_request("live_inputs.create.deleted"))
            .await
        {
            Ok(answer) => {
                self.made.extend(uid_of(&answer));
                findings.judge("cf-key-deleted", answer.status == 409, answer.summary());
            }
            Err(why) => {
                self.unanswered_create = true;
                findings.unclear("cf-key-deleted", why);
            }
        }
    }

    fn live_input(&self, uid: &str) -> String {
        format!("{}/stream/live_inputs/{uid}", self.account)
    }

    fn get(&self, name: &'static str, url: String) -> ProbeRequest {
        ProbeRequest::new(name, Method::GET, url, &self.auth)
    }

    fn create_request(&self, name: &'static str) -> ProbeRequest {
        let url = format!("{}/stream/live_inputs", self.account);
        ProbeRequest::new(name, Method::POST, url, &self.auth)
            .key(&self.tag)
            .body(self.wanted())
    }

    fn delete_request(&self, name: &'static str, uid: &str) -> ProbeRequest {
        ProbeRequest::new(name, Method::DELETE, self.live_input(uid), &self.auth)
    }

    /// The body that a relay would send.
    fn wanted(&self) -> Value {
        json!({
            "meta": { "name": "relaykeeper probe", "relaykeeper": self.tag },
            "recording": { "mode": "automatic", "timeoutSeconds": 180, "requireSignedURLs": false },
            "deleteRecordingAfterDays": 30,
        })
    }
}

fn uid_of(answer: &ProbeResponse) -> Option<String> {
    answer.text("/result/uid").map(str::to_owned)
}

fn differences(wanted: &Value, got: Option<&Value>) -> Vec<String> {
    [
        "/recording/mode",
        "/recording/timeoutSeconds",
        "/recording/requireSignedURLs",
        "/deleteRecordingAfterDays",
    ]
    .into_iter()
    .filter(|pointer| wanted.pointer(pointer) != got.and_then(|got| got.pointer(pointer)))
    .map(str::to_owned)
    .collect()
}

fn listed(differing: &[String]) -> String {
    match differing {
        [] => "as sent".to_owned(),
        some => format!("other than sent: {}", some.join(", ")),
    }
}

fn invalid_token(token: &str) -> String {
    let flipped = |c: char| if c.is_ascii_digit() { '0' } else { 'x' };
    token.chars().map(flipped).collect()
}
