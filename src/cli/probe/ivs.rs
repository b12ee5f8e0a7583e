//! Amazon IVS: one channel from creation to deletion (`ivs.md §1, §2, §3, §4`). A channel costs nothing without a broadcast.

use relaykeeper::config::{IvsCredentials, IvsSettings, Settings};
use relaykeeper::platforms::ivs::IvsSigner;
use relaykeeper::vendors::lease::Lease;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::VendorProbe;
use super::assumptions::ProbeFindings;
use super::client::{ProbeAuth, ProbeClient, ProbeRequest, ProbeResponse};

const NOT_FOUND: &str = "ResourceNotFoundException";
const NOT_BROADCASTING: &str = "ChannelNotBroadcasting";

pub(super) struct IvsProbe {
    settings: IvsSettings,
    auth: ProbeAuth,
    bad_auth: ProbeAuth,
    tag: String,
    unanswered_create: bool,
    /// The ARN.
    made: Option<String>,
}

impl VendorProbe for IvsProbe {
    async fn walk(&mut self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        if !self.credentials(client, findings).await {
            return;
        }
        self.recording(client, findings).await;
        let Some((arn, created)) = self.create(client, findings).await else {
            return;
        };
        self.reads(client, findings, &arn, &created).await;
        self.keys(client, findings, &arn, &created).await;
        self.delete(client, findings, &arn).await;
    }

    async fn clean_up(&mut self, client: &mut ProbeClient) -> Vec<String> {
        if self.unanswered_create
            && let Ok(list) = client.ask(self.find("ivs.list.lookup")).await
        {
            self.made = list.text("/channels/0/arn").map(str::to_owned);
        }
        let Some(arn) = self.made.take() else {
            return Vec::new();
        };
        let delete = self.call("ivs.clean_up", "DeleteChannel", json!({ "arn": arn }));
        let gone = client.ask(delete).await;
        match gone.is_ok_and(|answer| answer.is_success() || answer.status == 404) {
            true => Vec::new(),
            false => vec![format!("channel {arn}")],
        }
    }
}

impl IvsProbe {
    pub(super) fn new(settings: &Settings, tag: &str) -> anyhow::Result<Self> {
        let (vendors, lease) = (&settings.vendors, Lease::for_good());
        let auth = |ivs: &IvsSettings| {
            let signer = IvsSigner::of_settings(ivs, vendors, &lease);
            signer.map(ProbeAuth::Aws)
        };
        let settings = settings.ivs.clone();
        let mut wrong = settings.clone();
        wrong.credentials = IvsCredentials::Keys;
        if wrong.access_key_id.is_empty() {
            "AKIAINVALID".clone_into(&mut wrong.access_key_id);
        }
        wrong.secret_access_key = format!("{}x", wrong.secret_access_key.expose_secret()).into();
        Ok(Self {
            auth: auth(&settings)?,
            bad_auth: auth(&wrong)?,
            settings,
            tag: tag.to_owned(),
            unanswered_create: false,
            made: None,
        })
    }

    async fn credentials(&self, client: &mut ProbeClient, findings: &mut ProbeFindings) -> bool {
        let (url, body) = (self.url("ListChannels"), json!({ "maxResults": 1 }));
        let bad = ProbeRequest::new("ivs.list.bad", Method::POST, url, &self.bad_auth);
        let answer = client.ask(bad.body(body.clone())).await;
        findings.judge_answer("iv-bad-credentials", answer, |answer| answer.status == 403);
        let answer = client
            .ask(self.call("ivs.list", "ListChannels", body))
            .await;
        findings.judge_answer("iv-credentials", answer, |answer| {
            answer.status == 200
                && answer
                    .body
                    .pointer("/channels")
                    .is_some_and(Value::is_array)
        })
    }

    async fn recording(&self, client: &mut ProbeClient, findings: &mut ProbeFindings) {
        let arn = &self.settings.recording_configuration_arn;
        if arn.is_empty() {
            let why = "ivs.recording_configuration_arn is empty";
            return findings.unclear("iv-recording", why);
        }
        let operation = "GetRecordingConfiguration";
        let answer = client
            .ask(self.call(
                "ivs.recording_configuration",
                operation,
                json!({ "arn": arn }),
            ))
            .await;
        findings.judge_answer("iv-recording", answer, |answer| {
            answer.text("/recordingConfiguration/state") == Some("ACTIVE")
        });
    }

    async fn create(
        &mut self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
    ) -> Option<(String, ProbeResponse)> {
        self.unanswered_create = true;
        let create = self.call("ivs.create", "CreateChannel", self.wanted());
        let created = match client.ask(create).await {
            Ok(created) => created,
            Err(why) => {
                findings.unclear("iv-create", why);
                return None;
            }
        };
        let arn = created.text("/channel/arn").map(str::to_owned);
        let has_all = [
            "/channel/ingestEndpoint",
            "/channel/playbackUrl",
            "/streamKey/value",
        ]
        .iter()
        .all(|part| created.text(part).is_some());
        findings.judge("iv-create", arn.is_some() && has_all, created.summary());
        self.unanswered_create = arn.is_none() && created.is_success();
        let arn = arn?;
        self.made = Some(arn.clone());
        let wanted = self.wanted();
        let differs =
            |part: &&str| wanted.pointer(part) != created.body.pointer(&format!("/channel{part}"));
        let differing: Vec<_> = ["/name", "/tags", "/type", "/latencyMode"]
            .into_iter()
            .filter(differs)
            .collect();
        let saw = match differing.as_slice() {
            [] => "as sent".to_owned(),
            some => format!("other than sent: {}", some.join(", ")),
        };
        findings.judge("iv-echo", differing.is_empty(), saw);
        Some((arn, created))
    }

