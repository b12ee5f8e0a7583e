//! Calls on videos (`cloudflare-stream.md §4`).

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use serde_json::Value;

use super::Cloudflare;
use super::api::ApiCall;
use super::video::{Video, VideoState, WireVideo};
use super::wire::{Items, readable};
use crate::vendors::governor::PermitRequest;
use crate::vendors::http::failure;
use crate::vendors::{Class, Done, Vendor, VendorError};

/// The most videos a list holds.
const LIST_LIMIT: usize = 1000;

/// A page of the list of videos of many live inputs.
#[derive(Debug, Clone)]
pub struct VideoPage {
    /// Those in the answer.
    pub videos: Vec<Video>,
    /// When the oldest of the answer was created, if there may be older ones that it does not hold; where none says when, the end
    /// of what was asked for.
    pub goes_on_before: Option<DateTime<Utc>>,
}

impl Cloudflare {
    /// The videos of a live input, in no order to rely on; after its deletion they are said to be listed no more.
    ///
    /// # Errors
    /// [`Class::NotFound`] when the live input is gone.
    pub async fn videos_of(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<Vec<Video>, VendorError> {
        let mut path = self.of(uid);
        path.push("videos");
        let call = ApiCall::new("live_inputs.videos", Method::GET, path);
        let (videos, _) = self.list(permit, call, "live_inputs.videos").await?;
        Ok(of_input(videos, uid))
    }

    /// The videos of a live input that may be deleted already.
    ///
    /// # Errors
    /// As every read.
    pub async fn videos_by_input(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<Vec<Video>, VendorError> {
        let call = ApiCall::new("stream.list_by_input", Method::GET, self.stream())
            .query("live_input_id", uid);
        let (videos, _) = self.list(permit, call, "stream.list_by_input").await?;
        Ok(of_input(videos, uid))
    }

    /// All broadcasts' recordings that are ready and were created after a time, newest first (`cloudflare-stream.md §4.2`): one poll for all
    /// relays. A list that is full goes on before its oldest video.
    ///
    /// # Errors
    /// As every read.
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
            // As finely as Cloudflare itself tells it.
            let before = before.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            call = call.query("before", before);
        }
        let (mut videos, is_full) = self.list(permit, call, "stream.list_ready").await?;
        let oldest = videos.iter().filter_map(|video| video.created).min();
        // A filter may be ignored.
        videos.retain(|video| video.live_input.is_some() && video.state == VideoState::Ready);
        Ok(VideoPage {
            videos,
            goes_on_before: is_full.then(|| oldest.or(before).unwrap_or_else(Utc::now)),
        })
    }

    /// Asks for the newest video of the account, whose URLs name the customer host.
    ///
    /// # Errors
    /// As every read.
    pub async fn learn_customer_host(&self, permit: PermitRequest) -> Result<(), VendorError> {
        let call =
            ApiCall::new("stream.list_newest", Method::GET, self.stream()).query("limit", "1");
        self.list(permit, call, "stream.list_newest").await?;
        Ok(())
    }

    /// One video.
    ///
    /// # Errors
    /// [`Class::NotFound`] when it is gone.
    pub async fn video(&self, permit: PermitRequest, uid: &str) -> Result<Video, VendorError> {
        let call = ApiCall::new("stream.get", Method::GET, self.of_video(uid));
        let wire: WireVideo = self.api.result(permit, call).await?;
        Ok(self.learnt_video(wire))
    }

    /// Deletes a video (`cloudflare-stream.md §4.6`). One that is gone is deleted.
    ///
    /// # Errors
    /// [`Class::Conflict`] while its broadcast is going on: later it can be.
    pub async fn delete_video(&self, permit: PermitRequest, uid: &str) -> Result<(), VendorError> {
        let call = ApiCall::new("stream.delete", Method::DELETE, self.of_video(uid));
        self.delete(permit, call).await
    }

    /// The videos of a list, and whether there may be more.
    async fn list(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
        name: &'static str,
    ) -> Result<(Vec<Video>, bool), VendorError> {
        let result: Value = self.api.result(permit, call).await?;
        let Some(Items { items, total }) = Items::of(result, "videos") else {
            return Err(failure(
                Vendor::Cloudflare,
                name,
                Class::Unexpected,
                Done::No,
                "neither a list nor an object with videos".to_owned(),
            ));
        };
        let count = items.len();
        let videos: Vec<Video> = readable(items)
            .into_iter()
            .map(|wire| self.learnt_video(wire))
            .collect();
        let more =
            total.is_some_and(|total| usize::try_from(total).is_ok_and(|total| total > count));
        let may_be_cut = more || count >= LIST_LIMIT || videos.len() < count;
        Ok((videos, may_be_cut))
    }

    /// Reads a video and keeps the customer host it names.
    fn learnt_video(&self, wire: WireVideo) -> Video {
        if let Some(base) = wire.customer_base_url() {
            self.customer.remember(&base);
        }
        wire.read(self.customer.base_url().as_deref())
    }

    fn stream(&self) -> Vec<&str> {
        vec!["accounts", self.api.account(), "stream"]
    }

    fn of_video<'a>(&'a self, uid: &'a str) -> Vec<&'a str> {
        let mut path = self.stream();
        path.push(uid);
        path
    }
}

/// An ignored filter returns other people's videos (`cloudflare-stream.md §4.1`): each is checked.
fn of_input(mut videos: Vec<Video>, uid: &str) -> Vec<Video> {
    videos.retain(|video| video.live_input.as_deref() == Some(uid));
    videos
}
