//! The list of ready recordings, as far as it was read.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::SKEW;
use crate::platforms::cloudflare::{Video, VideoPage};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RecordingsList {
    /// By ingest.
    videos: HashMap<String, Vec<Video>>,
    /// Recordings made before this are missing. `None`: the list is complete.
    pub(super) ends: Option<DateTime<Utc>>,
}

impl RecordingsList {
    pub(super) fn of(&self, ingest: &str) -> &[Video] {
        self.videos.get(ingest).map_or(&[], Vec::as_slice)
    }

    /// Whether the ingest may have more recordings beyond the end. `asked_for`: when its relay was requested.
    pub(super) fn may_lack(&self, ingest: &str, asked_for: DateTime<Utc>) -> bool {
        let has_some = !self.of(ingest).is_empty();
        let slack = if has_some { TimeDelta::zero() } else { SKEW };
        self.ends.is_some_and(|ends| asked_for - slack <= ends)
    }

    /// Returns whether the page had anything new.
    pub(super) fn add(&mut self, page: VideoPage) -> bool {
        self.ends = page.goes_on_before;
        let mut is_new = false;
        for video in page.videos {
            let Some(ingest) = &video.live_input else {
                continue;
            };
            let of_it = self.videos.entry(ingest.clone()).or_default();
            if of_it.iter().all(|known| known.uid != video.uid) {
                of_it.push(video);
                is_new = true;
            }
        }
        is_new
    }
}
