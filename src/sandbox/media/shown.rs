//! What a host's manifest shows: the same files for each platform, at its own URLs.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;

use super::super::http::{SimRequest, SimResponse};
use super::broadcast::Broadcast;
use super::hls::{self, MediaFile, Playlist};
use super::test_video;

/// Whether playlists name such a file, beside themselves.
pub(in crate::sandbox) fn is_media_file(name: &str) -> bool {
    MediaFile::parse(name).is_some()
}

/// Whether a live playlist has parts: low-latency HLS.
#[derive(Clone, Copy)]
pub(in crate::sandbox) enum LiveParts {
    Never,
    /// With `?protocol=llhls`.
    OnRequest,
    Always,
}

pub(in crate::sandbox) enum Shown {
    /// Of the test video this much, and whether that is all.
    Test { length: Duration, is_over: bool },
    Live {
        broadcast: Arc<Broadcast>,
        parts: LiveParts,
    },
    Recorded {
        broadcast: Arc<Broadcast>,
        is_over: bool,
    },
}

impl Shown {
    /// A broadcast, or without media the test video.
    pub(in crate::sandbox) fn live(
        broadcast: Option<&Arc<Broadcast>>,
        length: Duration,
        parts: LiveParts,
    ) -> Self {
        match broadcast {
            Some(broadcast) => Self::Live {
                broadcast: Arc::clone(broadcast),
                parts,
            },
            None => Self::Test {
                length,
                is_over: false,
            },
        }
    }

    pub(in crate::sandbox) fn recorded(
        broadcast: Option<&Arc<Broadcast>>,
        length: Duration,
        is_over: bool,
    ) -> Self {
        match broadcast {
            Some(broadcast) => Self::Recorded {
                broadcast: Arc::clone(broadcast),
                is_over,
            },
            None => Self::Test { length, is_over },
        }
    }

    /// The multivariant playlist, whose only rendition is at `media`.
    pub(in crate::sandbox) fn master(&self, ask: &SimRequest, media: &str) -> String {
        match self.is_asked_for_parts(ask) {
            true => self.master_of(&format!("{media}?protocol=llhls")),
            false => self.master_of(media),
        }
    }

    fn is_asked_for_parts(&self, ask: &SimRequest) -> bool {
        let parts = match self {
            Self::Live { parts, .. } => *parts,
            Self::Test { .. } | Self::Recorded { .. } => LiveParts::Never,
        };
        matches!(parts, LiveParts::OnRequest) && ask.query("protocol") == Some("llhls")
    }

    pub(in crate::sandbox) fn master_of(&self, media: &str) -> String {
        let (Self::Live { broadcast, .. } | Self::Recorded { broadcast, .. }) = self else {
            return test_video::master(media);
        };
        let text = broadcast.read(|list| hls::master(list, media));
        text.unwrap_or_default()
    }

    /// The rendition's playlist and all that it names, with names and types. The test video has its playlist alone.
    pub(in crate::sandbox) fn files(
        &self,
        playlist: &'static str,
        kind: &'static str,
    ) -> Vec<(String, &'static str, Bytes)> {
        let (broadcast, is_over) = match self {
            Self::Test { length, is_over } => {
                let text = test_video::playlist(*length, *is_over);
                return vec![(playlist.to_owned(), kind, text.into())];
            }
            Self::Live { broadcast, .. } => (broadcast, false),
            Self::Recorded { broadcast, is_over } => (broadcast, *is_over),
        };
        broadcast.read(|list| {
            let text = hls::playlist(list, Playlist::Recording { is_over });
            let text = (playlist.to_owned(), kind, text.unwrap_or_default().into());
            let inits = list.setups.iter().map(|(session, setup)| {
                let name = MediaFile::InitOf(*session).name();
                (name, "video/mp4", setup.init.clone())
            });
            let segments = list.whole().map(|segment| {
                let name = MediaFile::Segment(segment.number).name();
                (name, "video/mp4", segment.bytes())
            });
            [text].into_iter().chain(inits).chain(segments).collect()
        })
    }

    /// The rendition's playlist. A request for a part that does not exist yet waits for it (`_HLS_msn`, `_HLS_part`).
    pub(in crate::sandbox) fn playlist(&self, ask: &SimRequest, kind: &'static str) -> SimResponse {
        let (broadcast, playlist) = match self {
            Self::Test { length, is_over } => {
                return SimResponse::text(200, kind, test_video::playlist(*length, *is_over));
            }
            Self::Live { broadcast, parts } => {
                let has_parts = matches!(parts, LiveParts::Always) || self.is_asked_for_parts(ask);
                let playlist = match has_parts {
                    true => Playlist::LowLatency,
                    false => Playlist::Live,
                };
                (broadcast, playlist)
            }
            Self::Recorded { broadcast, is_over } => {
                (broadcast, Playlist::Recording { is_over: *is_over })
            }
        };
        let number = |name: &str| ask.query(name).and_then(|text| text.parse::<u64>().ok());
        let part = number("_HLS_part").and_then(|part| usize::try_from(part).ok());
        let waits = playlist == Playlist::LowLatency
            && number("_HLS_msn")
                .is_some_and(|segment| !broadcast.read(|list| list.has(segment, part)));
        match broadcast.read(|list| hls::playlist(list, playlist)) {
            Some(text) => SimResponse::text(200, kind, text).until_changed(waits, broadcast),
            None => not_found(),
        }
    }

    /// A segment, a part, or what comes before them.
    pub(in crate::sandbox) fn file(&self, name: &str) -> SimResponse {
        let Some(file) = MediaFile::parse(name) else {
            return not_found();
        };
        let broadcast = match (self, file) {
            (Self::Test { .. }, MediaFile::Segment(number)) => {
                return SimResponse::file("video/mp4", test_video::segment(number));
            }
            (Self::Test { .. }, _) => return SimResponse::file("video/mp4", test_video::init()),
            (Self::Live { broadcast, .. } | Self::Recorded { broadcast, .. }, _) => broadcast,
        };
        let bytes = match file {
            MediaFile::Init => None,
            MediaFile::InitOf(session) => broadcast.init(session),
            MediaFile::Segment(number) => broadcast.segment(number),
            MediaFile::Part(number, part) => broadcast.part(number, part),
        };
        // Players ask for the part that comes next.
        let waits = matches!(file, MediaFile::Part(number, part)
            if bytes.is_none() && !broadcast.read(|list| list.has(number, Some(part))));
        match bytes {
            Some(bytes) => SimResponse::file("video/mp4", bytes),
            None => not_found().until_changed(waits, broadcast),
        }
    }
}

fn not_found() -> SimResponse {
    SimResponse::text(404, "text/plain", "Not Found")
}

impl SimResponse {
    fn until_changed(mut self, waits: bool, broadcast: &Broadcast) -> Self {
        self.not_yet = waits.then(|| broadcast.changes());
        self
    }
}
