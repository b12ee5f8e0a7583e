//! Calls on channels and their keys (`ivs.md §2`).

use std::collections::{BTreeMap, HashSet};

use chrono::{SecondsFormat, Utc};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::VENDOR;
use super::api::{IvsApi, IvsOperation, with};
use super::refusal::NOT_BROADCASTING;
use super::wire::{
    CREATED, Channel, ChannelAnswer, Stream, StreamAnswer, StreamKey, StreamKeyAnswer, TAG, TITLE,
};
use crate::config::IvsSettings;
use crate::platforms::NewIngest;
use crate::platforms::wire::readable;
use crate::relay::Latency;
use crate::vendors::governor::PermitRequest;
use crate::vendors::http::failure;
use crate::vendors::{Class, Done, VendorError};

/// The most items of a page.
pub(super) const PAGE: u32 = 100;
/// The most pages of a list.
pub(super) const MOST_PAGES: usize = 200;
/// The most keys of a page; a channel has one.
const KEYS: u32 = 50;
/// In characters, of a tag's value.
const LONGEST_VALUE: usize = 256;
/// A key that appears between looking and creating is replaced too.
const KEY_TRIES: usize = 3;

/// The settings of all channels.
#[derive(Debug, Clone)]
pub(super) struct ChannelSettings {
    channel_type: String,
    recording_configuration: String,
}

impl ChannelSettings {
    pub(super) fn new(settings: &IvsSettings) -> Self {
        Self {
            channel_type: settings.channel_type.to_string(),
            recording_configuration: settings.recording_configuration_arn.clone(),
        }
    }

    /// The tag is unique, so the name finds the channel (`ivs.md §2.2`).
    fn body(&self, new: &NewIngest) -> Value {
        let created = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let title = new.title.chars().filter(|c| is_tag_text(*c));
        let title: String = title.take(LONGEST_VALUE).collect();
        let tags = BTreeMap::from([
            (TAG, new.tag.as_str()),
            (CREATED, &created),
            (TITLE, &title),
        ]);
        let body = json!({
            "name": new.tag,
            "latencyMode": latency_mode(new),
            "type": self.channel_type,
            "authorized": false,
            "insecureIngest": false,
            "tags": tags,
        });
        let configuration = Some(self.recording_configuration.as_str());
        let configuration = configuration.filter(|arn| !arn.is_empty());
        with(body, "recordingConfigurationArn", configuration)
    }

    /// The settings that an answer returns otherwise than requested.
    fn differences(&self, new: &NewIngest, echo: &Channel) -> Vec<String> {
        let tag = Some(new.tag.as_str());
        let configuration = echo.recording_configuration();
        [
            ("name", echo.name.as_deref() != tag),
            ("tags", echo.tag() != tag || echo.created().is_none()),
            (
                "type",
                echo.channel_type.as_deref() != Some(self.channel_type.as_str()),
            ),
            (
                "latencyMode",
                echo.latency_mode.as_deref() != Some(latency_mode(new)),
            ),
            ("authorized", echo.authorized == Some(true)),
            (
                "recordingConfigurationArn",
                configuration != self.recording_configuration,
            ),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(field, _)| field.to_owned())
        .collect()
    }
}

fn latency_mode(new: &NewIngest) -> &'static str {
    match new.latency {
        Latency::Normal => "NORMAL",
        Latency::Low => "LOW",
    }
}

