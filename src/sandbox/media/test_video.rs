//! What broadcasts and recordings show without [`Options::media`](super::super::Options::media): two seconds of video, repeated.

use std::fmt::Write as _;
use std::time::Duration;

/// Initialization segment: one track, timescale 15,000.
const INIT: &[u8] = include_bytes!("init.mp4");
pub(in crate::sandbox) const STILL: &[u8] = include_bytes!("thumbnail.jpg");
const SEGMENT_SECONDS: u64 = 2;
const SEGMENT: &[u8] = include_bytes!("segment.m4s");
/// A segment's duration in the track's timescale.
const SEGMENT_UNITS: u64 = 30_000;
/// From the `tfdt` box's name to the decode time: name, version and flags.
const TO_TIME: usize = 8;

/// The only rendition.
pub(super) fn master(media: &str) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:RESOLUTION=1280x720,CODECS=\"avc1.4d401f\",BANDWIDTH=3600000,FRAME-RATE=30.000\n{media}\n"
    )
}

/// The newest five segments of a broadcast, or all of a recording.
pub(super) fn playlist(shown: Duration, over: bool) -> String {
    let end = shown.as_secs() / SEGMENT_SECONDS + 1;
    let first = if over { 0 } else { end.saturating_sub(5) };
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-MAP:URI=\"init.mp4\"\n"
    );
    for segment in first..end {
        let _ = writeln!(text, "#EXTINF:{SEGMENT_SECONDS}.000,\nseg_{segment}.m4s");
    }
    if over {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

pub(super) fn init() -> Vec<u8> {
    INIT.to_vec()
}

/// All segments have the same content, and their own decode time.
pub(super) fn segment(number: u64) -> Vec<u8> {
    let mut segment = SEGMENT.to_vec();
    let time = segment.windows(4).position(|name| name == b"tfdt");
    let place = time.and_then(|at| segment.get_mut(at + TO_TIME..at + TO_TIME + 8));
    if let Some(place) = place {
        place.copy_from_slice(&number.saturating_mul(SEGMENT_UNITS).to_be_bytes());
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_differ_only_in_their_decode_time() {
        let differ = |number| {
            let (first, other) = (segment(0), segment(number));
            let differ: Vec<usize> = (0..first.len())
                .filter(|at| first[*at] != other[*at])
                .collect();
            (first.len() == other.len(), differ.len())
        };
        assert_eq!(differ(0), (true, 0));
        assert_eq!(differ(1), (true, 2));
        assert!(segment(7) != segment(8));
    }
}
