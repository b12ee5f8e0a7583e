//! Agora: credentials, channel hosts, and the configured product (`agora.md §1, §2, §4, §5`).

use relaykeeper::config::{AgoraBackend, Settings};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::VendorProbe;
use super::assumptions::ProbeFindings;
use super::client::{ProbeAuth, ProbeClient, ProbeRequest, ProbeResponse};

const EMPTY_CHANNEL: &str = "relaykeeper-probe";

pub(super) struct AgoraProbe {
    base: String,
    app_id: String,
    region: String,
    backend: AgoraBackend,
    idle_seconds: u64,
    uid: u32,
    auth: ProbeAuth,
    bad_auth: ProbeAuth,
    tag: String,
    /// Set while a converter may exist; its id, if known.
    converter: Option<Option<String>>,
}

impl VendorProbe for AgoraProbe {
    async fn walk(&mut self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        if !self.credentials(client, findings).await {
            return;
        }
        self.hosts(client, findings).await;
        match self.backend {
            AgoraBackend::CloudRecording => self.cloud_recording(client, findings).await,
            AgoraBackend::MediaPush => self.media_push(client, findings).await,
        }
    }

    async fn clean_up(&mut self, client: &mut ProbeClient) -> Vec<String> {
        let id = match self.converter.take() {
            None => return Vec::new(),
            Some(Some(id)) => Some(id),
            Some(None) => match client
                .ask(self.create_request("converters.create.lookup"))
                .await
            {
                Ok(answer) => {
                    let named = answer.header("x-resource-id");
                    answer.text("/converter/id").or(named).map(str::to_owned)
                }
                Err(_) => None,
            },
        };
        let gone = match &id {
            Some(id) => client
                .ask(self.delete_request("converters.clean_up", id))
                .await
                .is_ok_and(|answer| answer.is_success() || answer.status == 404),
            None => false,
        };
        match gone {
            true => Vec::new(),
            false => vec![format!(
                "perhaps the converter named {} ({})",
                self.tag,
                id.unwrap_or_default()
            )],
        }
    }
}

impl AgoraProbe {
    pub(super) fn new(settings: &Settings, tag: &str) -> Self {
        let agora = &settings.agora;
        let secret = agora.customer_secret.expose_secret().to_owned();
        Self {
            base: agora.api_base_url.trim_end_matches('/').to_owned(),
            app_id: agora.app_id.clone(),
            region: agora.media_push.region.clone(),
            backend: agora.backend,
            idle_seconds: agora.media_push.idle_timeout.as_secs(),
            uid: agora.cloud_recording.recording_uid_base,
            bad_auth: ProbeAuth::Basic(agora.customer_id.clone(), format!("{secret}x")),
            auth: ProbeAuth::Basic(agora.customer_id.clone(), secret),
            tag: tag.to_owned(),
            converter: None,
        }
    }

    async fn credentials(&self, client: &mut ProbeClient, findings: &mut ProbeFindings) -> bool {
        let list = ProbeRequest::new(
            "converters.list.bad",
            Method::GET,
            self.converters(),
            &self.bad_auth,
        );
        match client.ask(list).await {
            Ok(answer) => {
                findings.judge("ag-bad-credentials", answer.status == 401, answer.summary())
            }
            Err(why) => findings.unclear("ag-bad-credentials", why),
        }
        match client
            .ask(self.get("converters.list", self.converters()))
            .await
        {
            Ok(answer) => {
                // 403 and 404: authenticated, but Media Push is not enabled.
                let taken = matches!(answer.status, 200 | 403 | 404);
                findings.judge("ag-credentials", taken, answer.summary());
                taken
            }
            Err(why) => {
                findings.unclear("ag-credentials", why);
                false
            }
        }
    }

    async fn hosts(&self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        let url = format!(
            "{}/dev/v1/channel/user/{}/{EMPTY_CHANNEL}/hosts_only",
            self.base, self.app_id
        );
        match client.ask(self.get("channel.hosts", url)).await {
            Ok(answer) => {
                let exists = answer.body.pointer("/data/channel_exist");
                let saw = format!(
                    "{}, channel_exist: {}",
                    answer.summary(),
                    exists.unwrap_or(&Value::Null)
                );
                findings.judge("ag-hosts", exists == Some(&Value::Bool(false)), saw);
            }
            Err(why) => findings.unclear("ag-hosts", why),
        }
    }

    async fn cloud_recording(&self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        let base = format!("{}/v1/apps/{}/cloud_recording", self.base, self.app_id);
        let identity = json!({
            "cname": self.tag,
            "uid": self.uid.to_string(),
            "clientRequest": { "scene": 1, "resourceExpiredHour": 1 },
        });
        let mut resource = None;
        let mut said = Vec::new();
        for name in ["cloud_recording.acquire", "cloud_recording.acquire.again"] {
            let url = format!("{base}/acquire");
            let ask = ProbeRequest::new(name, Method::POST, url, &self.auth).body(identity.clone());
            match client.ask(ask).await {
                Ok(answer) => {
                    resource = answer.text("/resourceId").map(str::to_owned);
                    said.push(answer.summary());
                }
                Err(why) => return findings.unclear("cr-acquire", why),
            }
        }
        findings.judge("cr-acquire", resource.is_some(), said.join(", then "));
        let Some(resource) = resource else { return };
        let session = format!(
            "{base}/resourceid/{resource}/sid/{}/mode/web",
            Uuid::new_v4().simple()
        );
        let query = self.get("cloud_recording.query.unknown", format!("{session}/query"));
        judge_gone(findings, "cr-query", client.ask(query).await);
        let stop = json!({
            "cname": self.tag,
            "uid": self.uid.to_string(),
            "clientRequest": { "async_stop": true },
        });
        let url = format!("{session}/stop");
        let ask = ProbeRequest::new(
            "cloud_recording.stop.unknown",
            Method::POST,
            url,
            &self.auth,
        )
        .body(stop);
        judge_gone(findings, "cr-stop", client.ask(ask).await);
    }

