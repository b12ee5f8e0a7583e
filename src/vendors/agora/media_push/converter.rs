//! Converters, as create, get and list report them.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;

use super::super::answer::{list, text};
use crate::vendors::number::whole;

/// A converter.
#[derive(Debug, Clone)]
pub struct Converter {
    /// The id: 32 hex digits. A list may use the other case: compare with [`Self::is`].
    pub id: String,
    /// The name; our tag if it is ours.
    pub name: Option<String>,
    /// The channel it carries.
    pub channel: Option<String>,
    /// Its state.
    pub state: ConverterState,
    /// The publish URL, with the stream key.
    pub rtmp_url: Option<SecretString>,
    /// The creation time, by Agora's clock.
    pub created_at: Option<DateTime<Utc>>,
    /// How long it outlives its channel, in seconds, as Agora read it.
    pub idle_timeout_seconds: Option<u64>,
}

/// The state of a converter (`agora.md §4.7`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConverterState {
    /// Joining the channel, or connecting to the ingest.
    Connecting,
    /// Pushing, as far as Agora knows.
    Running,
    /// The push failed.
    Failed,
    /// An undocumented state.
    Other(String),
    /// The answer has no state: see [`super::MediaPush::poll`].
    Absent,
}

impl ConverterState {
    fn read(value: Option<&Value>) -> Self {
        match value.and_then(Value::as_str).unwrap_or_default() {
            "connecting" => Self::Connecting,
            "running" => Self::Running,
            "failed" => Self::Failed,
            "" => Self::Absent,
            other => Self::Other(other.chars().take(40).collect()),
        }
    }
}

impl Converter {
    /// Compares ids in either case.
    #[must_use]
    pub fn is(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id)
    }

    /// Reads the answer to a create or a get, bare or wrapped in `converter`. A get's has no id and mostly no state
    /// (`agora.md §4.5`).
    pub(super) fn read(body: &Value, asked_for: Option<&str>) -> Option<Self> {
        let converter = body.get("converter").unwrap_or(body);
        let shown = ["name", "rtmpUrl", "state"];
        let is_converter = shown.iter().any(|key| text(converter.get(key)).is_some());
        let known = asked_for.filter(|_| is_converter);
        let id = text(converter.get("id")).or_else(|| known.map(str::to_owned))?;
        let channel = ["transcodeOptions", "rawOptions"]
            .iter()
            .find_map(|key| text(converter.get(key)?.get("rtcChannel")));
        Some(Self::fields(converter, id, "name", "createTs", channel))
    }

    /// A list's fields have other names.
    fn member(member: &Value) -> Option<Self> {
        let channel = text(member.get("rtcChannel"));
        let id = text(member.get("converterId"))?;
        let (name, created) = ("converterName", "create");
        Some(Self::fields(member, id, name, created, channel))
    }

    fn fields(
        from: &Value,
        id: String,
        name: &str,
        created: &str,
        channel: Option<String>,
    ) -> Self {
        let seconds = |key: &str| from.get(key).and_then(whole);
        Self {
            id,
            name: text(from.get(name)),
            channel,
            state: ConverterState::read(from.get("state")),
            rtmp_url: text(from.get("rtmpUrl")).map(SecretString::from),
            created_at: seconds(created).and_then(|s| DateTime::from_timestamp(s, 0)),
            idle_timeout_seconds: seconds("idleTimeout")
                .or_else(|| seconds("idleTimeOut"))
                .and_then(|s| u64::try_from(s).ok()),
        }
    }
}

/// The converters of a project or a channel.
#[derive(Debug, Clone, Default)]
pub struct ConverterList {
    /// The readable entries.
    pub converters: Vec<Converter>,
    /// An entry was unreadable: a converter that is not listed may exist.
    pub may_be_cut: bool,
}

pub(super) struct ConverterPage {
    pub(super) converters: Vec<Converter>,
    pub(super) may_be_cut: bool,
    pub(super) cursor: i64,
}

impl ConverterPage {
    pub(super) fn read(body: &Value) -> Option<Self> {
        if body.get("success").and_then(Value::as_bool) == Some(false) {
            return None;
        }
        let data = body.get("data")?.as_object()?;
        let members = list(data.get("members")?)?;
        let converters: Vec<_> = members.iter().filter_map(Converter::member).collect();
        let cursor = match data.get("cursor") {
            None | Some(Value::Null) => 0,
            Some(cursor) => whole(cursor)?,
        };
        Some(Self {
            may_be_cut: converters.len() < members.len(),
            converters,
            cursor,
        })
    }
}
