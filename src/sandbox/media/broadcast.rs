//! What an ingest received in one broadcast, in memory: shown live, kept as the recording.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Of one broadcast: an hour and a half at 640x360. Beyond it the oldest segments are dropped, from the recording too.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// What players need before an encoder's parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setup {
    /// The initialization segment.
    pub(super) init: Bytes,
    pub(super) codecs: String,
    pub(super) width: u16,
    pub(super) height: u16,
}

/// A `moof` and its `mdat`.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Part {
    pub(super) bytes: Bytes,
    pub(super) length: Duration,
    /// Begins with a key frame.
    pub(super) is_independent: bool,
    pub(super) begins_segment: bool,
    pub(super) ends_segment: bool,
    pub(super) setup: Arc<Setup>,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// The encoder's turn, counted from 1.
    pub(super) session: u64,
    pub(super) began: DateTime<Utc>,
    pub(super) parts: Vec<Part>,
    pub(super) is_whole: bool,
}

impl Segment {
    pub(super) fn length(&self) -> Duration {
        self.parts.iter().map(|part| part.length).sum()
    }

    pub(super) fn size(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }

    pub(super) fn bytes(&self) -> Bytes {
        match self.parts.as_slice() {
            [part] => part.bytes.clone(),
            parts => {
                let all: Vec<&[u8]> = parts.iter().map(|part| part.bytes.as_ref()).collect();
                Bytes::from(all.concat())
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct SegmentList {
    pub(super) segments: VecDeque<Segment>,
    /// By session.
    pub(super) setups: BTreeMap<u64, Arc<Setup>>,
    /// The connection that is on air.
    pub(super) encoder: Option<u64>,
    next_segment: u64,
    sessions: u64,
    size: usize,
}

impl SegmentList {
    /// A new encoder begins with a segment; what it sends before is lost.
    pub(super) fn add(&mut self, encoder: u64, part: Part) {
        if self.encoder != Some(encoder) {
            if !part.begins_segment {
                return;
            }
            self.close();
            self.encoder = Some(encoder);
            self.sessions += 1;
        }
        self.setups.insert(self.sessions, Arc::clone(&part.setup));
        if part.begins_segment {
            let began = Utc::now() - part.length;
            self.segments.push_back(Segment {
                number: self.next_segment,
                session: self.sessions,
                began,
                parts: Vec::new(),
                is_whole: false,
            });
            self.next_segment += 1;
        }
        self.size += part.bytes.len();
        if let Some(segment) = self.segments.back_mut() {
            segment.is_whole |= part.ends_segment;
            segment.parts.push(part);
        }
        while self.size > MAX_BYTES && self.segments.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(gone) = self.segments.pop_front() {
            self.size -= gone.size();
        }
        let oldest = self.segments.front().map_or(0, |segment| segment.session);
        self.setups.retain(|session, _| *session >= oldest);
    }

    /// No encoder is on air; the segment that it began is as long as it is.
    pub(super) fn close(&mut self) {
        self.encoder = None;
        if let Some(last) = self.segments.back_mut() {
            last.is_whole = true;
        }
    }

    pub(super) fn whole(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.is_whole)
    }

    pub(super) fn length(&self) -> Duration {
        self.segments.iter().map(Segment::length).sum()
    }

    /// Whether the part is there, or something after it; without a part: the whole segment.
    pub(super) fn has(&self, number: u64, part: Option<usize>) -> bool {
        self.segments.back().is_some_and(|last| {
            let is_there = last.is_whole || part.is_some_and(|part| last.parts.len() > part);
            last.number > number || (last.number == number && is_there)
        })
    }

    pub(super) fn segment(&self, number: u64) -> Option<&Segment> {
        let mut segments = self.segments.iter();
        segments.find(|segment| segment.number == number)
    }
}

/// Shared by an ingest and the recording of what it shows now.
#[derive(Debug)]
pub(in crate::sandbox) struct Broadcast {
    list: Mutex<SegmentList>,
    changed: watch::Sender<u64>,
}

impl Broadcast {
    pub(in crate::sandbox) fn new() -> Arc<Self> {
        Self::of(SegmentList::default())
    }

    /// The next broadcast at the same URL: players find its segments after the last one's.
    pub(in crate::sandbox) fn after(last: &Self) -> Arc<Self> {
        let last = last.list.lock();
        Self::of(SegmentList {
            next_segment: last.next_segment,
            sessions: last.sessions,
            ..SegmentList::default()
        })
    }

    fn of(list: SegmentList) -> Arc<Self> {
        Arc::new(Self {
            list: Mutex::new(list),
            changed: watch::Sender::new(0),
        })
    }

    /// Whether this encoder has a whole segment now.
    pub(in crate::sandbox) fn add(&self, encoder: u64, part: Part) -> bool {
        let mut list = self.list.lock();
        list.add(encoder, part);
        let session = list.sessions;
        let is_shown =
            list.encoder == Some(encoder) && list.whole().any(|segment| segment.session == session);
        drop(list);
        self.tell();
        is_shown
    }

    pub(in crate::sandbox) fn close(&self) {
        self.list.lock().close();
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub(in crate::sandbox) fn length(&self) -> Duration {
        self.list.lock().length()
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&SegmentList) -> T) -> T {
        work(&self.list.lock())
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn init(&self, session: u64) -> Option<Bytes> {
        self.read(|list| Some(list.setups.get(&session)?.init.clone()))
    }

    pub(super) fn segment(&self, number: u64) -> Option<Bytes> {
        self.read(|list| Some(list.segment(number)?.bytes()))
    }

    pub(super) fn part(&self, number: u64, part: usize) -> Option<Bytes> {
        self.read(|list| Some(list.segment(number)?.parts.get(part)?.bytes.clone()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Half a second.
    pub(in super::super) fn part(begins_segment: bool, ends_segment: bool) -> Part {
        Part {
            bytes: Bytes::from_static(b"moof"),
            length: Duration::from_millis(500),
            is_independent: begins_segment,
            begins_segment,
            ends_segment,
            setup: Arc::new(Setup {
                init: Bytes::from_static(b"moov"),
                codecs: "avc1.42c01e,mp4a.40.2".to_owned(),
                width: 640,
                height: 360,
            }),
        }
    }

    /// Segments of two parts each.
    pub(in super::super) fn fill(list: &mut SegmentList, encoder: u64, segments: usize) {
        for _ in 0..segments {
            list.add(encoder, part(true, false));
            list.add(encoder, part(false, true));
        }
    }

    #[test]
    fn an_encoder_begins_with_a_segment_and_closes_its_predecessors() {
        let mut list = SegmentList::default();
        list.add(1, part(true, false));
        list.add(2, part(false, false));
        assert_eq!(list.segments.len(), 1, "the second one's is lost");
        list.add(2, part(true, false));
        let sessions: Vec<_> = list.segments.iter().map(|one| one.session).collect();
        assert_eq!(sessions, [1, 2]);
        assert_eq!(list.whole().count(), 1);
        assert_eq!(list.length(), Duration::from_secs(1));
    }

    #[test]
    fn the_oldest_segments_are_dropped_when_there_are_too_many() {
        let mut list = SegmentList::default();
        let big = Part {
            bytes: Bytes::from(vec![0; MAX_BYTES / 4]),
            ..part(true, true)
        };
        for encoder in [1, 2, 2, 2, 2, 2] {
            list.add(encoder, big.clone());
        }
        let numbers: Vec<_> = list.segments.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [2, 3, 4, 5]);
        assert_eq!(list.setups.keys().collect::<Vec<_>>(), [&2]);
        assert_eq!(list.size, MAX_BYTES);
    }

    #[test]
    fn a_part_is_there_as_soon_as_it_or_a_later_one_is() {
        let mut list = SegmentList::default();
        assert!(!list.has(0, Some(0)));
        list.add(1, part(true, false));
        assert!(list.has(0, Some(0)) && !list.has(0, Some(1)) && !list.has(0, None));
        list.add(1, part(false, true));
        assert!(list.has(0, None) && list.has(0, Some(9)) && !list.has(1, Some(0)));
        list.add(1, part(true, false));
        assert!(list.has(0, None));
    }

    #[test]
    fn the_next_broadcast_at_a_url_goes_on_counting() {
        let last = Broadcast::new();
        assert!(last.add(1, part(true, true)));
        let next = Broadcast::after(&last);
        assert_eq!(next.length(), Duration::ZERO);
        next.add(2, part(true, true));
        next.read(|list| {
            let segment = list.segments.front().unwrap();
            assert_eq!((segment.number, segment.session), (1, 2));
        });
    }
}
