//! The event stream: one task reads what is new in the outbox, and hands it to everyone who listens.
//!
//! What a relay does never waits for a listener. The task is nudged by the store's commits, and looks by itself now and
//! then, so that a process that only waits for the database serves the stream as well. Numbers of the outbox become visible
//! in their order ([`Store::outbox_after`]), so who first listens and then reads what came before has no gap and, by the
//! numbers, no duplicate. A listener that falls too far behind is let go: it comes back with the last number it saw.

use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::Stream;
use serde_json::json;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::actors::view::WireTime;
use crate::store::{OutboxMessage, Store, StoreError};

/// Between two looks of the task when nobody nudges it.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How many events a listener may fall behind.
const BEHIND: usize = 4096;
/// How many events are read at once.
const PAGE: u64 = 200;
/// A silent stream says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a listener shall wait before it comes back, in milliseconds.
const COME_BACK_AFTER: u32 = 1000;

/// Hands events to listeners.
pub(super) struct Feed {
    store: Store,
    events: broadcast::Sender<Event>,
    /// Whether the task has found its place: from then on nothing is passed over.
    stands: watch::Sender<bool>,
    closing: CancellationToken,
}

/// An event as it goes over the wire.
#[derive(Debug, Clone)]
struct Event {
    id: i64,
    channel_id: i64,
    frame: Bytes,
}

impl From<OutboxMessage> for Event {
    fn from(message: OutboxMessage) -> Self {
        let OutboxMessage {
            id,
            channel_id,
            kind,
            body,
        } = message;
        Self {
            id,
            channel_id,
            frame: Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {body}\n\n")),
        }
    }
}

impl Feed {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            events: broadcast::Sender::new(BEHIND),
            stands: watch::Sender::new(false),
            closing: CancellationToken::new(),
        }
    }

    /// How many listen to what is new.
    pub(super) fn listeners(&self) -> u32 {
        u32::try_from(self.events.receiver_count()).unwrap_or(u32::MAX)
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    /// Tells what is new, until it is closed.
    pub(super) async fn tell_forever(&self) {
        let mut nudges = self.store.outbox_changes();
        let mut last = None;
        loop {
            if let Err(error) = self.tell(&mut last).await {
                // Without a database there is nothing new either.
                tracing::debug!(%error, "the outbox was not read");
            }
            tokio::select! {
                () = self.closing.cancelled() => return,
                Ok(()) = nudges.changed() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
    }

    /// Tells what came after `last`.
    async fn tell(&self, last: &mut Option<i64>) -> Result<(), StoreError> {
        let mut after = match *last {
            Some(last) => last,
            None => self.store.last_outbox_id().await?,
        };
        *last = Some(after);
        self.stands.send_replace(true);
        loop {
            let page = self.store.outbox_after(after, None, PAGE).await?;
            let full = is_full(&page);
            for message in page {
                after = message.id;
                *last = Some(after);
                // Nobody may listen.
                let _ = self.events.send(message.into());
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// What came after number `after`, and then what comes; from now on when there is none. Of one channel, or of all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn listen(
        &self,
        after: Option<i64>,
        channel_id: Option<i64>,
        now: WireTime,
    ) -> Result<Listener, StoreError> {
        let newest = self.store.last_outbox_id().await?;
        let after = after.unwrap_or(newest);
        let oldest = self.store.oldest_outbox_id().await?.unwrap_or(newest + 1);
        // The number alone makes no event, but who comes back before the first one goes on from here.
        let mut opening = format!("retry: {COME_BACK_AFTER}\nid: {after}\n\n");
        let mut position = after;
        if after > newest || after + 1 < oldest {
            position = if after > newest { newest } else { oldest - 1 };
            opening.push_str(&missed(position, after, now));
        }
        Ok(Listener {
            store: self.store.clone(),
            events: self.events.clone(),
            stands: self.stands.subscribe(),
            closing: self.closing.clone(),
            channel_id,
            after: position,
            opening: Some(opening.into()),
            live: None,
            quiet_until: Instant::now() + HEARTBEAT,
        })
    }
}

/// What a listener is told whose number is not kept any more, or was never given out: it has missed something, and should
/// read how its relays are.
fn missed(position: i64, after: i64, now: WireTime) -> String {
    let data = json!({
        "type": "events.missed",
        "timestamp": now,
        "data": { "last_event_id": after, "continues_after": position },
    });
    format!("id: {position}\nevent: events.missed\ndata: {data}\n\n")
}

fn is_full(page: &[OutboxMessage]) -> bool {
    u64::try_from(page.len()).is_ok_and(|rows| rows >= PAGE)
}

/// One who listens.
pub(super) struct Listener {
    store: Store,
    events: broadcast::Sender<Event>,
    stands: watch::Receiver<bool>,
    closing: CancellationToken,
    channel_id: Option<i64>,
    /// The last number that was told or passed over.
    after: i64,
    opening: Option<Bytes>,
    /// Where new events come from, once the old ones were told.
    live: Option<broadcast::Receiver<Event>>,
    quiet_until: Instant,
}

impl Listener {
    /// The body of the answer: it ends when the service goes down, the listener falls behind, or the database is away
    /// before all that is old was read.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, StoreError>> + 'static {
        futures_util::stream::unfold(self, |mut listener| async move {
            let closing = listener.closing.clone();
            let piece = tokio::select! {
                biased;
                () = closing.cancelled() => None,
                piece = listener.next() => piece,
            }?;
            listener.quiet_until = Instant::now() + HEARTBEAT;
            Some((Ok(piece), listener))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        loop {
            let Some(live) = &mut self.live else {
                match self.catch_up().await {
                    Some(old) if old.is_empty() => continue,
                    old => return old,
                }
            };
            tokio::select! {
                event = live.recv() => match event {
                    Ok(event) if event.id <= self.after => {}
                    Ok(event) => {
                        self.after = event.id;
                        if self.channel_id.is_none_or(|channel_id| channel_id == event.channel_id) {
                            return Some(event.frame);
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a listener is let go: it fell behind");
                        return None;
                    }
                },
                () = tokio::time::sleep_until(self.quiet_until) => {
                    return Some(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }

    /// A page of what is old, and with the last one the place among those who hear what is new.
    async fn catch_up(&mut self) -> Option<Bytes> {
        self.stands.wait_for(|stands| *stands).await.ok()?;
        // First listened, then read: what is committed in between comes twice and not never.
        let live = self.events.subscribe();
        let page = self
            .store
            .outbox_after(self.after, self.channel_id, PAGE)
            .await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "a listener is let go: the outbox was not read");
                return None;
            }
        };
        if !is_full(&page) {
            self.live = Some(live);
        }
        let mut frames = Vec::new();
        for message in page {
            self.after = message.id;
            frames.extend_from_slice(&Event::from(message).frame);
        }
        Some(frames.into())
    }
}