/// Alphanumeric characters, spaces and `_.:/=+-@` (`ivs.md §2.1`).
fn is_tag_text(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

/// Channels of a list, and whether there may be more.
pub(super) struct ChannelList {
    pub(super) channels: Vec<Channel>,
    pub(super) may_be_cut: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChannelPage {
    channels: Vec<Value>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyList {
    stream_keys: Vec<StreamKey>,
}

impl IvsApi {
    /// Creates a channel with its first key. Never repeated here: IVS has no idempotency keys (`ivs.md §2.2`). Returns the settings
    /// that it did not take too.
    pub(super) async fn create_channel(
        &self,
        permit: PermitRequest,
        settings: &ChannelSettings,
        new: &NewIngest,
    ) -> Result<(Channel, SecretString, Vec<String>), VendorError> {
        let operation = IvsOperation::CreateChannel;
        let body = settings.body(new);
        let created: ChannelAnswer = self
            .data(permit, operation, body, |answer: &ChannelAnswer| {
                answer.channel.flaw(None)
            })
            .await?;
        let key = created.stream_key.and_then(|key| key.value);
        let key = key.ok_or_else(|| lacks(operation, "a stream key"))?;
        let ignored = settings.differences(new, &created.channel);
        Ok((created.channel, key, ignored))
    }

    /// Without its key.
    pub(super) async fn channel(
        &self,
        permit: PermitRequest,
        arn: &str,
    ) -> Result<Channel, VendorError> {
        let body = json!({ "arn": arn });
        let answer: ChannelAnswer = self
            .data(
                permit,
                IvsOperation::GetChannel,
                body,
                |answer: &ChannelAnswer| answer.channel.flaw(Some(arn)),
            )
            .await?;
        Ok(answer.channel)
    }

    /// Sets what may be changed and differs, the latency; [`Class::Conflict`] during the broadcast (`ivs.md §2.7`).
    pub(super) async fn update_channel(
        &self,
        permit: PermitRequest,
        arn: &str,
        settings: &NewIngest,
    ) -> Result<(), VendorError> {
        let mode = latency_mode(settings);
        if self.channel(permit, arn).await?.latency_mode.as_deref() == Some(mode) {
            return Ok(());
        }
        let body = json!({ "arn": arn, "latencyMode": mode });
        self.send(permit, IvsOperation::UpdateChannel, body).await
    }

    /// Summaries of the region's channels, ours and others', or of those with this name.
    pub(super) async fn channels(
        &self,
        permit: PermitRequest,
        name: Option<&str>,
    ) -> Result<ChannelList, VendorError> {
        let mut channels: Vec<Channel> = Vec::new();
        let mut known = HashSet::new();
        let mut may_be_cut = false;
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let body = with(json!({ "maxResults": PAGE }), "filterByName", name);
            let body = with(body, "nextToken", token.as_deref());
            let operation = IvsOperation::ListChannels;
            let page: ChannelPage = self.data(permit, operation, body, |_| None).await?;
            let count = page.channels.len();
            let read: Vec<Channel> = readable(page.channels);
            may_be_cut |= read.len() < count;
            channels.extend(read.into_iter().filter(|channel| {
                channel.flaw(None).is_none() && known.insert(channel.arn.clone())
            }));
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(ChannelList {
                    channels,
                    may_be_cut,
                });
            }
        }
        Ok(ChannelList {
            channels,
            may_be_cut: true,
        })
    }

    /// The cheapest call that proves the credentials.
    pub(super) async fn read_one(&self, permit: PermitRequest) -> Result<(), VendorError> {
        let body = json!({ "maxResults": 1 });
        self.data(
            permit,
            IvsOperation::ListChannels,
            body,
            |_: &ChannelPage| None,
        )
        .await
        .map(|_| ())
    }

    /// [`Class::Conflict`] during the broadcast (`ivs.md §2.6`).
    pub(super) async fn delete_channel(
        &self,
        permit: PermitRequest,
        arn: &str,
    ) -> Result<(), VendorError> {
        let body = json!({ "arn": arn });
        unless(
            Class::NotFound,
            self.send(permit, IvsOperation::DeleteChannel, body).await,
        )
    }

    /// The channel's key, if it has one.
    pub(super) async fn key(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<Option<SecretString>, VendorError> {
        for key in self.keys(permit, channel).await? {
            let (operation, body) = (IvsOperation::GetStreamKey, json!({ "arn": key.arn }));
            let read = self.data(permit, operation, body, |_| None).await;
            let read: Result<StreamKeyAnswer, _> = read;
            match read {
                Ok(StreamKeyAnswer { stream_key }) if stream_key.value.is_some() => {
                    return Ok(stream_key.value);
                }
                Ok(_) => return Err(lacks(operation, "the key's value")),
                // It was deleted meanwhile.
                Err(error) if error.class == Class::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(super) async fn has_key(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<bool, VendorError> {
        let keys = self.keys(permit, channel).await?;
        Ok(!keys.is_empty())
    }

    async fn keys(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<Vec<StreamKey>, VendorError> {
        let body = json!({ "channelArn": channel, "maxResults": KEYS });
        let operation = IvsOperation::ListStreamKeys;
        let list: KeyList = self.data(permit, operation, body, |_| None).await?;
        Ok(list.stream_keys)
    }

    /// Nothing can connect afterwards; what is connected stays (`ivs.md §2.4`).
    pub(super) async fn delete_keys(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<(), VendorError> {
        for key in self.keys(permit, channel).await? {
            let body = json!({ "arn": key.arn });
            let deleted = self.send(permit, IvsOperation::DeleteStreamKey, body).await;
            unless(Class::NotFound, deleted)?;
        }
        Ok(())
    }

    /// Replaces the key, from any point at which an earlier try ended. Of two keys the second is refused (`ivs.md §2.4`).
    pub(super) async fn new_key(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<SecretString, VendorError> {
        let mut tries = 1..=KEY_TRIES;
        loop {
            self.delete_keys(permit, channel).await?;
            match self.create_key(permit, channel).await {
                Err(error) if error.class == Class::Quota && tries.next().is_some() => {}
                created => return created,
            }
        }
    }

    /// [`Class::Quota`] if there is a key.
    pub(super) async fn create_key(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<SecretString, VendorError> {
        let body = json!({ "channelArn": channel });
        let operation = IvsOperation::CreateStreamKey;
        let created: StreamKeyAnswer = self.data(permit, operation, body, |_| None).await?;
        let value = created.stream_key.value;
        value.ok_or_else(|| lacks(operation, "the key's value"))
    }

    /// Disconnects the encoder. Succeeds if there is no broadcast.
    pub(super) async fn stop_stream(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<(), VendorError> {
        let body = json!({ "channelArn": channel });
        let stopped = self.send(permit, IvsOperation::StopStream, body).await;
        unless(NOT_BROADCASTING, stopped)
    }

    /// The channel's broadcast, if there is one. [`Class::NotFound`]: the channel does not exist.
    pub(super) async fn stream(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<Option<Stream>, VendorError> {
        let body = json!({ "channelArn": channel });
        let read: Result<StreamAnswer, _> = self
            .data(permit, IvsOperation::GetStream, body, |_| None)
            .await;
        match read {
            Ok(answer) => Ok(Some(answer.stream).filter(Stream::is_live)),
            Err(error) if error.class == NOT_BROADCASTING => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn unless(class: Class, result: Result<(), VendorError>) -> Result<(), VendorError> {
    match result {
        Err(error) if error.class != class => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A required part is missing: the call may have been carried out.
pub(super) fn lacks(operation: IvsOperation, what: &str) -> VendorError {
    let message = format!("the answer lacks {what}");
    failure(
        VENDOR,
        operation.call(),
        Class::Unexpected,
        Done::Unknown,
        message,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(title: &str) -> NewIngest {
        NewIngest {
            latency: Latency::Low,
            tag: "dep_0_relay_1".into(),
            title: title.into(),
            feed_timeout_seconds: 180,
            delete_recording_after_days: None,
        }
    }

    #[test]
    fn a_channel_bears_the_tag_twice_and_a_title_of_allowed_characters() {
        let settings = IvsSettings {
            recording_configuration_arn: "arn:x".into(),
            ..IvsSettings::default()
        };
        let settings = ChannelSettings::new(&settings);
        let body = settings.body(&new("Show #7 (Zoë's), 12:00"));
        assert_eq!(body["name"], "dep_0_relay_1");
        assert_eq!(body["tags"]["relaykeeper"], "dep_0_relay_1");
        assert_eq!(body["tags"]["relaykeeper-title"], "Show 7 Zoës 12:00");
        assert_eq!(body["recordingConfigurationArn"], "arn:x");
        let mut echo = body.clone();
        echo["arn"] = "arn:aws:ivs:eu-west-1:1:channel/a".into();
        let differences = |echo: Value| {
            let echo: Channel = serde_json::from_value(echo).unwrap();
            settings.differences(&new(""), &echo)
        };
        assert_eq!(differences(echo.clone()), [""; 0]);
        echo["recordingConfigurationArn"] = "none".into();
        echo["type"] = "BASIC".into();
        echo["authorized"] = true.into();
        assert_eq!(
            differences(echo),
            ["type", "authorized", "recordingConfigurationArn"]
        );
        let off = ChannelSettings::new(&IvsSettings::default()).body(&new(""));
        assert!(off.get("recordingConfigurationArn").is_none());
    }
}
