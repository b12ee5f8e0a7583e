//! Playlists (RFC 8216, and its second edition for low latency).

use std::fmt::Write as _;
use std::time::Duration;

use chrono::SecondsFormat;

use super::broadcast::{Segment, SegmentList, Setup};

/// A live playlist has this many whole segments.
const LIVE_SEGMENTS: usize = 6;
/// A low-latency playlist has the parts of this many segments.
const SEGMENTS_WITH_PARTS: u64 = 3;
const MIN_TARGET: Duration = Duration::from_secs(2);
const MIN_PART_TARGET: Duration = Duration::from_millis(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Playlist {
    Live,
    LowLatency,
    /// From the beginning, which may still grow.
    Recording {
        is_over: bool,
    },
}

/// A file that a playlist names, beside the playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaFile {
    /// Of the test video.
    Init,
    /// Of an encoder's session.
    InitOf(u64),
    Segment(u64),
    Part(u64, usize),
}

impl MediaFile {
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name == "init.mp4" {
            return Some(Self::Init);
        }
        let session = name
            .strip_prefix("init_")
            .and_then(|name| name.strip_suffix(".mp4"));
        if let Some(session) = session {
            return Some(Self::InitOf(session.parse().ok()?));
        }
        let name = name.strip_prefix("seg_")?.strip_suffix(".m4s")?;
        match name.split_once('.') {
            Some((segment, part)) => Some(Self::Part(segment.parse().ok()?, part.parse().ok()?)),
            None => Some(Self::Segment(name.parse().ok()?)),
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Init => "init.mp4".to_owned(),
            Self::InitOf(session) => format!("init_{session}.mp4"),
            Self::Segment(segment) => format!("seg_{segment}.m4s"),
            Self::Part(segment, part) => format!("seg_{segment}.{part}.m4s"),
        }
    }
}

/// With one rendition, whose playlist is at `media`.
pub(super) fn master(list: &SegmentList, media: &str) -> Option<String> {
    let (_, setup) = list.setups.last_key_value()?;
    let Setup {
        codecs,
        width,
        height,
        ..
    } = setup.as_ref();
    let rates = list.whole().map(|segment| {
        let millis = segment.length().as_millis().max(1);
        u128::try_from(segment.size()).unwrap_or_default() * 8000 / millis
    });
    let bandwidth = rates.max()?;
    Some(format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={width}x{height},CODECS=\"{codecs}\"\n{media}\n"
    ))
}

/// `None` before the first whole segment.
pub(super) fn playlist(list: &SegmentList, kind: Playlist) -> Option<String> {
    list.whole().next()?;
    let parts = kind == Playlist::LowLatency;
    let skipped = match kind {
        Playlist::Recording { .. } => 0,
        Playlist::Live | Playlist::LowLatency => list.whole().count().saturating_sub(LIVE_SEGMENTS),
    };
    let listed: Vec<&Segment> = list
        .segments
        .iter()
        .skip(skipped)
        .filter(|segment| segment.is_whole || parts)
        .collect();
    let first = listed.first()?;
    let longest = list.whole().map(Segment::length).max();
    let target = longest.unwrap_or_default().max(MIN_TARGET);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:{}\n#EXT-X-TARGETDURATION:{}\n",
        if parts { 9 } else { 6 },
        // Rounded.
        (target.as_millis() + 500) / 1000,
    );
    if parts {
        let part = part_target(list);
        let _ = writeln!(
            text,
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={}\n#EXT-X-PART-INF:PART-TARGET={}",
            seconds(part * 3),
            seconds(part)
        );
    }
    if let Playlist::Recording { is_over } = kind {
        let kind = if is_over { "VOD" } else { "EVENT" };
        let _ = writeln!(text, "#EXT-X-PLAYLIST-TYPE:{kind}");
    }
    let _ = writeln!(
        text,
        "#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}",
        first.number,
        first.session.saturating_sub(1)
    );
    let newest = list.segments.back().map_or(0, |segment| segment.number);
    let mut session = None;
    for segment in listed {
        if session != Some(segment.session) {
            if session.is_some() {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            session = Some(segment.session);
            let init = MediaFile::InitOf(segment.session).name();
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"{init}\"");
        }
        let began = segment.began.to_rfc3339_opts(SecondsFormat::Millis, true);
        let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{began}");
        if parts && segment.number + SEGMENTS_WITH_PARTS > newest {
            for (number, part) in segment.parts.iter().enumerate() {
                let file = MediaFile::Part(segment.number, number).name();
                let independent = if part.is_independent {
                    ",INDEPENDENT=YES"
                } else {
                    ""
                };
                let length = seconds(part.length);
                let _ = writeln!(
                    text,
                    "#EXT-X-PART:DURATION={length},URI=\"{file}\"{independent}"
                );
            }
        }
        if segment.is_whole {
            let file = MediaFile::Segment(segment.number).name();
            let _ = writeln!(text, "#EXTINF:{},\n{file}", seconds(segment.length()));
        }
    }
    if parts && list.encoder.is_some() {
        let next = next_part(list).name();
        let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{next}\"");
    }
    if kind == (Playlist::Recording { is_over: true }) {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    Some(text)
}

fn next_part(list: &SegmentList) -> MediaFile {
    match list.segments.back() {
        Some(last) if last.is_whole => MediaFile::Part(last.number + 1, 0),
        Some(last) => MediaFile::Part(last.number, last.parts.len()),
        None => MediaFile::Part(0, 0),
    }
}

