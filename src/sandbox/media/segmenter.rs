//! From an encoder's frames to the parts of fragmented MP4. Nothing is decoded. The only file that knows `shiguredo_mp4`.

use std::mem;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use shiguredo_mp4::TrackKind;
use shiguredo_mp4::bitstream::aac::{
    Mp4aSampleEntryConfig, build_mp4a_box, parse_audio_specific_config,
};
use shiguredo_mp4::bitstream::h264::{H264SampleEntryConfig, LengthSize, build_avc1_box};
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::codec_string;
use shiguredo_mp4::mux::{Fmp4SegmentMuxer, Sample};

use super::broadcast::{Part, Setup};

/// A part is cut at the first frame after this, in milliseconds.
const PART: u32 = 480;
/// A segment is cut at the first key frame after this, in milliseconds.
const SEGMENT: u32 = 1900;
/// The last frame's, whose end is not known.
const LAST_FRAME: u32 = 66;
/// Each millisecond has this many units of the picture's time scale.
const UNITS: u32 = 90;
const VIDEO_SCALE: NonZeroU32 = NonZeroU32::MIN.saturating_add(UNITS * 1000 - 1);
const AAC_FRAME: u32 = 1024;
/// Audio frames lie end to end, unless the encoder's clock is ahead by more than this, in milliseconds.
const MAX_GAP: u64 = 60;

/// Times are the encoder's, in milliseconds.
#[derive(Debug)]
pub(super) enum Frame {
    VideoSetup {
        sps: Vec<Vec<u8>>,
        pps: Vec<Vec<u8>>,
        /// Bytes of a unit's length, minus 1.
        length_size: u8,
    },
    Video {
        at: u32,
        /// From decoding to presentation.
        offset: i32,
        is_key: bool,
        data: Vec<u8>,
    },
    /// An `AudioSpecificConfig`.
    AudioSetup(Vec<u8>),
    Audio {
        at: u32,
        data: Vec<u8>,
    },
}

/// What the encoder sends cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct MediaError(String);

