//! Reads and changes of the live input.

use chrono::{SecondsFormat, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::assumptions::ProbeFindings;
use super::super::client::{ProbeAuth, ProbeClient, ProbeRequest, ProbeResponse};
use super::CloudflareProbe;

impl CloudflareProbe {
    pub(super) async fn polls(
        &self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
        uid: &str,
        created: &ProbeResponse,
    ) {
        let url = format!("{}/stream/live_inputs?include_counts=true", self.account);
        match client.ask(self.get("live_inputs.list", url)).await {
            Ok(answer) => {
                let nested = answer.body.pointer("/result/liveInputs");
                let list = nested.or_else(|| answer.body.get("result"));
                let items = list.and_then(Value::as_array);
                let ours = |item: &&Value| item.get("uid").and_then(Value::as_str) == Some(uid);
                let found = items.and_then(|items| items.iter().find(ours));
                let marked = found.and_then(|item| item.pointer("/meta/relaykeeper"));
                let saw = format!(
                    "{}, {}, {}",
                    if nested.is_some() {
                        "{liveInputs}"
                    } else {
                        "an array"
                    },
                    if found.is_some() {
                        "listed"
                    } else {
                        "NOT listed"
                    },
                    if marked.is_some() {
                        "with its meta"
                    } else {
                        "without its meta"
                    },
                );
                findings.judge("cf-list", marked.is_some(), saw);
            }
            Err(why) => findings.unclear("cf-list", why),
        }
        let Some(customer) = &self.customer else {
            return findings.unclear("cf-lifecycle", "the customer host is not known");
        };
        let url = format!("{customer}/{uid}/lifecycle");
        match client
            .ask(ProbeRequest::new(
                "customer.lifecycle",
                Method::GET,
                url,
                &ProbeAuth::None,
            ))
            .await
        {
            Ok(answer) => {
                let live = answer.body.get("live").and_then(Value::as_bool);
                findings.judge("cf-lifecycle", live == Some(false), answer.summary());
            }
            Err(why) => findings.unclear("cf-lifecycle", why),
        }
        let usual = format!("{customer}/{uid}/manifest/video.m3u8");
        let url = created
            .text("/result/playback/hls")
            .map_or(usual, str::to_owned);
        match client
            .ask(ProbeRequest::new(
                "customer.manifest",
                Method::GET,
                url,
                &ProbeAuth::None,
            ))
            .await
        {
            Ok(answer) => {
                let body = answer.body.as_str().unwrap_or_default();
                let playable = answer.status == 200 && body.starts_with("#EXTM3U");
                findings.judge("cf-manifest", !playable, answer.summary());
            }
            Err(why) => findings.unclear("cf-manifest", why),
        }
    }

    pub(super) async fn changes(
        &self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
        uid: &str,
        created: &ProbeResponse,
    ) {
        let url = format!("{}/rotate_keys", self.live_input(uid));
        let ask = ProbeRequest::new("live_inputs.rotate_keys", Method::POST, url, &self.auth);
        match client.ask(ask).await {
            Ok(answer) => {
                let same = |pointer| created.text(pointer) == answer.text(pointer);
                let key = "/result/rtmps/streamKey";
                let (new, uid, hls) = (
                    answer.text(key).is_some() && !same(key),
                    same("/result/uid"),
                    same("/result/playback/hls"),
                );
                let saw = format!(
                    "{}; new key: {new}, same uid: {uid}, same playback: {hls}",
                    answer.summary()
                );
                findings.judge("cf-rotate", new && uid && hls, saw);
            }
            Err(why) => findings.unclear("cf-rotate", why),
        }
        let url = self.live_input(uid);
        let ask = ProbeRequest::new("live_inputs.disable", Method::PUT, url.clone(), &self.auth)
            .body(json!({ "enabled": false }));
        let disabled = client.ask(ask).await;
        match (disabled, client.ask(self.get("live_inputs.get", url)).await) {
            (Ok(answer), Ok(read)) => {
                let off = read.body.pointer("/result/enabled") == Some(&Value::Bool(false));
                let kept = read.body.pointer("/result/recording/mode")
                    == created.body.pointer("/result/recording/mode");
                let saw = format!(
                    "{}; disabled: {off}, recording kept: {kept}",
                    answer.summary()
                );
                findings.judge("cf-disable", off && kept, saw);
            }
            (Err(why), _) | (_, Err(why)) => findings.unclear("cf-disable", why),
        }
    }

    pub(super) async fn recordings(
        &self,
        client: &mut ProbeClient,
        findings: &mut ProbeFindings,
        uid: &str,
    ) {
        let of_input = |video: &Value| video.get("liveInput").and_then(Value::as_str) == Some(uid);
        let ready = |video: &Value| {
            video.pointer("/status/state").and_then(Value::as_str) == Some("ready")
                && video.get("liveInput").is_some()
        };
        let stream = format!("{}/stream", self.account);
        let videos = self.get(
            "live_inputs.videos",
            format!("{}/videos", self.live_input(uid)),
        );
        judge_list(findings, "cf-videos", client.ask(videos).await, of_input);
        let url = format!("{stream}?live_input_id={uid}");
        let videos = self.get("stream.list.of_input", url);
        judge_list(
            findings,
            "cf-video-filter",
            client.ask(videos).await,
            of_input,
        );
        let week = (Utc::now() - TimeDelta::days(7)).to_rfc3339_opts(SecondsFormat::Secs, true);
        let url = format!("{stream}?type=live&status=ready&after={week}");
        let videos = self.get("stream.list.ready", url);
        judge_list(findings, "cf-bulk-filter", client.ask(videos).await, ready);
    }
}

fn judge_list(
    findings: &mut ProbeFindings,
    name: &'static str,
    answer: Result<ProbeResponse, String>,
    fits: impl Fn(&Value) -> bool,
) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return findings.unclear(name, why),
    };
    match answer.body.get("result").and_then(Value::as_array) {
        Some(videos) => {
            let others = videos.iter().filter(|video| !fits(video)).count();
            let saw = format!("{} videos, {others} others among them", videos.len());
            findings.judge(name, others == 0, saw);
        }
        None => findings.judge(name, false, format!("{}, no list", answer.summary())),
    }
}
