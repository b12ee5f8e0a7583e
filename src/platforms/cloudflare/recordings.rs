//! Polls recordings for all finalizing relays at once: one list call serves any number of them. A page holds 1,000; another is
//! read while that is cheaper than one call for each relay that may be beyond the list's end.

mod list;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use parking_lot::Mutex;
use rand::seq::SliceRandom;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::list::RecordingsList;
use super::{Cloudflare, VENDOR, Video, VideoState};
use crate::store::{PollTurn, SharedPoll, Store};
use crate::vendors::governor::{PermitRequest, Priority};
use crate::vendors::{Class, Done, VendorError};

/// The largest expected difference between Cloudflare's clock and ours.
pub(super) const SKEW: TimeDelta = TimeDelta::minutes(5);

const POLL: &str = "recordings";
/// Of one poll, for each node.
const MOST_CALLS: usize = 10;
/// The most of these calls that read the list; the rest ask for single relays.
const MOST_PAGES: usize = 5;
/// Up to this many relays beyond the end are asked for singly.
const FEW: usize = 3;
/// How long a node waits for the node that polls.
const PATIENCE: Duration = Duration::from_secs(60);
const CHECK_EVERY: Duration = Duration::from_millis(500);

type PollResult = Result<Vec<Video>, VendorError>;

#[derive(Debug)]
struct RecordingsRequest {
    ingest: String,
    since: DateTime<Utc>,
    answer: oneshot::Sender<PollResult>,
}

impl RecordingsRequest {
    fn is_beyond(&self, list: &RecordingsList) -> bool {
        list.may_lack(&self.ingest, self.since)
    }
}

#[derive(Debug, Default)]
struct RequestQueue {
    waiting: Vec<RecordingsRequest>,
    polling: bool,
    last: Option<Instant>,
}

#[derive(Debug, Clone)]
pub(super) struct RecordingsPoller {
    cloudflare: Cloudflare,
    interval: Duration,
    runtime: tokio::runtime::Handle,
    queue: Arc<Mutex<RequestQueue>>,
    /// The fleet's store, and this node's id in it.
    shared: Option<(Store, i64)>,
}

impl RecordingsPoller {
    pub(super) fn new(
        cloudflare: Cloudflare,
        interval: Duration,
        runtime: tokio::runtime::Handle,
        fleet: Option<Store>,
    ) -> Self {
        Self {
            cloudflare,
            interval,
            runtime,
            queue: Arc::default(),
            shared: fleet.map(|store| (store, rand::random())),
        }
    }

    /// Ready recordings from the next poll. `since`: when the relay was requested.
    pub(super) async fn poll(&self, ingest: &str, since: DateTime<Utc>) -> PollResult {
        let (answer, found) = oneshot::channel();
        let start = {
            let mut queue = self.queue.lock();
            queue.waiting.push(RecordingsRequest {
                ingest: ingest.to_owned(),
                since,
                answer,
            });
            let due = queue
                .last
                .map_or_else(Instant::now, |last| last + self.interval);
            (!std::mem::replace(&mut queue.polling, true)).then_some(due)
        };
        if let Some(due) = start {
            let poller = self.clone();
            self.runtime.spawn(async move {
                tokio::time::sleep_until(due).await;
                poller.serve().await;
            });
        }
        found
            .await
            .unwrap_or_else(|_| Err(unanswered("the poll task ended".into())))
    }

    async fn serve(&self) {
        let waiting = {
            let mut queue = self.queue.lock();
            queue.polling = false;
            queue.last = Some(Instant::now());
            std::mem::take(&mut queue.waiting)
        };
        let Some(oldest) = waiting.iter().map(|waiting| waiting.since).min() else {
            return;
        };
        let mut calls = 0;
        let list = match self.ready_list(oldest - SKEW, &waiting, &mut calls).await {
            Ok(list) => list,
            Err(error) => {
                for RecordingsRequest { answer, .. } in waiting {
                    let _ = answer.send(Err(error.clone()));
                }
                return;
            }
        };
        let (mut beyond, mut complete): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|waiting| waiting.is_beyond(&list));
        // Relays without any recording first, else random: the next poll asks for others.
        beyond.shuffle(&mut rand::rng());
        beyond.sort_by_key(|waiting| !list.of(&waiting.ingest).is_empty());
        let asked = MOST_CALLS.saturating_sub(calls).min(beyond.len());
        if asked < beyond.len() {
            tracing::warn!(
                relays = beyond.len() - asked,
                "too many recordings for one poll; some relays wait for the next"
            );
        }
        complete.extend(beyond.drain(asked..));
        for RecordingsRequest { ingest, answer, .. } in complete {
            let _ = answer.send(Ok(list.of(&ingest).to_vec()));
        }
        join_all(beyond.into_iter().map(|waiting| self.ask(waiting))).await;
    }

    async fn ask(&self, waiting: RecordingsRequest) {
        let permit = PermitRequest::within(Priority::Finalize, PATIENCE);
        let found = self
            .cloudflare
            .videos_by_input(permit, &waiting.ingest, Some(waiting.since))
            .await;
        let ready = |video: &Video| video.state == VideoState::Ready;
        let _ = waiting
            .answer
            .send(found.map(|videos| videos.into_iter().filter(ready).collect()));
    }
}

