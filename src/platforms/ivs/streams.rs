//! One list of the live streams serves all relays (`ivs.md §3.1`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::VENDOR;
use super::api::{IvsApi, IvsOperation, with};
use super::channels::{MOST_PAGES, PAGE};
use super::wire::Stream;
use crate::platforms::wire::readable;
use crate::vendors::governor::PermitRequest;
use crate::vendors::http::{failure, without_permit};
use crate::vendors::{Class, Done, VendorError};

/// Of the budget of the list.
const PART_OF_BUDGET: f64 = 0.8;
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The broadcast of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IvsBroadcast {
    /// Each connection of an encoder begins another.
    pub(super) id: String,
    pub(super) viewers: Option<u64>,
    pub(super) began_at: Option<DateTime<Utc>>,
}

type StreamsByChannel = HashMap<String, IvsBroadcast>;

#[derive(Debug)]
struct StreamsPoll {
    begun: Instant,
    /// It also answers questions that are asked so long after it began.
    serves: Duration,
    result: Result<Arc<StreamsByChannel>, VendorError>,
}

/// The last poll of the list.
#[derive(Debug)]
pub(super) struct LiveStreams {
    /// Held by the question that polls; the others wait for its answer.
    last: tokio::sync::Mutex<Option<StreamsPoll>>,
    /// When a call of ours last ended a broadcast.
    changed: Mutex<Instant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamPage {
    streams: Vec<Value>,
    next_token: Option<String>,
}

impl LiveStreams {
    pub(super) fn new() -> Self {
        Self {
            last: tokio::sync::Mutex::default(),
            changed: Mutex::new(Instant::now()),
        }
    }

    /// An earlier poll does not count any more.
    pub(super) fn change(&self) {
        *self.changed.lock() = Instant::now();
    }

    /// The channel's broadcast by a poll that begins now, or began a moment ago.
    pub(super) async fn of(
        &self,
        api: &IvsApi,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<Option<IvsBroadcast>, VendorError> {
        let asked = Instant::now();
        let Ok(mut last) = timeout_at(permit.until, self.last.lock()).await else {
            return Err(without_permit(
                VENDOR,
                IvsOperation::ListStreams.call(),
                TRY_AGAIN,
            ));
        };
        let is_recent = |poll: &&StreamsPoll| {
            poll.begun + poll.serves >= asked && poll.begun >= *self.changed.lock()
        };
        let result = match last.as_ref().filter(is_recent) {
            Some(poll) => poll.result.clone(),
            None => last.insert(poll(api, permit).await).result.clone(),
        };
        Ok(result?.get(channel).cloned())
    }
}

async fn poll(api: &IvsApi, permit: PermitRequest) -> StreamsPoll {
    let begun = Instant::now();
    let rate = api.governor_of(IvsOperation::ListStreams).rate() * PART_OF_BUDGET;
    let (mut pages, mut token) = (0, None);
    let mut streams = StreamsByChannel::new();
    let result = loop {
        pages += 1;
        match page(api, permit, &mut streams, token.take()).await {
            Ok(None) => break Ok(Arc::new(streams)),
            // A channel that is not in a cut list may be live.
            Ok(Some(_)) if pages >= MOST_PAGES => {
                let message = "the list does not end".to_owned();
                let call = IvsOperation::ListStreams.call();
                break Err(failure(VENDOR, call, Class::Unexpected, Done::No, message));
            }
            Ok(next) => token = next,
            Err(error) => break Err(error),
        }
    };
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    let serves = Duration::try_from_secs_f64(f64::from(pages) / rate);
    StreamsPoll {
        begun,
        serves: serves.unwrap_or(TRY_AGAIN),
        result,
    }
}

/// Returns the token of the next page.
async fn page(
    api: &IvsApi,
    permit: PermitRequest,
    streams: &mut StreamsByChannel,
    token: Option<String>,
) -> Result<Option<String>, VendorError> {
    let body = with(json!({ "maxResults": PAGE }), "nextToken", token.as_deref());
    let operation = IvsOperation::ListStreams;
    let page: StreamPage = api.data(permit, operation, body, |_| None).await?;
    let live: Vec<Stream> = readable(page.streams);
    let live = live.into_iter().filter(Stream::is_live);
    streams.extend(live.map(|stream| {
        let live = IvsBroadcast {
            viewers: stream.viewers(),
            began_at: stream.began_at(),
            id: stream.stream_id.unwrap_or_default(),
        };
        (stream.channel_arn, live)
    }));
    Ok(page.next_token.filter(|token| !token.is_empty()))
}
