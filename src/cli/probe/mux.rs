//! Mux Video: one live stream from creation to deletion (`mux.md §1, §2, §3, §4`).

use relaykeeper::config::Settings;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::VendorProbe;
use super::assumptions::ProbeFindings;
use super::client::{ProbeAuth, ProbeClient, ProbeRequest, ProbeResponse};

const RECONNECT_WINDOW: u64 = 120;
const OTHER_WINDOW: u64 = 180;

pub(super) struct MuxProbe {
    api: String,
    playback: String,
    auth: ProbeAuth,
    bad_auth: ProbeAuth,
    tag: String,
    unanswered_create: bool,
    made: Option<String>,
}

impl VendorProbe for MuxProbe {
    async fn walk(&mut self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        if !self.credentials(client, findings).await {
            return;
        }
        let unknown = self.stream("relaykeeper-probe");
        let answer = client.ask(self.get("mux.get.unknown", unknown)).await;
        findings.judge_answer("mx-not-found", answer, |answer| {
            let explained = answer.body.pointer("/error/messages/0").is_some();
            answer.status == 404 && explained
        });
        let Some((id, created)) = self.create(client, findings).await else {
            return;
        };
        self.reads(client, findings, &id, &created).await;
        self.changes(client, findings, &id, &created).await;
        self.delete(client, findings, &id).await;
    }

    async fn clean_up(&mut self, client: &mut ProbeClient) -> Vec<String> {
        if self.unanswered_create
            && let Ok(list) = client.ask(self.list("mux.list.lookup")).await
        {
            self.made = self.of_tag(&list).and_then(|stream| id_of(stream, "/id"));
        }
        let Some(id) = self.made.take() else {
            return Vec::new();
        };
        let gone = client.ask(self.delete_request("mux.clean_up", &id)).await;
        match gone.is_ok_and(|answer| answer.is_success() || answer.status == 404) {
            true => Vec::new(),
            false => vec![format!("live stream {id}")],
        }
    }
}

impl MuxProbe {
    pub(super) fn new(settings: &Settings, tag: &str) -> Self {
        let mux = &settings.mux;
        let secret = mux.token_secret.expose_secret().to_owned();
        Self {
            api: mux.api_base_url.trim_end_matches('/').to_owned(),
            playback: mux.playback_base_url.trim_end_matches('/').to_owned(),
            bad_auth: ProbeAuth::Basic(mux.token_id.clone(), format!("{secret}x")),
            auth: ProbeAuth::Basic(mux.token_id.clone(), secret),
            tag: tag.to_owned(),
            unanswered_create: false,
            made: None,
        }
    }

    async fn credentials(&self, client: &mut ProbeClient, findings: &mut ProbeFindings) -> bool {
        let bad = ProbeRequest::new("mux.list.bad", Method::GET, self.streams(), &self.bad_auth);
        let answer = client.ask(bad).await;
        findings.judge_answer("mx-bad-token", answer, |answer| answer.status == 401);
        let answer = client.ask(self.list("mux.list")).await;
        findings.judge_answer("mx-token", answer, |answer| {
            answer.status == 200 && answer.body.pointer("/data").is_some_and(Value::is_array)
        })
    }

    async fn create(
        &mut self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
    ) -> Option<(String, ProbeResponse)> {
        self.unanswered_create = true;
        let create = ProbeRequest::new("mux.create", Method::POST, self.streams(), &self.auth);
        let created = match client.ask(create.body(self.wanted())).await {
            Ok(created) => created,
            Err(why) => {
                findings.unclear("mx-create", why);
                return None;
            }
        };
        let id = id_of(&created.body, "/data/id").filter(|_| created.is_success());
        let has_key = created.text("/data/stream_key").is_some();
        let has_playback = created.text("/data/playback_ids/0/id").is_some();
        let good = id.is_some() && has_key && has_playback;
        findings.judge("mx-create", good, created.summary());
        self.unanswered_create = id.is_none() && created.is_success();
        let id = id?;
        self.made = Some(id.clone());
        let wanted = self.wanted();
        let differing: Vec<_> = ["/passthrough", "/reconnect_window", "/latency_mode"]
            .into_iter()
            .filter(|field| wanted.pointer(field) != created.body.pointer(&format!("/data{field}")))
            .collect();
        let saw = match differing.as_slice() {
            [] => "as sent".to_owned(),
            some => format!("other than sent: {}", some.join(", ")),
        };
        findings.judge("mx-echo", differing.is_empty(), saw);
        Some((id, created))
    }

