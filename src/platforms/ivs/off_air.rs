//! When a channel that is not live is read again: the list of live ones does not show that it is gone.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(15);
const MOST: usize = 10_000;

/// By channel: when it was last read.
#[derive(Debug, Default)]
pub(super) struct OffAirChecks(Mutex<HashMap<String, Instant>>);

impl OffAirChecks {
    /// Not at first: what is new may not be found everywhere yet. The next check is due later.
    pub(super) fn is_due(&self, channel: &str) -> bool {
        let mut checked = self.0.lock();
        if checked.len() >= MOST {
            checked.retain(|_, at| at.elapsed() < EVERY);
        }
        match checked.get_mut(channel) {
            Some(at) if at.elapsed() < EVERY => false,
            Some(at) => {
                *at = Instant::now();
                true
            }
            None => {
                checked.insert(channel.to_owned(), Instant::now());
                false
            }
        }
    }

    /// A channel that is live, or removed.
    pub(super) fn forget(&self, channel: &str) {
        self.0.lock().remove(channel);
    }
}
