//! Amazon IVS's channels, stream keys and streams (`ivs.md §2, §3.1`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::WorldState;
use super::dice::Dice;
use super::live_inputs::EncoderConnection;
use super::quota::TokenBucket;
use crate::sandbox::calls::VendorCall;
use crate::sandbox::media::Broadcast;

pub(in crate::sandbox) const REGION: &str = "us-west-2";

/// What a change of a channel may set.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct IvsChannelSettings {
    pub(in crate::sandbox) name: String,
    pub(in crate::sandbox) latency_mode: String,
    pub(in crate::sandbox) kind: String,
    pub(in crate::sandbox) authorized: bool,
    /// "": broadcasts are not recorded.
    pub(in crate::sandbox) recording_configuration: String,
    pub(in crate::sandbox) insecure_ingest: bool,
    pub(in crate::sandbox) preset: String,
    pub(in crate::sandbox) container_format: String,
}

#[derive(Debug, Clone)]
pub(in crate::sandbox) struct SimStreamKey {
    pub(in crate::sandbox) arn: String,
    pub(in crate::sandbox) value: String,
    pub(in crate::sandbox) tags: Map<String, Value>,
}

#[derive(Debug)]
pub(in crate::sandbox) struct SimChannel {
    pub(in crate::sandbox) arn: String,
    /// Orders channels by their creation.
    pub(in crate::sandbox) number: u64,
    pub(in crate::sandbox) created: DateTime<Utc>,
    /// From then on lists have it.
    pub(in crate::sandbox) listed_at: Duration,
    pub(in crate::sandbox) settings: IvsChannelSettings,
    pub(in crate::sandbox) tags: Map<String, Value>,
    pub(in crate::sandbox) playback_path: String,
    pub(in crate::sandbox) srt_passphrase: String,
    pub(in crate::sandbox) key: Option<SimStreamKey>,
    pub(in crate::sandbox) deleted: bool,
    /// Oldest first; the last may be running.
    pub(in crate::sandbox) sessions: Vec<SimSession>,
    /// The recording that is running, or that waits for a reconnection.
    pub(super) recording: Option<String>,
    /// Of the last session, if media is real.
    pub(in crate::sandbox) broadcast: Option<Arc<Broadcast>>,
}

/// A stream session: one connection of an encoder.
#[derive(Debug)]
pub(in crate::sandbox) struct SimSession {
    pub(in crate::sandbox) id: String,
    pub(super) encoder: Option<EncoderConnection>,
    pub(in crate::sandbox) video: SimVideoProfile,
    pub(in crate::sandbox) created: DateTime<Utc>,
    pub(in crate::sandbox) live: Option<(Duration, DateTime<Utc>)>,
    pub(in crate::sandbox) ended: Option<DateTime<Utc>>,
    pub(in crate::sandbox) failed: bool,
    /// Newest first.
    pub(in crate::sandbox) events: Vec<(&'static str, DateTime<Utc>)>,
    /// When the stream starts.
    pub(super) starts_at: Option<Duration>,
    /// When the stream ends, after its encoder has left.
    pub(super) ends_at: Option<Duration>,
    /// When IVS disconnects the encoder, whose video exceeds the channel's limit.
    pub(super) cut_at: Option<Duration>,
}

/// What an encoder sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct SimVideoProfile {
    pub(in crate::sandbox) width: u64,
    pub(in crate::sandbox) height: u64,
    pub(in crate::sandbox) kbps: u64,
}

impl SimChannel {
    pub(in crate::sandbox) fn new(
        arn: String,
        number: u64,
        settings: IvsChannelSettings,
        listed_at: Duration,
    ) -> Self {
        Self {
            arn,
            number,
            created: Utc::now(),
            listed_at,
            settings,
            tags: Map::new(),
            playback_path: String::new(),
            srt_passphrase: String::new(),
            key: None,
            deleted: false,
            sessions: Vec::new(),
            recording: None,
            broadcast: None,
        }
    }

    pub(in crate::sandbox) fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// The session that is not over.
    pub(in crate::sandbox) fn session(&self) -> Option<&SimSession> {
        self.sessions.last().filter(|last| last.ended.is_none())
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut SimSession> {
        self.sessions.last_mut().filter(|last| last.ended.is_none())
    }

    /// The session that viewers see.
    pub(in crate::sandbox) fn stream(&self) -> Option<&SimSession> {
        self.session().filter(|session| session.live.is_some())
    }

    pub(in crate::sandbox) fn encoders(&self) -> Vec<String> {
        let encoder = self.session().and_then(|session| session.encoder.as_ref());
        Vec::from_iter(encoder.map(|encoder| encoder.egress.clone()))
    }

    /// Whether viewers see a moving picture.
    pub(in crate::sandbox) fn playable_since(&self) -> Option<Duration> {
        let stream = self.stream().filter(|stream| stream.encoder.is_some())?;
        stream.live.map(|(since, _)| since)
    }

    pub(in crate::sandbox) fn recording(&self) -> Option<&String> {
        self.recording.as_ref()
    }
}

impl SimSession {
    pub(in crate::sandbox) fn is_connected(&self) -> bool {
        self.encoder.is_some()
    }
}

#[derive(Debug)]
pub(in crate::sandbox) struct SimObject {
    pub(in crate::sandbox) body: Bytes,
    pub(in crate::sandbox) kind: &'static str,
    pub(in crate::sandbox) modified: DateTime<Utc>,
    pub(in crate::sandbox) etag: String,
}

/// Objects by key.
pub(in crate::sandbox) type SimBucket = BTreeMap<String, SimObject>;

#[derive(Debug)]
pub(in crate::sandbox) struct SimIvsRecording {
    pub(in crate::sandbox) prefix: String,
    pub(in crate::sandbox) channel: String,
    pub(in crate::sandbox) number: u64,
    pub(super) started: DateTime<Utc>,
    /// All that are in it.
    pub(super) streams: Vec<String>,
    pub(super) video: SimVideoProfile,
    /// What it shows, until its objects have all of it, if media is real.
    pub(super) broadcast: Option<Arc<Broadcast>>,
    /// Without the stream that is running.
    pub(super) length: Duration,
    pub(super) recorded_since: Option<Duration>,
    /// Until then a stream is recorded into it.
    pub(super) window_until: Option<Duration>,
    pub(super) ends_at: Option<Duration>,
    pub(in crate::sandbox) is_over: bool,
}

#[derive(Debug, Default)]
pub(in crate::sandbox) struct IvsState {
    pub(in crate::sandbox) channels: BTreeMap<String, SimChannel>,
    /// By key prefix.
    pub(in crate::sandbox) recordings: BTreeMap<String, SimIvsRecording>,
    pub(in crate::sandbox) bucket: SimBucket,
    pub(in crate::sandbox) budgets: HashMap<VendorCall, TokenBucket>,
    /// When something may happen to a channel.
    pub(super) due: BTreeSet<(Duration, String)>,
    /// When recordings may end.
    pub(super) ends: BTreeSet<(Duration, String)>,
    next_number: u64,
}

impl IvsState {
    pub(in crate::sandbox) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(in crate::sandbox) fn channel(&self, arn: &str) -> Option<&SimChannel> {
        self.channels.get(arn).filter(|channel| !channel.deleted)
    }

