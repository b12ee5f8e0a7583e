//! The event stream: one task reads the outbox and broadcasts new events to all listeners. Outbox ids become visible in
//! order ([`Store::outbox_after`]), so a listener can drop duplicates by id.

use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::Stream;
use serde_json::json;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::actors::view::WireTime;
use crate::store::{OutboxMessage, Store, StoreError};

/// For a standby process, which sees no commits of its own.
const POLL_EVERY: Duration = Duration::from_secs(1);
const MAX_LAG: usize = 4096;
const PAGE: u64 = 200;
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The client's reconnection delay.
const RETRY_AFTER_MS: u32 = 1000;

pub(super) struct EventStream {
    store: Store,
    events: broadcast::Sender<StreamEvent>,
    /// Whether the task knows its position: from then on it broadcasts every event.
    started: watch::Sender<bool>,
    closing: CancellationToken,
}

#[derive(Debug, Clone)]
struct StreamEvent {
    id: i64,
    channel_id: i64,
    frame: Bytes,
}

impl From<OutboxMessage> for StreamEvent {
    fn from(message: OutboxMessage) -> Self {
        let OutboxMessage {
            id,
            channel_id,
            kind,
            body,
            ..
        } = message;
        Self {
            id,
            channel_id,
            frame: Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {body}\n\n")),
        }
    }
}

impl EventStream {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            events: broadcast::Sender::new(MAX_LAG),
            started: watch::Sender::new(false),
            closing: CancellationToken::new(),
        }
    }

    /// Listeners that have caught up.
    pub(super) fn listeners(&self) -> u32 {
        u32::try_from(self.events.receiver_count()).unwrap_or(u32::MAX)
    }

    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    pub(super) async fn publish_forever(&self) {
        let mut changes = self.store.outbox_changes();
        let mut last = None;
        loop {
            if let Err(error) = self.publish_new(&mut last).await {
                tracing::debug!(%error, "reading the outbox failed");
            }
            tokio::select! {
                () = self.closing.cancelled() => return,
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
    }

    async fn publish_new(&self, last: &mut Option<i64>) -> Result<(), StoreError> {
        let mut after = match *last {
            Some(last) => last,
            None => self.store.last_outbox_id().await?,
        };
        *last = Some(after);
        self.started.send_replace(true);
        loop {
            let page = self.store.outbox_after(after, None, PAGE).await?;
            let full = is_full(&page);
            for message in page {
                after = message.id;
                *last = Some(after);
                // There may be no listeners.
                let _ = self.events.send(message.into());
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// The events after the id `after`, by default new ones only.
    pub(super) async fn listen(
        &self,
        after: Option<i64>,
        channel_id: Option<i64>,
        now: WireTime,
    ) -> Result<EventListener, StoreError> {
        let newest = self.store.last_outbox_id().await?;
        let after = after.unwrap_or(newest);
        let oldest = self.store.oldest_outbox_id().await?.unwrap_or(newest + 1);
        // A client that reconnects before its first event resumes from this id.
        let mut opening = format!("retry: {RETRY_AFTER_MS}\nid: {after}\n\n");
        let mut position = after;
        if after > newest || after + 1 < oldest {
            position = if after > newest { newest } else { oldest - 1 };
            opening.push_str(&missed(position, after, now));
        }
        Ok(EventListener {
            store: self.store.clone(),
            events: self.events.clone(),
            started: self.started.subscribe(),
            closing: self.closing.clone(),
            channel_id,
            after: position,
            opening: Some(opening.into()),
            live: None,
            heartbeat_at: Instant::now() + HEARTBEAT,
        })
    }
}

/// Tells a listener that events after its id are no longer kept, or that the id was never used.
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

pub(super) struct EventListener {
    store: Store,
    events: broadcast::Sender<StreamEvent>,
    started: watch::Receiver<bool>,
    closing: CancellationToken,
    channel_id: Option<i64>,
    /// The last id sent or skipped.
    after: i64,
    opening: Option<Bytes>,
    /// `None` while older events are read.
    live: Option<broadcast::Receiver<StreamEvent>>,
    heartbeat_at: Instant,
}

impl EventListener {
    /// Ends at shutdown, when the listener lags, or if the database fails during catch-up. Clients resume.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, StoreError>> + 'static {
        futures_util::stream::unfold(self, |mut listener| async move {
            let closing = listener.closing.clone();
            let piece = tokio::select! {
                biased;
                () = closing.cancelled() => None,
                piece = listener.next() => piece,
            }?;
            listener.heartbeat_at = Instant::now() + HEARTBEAT;
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
                        tracing::debug!(%error, "closing an event stream: the listener lags");
                        return None;
                    }
                },
                () = tokio::time::sleep_until(self.heartbeat_at) => {
                    return Some(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }

    /// With the last page of older events it subscribes to new ones.
    async fn catch_up(&mut self) -> Option<Bytes> {
        self.started.wait_for(|started| *started).await.ok()?;
        // Before the read: an event committed in between comes twice rather than never.
        let live = self.events.subscribe();
        let page = self
            .store
            .outbox_after(self.after, self.channel_id, PAGE)
            .await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "closing an event stream: reading the outbox failed");
                return None;
            }
        };
        if !is_full(&page) {
            self.live = Some(live);
        }
        let mut frames = Vec::new();
        for message in page {
            self.after = message.id;
            frames.extend_from_slice(&StreamEvent::from(message).frame);
        }
        Some(frames.into())
    }
}
