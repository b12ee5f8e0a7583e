//! One look for the recordings of all relays that wait for theirs: a list of what is ready costs one call, however many
//! relays it serves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::calls::asks;
use crate::vendors::cloudflare::{Cloudflare, Video};
use crate::vendors::governor::Priority;
use crate::vendors::{Class, Done, Vendor, VendorError};

/// Cloudflare's clock and ours may differ by so much.
const SKEW: TimeDelta = TimeDelta::minutes(5);

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
        }
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
        found.await.unwrap_or_else(|_| Err(unanswered()))
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
        match self
            .cloudflare
            .ready_live_recordings(asks(Priority::Finalize), oldest - SKEW)
            .await
        {
            Ok(list) => {
                if list.may_be_cut {
                    tracing::warn!(
                        videos = list.videos.len(),
                        "the list of ready recordings may be cut"
                    );
                }
                for Waiting {
                    live_input, answer, ..
                } in waiting
                {
                    let of_it = |video: &&Video| video.live_input.as_ref() == Some(&live_input);
                    // Who asked may have gone.
                    let _ = answer.send(Ok(list.videos.iter().filter(of_it).cloned().collect()));
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

/// The look was given up before it was made.
fn unanswered() -> VendorError {
    VendorError {
        vendor: Vendor::Cloudflare,
        call: "stream.list_ready",
        class: Class::Unavailable,
        done: Done::No,
        status: None,
        code: None,
        message: "the shared look was given up".into(),
        retry_after: None,
    }
}
