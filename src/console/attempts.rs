//! How often somebody may try to sign in: wrong tokens are counted by whence they come, and all together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Wrong tokens are counted over so long.
const WINDOW: Duration = Duration::from_secs(60);
/// So many may come from one place.
const FROM_ONE: u32 = 10;
/// So many from everywhere: more than that fill a log.
const FROM_ALL: u32 = 200;

/// Counts wrong tokens.
#[derive(Debug)]
pub(super) struct Attempts(Mutex<Window>);

#[derive(Debug)]
struct Window {
    began: Instant,
    all: u32,
    by_origin: HashMap<IpAddr, u32>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Window {
            began: Instant::now(),
            all: 0,
            by_origin: HashMap::new(),
        }))
    }

    /// Counts a wrong token from here. How long to wait before the next one, when there were too many; then it is not counted,
    /// so that no more is kept than may come.
    pub(super) fn failed(&self, origin: IpAddr, now: Instant) -> Option<Duration> {
        let mut window = self.window(now);
        let here = window.by_origin.get(&origin).copied().unwrap_or_default();
        if here >= FROM_ONE || window.all >= FROM_ALL {
            return Some(WINDOW.saturating_sub(now - window.began));
        }
        window.all += 1;
        window.by_origin.insert(origin, here + 1);
        None
    }

    fn window(&self, now: Instant) -> parking_lot::MutexGuard<'_, Window> {
        let mut window = self.0.lock();
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

    fn place(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    #[test]
    fn after_ten_wrong_tokens_one_place_has_to_wait_and_others_do_not() {
        let attempts = Attempts::new();
        let now = Instant::now();
        for _ in 0..FROM_ONE {
            assert_eq!(attempts.failed(place(1), now), None);
        }
        assert!(attempts.failed(place(1), now).is_some());
        assert_eq!(attempts.failed(place(2), now), None);
        assert_eq!(attempts.failed(place(1), now + WINDOW), None);
    }

    #[test]
    fn wrong_tokens_from_everywhere_have_to_wait_and_are_not_kept() {
        let attempts = Attempts::new();
        let now = Instant::now();
        for number in 0..FROM_ALL {
            assert_eq!(attempts.failed(place(number), now), None);
        }
        assert!(attempts.failed(place(FROM_ALL), now).is_some());
        let kept = attempts.window(now).by_origin.len();
        assert_eq!(kept, usize::try_from(FROM_ALL).unwrap());
    }
}