impl MediaError {
    pub(super) fn new(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

struct Picture {
    at: u32,
    offset: i32,
    is_key: bool,
    data: Vec<u8>,
}

/// Of one encoder.
pub(super) struct Segmenter {
    muxer: Fmp4SegmentMuxer,
    video: Track,
    audio: Track,
    audio_scale: NonZeroU32,
    /// The newest picture, which lasts until the next one.
    held: Option<Picture>,
    /// With their lengths in milliseconds.
    pictures: Vec<(Picture, u32)>,
    /// With their lengths in the audio's time scale.
    sounds: Vec<(Vec<u8>, u32)>,
    /// The encoder's time of the first picture.
    zero: Option<u32>,
    /// Where the audio ends, in its time scale.
    audio_end: u64,
    part_began: u32,
    segment_began: u32,
    begins_segment: bool,
    setup: Option<Arc<Setup>>,
}

#[derive(Default)]
struct Track {
    entry: Option<SampleEntry>,
    /// The muxer was not told of the entry.
    is_new: bool,
}

impl Track {
    fn set(&mut self, entry: SampleEntry) {
        if self.entry.as_ref() != Some(&entry) {
            self.entry = Some(entry);
            self.is_new = true;
        }
    }

    fn take_new(&mut self) -> Option<SampleEntry> {
        let is_new = mem::take(&mut self.is_new);
        self.entry.clone().filter(|_| is_new)
    }
}

impl Segmenter {
    pub(super) fn new() -> Result<Self, MediaError> {
        Ok(Self {
            muxer: Fmp4SegmentMuxer::new().map_err(MediaError::new)?,
            video: Track::default(),
            audio: Track::default(),
            audio_scale: VIDEO_SCALE,
            held: None,
            pictures: Vec::new(),
            sounds: Vec::new(),
            zero: None,
            audio_end: 0,
            part_began: 0,
            segment_began: 0,
            begins_segment: true,
            setup: None,
        })
    }

    /// The part that this frame completes.
    pub(super) fn take(&mut self, frame: Frame) -> Result<Option<Part>, MediaError> {
        match frame {
            Frame::VideoSetup {
                sps,
                pps,
                length_size,
            } => {
                let length_size = match length_size {
                    0 => LengthSize::OneByte,
                    1 => LengthSize::TwoBytes,
                    _ => LengthSize::FourBytes,
                };
                let config = H264SampleEntryConfig { length_size };
                let entry = build_avc1_box(&sps, &pps, &config).map_err(MediaError::new)?;
                self.video.set(SampleEntry::Avc1(entry));
                Ok(None)
            }
            Frame::AudioSetup(config) => {
                self.set_up_audio(&config)?;
                Ok(None)
            }
            Frame::Video {
                at,
                offset,
                is_key,
                data,
            } => self.see(at, offset, is_key, data),
            Frame::Audio { at, data } => {
                self.hear(at, data);
                Ok(None)
            }
        }
    }

    /// What is left when the encoder has gone.
    pub(super) fn finish(&mut self) -> Result<Option<Part>, MediaError> {
        let Some(last) = self.held.take() else {
            return Ok(None);
        };
        let end = last.at.saturating_add(LAST_FRAME);
        self.pictures.push((last, LAST_FRAME));
        self.part(end, true).map(Some)
    }

    fn set_up_audio(&mut self, config: &[u8]) -> Result<(), MediaError> {
        // ffmpeg appends an empty extension, which the parser refuses. A rate without an index needs more than two bytes.
        let plain = match config {
            [first, second, ..] if (first & 7) << 1 | second >> 7 != 15 => {
                [*first, *second].to_vec()
            }
            whole => whole.to_vec(),
        };
        let config = parse_audio_specific_config(&plain).map_err(MediaError::new)?;
        let rate = NonZeroU32::new(config.sampling_frequency.hz());
        self.audio_scale = rate.ok_or_else(|| MediaError::new("the audio has no sample rate"))?;
        let entry = Mp4aSampleEntryConfig {
            es_id: 1,
            buffer_size_db: 0,
            max_bitrate: 0,
            avg_bitrate: 0,
        };
        let entry = build_mp4a_box(&config, &entry).map_err(MediaError::new)?;
        self.audio.set(SampleEntry::Mp4a(entry));
        Ok(())
    }

    fn see(
        &mut self,
        at: u32,
        offset: i32,
        is_key: bool,
        data: Vec<u8>,
    ) -> Result<Option<Part>, MediaError> {
        if self.video.entry.is_none() || (self.zero.is_none() && !is_key) {
            return Ok(None);
        }
        let zero = *self.zero.get_or_insert(at);
        let before = self.held.as_ref().map_or(0, |held| held.at);
        let at = at.saturating_sub(zero).max(before);
        let next = Picture {
            at,
            offset,
            is_key,
            data,
        };
        if let Some(held) = self.held.replace(next) {
            let lasts = at - held.at;
            self.pictures.push((held, lasts));
        }
        let ends_segment = is_key && at - self.segment_began >= SEGMENT;
        if ends_segment || at - self.part_began >= PART {
            return self.part(at, ends_segment).map(Some);
        }
        Ok(None)
    }

    fn hear(&mut self, at: u32, data: Vec<u8>) {
        let Some(zero) = self.zero.filter(|_| self.audio.entry.is_some()) else {
            return;
        };
        // What sounds before the first picture is lost.
        let Some(at) = at.checked_sub(zero) else {
            return;
        };
        let rate = u64::from(self.audio_scale.get());
        let behind = (u64::from(at) * rate / 1000).saturating_sub(self.audio_end);
        if behind > rate * MAX_GAP / 1000
            && let Some((_, length)) = self.sounds.last_mut()
            && let Ok(gap) = u32::try_from(behind)
        {
            *length = length.saturating_add(gap);
            self.audio_end += behind;
        }
        self.sounds.push((data, AAC_FRAME));
        self.audio_end += u64::from(AAC_FRAME);
    }

    /// What came so far is a part.
    fn part(&mut self, end: u32, ends_segment: bool) -> Result<Part, MediaError> {
        let first = self.pictures.first();
        let is_independent = first.is_some_and(|(picture, _)| picture.is_key);
        let (mut samples, mut payload) = (Vec::new(), Vec::new());
        for (picture, lasts) in self.pictures.drain(..) {
            let offset = i64::from(picture.offset) * i64::from(UNITS);
            samples.push(Sample {
                track_kind: TrackKind::Video,
                timescale: VIDEO_SCALE,
                sample_entry: self.video.take_new(),
                duration: lasts.saturating_mul(UNITS),
                keyframe: picture.is_key,
                composition_time_offset: Some(offset).filter(|offset| *offset != 0),
                data_offset: place(&payload),
                data_size: picture.data.len(),
            });
            payload.extend_from_slice(&picture.data);
        }
        for (data, length) in self.sounds.drain(..) {
            samples.push(Sample {
                track_kind: TrackKind::Audio,
                timescale: self.audio_scale,
                sample_entry: self.audio.take_new(),
                duration: length,
                keyframe: true,
                composition_time_offset: None,
                data_offset: place(&payload),
                data_size: data.len(),
            });
            payload.extend_from_slice(&data);
        }
        let mut bytes = self
            .muxer
            .create_media_segment_metadata(&samples)
            .map_err(MediaError::new)?;
        bytes.extend_from_slice(&payload);
        let length = Duration::from_millis(u64::from(end - self.part_began));
        self.part_began = end;
        if ends_segment {
            self.segment_began = end;
        }
        Ok(Part {
            bytes: bytes.into(),
            length,
            is_independent,
            begins_segment: mem::replace(&mut self.begins_segment, ends_segment),
            ends_segment,
            setup: self.setup()?,
        })
    }

    /// A later part may bring another track.
    fn setup(&mut self) -> Result<Arc<Setup>, MediaError> {
        let init = self.muxer.init_segment_bytes().map_err(MediaError::new)?;
        let init = Bytes::from(init);
        if let Some(setup) = self.setup.as_ref().filter(|setup| setup.init == init) {
            return Ok(Arc::clone(setup));
        }
        let entries = [&self.video.entry, &self.audio.entry];
        let codecs = entries.into_iter().flatten();
        let codecs: Vec<String> = codecs.flat_map(codec_string::from_sample_entry).collect();
        let (width, height) = match &self.video.entry {
            Some(SampleEntry::Avc1(entry)) => (entry.visual.width, entry.visual.height),
            _ => (0, 0),
        };
        let setup = Arc::new(Setup {
            init,
            codecs: codecs.join(","),
            width,
            height,
        });
        self.setup = Some(Arc::clone(&setup));
        Ok(setup)
    }
}

fn place(payload: &[u8]) -> u64 {
    u64::try_from(payload.len()).unwrap_or(u64::MAX)
}
