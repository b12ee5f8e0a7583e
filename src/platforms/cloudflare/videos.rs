//! Calls on videos (`cloudflare-stream.md §4`).

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use serde_json::Value;

use super::recordings::SKEW;
use super::video::{Video, VideoState, WireVideo};
use super::wire::{Items, readable};
use super::{Cloudflare, VENDOR};
use crate::platforms::api::ApiCall;
use crate::vendors::governor::PermitRequest;
use crate::vendors::http::failure;
use crate::vendors::{Class, Done, VendorError};

const LIST_LIMIT: usize = 1000;

/// A page of the list of all live inputs' videos.
#[derive(Debug, Clone)]
pub struct VideoPage {
    /// The videos in the answer.
    pub videos: Vec<Video>,
    /// If older videos may be missing: the time before which they are listed.
    pub goes_on_before: Option<DateTime<Utc>>,
}

impl Cloudflare {
    /// The videos of a live input, in no reliable order. After its deletion: [`Class::NotFound`], or none
    /// (`cloudflare-stream.md §4.1`).
    pub async fn videos_of(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<Vec<Video>, VendorError> {
        let mut path = self.live_input_path(uid);
        path.push("videos");
        let call = ApiCall::new("live_inputs.videos", Method::GET, path);
        let (videos, _) = self.list(permit, call, "live_inputs.videos").await?;
        Ok(of_input(videos, uid))
    }

    /// The videos of a live input, which may be deleted already. `since`: only those of later broadcasts, and a few more.
    pub async fn videos_by_input(
        &self,
        permit: PermitRequest,
        uid: &str,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<Video>, VendorError> {
        let mut call = ApiCall::new("stream.list_by_input", Method::GET, self.stream())
            .query("live_input_id", uid);
        if let Some(since) = since {
            let after = (since - SKEW).to_rfc3339_opts(SecondsFormat::Secs, true);
            call = call.query("after", after);
        }
        let (videos, _) = self.list(permit, call, "stream.list_by_input").await?;
        Ok(of_input(videos, uid))
    }

    /// Lists the ready recordings created after a time, newest first (`cloudflare-stream.md §4.2`): one poll for all
    /// relays.
    pub async fn ready_live_recordings(
        &self,
        permit: PermitRequest,
        after: DateTime<Utc>,
        before: Option<DateTime<Utc>>,
    ) -> Result<VideoPage, VendorError> {
        let after = after.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut call = ApiCall::new("stream.list_ready", Method::GET, self.stream())
            .query("type", "live")
            .query("status", "ready")
            .query("after", after)
            .query("limit", LIST_LIMIT.to_string());
        if let Some(before) = before {
            // As precisely as Cloudflare reports it.
            let before = before.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            call = call.query("before", before);
        }
        let (mut videos, is_full) = self.list(permit, call, "stream.list_ready").await?;
        let oldest = videos.iter().filter_map(|video| video.created).min();
        // Cloudflare may ignore a filter.
        videos.retain(|video| video.live_input.is_some() && video.state == VideoState::Ready);
        Ok(VideoPage {
            videos,
            goes_on_before: is_full.then(|| oldest.or(before).unwrap_or_else(Utc::now)),
        })
    }

    /// Reads the account's newest video, whose URLs name the customer host.
    pub async fn learn_customer_host(&self, permit: PermitRequest) -> Result<(), VendorError> {
        let call =
            ApiCall::new("stream.list_newest", Method::GET, self.stream()).query("limit", "1");
        self.list(permit, call, "stream.list_newest").await?;
        Ok(())
    }

    /// Reads a video.
    pub async fn video(&self, permit: PermitRequest, uid: &str) -> Result<Video, VendorError> {
        let call = ApiCall::new("stream.get", Method::GET, self.video_path(uid));
        let wire: WireVideo = self.api.result(permit, call).await?;
        Ok(self.read_video(wire))
    }

    /// Deletes a video (`cloudflare-stream.md §4.6`). Succeeds if it is already gone.
    ///
    /// # Errors
    /// [`Class::Conflict`] while its broadcast is running: try later.
    pub async fn delete_video(&self, permit: PermitRequest, uid: &str) -> Result<(), VendorError> {
        let call = ApiCall::new("stream.delete", Method::DELETE, self.video_path(uid));
        self.delete(permit, call).await
    }

    async fn list(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
        name: &'static str,
    ) -> Result<(Vec<Video>, bool), VendorError> {
        let result: Value = self.api.result(permit, call).await?;
        let Some(Items { items, total }) = Items::of(result, "videos") else {
            return Err(failure(
                VENDOR,
                name,
                Class::Unexpected,
                Done::No,
                "neither a list nor an object with videos".to_owned(),
            ));
        };
        let count = items.len();
        let videos: Vec<Video> = readable(items)
            .into_iter()
            .map(|wire| self.read_video(wire))
            .collect();
        let more =
            total.is_some_and(|total| usize::try_from(total).is_ok_and(|total| total > count));
        let may_be_cut = more || count >= LIST_LIMIT || videos.len() < count;
        Ok((videos, may_be_cut))
    }

    fn read_video(&self, wire: WireVideo) -> Video {
        if let Some(base) = wire.customer_base_url() {
            self.customer.remember(&base);
        }
        wire.read(self.customer.base_url().as_deref())
    }

    fn stream(&self) -> Vec<&str> {
        vec!["accounts", self.api.account(), "stream"]
    }

    fn video_path<'a>(&'a self, uid: &'a str) -> Vec<&'a str> {
        let mut path = self.stream();
        path.push(uid);
        path
    }
}

/// Checks each video: an ignored filter returns videos of others (`cloudflare-stream.md §4.1`).
fn of_input(mut videos: Vec<Video>, uid: &str) -> Vec<Video> {
    videos.retain(|video| video.live_input.as_deref() == Some(uid));
    videos
}
