//! Recordings: IVS writes them to a bucket and has no call that lists them (`ivs.md §4`).

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde_json::Value;

use super::VENDOR;
use super::arn::{ChannelArn, is_plain};
use super::bucket::RecordingsBucket;
use super::wire::time;
use crate::relay::{Recording, RecordingPlace, RecordingState};
use crate::vendors::http::failure;
use crate::vendors::number::whole;
use crate::vendors::{Class, Done, VendorError};

/// Year, month, day, hour and minute of a recording's begin, without leading zeros (`ivs.md §4.2`).
const DATE_PARTS: usize = 5;
/// The segments of a recording's prefix: `ivs/v1/{account}/{channel}`, the date and an id.
const SEGMENTS: usize = 4 + DATE_PARTS + 1;
/// The largest expected difference between AWS's clock and ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// A longer duration is an error.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);
/// No broadcast is so long.
const LONGEST_WRITTEN: TimeDelta = TimeDelta::days(7);
const PLAYLIST: &str = "master.m3u8";

/// Finds and deletes the recordings of channels.
#[derive(Debug)]
pub(super) struct RecordingsInBucket {
    bucket: RecordingsBucket,
    /// Serves the bucket's keys; empty: nothing here does.
    vod: String,
}

impl RecordingsInBucket {
    pub(super) fn new(bucket: RecordingsBucket, vod: &str) -> Self {
        Self {
            bucket,
            vod: vod.to_owned(),
        }
    }

