//! Channels, keys and streams as IVS writes them (`ivs.md §2, §3`).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Deserialize;

use super::arn::is_channel;
use crate::platforms::wire::lenient;

/// The tag of a channel that holds our tag, as does its name.
pub(super) const TAG: &str = "relaykeeper";
/// The tag of a channel that tells when it was created: IVS does not.
pub(super) const CREATED: &str = "relaykeeper-created";
/// The tag of a channel that names it to people.
pub(super) const TITLE: &str = "relaykeeper-title";

/// A channel, or its summary in a list. All fields but the ARN may be missing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Channel {
    pub(super) arn: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) name: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub(super) channel_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) latency_mode: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) authorized: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    recording_configuration_arn: Option<String>,
    /// Absent from summaries, as is the playback URL.
    #[serde(default, deserialize_with = "lenient")]
    ingest_endpoint: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    playback_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) tags: Option<HashMap<String, String>>,
}

impl Channel {
    /// Our tag, or else its name.
    pub(super) fn tag(&self) -> Option<&str> {
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        self.of_tags(TAG).or(name)
    }

    pub(super) fn created(&self) -> Option<DateTime<Utc>> {
        time(self.of_tags(CREATED)?)
    }

    fn of_tags(&self, key: &str) -> Option<&str> {
        self.tags.as_ref()?.get(key).map(String::as_str)
    }

    /// A host, perhaps with a port.
    pub(super) fn ingest_endpoint(&self) -> Option<&str> {
        let host =
            |endpoint: &&str| !endpoint.is_empty() && !endpoint.contains(['/', '?', '#', '@', ' ']);
        self.ingest_endpoint.as_deref().filter(host)
    }

    pub(super) fn playback_url(&self) -> Option<&str> {
        self.playback_url.as_deref().filter(|url| !url.is_empty())
    }

    /// Empty, absent or "none": recordings are off (`ivs.md §2.1`).
    pub(super) fn recording_configuration(&self) -> &str {
        match self.recording_configuration_arn.as_deref() {
            None | Some("none") => "",
            Some(arn) => arn,
        }
    }

    pub(super) fn flaw(&self, arn: Option<&str>) -> Option<&'static str> {
        match arn {
            _ if !is_channel(&self.arn) => Some("a channel without an ARN"),
            Some(arn) if self.arn != arn => Some("another channel than asked for"),
            Some(_) | None => None,
        }
    }
}

pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.to_utc())
}

/// `{"channel": …}`, after a creation with its first key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChannelAnswer {
    pub(super) channel: Channel,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) stream_key: Option<StreamKey>,
}

/// A key. Lists omit its value.
#[derive(Debug, Deserialize)]
pub(super) struct StreamKey {
    pub(super) arn: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) value: Option<SecretString>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamKeyAnswer {
    pub(super) stream_key: StreamKey,
}

/// The broadcast of a channel.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stream {
    pub(super) channel_arn: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) stream_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    state: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    viewer_count: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    start_time: Option<String>,
}

impl Stream {
    /// Lists and reads show live ones only; IVS asks not to rely on the word for others (`ivs.md §3.1`).
    pub(super) fn is_live(&self) -> bool {
        self.state.as_deref() != Some("OFFLINE")
    }

    pub(super) fn began_at(&self) -> Option<DateTime<Utc>> {
        time(self.start_time.as_deref()?)
    }

    /// -1 means unknown (`ivs.md §3.1`).
    pub(super) fn viewers(&self) -> Option<u64> {
        u64::try_from(self.viewer_count?).ok()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamAnswer {
    pub(super) stream: Stream,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn channel(mut fields: Value) -> Channel {
        fields["arn"] = "arn:aws:ivs:eu-west-1:1:channel/a".into();
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn the_tag_is_in_the_tags_or_else_in_the_name() {
        let both = channel(json!({"name": "n", "tags": {"relaykeeper": "t"}}));
        assert_eq!(both.tag(), Some("t"));
        assert_eq!(channel(json!({"name": "n"})).tag(), Some("n"));
        assert_eq!(channel(json!({"name": "", "tags": 7})).tag(), None);
    }

    #[test]
    fn the_time_of_creation_is_in_the_tags() {
        let tags = json!({"relaykeeper-created": "2026-11-29T10:00:00Z"});
        let created = channel(json!({"tags": tags})).created().unwrap();
        assert_eq!(created.to_rfc3339(), "2026-11-29T10:00:00+00:00");
        assert_eq!(channel(json!({"tags": {}})).created(), None);
    }

    #[test]
    fn recordings_are_off_without_a_configuration() {
        for off in [json!({}), json!({"recordingConfigurationArn": "none"})] {
            assert_eq!(channel(off).recording_configuration(), "");
        }
        let on = channel(json!({"recordingConfigurationArn": "arn:x"}));
        assert_eq!(on.recording_configuration(), "arn:x");
    }

    #[test]
    fn an_ingest_endpoint_is_a_host() {
        let endpoint = |text: &str| {
            let channel = channel(json!({ "ingestEndpoint": text }));
            channel.ingest_endpoint().map(str::to_owned)
        };
        let host = "a1b2.global-contribute.live-video.net";
        assert_eq!(endpoint(host).as_deref(), Some(host));
        for other in ["", "rtmps://host/app", "user@host", "host/app"] {
            assert_eq!(endpoint(other), None, "{other}");
        }
    }

    #[test]
    fn a_broadcast_tells_when_it_began() {
        let began_at = |time: Value| {
            let stream = json!({"channelArn": "a", "startTime": time});
            serde_json::from_value::<Stream>(stream).unwrap().began_at()
        };
        let began = began_at(json!("2026-01-09T07:05:12Z")).unwrap();
        assert_eq!(began.to_rfc3339(), "2026-01-09T07:05:12+00:00");
        assert_eq!(began_at(json!(null)), None);
        assert_eq!(began_at(json!("soon")), None);
    }

    #[test]
    fn unknown_viewers_are_not_none() {
        let stream = |count: i64| -> Stream {
            serde_json::from_value(json!({"channelArn": "a", "viewerCount": count})).unwrap()
        };
        assert_eq!(stream(3).viewers(), Some(3));
        assert_eq!(stream(-1).viewers(), None);
        assert!(stream(0).is_live());
    }
}
