//! The content of simulated broadcasts: a two-second test video, repeated.

/// Initialization segment: one track, timescale 15,000.
pub(super) const INIT: &[u8] = include_bytes!("init.mp4");
pub(super) const STILL: &[u8] = include_bytes!("thumbnail.jpg");
const SEGMENT: &[u8] = include_bytes!("segment.m4s");
/// A segment's duration in the track's timescale.
const SEGMENT_UNITS: u64 = 30_000;
/// From the `tfdt` box's name to the decode time: name, version and flags.
const TO_TIME: usize = 8;

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
