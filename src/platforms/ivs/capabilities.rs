//! What IVS promises.

use std::time::Duration;

use crate::config::{IvsChannelType, IvsSettings};
use crate::relay::{
    Capabilities, CreateRepeat, FeedPollCost, IngestLimits, LowLatency, Reconnect, RecordingsKept,
};

/// The longest reconnect window of a recording configuration (`ivs.md §4.1`).
const LONGEST_WINDOW: Duration = Duration::from_secs(300);

/// Its facts with these settings. `window`: the recording configuration's, if known. Until it is read it counts as its default, 0: a
/// kept channel would wait for it.
#[must_use]
pub fn capabilities(settings: &IvsSettings, window: Option<Duration>) -> Capabilities {
    let longest = match settings.records() {
        true => window.unwrap_or_default().min(LONGEST_WINDOW),
        false => Duration::ZERO,
    };
    Capabilities {
        // `ivs.md §2.2`
        create_repeat: CreateRepeat::LookUp,
        // `ivs.md §3.1`
        feed_poll: FeedPollCost::Bulk,
        // Frequent polls after an event cost no more: one list serves all.
        manifest_first: true,
        // `ivs.md §2.6`
        removes_live_ingest: false,
        // `ivs.md §2.4`
        renews_key: true,
        // `ivs.md §3.4, §4.4`
        reconnect: match longest {
            Duration::ZERO => Reconnect::Anew,
            longest => Reconnect::RecordingsMerged { longest },
        },
        recordings: match (settings.records(), settings.recording_bucket.is_empty()) {
            (false, _) => RecordingsKept::Nowhere,
            (true, true) => RecordingsKept::Unread,
            (true, false) if settings.vod_base_url.is_empty() => RecordingsKept::Elsewhere,
            (true, false) => RecordingsKept::Platform,
        },
        ingest_limits: limits(settings.channel_type),
        // `ivs.md §2.1`
        low_latency: LowLatency::Usual,
    }
}

/// What is over them is cut off at once (`ivs.md §6.2`).
fn limits(channel_type: IvsChannelType) -> IngestLimits {
    let (max_kbps, max_sd_kbps) = match channel_type {
        IvsChannelType::Basic => (3_500, Some(1_500)),
        IvsChannelType::Standard | IvsChannelType::AdvancedSd | IvsChannelType::AdvancedHd => {
            (8_500, None)
        }
    };
    IngestLimits {
        max_kbps: Some(max_kbps),
        max_sd_kbps,
        max_pixels: Some(1920 * 1080),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(change: impl FnOnce(&mut IvsSettings), window: Option<u64>) -> Capabilities {
        let mut settings = IvsSettings::default();
        change(&mut settings);
        capabilities(&settings, window.map(Duration::from_secs))
    }

    #[test]
    fn without_a_recording_configuration_there_are_no_recordings_to_merge() {
        let off = of(|_| {}, Some(60));
        assert_eq!(off.recordings, RecordingsKept::Nowhere);
        assert_eq!(off.reconnect, Reconnect::Anew);
    }

    #[test]
    fn recordings_are_where_the_settings_can_find_and_play_them() {
        let record = |all: &mut IvsSettings| all.recording_configuration_arn = "arn:x".into();
        let find = |all: &mut IvsSettings| {
            record(all);
            all.recording_bucket = "bucket".into();
        };
        let play = |all: &mut IvsSettings| {
            find(all);
            all.vod_base_url = "https://vod.example".into();
        };
        assert_eq!(of(record, None).recordings, RecordingsKept::Unread);
        assert_eq!(of(find, None).recordings, RecordingsKept::Elsewhere);
        assert_eq!(of(play, None).recordings, RecordingsKept::Platform);
        for (window, reconnect) in [
            (None, Reconnect::Anew),
            (Some(0), Reconnect::Anew),
            (
                Some(60),
                Reconnect::RecordingsMerged {
                    longest: Duration::from_secs(60),
                },
            ),
            (
                Some(900),
                Reconnect::RecordingsMerged {
                    longest: LONGEST_WINDOW,
                },
            ),
        ] {
            assert_eq!(of(find, window).reconnect, reconnect);
        }
    }

    #[test]
    fn a_basic_channel_takes_less() {
        let basic = of(|all| all.channel_type = IvsChannelType::Basic, None);
        assert_eq!(basic.ingest_limits.max_kbps, Some(3_500));
        assert_eq!(basic.ingest_limits.max_sd_kbps, Some(1_500));
        assert_eq!(of(|_| {}, None).ingest_limits.max_kbps, Some(8_500));
    }
}