    async fn media_push(&mut self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        self.converter = Some(None);
        let id = match client.ask(self.create_request("converters.create")).await {
            Ok(answer) => {
                let text = |key: &str| {
                    let wrapped = format!("/converter/{key}");
                    answer.text(&wrapped).map(str::to_owned)
                };
                let (id, state) = (text("id"), text("state"));
                let saw = format!(
                    "{}, state {}",
                    answer.summary(),
                    state.as_deref().unwrap_or("missing")
                );
                findings.judge(
                    "mp-create",
                    answer.is_success() && id.is_some() && state.is_some(),
                    saw,
                );
                id
            }
            Err(why) => {
                findings.unclear("mp-create", why);
                None
            }
        };
        let Some(id) = id else { return };
        self.converter = Some(Some(id.clone()));
        match client
            .ask(self.create_request("converters.create.again"))
            .await
        {
            Ok(answer) => {
                let named = answer.header("x-resource-id");
                let same = named.is_some_and(|named| named.eq_ignore_ascii_case(&id));
                let saw = format!(
                    "{}, X-Resource-ID {}",
                    answer.summary(),
                    named.unwrap_or("missing")
                );
                findings.judge("mp-name", answer.status == 409 && same, saw);
            }
            Err(why) => findings.unclear("mp-name", why),
        }
        match client
            .ask(self.get("converters.get", self.converter_url(&id)))
            .await
        {
            Ok(answer) => {
                let wrapped = answer.body.get("converter");
                let converter = wrapped.unwrap_or(&answer.body);
                let idle = ["idleTimeout", "idleTimeOut"]
                    .into_iter()
                    .find_map(|key| Some((key, converter.get(key)?)));
                let shows = converter.get("rtmpUrl").is_some();
                let saw = format!(
                    "{}, {}, rtmpUrl shown: {shows}, {}",
                    answer.summary(),
                    if wrapped.is_some() {
                        "wrapped"
                    } else {
                        "not wrapped"
                    },
                    idle.map_or("no idleTimeout".to_owned(), |(key, value)| format!(
                        "{key}: {value}"
                    )),
                );
                findings.judge("mp-get", idle.is_some() && shows, saw);
            }
            Err(why) => findings.unclear("mp-get", why),
        }
        match client
            .ask(self.get("converters.list.with", self.converters()))
            .await
        {
            Ok(answer) => {
                let members = answer
                    .body
                    .pointer("/data/members")
                    .and_then(Value::as_array);
                let name = |member: &Value| {
                    member.get("converterName").and_then(Value::as_str) == Some(&self.tag)
                };
                let listed = members.is_some_and(|members| members.iter().any(name));
                findings.judge(
                    "mp-list",
                    listed,
                    format!("{}, listed: {listed}", answer.summary()),
                );
            }
            Err(why) => findings.unclear("mp-list", why),
        }
        let deleted = client
            .ask(self.delete_request("converters.delete", &id))
            .await;
        let read = client
            .ask(self.get("converters.get.deleted", self.converter_url(&id)))
            .await;
        match (deleted, read) {
            (Ok(deleted), Ok(read)) => {
                let saw = format!("{}, then {}", deleted.summary(), read.summary());
                findings.judge("mp-delete", deleted.is_success() && read.status == 404, saw);
            }
            (Err(why), _) | (_, Err(why)) => findings.unclear("mp-delete", why),
        }
    }

    fn converters(&self) -> String {
        format!("{}/v1/projects/{}/rtmp-converters", self.base, self.app_id)
    }

    fn regional(&self) -> String {
        format!(
            "{}/{}/v1/projects/{}/rtmp-converters",
            self.base, self.region, self.app_id
        )
    }

    fn converter_url(&self, id: &str) -> String {
        format!("{}/{id}", self.regional())
    }

    fn get(&self, name: &'static str, url: String) -> ProbeRequest {
        ProbeRequest::new(name, Method::GET, url, &self.auth)
    }

    fn delete_request(&self, name: &'static str, id: &str) -> ProbeRequest {
        ProbeRequest::new(name, Method::DELETE, self.converter_url(id), &self.auth)
    }

    /// A converter from an empty channel to an invalid key: it never carries media.
    fn create_request(&self, name: &'static str) -> ProbeRequest {
        ProbeRequest::new(name, Method::POST, self.regional(), &self.auth).body(json!({
            "converter": {
                "name": self.tag,
                "rawOptions": { "rtcChannel": EMPTY_CHANNEL, "rtcStreamUid": 1 },
                "rtmpUrl": "rtmps://live.cloudflare.com:443/live/relaykeeper-probe",
                "idleTimeout": self.idle_seconds,
            },
        }))
    }
}

/// An unknown session: 404, or 400 with code 1003 (`agora.md §7.1`).
fn judge_gone(
    findings: &mut ProbeFindings,
    name: &'static str,
    answer: Result<ProbeResponse, String>,
) {
    match answer {
        Ok(answer) => {
            let code = answer.body.get("code").and_then(Value::as_i64);
            let gone = answer.status == 404 || (answer.status == 400 && code == Some(1003));
            findings.judge(name, gone, answer.summary());
        }
        Err(why) => findings.unclear(name, why),
    }
}