    /// The recordings of a channel, which may be deleted. `since`: only those that began later, and a few more.
    pub(super) async fn of(
        &self,
        channel: &str,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<Recording>, VendorError> {
        let arn = ChannelArn::parse(channel).ok_or_else(|| rejected("the id is no channel's"))?;
        let since = since.map(|since| parts_of(since - SKEW));
        let mut folders = vec![(arn.recordings(), Vec::new())];
        for _ in 0..DATE_PARTS {
            let mut below = Vec::new();
            for (folder, date) in folders {
                for name in self.folders(&folder).await? {
                    let Ok(part) = name.parse::<u32>() else {
                        continue;
                    };
                    let date = [date.as_slice(), &[part]].concat();
                    if !is_before(&date, since.as_ref()) {
                        below.push((format!("{folder}/{name}"), date));
                    }
                }
            }
            folders = below;
        }
        let mut recordings = Vec::new();
        for (folder, _) in folders {
            for id in self.folders(&folder).await? {
                recordings.extend(self.read(&format!("{folder}/{id}")).await?);
            }
        }
        Ok(recordings)
    }

    /// Proves that the bucket can be listed.
    pub(super) async fn check(&self) -> Result<(), VendorError> {
        self.bucket.list("ivs/v1").await.map(|_| ())
    }

    /// The names of the folders directly below.
    async fn folders(&self, prefix: &str) -> Result<Vec<String>, VendorError> {
        let list = self.bucket.list(prefix).await?;
        let names = list.common_prefixes.iter().filter_map(Path::filename);
        Ok(names
            .filter(|name| is_plain(name))
            .map(str::to_owned)
            .collect())
    }

    /// `None`: without events it is not a recording.
    async fn read(&self, prefix: &str) -> Result<Option<Recording>, VendorError> {
        let events = self.bucket.list(&format!("{prefix}/events")).await?;
        let event = |name: &str| {
            let mut events = events.objects.iter();
            events.find(|event| event.location.filename() == Some(name))
        };
        let began = event("recording-started.json");
        let (state, last) = match (
            event("recording-ended.json"),
            event("recording-failed.json"),
            began,
        ) {
            (Some(ended), ..) => (RecordingState::Ready, ended),
            (None, Some(failed), _) => (RecordingState::Failed, failed),
            (None, None, Some(began)) => (RecordingState::Processing, began),
            (None, None, None) => return Ok(None),
        };
        let Some(written) = self.bucket.read(&last.location).await? else {
            return Ok(None);
        };
        let event = serde_json::from_slice(&written).unwrap_or(Value::Null);
        let (bucket, vod) = (self.bucket.name(), self.vod.as_str());
        Ok(Some(recording(bucket, vod, prefix, state, &event, began)))
    }

    /// Deletes all objects of a recording that is over: IVS would write others. Succeeds if there are none.
    pub(super) async fn delete(&self, recording: &str) -> Result<(), VendorError> {
        if !is_recording(recording) {
            return Err(rejected("the id is no recording's"));
        }
        let known = self.read(recording).await?;
        if known.is_some_and(|known| is_being_written(&known, Utc::now())) {
            let message = "IVS still writes the recording".to_owned();
            let (class, done) = (Class::Unavailable, Done::No);
            return Err(failure(VENDOR, "recordings.delete", class, done, message));
        }
        self.bucket.delete_all(recording).await
    }
}

/// Its last event may never come.
fn is_being_written(recording: &Recording, now: DateTime<Utc>) -> bool {
    let began = recording.created_at;
    let is_old = began.is_some_and(|began| began + LONGEST_WRITTEN < now);
    recording.state == RecordingState::Processing && !is_old
}

/// Deleting anything above a recording would delete others.
fn is_recording(prefix: &str) -> bool {
    let segments: Vec<_> = prefix.split('/').collect();
    segments.starts_with(&["ivs", "v1"])
        && segments.len() == SEGMENTS
        && segments.iter().all(|segment| is_plain(segment))
}

fn parts_of(time: DateTime<Utc>) -> [u32; DATE_PARTS] {
    [
        u32::try_from(time.year()).unwrap_or_default(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
    ]
}

/// `date`: its first parts.
fn is_before(date: &[u32], since: Option<&[u32; DATE_PARTS]>) -> bool {
    let since = since.and_then(|since| since.get(..date.len()));
    since.is_some_and(|since| date < since)
}

/// `event`: the last that was written about it; `began`: the object of the first.
fn recording(
    bucket: &str,
    vod: &str,
    prefix: &str,
    state: RecordingState,
    event: &Value,
    began: Option<&ObjectMeta>,
) -> Recording {
    let text = |pointer: &str| {
        let text = event.pointer(pointer).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let time = |pointer: &str| time(text(pointer)?);
    let (started, ended) = (time("/recording_started_at"), time("/recording_ended_at"));
    let is_over = state == RecordingState::Ready;
    let duration_ms = duration(event).or_else(|| {
        let length = (ended? - started?).to_std().ok()?;
        u64::try_from(length.as_millis()).ok()
    });
    let longest = u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX);
    let playlist = text("/media/hls/playlist").unwrap_or(PLAYLIST);
    let folder = text("/media/hls/path").unwrap_or("media/hls");
    let place = match vod {
        "" => RecordingPlace::Elsewhere {
            location: format!("s3://{bucket}/{prefix}"),
        },
        vod => RecordingPlace::Platform {
            hls_url: format!("{vod}/{prefix}/{}/{playlist}", folder.trim_matches('/')),
            dash_url: None,
            thumbnail_url: None,
        },
    };
    Recording {
        id: prefix.to_owned(),
        state,
        is_final: is_over,
        duration_ms: duration_ms.filter(|length| is_over && (1..=longest).contains(length)),
        place: is_over.then_some(place),
        created_at: started.or_else(|| Some(began?.last_modified)),
    }
}

fn duration(event: &Value) -> Option<u64> {
    let hls = event.pointer("/media/hls/duration_ms");
    let written = hls.or_else(|| event.get("recording_duration_ms"))?;
    whole(written).and_then(|length| u64::try_from(length).ok())
}

fn rejected(what: &str) -> VendorError {
    let message = what.to_owned();
    failure(VENDOR, "recordings", Class::Rejected, Done::No, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PREFIX: &str = "ivs/v1/123456789012/abcd/2026/1/9/7/5/Xy12";

    fn ended(event: Value, vod: &str) -> Recording {
        recording("bucket", vod, PREFIX, RecordingState::Ready, &event, None)
    }

    #[test]
    fn a_recording_tells_where_its_playlist_is_and_how_long_it_is() {
        let event = json!({
            "recording_started_at": "2026-01-09T07:05:12.5Z",
            "recording_ended_at": "2026-01-09T07:06:12.5Z",
            "media": {"hls": {"path": "media/hls", "playlist": "index.m3u8", "duration_ms": 58_123}},
        });
        let found = ended(event.clone(), "https://vod.example");
        assert_eq!(
            found.hls_url(),
            Some(format!("https://vod.example/{PREFIX}/media/hls/index.m3u8").as_str())
        );
        assert_eq!(found.duration_ms, Some(58_123));
        assert!(found.is_final && !found.is_open());
        let began = found.created_at.unwrap();
        assert_eq!(began.to_rfc3339(), "2026-01-09T07:05:12.500+00:00");
        let elsewhere = ended(event, "");
        assert_eq!(
            elsewhere.location(),
            Some(format!("s3://bucket/{PREFIX}").as_str())
        );
        assert_eq!(elsewhere.hls_url(), None);
    }

    #[test]
    fn an_event_of_another_form_leaves_the_usual_playlist_and_an_unknown_duration() {
        let odd = ended(Value::Null, "https://vod.example");
        let url = odd.hls_url().unwrap();
        assert!(url.ends_with("/Xy12/media/hls/master.m3u8"), "{url}");
        assert_eq!((odd.duration_ms, odd.created_at), (None, None));
        let times = json!({
            "recording_started_at": "2026-01-09T07:05:12Z",
            "recording_ended_at": "2026-01-09T07:06:12Z",
        });
        assert_eq!(ended(times, "").duration_ms, Some(60_000));
        for wrong in [json!(0), json!(-1), json!("soon"), json!(u64::MAX)] {
            let event = json!({"media": {"hls": {"duration_ms": wrong}}});
            assert_eq!(ended(event, "").duration_ms, None);
        }
    }

    #[test]
    fn a_running_recording_has_no_place_and_no_duration_yet() {
        let event = json!({"media": {"hls": {"duration_ms": 9}}});
        let state = RecordingState::Processing;
        let running = recording("bucket", "https://vod", PREFIX, state, &event, None);
        assert_eq!((running.place.as_ref(), running.duration_ms), (None, None));
        assert!(running.is_open());
    }

    #[test]
    fn earlier_dates_are_passed_over_by_number_and_not_by_text() {
        let since = DateTime::parse_from_rfc3339("2026-10-09T10:05:00Z").unwrap();
        let since = parts_of(since.to_utc());
        for (date, before) in [
            (vec![2026], false),
            (vec![2025], true),
            (vec![2026, 9], true),
            (vec![2026, 10], false),
            (vec![2026, 10, 9, 9], true),
            (vec![2026, 10, 10, 9], false),
            (vec![2026, 10, 9, 10, 4], true),
            (vec![2026, 10, 9, 10, 5], false),
        ] {
            assert_eq!(is_before(&date, Some(&since)), before, "{date:?}");
            assert!(!is_before(&date, None));
        }
    }

    #[test]
    fn only_a_whole_recording_can_be_deleted() {
        assert!(is_recording(PREFIX));
        for other in [
            "",
            "ivs/v1",
            "ivs/v1/123456789012/abcd/2026/1/9/7/5",
            "ivs/v1/123456789012/abcd/2026/1/9/7/5/",
            "ivs/v1/123456789012/abcd/2026/1/9/7/../Xy12",
            "other/v1/123456789012/abcd/2026/1/9/7/5/Xy12",
        ] {
            assert!(!is_recording(other), "{other}");
        }
    }
}
