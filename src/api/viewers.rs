//! How many watch: asked only for relays somebody reads, and kept for 30 seconds (`cloudflare-stream.md` §5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};

use crate::relay::Durable;

/// How long a number holds.
const HOLDS: Duration = Duration::from_secs(30);
/// A read waits no longer than this for a number.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most numbers that are kept.
const MOST: usize = 10_000;

/// Asks for the number of viewers of a live input; none when it cannot be had.
pub type AskViewers = Arc<dyn Fn(String) -> BoxFuture<'static, Option<u64>> + Send + Sync>;

/// A number and when it was asked for.
type Number = (Instant, Option<u64>);

/// The numbers of viewers.
#[derive(Clone)]
pub struct Viewers {
    ask: Option<AskViewers>,
    known: Arc<Mutex<HashMap<String, Number>>>,
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
            known: Arc::default(),
        }
    }

    /// No numbers.
    #[must_use]
    pub fn none() -> Self {
        Self {
            ask: None,
            known: Arc::default(),
        }
    }

    /// How many watch this relay. While one read asks, others take what was known before.
    pub(super) async fn of(&self, durable: &Durable) -> Option<u64> {
        let ask = self.ask.as_ref()?;
        let uid = live_input(durable)?;
        let before = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            match known.get(uid).copied() {
                Some((at, number)) if now.duration_since(at) < HOLDS => return number,
                before => {
                    if known.len() >= MOST {
                        known.retain(|_, (at, _)| now.duration_since(*at) < HOLDS);
                    }
                    let before = before.and_then(|(_, number)| number);
                    known.insert(uid.to_owned(), (now, before));
                    before
                }
            }
        };
        let number = match timeout(PATIENCE, ask(uid.to_owned())).await {
            Ok(number) => number,
            Err(_) => before,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(uid.to_owned(), (Instant::now(), number));
        number
    }

    /// The number that is known already.
    pub(super) fn known(&self, durable: &Durable) -> Option<u64> {
        let uid = live_input(durable)?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(uid)
            .filter(|(at, _)| at.elapsed() < HOLDS)
            .and_then(|(_, number)| *number)
    }
}

/// The live input buyers may be watching.
fn live_input(durable: &Durable) -> Option<&str> {
    durable
        .live_input
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
        assert_eq!(viewers.of(&relay).await, Some(100));
        assert_eq!(viewers.of(&relay).await, Some(100));
        assert_eq!(viewers.known(&relay), Some(100));
        tokio::time::advance(HOLDS).await;
        assert_eq!(viewers.of(&relay).await, Some(101));
        relay.phase = Phase::Stopping;
        tokio::time::advance(HOLDS).await;
        assert_eq!(viewers.of(&relay).await, None);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_does_not_wait_for_a_host_that_hangs() {
        let viewers = Viewers::new(Arc::new(|_| Box::pin(std::future::pending())));
        assert_eq!(viewers.of(&fixture::live()).await, None);
    }
}
