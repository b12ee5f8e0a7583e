//! How often somebody may try to sign in: wrong tokens are counted by whence they come, and all together.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Wrong tokens are counted over so long.
const WINDOW: Duration = Duration::from_secs(60);
/// So many may come from one place.
const FROM_ONE: u32 = 10;
/// So many from everywhere: who forges where a request comes from gains little.
const FROM_ALL: u32 = 200;

/// Counts wrong tokens.
#[derive(Debug)]
pub(in crate::api) struct Attempts(Mutex<Window>);

#[derive(Debug)]
struct Window {
    began: Instant,
    all: u32,
    by_origin: HashMap<String, u32>,
}

impl Attempts {
    pub(in crate::api) fn new() -> Self {
        Self(Mutex::new(Window {
            began: Instant::now(),
            all: 0,
            by_origin: HashMap::new(),
        }))
    }

    /// How long to wait before the next try from here; none when it may be made now.
    pub(super) fn wait(&self, origin: &str, now: Instant) -> Option<Duration> {
        let window = self.window(now);
        let here = window.by_origin.get(origin).copied().unwrap_or_default();
        (here >= FROM_ONE || window.all >= FROM_ALL)
            .then(|| WINDOW.saturating_sub(now - window.began))
    }

    /// A token from here was wrong.
    pub(super) fn failed(&self, origin: &str, now: Instant) {
        let mut window = self.window(now);
        window.all = window.all.saturating_add(1);
        *window.by_origin.entry(origin.to_owned()).or_default() += 1;
    }

    fn window(&self, now: Instant) -> std::sync::MutexGuard<'_, Window> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.began) >= WINDOW {
            *window = Window {
                began: now,
                all: 0,
                by_origin: HashMap::new(),
            };
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_wrong_tokens_one_place_has_to_wait_and_others_do_not() {
        let attempts = Attempts::new();
        let now = Instant::now();
        for _ in 0..FROM_ONE {
            assert_eq!(attempts.wait("here", now), None);
            attempts.failed("here", now);
        }
        assert!(attempts.wait("here", now).is_some());
        assert_eq!(attempts.wait("there", now), None);
        assert_eq!(attempts.wait("here", now + WINDOW), None);
    }

    #[test]
    fn who_comes_from_everywhere_has_to_wait_too() {
        let attempts = Attempts::new();
        let now = Instant::now();
        for place in 0..FROM_ALL {
            attempts.failed(&place.to_string(), now);
        }
        assert!(attempts.wait("elsewhere", now).is_some());
    }
}