    async fn reads(
        &self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
        arn: &str,
        created: &ProbeResponse,
    ) {
        let answer = client.ask(self.find("ivs.find")).await;
        findings.judge_answer("iv-find", answer, |answer| {
            let tag = answer.text("/channels/0/tags/relaykeeper");
            answer.text("/channels/0/arn") == Some(arn) && tag == Some(&self.tag)
        });
        let read = self.call("ivs.get", "GetChannel", json!({ "arn": arn }));
        let answer = client.ask(read).await;
        findings.judge_answer("iv-get", answer, |answer| {
            ["/channel/ingestEndpoint", "/channel/playbackUrl"]
                .iter()
                .all(|part| answer.text(part).is_some() && answer.text(part) == created.text(part))
        });
        let unknown = arn.rsplit_once('/').map_or(arn, |(account, _)| account);
        let body = json!({ "arn": format!("{unknown}/relaykeeperprobe") });
        let answer = client
            .ask(self.call("ivs.get.unknown", "GetChannel", body))
            .await;
        findings.judge_answer("iv-not-found", answer, |answer| {
            answer.status == 404 && answer.aws_error() == Some(NOT_FOUND)
        });
        let answer = client
            .ask(self.call("ivs.streams", "ListStreams", json!({})))
            .await;
        findings.judge_answer("iv-streams", answer, |answer| {
            answer.body.pointer("/streams").is_some_and(Value::is_array)
        });
        for (row, name, operation) in [
            ("iv-offline", "ivs.stream", "GetStream"),
            ("iv-stop-offline", "ivs.stop", "StopStream"),
        ] {
            let body = json!({ "channelArn": arn });
            let answer = client.ask(self.call(name, operation, body)).await;
            findings.judge_answer(row, answer, |answer| {
                answer.status == 404 && answer.aws_error() == Some(NOT_BROADCASTING)
            });
        }
        let url = self.playback(created.text("/channel/playbackUrl").unwrap_or_default());
        let manifest = ProbeRequest::new("ivs.manifest", Method::GET, url, &ProbeAuth::None);
        let answer = client.ask(manifest).await;
        findings.judge_answer("iv-manifest", answer, |answer| answer.status == 404);
    }

    async fn keys(
        &self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
        arn: &str,
        created: &ProbeResponse,
    ) {
        let channel = json!({ "channelArn": arn });
        let list = self.call("ivs.keys", "ListStreamKeys", channel.clone());
        let key = match client.ask(list).await {
            Ok(answer) => answer.text("/streamKeys/0/arn").map(str::to_owned),
            Err(_) => None,
        };
        let Some(key) = key else {
            return findings.unclear("iv-key", "no list of stream keys");
        };
        let read = self.call("ivs.key", "GetStreamKey", json!({ "arn": key }));
        let answer = client.ask(read).await;
        let value = created.text("/streamKey/value");
        findings.judge_answer("iv-key", answer, |answer| {
            value.is_some() && answer.text("/streamKey/value") == value
        });
        let second = self.call("ivs.key.second", "CreateStreamKey", channel.clone());
        let answer = client.ask(second).await;
        findings.judge_answer("iv-second-key", answer, |answer| answer.status == 402);
        let delete = self.call("ivs.key.delete", "DeleteStreamKey", json!({ "arn": key }));
        let answer = match client.ask(delete).await {
            Ok(answer) if answer.is_success() => {
                client
                    .ask(self.call("ivs.key.create", "CreateStreamKey", channel))
                    .await
            }
            refused => refused,
        };
        findings.judge_answer("iv-new-key", answer, |answer| {
            let new = answer.text("/streamKey/value");
            new.is_some() && new != value
        });
    }

    async fn delete(&self, client: &mut ProbeClient, findings: &mut ProbeFindings, arn: &str) {
        let body = json!({ "arn": arn });
        let delete = self.call("ivs.delete", "DeleteChannel", body.clone());
        let answer = client.ask(delete).await;
        findings.judge_answer("iv-delete", answer, ProbeResponse::is_success);
        let delete = self.call("ivs.delete.again", "DeleteChannel", body);
        let answer = client.ask(delete).await;
        findings.judge_answer("iv-delete-again", answer, |answer| {
            answer.status == 404 && answer.aws_error() == Some(NOT_FOUND)
        });
    }

    fn url(&self, operation: &str) -> String {
        format!(
            "{}/{operation}",
            self.settings.api_url().trim_end_matches('/')
        )
    }

    /// With the host of the settings, if they name one.
    fn playback(&self, answered: &str) -> String {
        let base = self.settings.playback_base_url.trim_end_matches('/');
        match url::Url::parse(answered) {
            Ok(url) if !base.is_empty() => format!("{base}{}", url.path()),
            Ok(_) | Err(_) => answered.to_owned(),
        }
    }

    fn call(&self, name: &'static str, operation: &str, body: Value) -> ProbeRequest {
        ProbeRequest::new(name, Method::POST, self.url(operation), &self.auth).body(body)
    }

    fn find(&self, name: &'static str) -> ProbeRequest {
        self.call(name, "ListChannels", json!({ "filterByName": self.tag }))
    }

    /// What a relay would send, without its recording configuration.
    fn wanted(&self) -> Value {
        json!({
            "name": self.tag,
            "latencyMode": "LOW",
            "type": self.settings.channel_type.to_string(),
            "authorized": false,
            "tags": { "relaykeeper": self.tag },
        })
    }
}
