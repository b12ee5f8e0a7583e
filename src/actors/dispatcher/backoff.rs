//! The back-off between two attempts at a message.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::relay::Backoff;

const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(3600),
};

/// When to try again: 1, 2, 4 … s after the try at `now`, at most an hour, the last time at `give_up_at`.
pub(super) fn next_attempt(
    attempts: i32,
    now: DateTime<Utc>,
    give_up_at: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let next = now + BACKOFF.after(attempts.unsigned_abs());
    (now < give_up_at).then_some(next.min(give_up_at))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_message_is_tried_after_1_2_4_8_seconds_doubling_to_an_hour_for_three_days() {
        let begun = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let give_up_at = begun + TimeDelta::days(3);
        let (mut now, mut attempts, mut waits) = (begun, 0, Vec::new());
        while let Some(next) = next_attempt(attempts, now, give_up_at) {
            waits.push((next - now).num_seconds());
            (now, attempts) = (next, attempts + 1);
        }
        assert_eq!(
            waits[..14],
            [
                1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600
            ]
        );
        assert_eq!(now, give_up_at, "the last try is at the end");
        assert!(waits.iter().all(|wait| (1..=3600).contains(wait)));
    }
}
