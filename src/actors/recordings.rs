//! One look for the recordings of all relays that wait for theirs: a list of what is ready costs one call, however many
//! relays it serves.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::calls::asks;
use crate::store::{Look, Looked, Store};
use crate::vendors::cloudflare::{Cloudflare, Video};
use crate::vendors::governor::Priority;
use crate::vendors::{Class, Done, Vendor, VendorError};

/// Cloudflare's clock and ours may differ by so much.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What the look is called among processes.
const LOOK: &str = "ready_recordings";
/// A process that does not come back with what it found within this is passed over.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether another process has found something.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

type Found = Result<Vec<Video>, VendorError>;

/// Who waits for a look.
#[derive(Debug)]
struct Waiting {
    live_input: String,
    since: DateTime<Utc>,
    answer: oneshot::Sender<Found>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    looking: bool,
    last: Option<Instant>,
}

/// Takes requests for a look, and answers them all with the next one.
#[derive(Debug, Clone)]
pub(super) struct RecordingsDesk {
    cloudflare: Cloudflare,
    interval: Duration,
    runtime: tokio::runtime::Handle,
    queue: Arc<Mutex<Queue>>,
    /// Where several processes share one look, and what this one calls itself there.
    others: Arc<OnceLock<(Store, i64)>>,
}

impl RecordingsDesk {
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

    /// The recordings of a live input that are ready, as of the next look: at most one in every interval.
    pub(super) async fn look(&self, live_input: &str, since: DateTime<Utc>) -> Found {
        let (answer, found) = oneshot::channel();
        let start = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.push(Waiting {
                live_input: live_input.to_owned(),
                since,
                answer,
            });
            let due = queue
                .last
                .map_or_else(Instant::now, |last| last + self.interval);
            (!std::mem::replace(&mut queue.looking, true)).then_some(due)
        };
        if let Some(due) = start {
            let desk = self.clone();
            self.runtime.spawn(async move {
                tokio::time::sleep_until(due).await;
                desk.serve().await;
            });
        }
        found
            .await
            .unwrap_or_else(|_| Err(unanswered("the shared look was given up".into())))
    }

    async fn serve(&self) {
        let waiting = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.looking = false;
            queue.last = Some(Instant::now());
            std::mem::take(&mut queue.waiting)
        };
        let Some(oldest) = waiting.iter().map(|waiting| waiting.since).min() else {
            return;
        };
        match self.found(oldest - SKEW).await {
            Ok(videos) => {
                for Waiting {
                    live_input, answer, ..
                } in waiting
                {
                    let of_it = |video: &&Video| video.live_input.as_ref() == Some(&live_input);
                    // Who asked may have gone.
                    let _ = answer.send(Ok(videos.iter().filter(of_it).cloned().collect()));
                }
            }
            Err(error) => {
                for Waiting { answer, .. } in waiting {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

impl RecordingsDesk {
    /// All recordings that are ready and were made since then, as of this moment or, where others look as well, the last
    /// interval.
    async fn found(&self, since: DateTime<Utc>) -> Found {
        let Some((store, own)) = self.others.get() else {
            return self.list(since).await;
        };
        let look = Look {
            name: LOOK,
            since,
            interval: self.interval,
            patience: PATIENCE,
            asked: self.interval,
        };
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            match store.shared_look(*own, &look).await {
                Ok(Looked::Found(found)) => return read(&found),
                Ok(Looked::Yours) => return self.list_for_all(store, *own, since).await,
                Ok(Looked::NotYet) => tokio::time::sleep(LOOK_AGAIN.min(self.interval)).await,
                Err(error) => return Err(unanswered(error.to_string())),
            }
        }
        Err(unanswered("the other process's look was not made".into()))
    }

    async fn list_for_all(&self, store: &Store, own: i64, since: DateTime<Utc>) -> Found {
        let found = self.list(since).await;
        let told = match &found {
            Ok(videos) => match serde_json::to_string(videos) {
                Ok(text) => store.put_look(own, LOOK, since, text).await,
                Err(_) => store.give_up_look(own, LOOK).await,
            },
            Err(_) => store.give_up_look(own, LOOK).await,
        };
        if let Err(error) = told {
            // The others pass it over.
            tracing::debug!(%error, "what a look found was not put down for all");
        }
        found
    }

    async fn list(&self, since: DateTime<Utc>) -> Found {
        let asks = asks(Priority::Finalize);
        let list = self.cloudflare.ready_live_recordings(asks, since).await?;
        if list.may_be_cut {
            tracing::warn!(
                videos = list.videos.len(),
                "the list of ready recordings may be cut"
            );
        }
        Ok(list.videos)
    }
}

fn read(found: &str) -> Found {
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
