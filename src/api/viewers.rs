//! Viewer counts, fetched in the background for relays that are read, at most every 30 seconds.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hashlink::LruCache;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::relay::{Durable, PlatformName};

const REFRESH_AFTER: Duration = Duration::from_secs(30);
/// Long enough for a client that reads once a minute.
const MAX_AGE: Duration = Duration::from_secs(120);
const TIMEOUT: Duration = Duration::from_secs(10);
const CAPACITY: usize = 10_000;

/// Fetches the number of viewers of an ingest; `None` if that fails.
pub type AskViewers =
    Arc<dyn Fn(PlatformName, String) -> BoxFuture<'static, Option<u64>> + Send + Sync>;

#[derive(Debug, Clone, Copy)]
struct ViewerCount {
    fetched_at: Instant,
    answer: Option<(Instant, u64)>,
}

/// The viewer counts of all ingests.
#[derive(Clone)]
pub struct Viewers {
    ask: Option<AskViewers>,
    known: Arc<Mutex<LruCache<String, ViewerCount>>>,
}

impl std::fmt::Debug for Viewers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Viewers").finish_non_exhaustive()
    }
}

impl Viewers {
    /// Viewer counts fetched with `ask`.
    #[must_use]
    pub fn new(ask: AskViewers) -> Self {
        Self {
            ask: Some(ask),
            ..Self::none()
        }
    }

    /// Without viewer counts.
    #[must_use]
    pub fn none() -> Self {
        Self {
            ask: None,
            known: Arc::new(Mutex::new(LruCache::new(CAPACITY))),
        }
    }

    /// Starts a fetch for the next read if the count is due.
    pub(crate) fn of(&self, durable: &Durable) -> Option<u64> {
        let ask = self.ask.as_ref()?;
        let uid = ingest(durable)?;
        let now = Instant::now();
        let mut numbers = self.known.lock();
        let known = numbers.get(uid).copied();
        let answer = known.and_then(|known| known.answer);
        if known.is_none_or(|known| now.duration_since(known.fetched_at) >= REFRESH_AFTER) {
            // Before the fetch ends: concurrent reads do not fetch again.
            let fetched_at = now;
            numbers.insert(uid.to_owned(), ViewerCount { fetched_at, answer });
            tokio::spawn(self.clone().fetch(
                ask(durable.spec.platform.clone(), uid.to_owned()),
                uid.to_owned(),
            ));
        }
        answer.and_then(|answer| if_fresh(answer, now))
    }

    /// Without a fetch.
    pub(crate) fn known(&self, durable: &Durable) -> Option<u64> {
        let known = *self.known.lock().get(ingest(durable)?)?;
        if_fresh(known.answer?, Instant::now())
    }

    async fn fetch(self, answer: BoxFuture<'static, Option<u64>>, uid: String) {
        let Ok(Some(number)) = timeout(TIMEOUT, answer).await else {
            return;
        };
        if let Some(known) = self.known.lock().get_mut(&uid) {
            known.answer = Some((Instant::now(), number));
        }
    }
}

fn if_fresh((at, number): (Instant, u64), now: Instant) -> Option<u64> {
    (now.duration_since(at) < MAX_AGE).then_some(number)
}

fn ingest(durable: &Durable) -> Option<&str> {
    durable
        .ingest
        .id
        .as_deref()
        .filter(|_| durable.phase.is_active())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::actors::view::fixture;
    use crate::relay::Phase;

    async fn fetched() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn viewer_counts_are_fetched_every_30_seconds_for_relays_on_air() {
        let fetches = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&fetches);
        let viewers = Viewers::new(Arc::new(move |_, _| {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { Some(100 + number) })
        }));
        let mut relay = fixture::live();
        assert_eq!(viewers.known(&relay), None);
        assert_eq!(viewers.of(&relay), None);
        assert_eq!(viewers.of(&relay), None);
        fetched().await;
        assert_eq!(viewers.of(&relay), Some(100));
        assert_eq!(viewers.known(&relay), Some(100));
        tokio::time::advance(REFRESH_AFTER).await;
        assert_eq!(viewers.of(&relay), Some(100));
        fetched().await;
        assert_eq!(viewers.of(&relay), Some(101));
        relay.phase = Phase::Stopping;
        tokio::time::advance(REFRESH_AFTER).await;
        assert_eq!(viewers.of(&relay), None);
        fetched().await;
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_viewer_count_is_not_shown() {
        let viewers = Viewers::new(Arc::new(|_, _| Box::pin(async { Some(113) })));
        let relay = fixture::live();
        assert_eq!(viewers.of(&relay), None);
        fetched().await;
        tokio::time::advance(MAX_AGE).await;
        assert_eq!(viewers.known(&relay), None);
        assert_eq!(viewers.of(&relay), None);
        fetched().await;
        assert_eq!(viewers.of(&relay), Some(113));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_hangs_is_repeated_later() {
        let fetches = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&fetches);
        let viewers = Viewers::new(Arc::new(move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(std::future::pending())
        }));
        for _ in 0..3 {
            assert_eq!(viewers.of(&fixture::live()), None);
            fetched().await;
        }
        tokio::time::advance(REFRESH_AFTER).await;
        assert_eq!(viewers.of(&fixture::live()), None);
        fetched().await;
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
    }
}
