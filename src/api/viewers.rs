//! How many watch: asked only for relays somebody reads, behind the reader's back, and no more often than every 30 seconds
//! (`cloudflare-stream.md §3.5`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hashlink::LruCache;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::relay::Durable;

/// A number is asked for anew when it is so old.
const HOLDS: Duration = Duration::from_secs(30);
/// A number that is older is told to nobody: who reads once a minute still sees one.
const OLDEST: Duration = Duration::from_secs(120);
/// Asking takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most numbers that are kept: the one read longest ago is forgotten first.
const MANY: usize = 10_000;

/// Asks for the number of viewers of an ingest; none when it cannot be had.
pub type AskViewers = Arc<dyn Fn(String) -> BoxFuture<'static, Option<u64>> + Send + Sync>;

/// What is known of an ingest's viewers.
#[derive(Debug, Clone, Copy)]
struct Known {
    asked_at: Instant,
    /// The last answer, and when it came.
    told: Option<(Instant, u64)>,
}

/// The numbers of viewers.
#[derive(Clone)]
pub struct Viewers {
    ask: Option<AskViewers>,
    known: Arc<Mutex<LruCache<String, Known>>>,
}

impl std::fmt::Debug for Viewers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Viewers").finish_non_exhaustive()
    }
}

impl Viewers {
    /// Numbers that `ask` finds out.
    #[must_use]
    pub fn new(ask: AskViewers) -> Self {
        Self {
            ask: Some(ask),
            ..Self::none()
        }
    }

    /// No numbers.
    #[must_use]
    pub fn none() -> Self {
        Self {
            ask: None,
            known: Arc::new(Mutex::new(LruCache::new(MANY))),
        }
    }

    /// How many watch this relay, as far as that is known now; if it is time, it is found out for the next read.
    pub(crate) fn of(&self, durable: &Durable) -> Option<u64> {
        let ask = self.ask.as_ref()?;
        let uid = ingest(durable)?;
        let now = Instant::now();
        let mut numbers = self.known.lock();
        let known = numbers.get(uid).copied();
        let told = known.and_then(|known| known.told);
        if known.is_none_or(|known| now.duration_since(known.asked_at) >= HOLDS) {
            // Who reads meanwhile does not ask again.
            let asked_at = now;
            numbers.insert(uid.to_owned(), Known { asked_at, told });
            tokio::spawn(self.clone().find_out(ask(uid.to_owned()), uid.to_owned()));
        }
        told.and_then(|told| still(told, now))
    }

    /// The number that is known already.
    pub(crate) fn known(&self, durable: &Durable) -> Option<u64> {
        let known = *self.known.lock().get(ingest(durable)?)?;
        still(known.told?, Instant::now())
    }

    async fn find_out(self, answer: BoxFuture<'static, Option<u64>>, uid: String) {
        let Ok(Some(number)) = timeout(PATIENCE, answer).await else {
            return;
        };
        if let Some(known) = self.known.lock().get_mut(&uid) {
            known.told = Some((Instant::now(), number));
        }
    }
}

/// The number, unless it is too old.
fn still((at, number): (Instant, u64), now: Instant) -> Option<u64> {
    (now.duration_since(at) < OLDEST).then_some(number)
}

/// The ingest buyers may be watching.
fn ingest(durable: &Durable) -> Option<&str> {
    durable
        .ingest
        .uid
        .as_deref()
        .filter(|_| durable.phase.is_active())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::actors::view::fixture;
    use crate::relay::Phase;

    /// Lets what was begun come to its end.
    async fn found_out() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_is_asked_once_in_30_seconds_and_only_of_a_relay_that_is_on_air() {
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        let viewers = Viewers::new(Arc::new(move |_| {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { Some(100 + number) })
        }));
        let mut relay = fixture::live();
        assert_eq!(viewers.known(&relay), None);
        assert_eq!(viewers.of(&relay), None);
        assert_eq!(viewers.of(&relay), None);
        found_out().await;
        assert_eq!(viewers.of(&relay), Some(100));
        assert_eq!(viewers.known(&relay), Some(100));
        tokio::time::advance(HOLDS).await;
        assert_eq!(viewers.of(&relay), Some(100));
        found_out().await;
        assert_eq!(viewers.of(&relay), Some(101));
        relay.phase = Phase::Stopping;
        tokio::time::advance(HOLDS).await;
        assert_eq!(viewers.of(&relay), None);
        found_out().await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_that_is_old_is_not_told() {
        let viewers = Viewers::new(Arc::new(|_| Box::pin(async { Some(113) })));
        let relay = fixture::live();
        assert_eq!(viewers.of(&relay), None);
        found_out().await;
        tokio::time::advance(OLDEST).await;
        assert_eq!(viewers.known(&relay), None);
        assert_eq!(viewers.of(&relay), None);
        found_out().await;
        assert_eq!(viewers.of(&relay), Some(113));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_hangs_is_asked_again_after_a_while() {
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        let viewers = Viewers::new(Arc::new(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(std::future::pending())
        }));
        for _ in 0..3 {
            assert_eq!(viewers.of(&fixture::live()), None);
            found_out().await;
        }
        tokio::time::advance(HOLDS).await;
        assert_eq!(viewers.of(&fixture::live()), None);
        found_out().await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