/// No part is longer.
fn part_target(list: &SegmentList) -> Duration {
    let parts = list.segments.iter().flat_map(|segment| &segment.parts);
    let longest = parts.map(|part| part.length).max();
    longest.unwrap_or_default().max(MIN_PART_TARGET)
}

fn seconds(length: Duration) -> String {
    format!("{}.{:03}", length.as_secs(), length.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::super::broadcast::tests::{fill, part};
    use super::*;

    /// The lines without those of dates.
    fn lines(list: &SegmentList, kind: Playlist) -> Vec<String> {
        let text = playlist(list, kind).unwrap();
        let lines = text.lines().filter(|line| !line.contains("DATE-TIME"));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn a_file_is_known_by_its_name() {
        for file in [
            MediaFile::Init,
            MediaFile::InitOf(2),
            MediaFile::Segment(7),
            MediaFile::Part(7, 3),
        ] {
            assert_eq!(MediaFile::parse(&file.name()), Some(file));
        }
        for other in [
            "",
            "seg_.m4s",
            "seg_1.m4s.x",
            "seg_1.x.m4s",
            "init_.mp4",
            "video.m3u8",
        ] {
            assert_eq!(MediaFile::parse(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_is_playable_before_the_first_whole_segment() {
        let mut list = SegmentList::default();
        list.add(1, part(true, false));
        assert_eq!(master(&list, "x.m3u8"), None);
        for kind in [
            Playlist::Live,
            Playlist::LowLatency,
            Playlist::Recording { is_over: true },
        ] {
            assert_eq!(playlist(&list, kind), None);
        }
    }

    #[test]
    fn a_live_playlist_has_the_newest_segments_and_no_part() {
        let mut list = SegmentList::default();
        fill(&mut list, 1, 8);
        list.add(1, part(true, false));
        let lines = lines(&list, Playlist::Live);
        assert_eq!(
            lines[..7],
            [
                "#EXTM3U",
                "#EXT-X-VERSION:6",
                "#EXT-X-TARGETDURATION:2",
                "#EXT-X-MEDIA-SEQUENCE:2",
                "#EXT-X-DISCONTINUITY-SEQUENCE:0",
                "#EXT-X-MAP:URI=\"init_1.mp4\"",
                "#EXTINF:1.000,",
            ]
        );
        assert_eq!(lines.last().unwrap(), "seg_7.m4s");
    }

    #[test]
    fn a_low_latency_playlist_has_the_newest_parts_and_names_the_next_one() {
        let mut list = SegmentList::default();
        fill(&mut list, 1, 5);
        list.add(1, part(true, false));
        let found = lines(&list, Playlist::LowLatency);
        let parts: Vec<_> = found
            .iter()
            .filter(|line| line.contains("-PART:"))
            .collect();
        assert_eq!(parts.len(), 5, "{found:#?}");
        assert_eq!(
            parts[4],
            "#EXT-X-PART:DURATION=0.500,URI=\"seg_5.0.m4s\",INDEPENDENT=YES"
        );
        let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"seg_5.1.m4s\"";
        assert_eq!(found.last().unwrap(), hint);
        list.close();
        let found = lines(&list, Playlist::LowLatency);
        assert_eq!(found.last().unwrap(), "seg_5.m4s", "no encoder, no hint");
    }

    #[test]
    fn another_encoder_is_a_discontinuity_with_its_own_initialization() {
        let mut list = SegmentList::default();
        fill(&mut list, 1, 1);
        list.close();
        fill(&mut list, 2, 1);
        let found = lines(&list, Playlist::Live);
        assert_eq!(
            found[4..],
            [
                "#EXT-X-DISCONTINUITY-SEQUENCE:0",
                "#EXT-X-MAP:URI=\"init_1.mp4\"",
                "#EXTINF:1.000,",
                "seg_0.m4s",
                "#EXT-X-DISCONTINUITY",
                "#EXT-X-MAP:URI=\"init_2.mp4\"",
                "#EXTINF:1.000,",
                "seg_1.m4s",
            ]
        );
        fill(&mut list, 2, 6);
        let found = lines(&list, Playlist::Live);
        assert_eq!(found[4], "#EXT-X-DISCONTINUITY-SEQUENCE:1");
    }

    #[test]
    fn a_recording_has_all_segments_and_an_end() {
        let mut list = SegmentList::default();
        fill(&mut list, 1, 9);
        let growing = lines(&list, Playlist::Recording { is_over: false });
        assert!(growing.contains(&"#EXT-X-PLAYLIST-TYPE:EVENT".to_owned()));
        assert_eq!(growing.last().unwrap(), "seg_8.m4s");
        let whole = lines(&list, Playlist::Recording { is_over: true });
        let segments = whole.iter().filter(|line| line.starts_with("#EXTINF"));
        assert_eq!(segments.count(), 9);
        assert!(whole.contains(&"#EXT-X-MEDIA-SEQUENCE:0".to_owned()));
        assert_eq!(whole.last().unwrap(), "#EXT-X-ENDLIST");
    }

    #[test]
    fn a_longer_segment_or_part_raises_the_targets() {
        let mut list = SegmentList::default();
        let mut long = part(true, true);
        long.length = Duration::from_millis(4600);
        list.add(1, long);
        let found = lines(&list, Playlist::LowLatency);
        assert!(
            found.contains(&"#EXT-X-TARGETDURATION:5".to_owned()),
            "{found:#?}"
        );
        assert!(found.contains(&"#EXT-X-PART-INF:PART-TARGET=4.600".to_owned()));
        let text = master(&list, "720p.m3u8").unwrap();
        assert!(text.contains("RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\"\n720p.m3u8\n"));
    }
}
