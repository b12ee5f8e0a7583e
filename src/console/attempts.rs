//! Limits wrong tokens at sign-in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(60);
const LIMIT_PER_ADDRESS: u32 = 10;
/// Against many addresses, and a flood of log lines.
const LIMIT_TOTAL: u32 = 200;

#[derive(Debug)]
pub(super) struct SignInAttempts(Mutex<AttemptWindow>);

#[derive(Debug)]
struct AttemptWindow {
    began: Instant,
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl SignInAttempts {
    pub(super) fn new() -> Self {
        Self(Mutex::new(AttemptWindow {
            began: Instant::now(),
            all: 0,
            by_address: HashMap::new(),
        }))
    }

    /// Counts a wrong token. Returns how long to wait if a limit is reached; then nothing is counted, which bounds memory.
    pub(super) fn failed(&self, origin: IpAddr, now: Instant) -> Option<Duration> {
        let mut window = self.window(now);
        let here = window.by_address.get(&origin).copied().unwrap_or_default();
        if here >= LIMIT_PER_ADDRESS || window.all >= LIMIT_TOTAL {
            return Some(WINDOW.saturating_sub(now - window.began));
        }
        window.all += 1;
        window.by_address.insert(origin, here + 1);
        None
    }

    fn window(&self, now: Instant) -> parking_lot::MutexGuard<'_, AttemptWindow> {
        let mut window = self.0.lock();
        if now.saturating_duration_since(window.began) >= WINDOW {
            *window = AttemptWindow {
                began: now,
                all: 0,
                by_address: HashMap::new(),
            };
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    #[test]
    fn after_ten_wrong_tokens_only_that_address_has_to_wait() {
        let attempts = SignInAttempts::new();
        let now = Instant::now();
        for _ in 0..LIMIT_PER_ADDRESS {
            assert_eq!(attempts.failed(address(1), now), None);
        }
        assert!(attempts.failed(address(1), now).is_some());
        assert_eq!(attempts.failed(address(2), now), None);
        assert_eq!(attempts.failed(address(1), now + WINDOW), None);
    }

    #[test]
    fn wrong_tokens_from_many_addresses_share_a_limit_and_bounded_memory() {
        let attempts = SignInAttempts::new();
        let now = Instant::now();
        for number in 0..LIMIT_TOTAL {
            assert_eq!(attempts.failed(address(number), now), None);
        }
        assert!(attempts.failed(address(LIMIT_TOTAL), now).is_some());
        let kept = attempts.window(now).by_address.len();
        assert_eq!(kept, usize::try_from(LIMIT_TOTAL).unwrap());
    }
}