    pub(in crate::sandbox) fn channel_mut(&mut self, arn: &str) -> Option<&mut SimChannel> {
        let channel = self.channels.get_mut(arn);
        channel.filter(|channel| !channel.deleted)
    }

    /// Those that are not deleted.
    pub(in crate::sandbox) fn alive(&self) -> impl Iterator<Item = &SimChannel> {
        self.channels.values().filter(|channel| !channel.deleted)
    }

    pub(super) fn wake(&mut self, at: Duration, channel: &str) {
        self.due.insert((at, channel.to_owned()));
    }
}

/// The account's names.
pub(in crate::sandbox) struct SimAwsAccount {
    pub(in crate::sandbox) account: String,
    pub(in crate::sandbox) access_key_id: String,
    pub(in crate::sandbox) secret_access_key: String,
    pub(in crate::sandbox) session_token: String,
    /// The first part of the account's hosts.
    pub(in crate::sandbox) customer: String,
    pub(in crate::sandbox) recording_configuration: String,
    pub(in crate::sandbox) bucket: String,
    pub(in crate::sandbox) webhook_secret: String,
    /// A host, perhaps with a port.
    pub(in crate::sandbox) ingest_endpoint: String,
}

impl SimAwsAccount {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let account = dice.digits(12);
        let configuration = dice.word(12);
        let mut account = Self {
            access_key_id: format!("AKIA{}", dice.word(16).to_uppercase()),
            secret_access_key: dice.word(40),
            session_token: dice.word(120),
            customer: dice.hex(12),
            recording_configuration: format!(
                "arn:aws:ivs:{REGION}:{account}:recording-configuration/{configuration}"
            ),
            bucket: format!("recordings-{}", dice.hex(8)),
            webhook_secret: dice.word(32),
            ingest_endpoint: String::new(),
            account,
        };
        account.ingest_endpoint = format!("{}.global-contribute.live-video.net", account.customer);
        account
    }

    pub(in crate::sandbox) fn arn(&self, kind: &str, id: &str) -> String {
        format!("arn:aws:ivs:{REGION}:{}:{kind}/{id}", self.account)
    }

    /// Of the playback URL.
    pub(in crate::sandbox) fn playback_path(&self, dice: &mut Dice) -> String {
        let id = dice.word(12);
        format!("/api/video/v1/{REGION}.{}.channel.{id}.m3u8", self.account)
    }
}

/// Lists have a summary, without the ingest endpoint.
pub(in crate::sandbox) fn channel_object(
    account: &SimAwsAccount,
    channel: &SimChannel,
    summary: bool,
) -> Value {
    let settings = &channel.settings;
    let mut object = json!({
        "arn": channel.arn,
        "name": settings.name,
        "latencyMode": settings.latency_mode,
        "type": settings.kind,
        "authorized": settings.authorized,
        "recordingConfigurationArn": settings.recording_configuration,
        "insecureIngest": settings.insecure_ingest,
        "preset": settings.preset,
        "playbackRestrictionPolicyArn": "",
        "tags": channel.tags,
    });
    if !summary && let Some(object) = object.as_object_mut() {
        let endpoint = &account.ingest_endpoint;
        object.insert("ingestEndpoint".to_owned(), json!(endpoint));
        let playback = format!(
            "https://{}.{REGION}.playback.live-video.net{}",
            account.customer, channel.playback_path
        );
        object.insert("playbackUrl".to_owned(), json!(playback));
        let srt = json!({
            "endpoint": format!("{}.srt.live-video.net", account.customer),
            "passphrase": channel.srt_passphrase,
        });
        object.insert("srt".to_owned(), srt);
        let format = json!(settings.container_format);
        object.insert("containerFormat".to_owned(), format);
    }
    object
}

impl WorldState {
    /// A new stream key of a channel.
    pub(in crate::sandbox) fn ivs_key(
        &mut self,
        account: &SimAwsAccount,
        tags: Map<String, Value>,
    ) -> SimStreamKey {
        let id = self.dice.word(12);
        let value = format!("sk_{REGION}_{}_{}", self.dice.word(12), self.dice.word(30));
        self.secrets.push(value.clone());
        SimStreamKey {
            arn: account.arn("stream-key", &id),
            value,
            tags,
        }
    }
}
