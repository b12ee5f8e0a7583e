//! The list of what is ready, as far as it was read.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::SKEW;
use crate::vendors::cloudflare::{Video, VideoPage};

/// Recordings that are ready, newest first up to where the list ends.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RecordingsList {
    /// By their ingests.
    videos: HashMap<String, Vec<Video>>,
    /// Where it ends; none: it holds all that was asked for.
    pub(super) ends: Option<DateTime<Utc>>,
}

impl RecordingsList {
    /// An ingest's recordings in it.
    pub(super) fn of(&self, ingest: &str) -> &[Video] {
        self.videos.get(ingest).map_or(&[], Vec::as_slice)
    }

    /// Whether recordings of an ingest whose relay was asked for then may be behind the list's end: all of them, or, of one
    /// that has some in the list, earlier ones.
    pub(super) fn may_lack(&self, ingest: &str, asked_for: DateTime<Utc>) -> bool {
        let has_some = !self.of(ingest).is_empty();
        let slack = if has_some { TimeDelta::zero() } else { SKEW };
        self.ends.is_some_and(|ends| asked_for - slack <= ends)
    }

    /// Goes on with a page; whether it brought anything.
    pub(super) fn go_on(&mut self, page: VideoPage) -> bool {
        self.ends = page.goes_on_before;
        let mut brought = false;
        for video in page.videos {
            let Some(ingest) = &video.live_input else {
                continue;
            };
            let of_it = self.videos.entry(ingest.clone()).or_default();
            if of_it.iter().all(|known| known.uid != video.uid) {
                of_it.push(video);
                brought = true;
            }
        }
        brought
    }
}