    async fn reads(
        &self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
        id: &str,
        created: &ProbeResponse,
    ) {
        let key = created.text("/data/stream_key");
        let read = client.ask(self.get("mux.get", self.stream(id))).await;
        findings.judge_answer("mx-get", read, |answer| {
            key.is_some() && answer.text("/data/stream_key") == key
        });
        let list = client.ask(self.list("mux.list.again")).await;
        findings.judge_answer("mx-list", list, |answer| self.of_tag(answer).is_some());
        let playback = created.text("/data/playback_ids/0/id").unwrap_or_default();
        let url = format!("{}/{playback}.m3u8", self.playback);
        let manifest = ProbeRequest::new("mux.manifest", Method::GET, url, &ProbeAuth::None);
        let answer = client.ask(manifest).await;
        findings.judge_answer("mx-manifest", answer, |answer| answer.status == 412);
        let url = format!("{}/video/v1/assets?live_stream_id={id}", self.api);
        let answer = client.ask(self.get("mux.assets", url)).await;
        findings.judge_answer("mx-assets", answer, |answer| {
            answer.body.pointer("/data") == Some(&json!([]))
        });
    }

    async fn changes(
        &self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
        id: &str,
        created: &ProbeResponse,
    ) {
        let url = format!("{}/reset-stream-key", self.stream(id));
        let reset = ProbeRequest::new("mux.reset_stream_key", Method::POST, url, &self.auth);
        let answer = client.ask(reset).await;
        findings.judge_answer("mx-reset", answer, |answer| {
            let kept = "/data/playback_ids/0/id";
            let is_new = answer.text("/data/stream_key") != created.text("/data/stream_key");
            let has_key = answer.text("/data/stream_key").is_some();
            is_new && has_key && answer.text(kept) == created.text(kept)
        });
        let update = ProbeRequest::new("mux.update", Method::PATCH, self.stream(id), &self.auth)
            .body(json!({ "reconnect_window": OTHER_WINDOW }));
        let answer = client.ask(update).await;
        findings.judge_answer("mx-update", answer, |answer| {
            answer.body.pointer("/data/reconnect_window") == Some(&OTHER_WINDOW.into())
        });
        for (name, action, status) in [
            ("mx-disable", "disable", "disabled"),
            ("mx-enable", "enable", "idle"),
        ] {
            let url = format!("{}/{action}", self.stream(id));
            let put = ProbeRequest::new("mux.put", Method::PUT, url, &self.auth);
            let answer = match client.ask(put).await {
                Ok(answer) if answer.is_success() => {
                    client.ask(self.get("mux.get.again", self.stream(id))).await
                }
                refused => refused,
            };
            findings.judge_answer(name, answer, |answer| {
                answer.text("/data/status") == Some(status)
            });
        }
    }

    async fn delete(&self, client: &mut ProbeClient, findings: &mut ProbeFindings, id: &str) {
        let answer = client.ask(self.delete_request("mux.delete", id)).await;
        findings.judge_answer("mx-delete", answer, ProbeResponse::is_success);
        let answer = client
            .ask(self.delete_request("mux.delete.again", id))
            .await;
        findings.judge_answer("mx-delete-again", answer, |answer| answer.status == 404);
    }

    fn streams(&self) -> String {
        format!("{}/video/v1/live-streams", self.api)
    }

    fn stream(&self, id: &str) -> String {
        format!("{}/{id}", self.streams())
    }

    fn get(&self, name: &'static str, url: String) -> ProbeRequest {
        ProbeRequest::new(name, Method::GET, url, &self.auth)
    }

    /// The newest come first.
    fn list(&self, name: &'static str) -> ProbeRequest {
        self.get(name, format!("{}?limit=100", self.streams()))
    }

    fn delete_request(&self, name: &'static str, id: &str) -> ProbeRequest {
        ProbeRequest::new(name, Method::DELETE, self.stream(id), &self.auth)
    }

    fn of_tag<'a>(&self, list: &'a ProbeResponse) -> Option<&'a Value> {
        let streams = list.body.pointer("/data")?.as_array()?;
        let is_ours = |stream: &&Value| stream.get("passthrough") == Some(&json!(self.tag));
        streams.iter().find(is_ours)
    }

    /// The body that a relay would send.
    fn wanted(&self) -> Value {
        json!({
            "playback_policies": ["public"],
            "latency_mode": "standard",
            "reconnect_window": RECONNECT_WINDOW,
            "passthrough": self.tag,
            "new_asset_settings": { "playback_policies": ["public"], "passthrough": self.tag },
        })
    }
}

fn id_of(body: &Value, pointer: &str) -> Option<String> {
    body.pointer(pointer)?.as_str().map(str::to_owned)
}