impl RecordingsPoller {
    /// A fleet's result may be one interval old.
    async fn ready_list(
        &self,
        since: DateTime<Utc>,
        waiting: &[RecordingsRequest],
        calls: &mut usize,
    ) -> Result<RecordingsList, VendorError> {
        let Some((store, own)) = &self.shared else {
            return self.read_list(since, waiting, calls).await;
        };
        let poll = SharedPoll {
            name: POLL,
            since,
            interval: self.interval,
            patience: PATIENCE,
            asked: self.interval,
        };
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            match store.shared_poll(*own, &poll).await {
                Ok(PollTurn::Found(found)) => {
                    let mut list = parse(&found)?;
                    // The other node had other relays beyond the end.
                    self.read_further_pages(&mut list, since, waiting, calls)
                        .await;
                    return Ok(list);
                }
                Ok(PollTurn::Yours) => {
                    let found = self.read_list(since, waiting, calls).await;
                    self.share_result(store, *own, since, &found).await;
                    return found;
                }
                Ok(PollTurn::NotYet) => tokio::time::sleep(CHECK_EVERY.min(self.interval)).await,
                Err(error) => return Err(unanswered(error.to_string())),
            }
        }
        Err(unanswered("another node's poll has no result".into()))
    }

    async fn share_result(
        &self,
        store: &Store,
        own: i64,
        since: DateTime<Utc>,
        found: &Result<RecordingsList, VendorError>,
    ) {
        let shared = match found.as_ref().map(serde_json::to_string) {
            Ok(Ok(text)) => store.finish_shared_poll(own, POLL, since, text).await,
            Ok(Err(_)) | Err(_) => store.abandon_shared_poll(own, POLL).await,
        };
        if let Err(error) = shared {
            // Other nodes poll for themselves after `PATIENCE`.
            tracing::debug!(%error, "failed to share a poll's result");
        }
    }

    async fn read_list(
        &self,
        since: DateTime<Utc>,
        waiting: &[RecordingsRequest],
        calls: &mut usize,
    ) -> Result<RecordingsList, VendorError> {
        let mut list = RecordingsList::default();
        self.read_page(&mut list, since, calls).await?;
        self.read_further_pages(&mut list, since, waiting, calls)
            .await;
        Ok(list)
    }

    async fn read_further_pages(
        &self,
        list: &mut RecordingsList,
        since: DateTime<Utc>,
        waiting: &[RecordingsRequest],
        calls: &mut usize,
    ) {
        let many =
            |list: &RecordingsList| waiting.iter().filter(|one| one.is_beyond(list)).count() > FEW;
        while *calls < MOST_PAGES && many(list) {
            match self.read_page(list, since, calls).await {
                Ok(true) => {}
                Ok(false) => break,
                // The earlier pages remain valid.
                Err(error) => {
                    tracing::debug!(%error, "failed to read another page of recordings");
                    break;
                }
            }
        }
    }

    async fn read_page(
        &self,
        list: &mut RecordingsList,
        since: DateTime<Utc>,
        calls: &mut usize,
    ) -> Result<bool, VendorError> {
        *calls += 1;
        let permit = PermitRequest::within(Priority::Finalize, PATIENCE);
        let page = self
            .cloudflare
            .ready_live_recordings(permit, since, list.ends);
        Ok(list.add(page.await?))
    }
}

fn parse(found: &str) -> Result<RecordingsList, VendorError> {
    serde_json::from_str(found).map_err(|error| unanswered(error.to_string()))
}

/// No call was sent.
fn unanswered(message: String) -> VendorError {
    VendorError {
        vendor: VENDOR,
        call: "stream.list_ready",
        class: Class::Unavailable,
        done: Done::No,
        status: None,
        code: None,
        message,
        retry_after: None,
    }
}
