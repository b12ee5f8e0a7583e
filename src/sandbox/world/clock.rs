//! The simulated clock. A point in time is a [`Duration`] since the start.

use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound as _, SecondsFormat, TimeDelta, Utc};

#[derive(Debug)]
pub(in crate::sandbox) struct SimClock {
    start: Instant,
    speed: f64,
    wire_speed: f64,
}

impl SimClock {
    pub(in crate::sandbox) fn new(speed: f64, wire_speed: Option<f64>) -> Self {
        let sane = |value: f64| {
            if value.is_finite() && value > 0.0 {
                value
            } else {
                1.0
            }
        };
        let speed = sane(speed);
        Self {
            start: Instant::now(),
            speed,
            wire_speed: wire_speed.map_or(speed, sane),
        }
    }

    pub(in crate::sandbox) fn now(&self) -> Duration {
        self.start.elapsed().mul_f64(self.speed)
    }

    pub(in crate::sandbox) fn real(&self, simulated: Duration) -> Duration {
        simulated.div_f64(self.speed)
    }

    /// The simulated duration of seconds in a request.
    pub(in crate::sandbox) fn of_wire(&self, seconds: u64) -> Duration {
        Duration::from_secs(seconds).mul_f64(self.speed / self.wire_speed)
    }

    /// A simulated duration as answers report it.
    pub(in crate::sandbox) fn to_wire(&self, simulated: Duration) -> Duration {
        simulated.mul_f64(self.wire_speed / self.speed)
    }

    /// Wall-clock seconds, rounded up, at least 1: clients sleep by them.
    pub(in crate::sandbox) fn header_seconds(&self, simulated: Duration) -> u64 {
        let real = self.real(simulated);
        (real.as_secs() + u64::from(real.subsec_nanos() > 0)).max(1)
    }

    /// A time that the vendor tells in whole seconds, which are simulated ones.
    pub(in crate::sandbox) fn whole_seconds(&self, at: DateTime<Utc>) -> String {
        let second = TimeDelta::from_std(self.real(Duration::from_secs(1)));
        let whole = second
            .ok()
            .and_then(|second| at.duration_trunc(second).ok());
        whole
            .unwrap_or(at)
            .to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    pub(in crate::sandbox) async fn sleep(&self, simulated: Duration) {
        if !simulated.is_zero() {
            tokio::time::sleep(self.real(simulated)).await;
        }
    }
}

pub(in crate::sandbox) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The shortest recording: one frame. None is empty (`cloudflare-stream.md §4.3`).
const FRAME_MILLIS: u32 = 33;

/// Rounded to milliseconds, so that every poll reports the same number.
pub(in crate::sandbox) fn duration_seconds_of(length: Duration) -> f64 {
    let millis = u32::try_from(length.as_millis()).unwrap_or(u32::MAX);
    f64::from(millis.max(FRAME_MILLIS)) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_are_those_of_the_simulated_clock() {
        let at = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(7_999);
        let told = |speed| SimClock::new(speed, None).whole_seconds(at);
        assert_eq!(told(1.0), "1970-01-01T00:00:07Z");
        assert_eq!(told(50.0), "1970-01-01T00:00:07.980Z");
    }
}
