//! One look for the recordings of all relays that wait for theirs: a list of what is ready costs one call, however many
//! relays it serves. A list holds a thousand: it is read on as long as that is cheaper than to ask for each relay that may be
//! behind its end.

mod list;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use parking_lot::Mutex;
use rand::seq::SliceRandom;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::list::RecordingsList;
use crate::store::{PollTurn, SharedPoll, Store};
use crate::vendors::cloudflare::{Cloudflare, Video, VideoState};
use crate::vendors::governor::{PermitRequest, Priority};
use crate::vendors::{Class, Done, Vendor, VendorError};

/// Cloudflare's clock and ours may differ by so much.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What the poll is called among processes.
const POLL: &str = "recordings";
/// The calls of one look at the most: of one process, where several share what the list brought.
const CALLS: usize = 10;
/// Of these, the most that read the list; the others ask for relays that may be behind its end.
const PAGES: usize = 5;
/// So many relays are asked for rather than the list read on.
const FEW: usize = 3;
/// A process that does not come back with what it found within this is passed over.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether another process has found something.
const POLL_AGAIN: Duration = Duration::from_millis(500);

type PollResult = Result<Vec<Video>, VendorError>;

/// Who waits for a poll.
#[derive(Debug)]
struct RecordingsRequest {
    ingest: String,
    since: DateTime<Utc>,
    answer: oneshot::Sender<PollResult>,
}

impl RecordingsRequest {
    fn is_behind(&self, list: &RecordingsList) -> bool {
        list.may_lack(&self.ingest, self.since)
    }
}

#[derive(Debug, Default)]
struct RequestQueue {
    waiting: Vec<RecordingsRequest>,
    polling: bool,
    last: Option<Instant>,
}

/// Takes requests for a poll, and answers them all with the next one.
#[derive(Debug, Clone)]
pub(super) struct RecordingsPoller {
    cloudflare: Cloudflare,
    interval: Duration,
    runtime: tokio::runtime::Handle,
    queue: Arc<Mutex<RequestQueue>>,
    /// Where several processes share one poll, and what this one calls itself there.
    others: Arc<OnceLock<(Store, i64)>>,
}

impl RecordingsPoller {
    pub(super) fn new(
        cloudflare: Cloudflare,
        interval: Duration,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            cloudflare,
            interval,
            runtime,
            queue: Arc::default(),
            others: Arc::default(),
        }
    }

    /// From now on one process looks for all that share this database.
    pub(super) fn share(&self, store: Store) {
        // Set once, when the service is put together.
        let _ = self.others.set((store, rand::random()));
    }

    /// The recordings of an ingest that are ready, as of the next poll: at most one in every interval.
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
            .unwrap_or_else(|_| Err(unanswered("the shared poll was given up".into())))
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
        let list = match self.found(oldest - SKEW, &waiting, &mut calls).await {
            Ok(list) => list,
            Err(error) => {
                for RecordingsRequest { answer, .. } in waiting {
                    // Who asked may have gone.
                    let _ = answer.send(Err(error.clone()));
                }
                return;
            }
        };
        let (mut behind, mut there): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|waiting| waiting.is_behind(&list));
        // Another look, other relays; who has none at all first.
        behind.shuffle(&mut rand::rng());
        behind.sort_by_key(|waiting| !list.of(&waiting.ingest).is_empty());
        let asked = CALLS.saturating_sub(calls).min(behind.len());
        if asked < behind.len() {
            tracing::warn!(
                relays = behind.len() - asked,
                "more recordings than one poll finds: some relays wait for another"
            );
        }
        there.extend(behind.drain(asked..));
        for RecordingsRequest { ingest, answer, .. } in there {
            let _ = answer.send(Ok(list.of(&ingest).to_vec()));
        }
        join_all(behind.into_iter().map(|waiting| self.ask(waiting))).await;
    }

    /// Asks for one relay's recordings.
    async fn ask(&self, waiting: RecordingsRequest) {
        let permit = PermitRequest::within(Priority::Finalize, PATIENCE);
        let found = self
            .cloudflare
            .videos_by_input(permit, &waiting.ingest)
            .await;
        let ready = |video: &Video| video.state == VideoState::Ready;
        let _ = waiting
            .answer
            .send(found.map(|videos| videos.into_iter().filter(ready).collect()));
    }
}

impl RecordingsPoller {
    /// Recordings that are ready and were made since then, as of this moment or, where others look as well, the last interval:
    /// as far as they are looked for in the list.
    async fn found(
        &self,
        since: DateTime<Utc>,
        waiting: &[RecordingsRequest],
        calls: &mut usize,
    ) -> Result<RecordingsList, VendorError> {
        let Some((store, own)) = self.others.get() else {
            return self.list(since, waiting, calls).await;
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
                    let mut list = read(&found)?;
                    // Who looked may have had nobody behind its end.
                    self.read_on(&mut list, since, waiting, calls).await;
                    return Ok(list);
                }
                Ok(PollTurn::Yours) => {
                    let found = self.list(since, waiting, calls).await;
                    self.share_result(store, *own, since, &found).await;
                    return found;
                }
                Ok(PollTurn::NotYet) => tokio::time::sleep(POLL_AGAIN.min(self.interval)).await,
                Err(error) => return Err(unanswered(error.to_string())),
            }
        }
        Err(unanswered("the other process's look was not made".into()))
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
            // The others pass it over.
            tracing::debug!(%error, "what a poll found was not put down for all");
        }
    }

    async fn list(
        &self,
        since: DateTime<Utc>,
        waiting: &[RecordingsRequest],
        calls: &mut usize,
    ) -> Result<RecordingsList, VendorError> {
        let mut list = RecordingsList::default();
        self.page(&mut list, since, calls).await?;
        self.read_on(&mut list, since, waiting, calls).await;
        Ok(list)
    }

    /// Reads a list on as long as that is cheaper than to ask for each relay that may be behind its end.
    async fn read_on(
        &self,
        list: &mut RecordingsList,
        since: DateTime<Utc>,
        waiting: &[RecordingsRequest],
        calls: &mut usize,
    ) {
        let many =
            |list: &RecordingsList| waiting.iter().filter(|one| one.is_behind(list)).count() > FEW;
        while *calls < PAGES && many(list) {
            match self.page(list, since, calls).await {
                Ok(true) => {}
                Ok(false) => break,
                // What was read before it is as good as it was.
                Err(error) => {
                    tracing::debug!(%error, "the list of recordings was not read on");
                    break;
                }
            }
        }
    }

    /// Reads the list's next page; whether it brought anything.
    async fn page(
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
        Ok(list.go_on(page.await?))
    }
}

fn read(found: &str) -> Result<RecordingsList, VendorError> {
    serde_json::from_str(found).map_err(|error| unanswered(error.to_string()))
}

/// The look was given up before it was made.
fn unanswered(message: String) -> VendorError {
    VendorError {
        vendor: Vendor::Cloudflare,
        call: "stream.list_ready",
        class: Class::Unavailable,
        done: Done::No,
        status: None,
        code: None,
        message,
        retry_after: None,
    }
}
