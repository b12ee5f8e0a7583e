//! Signatures, tokens and new relays use the wall clock. A relay in work has a steady [`Clock`], so that setting the wall clock
//! ends no deadline. Scheduled work uses [`ProcessClock::due`], which never goes back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::relay::Durable;

const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// A larger difference is a step.
const TOLERANCE: TimeDelta = TimeDelta::seconds(3);
const STEPS_KEPT: usize = 64;
const STEP_ALARM_FOR: Duration = Duration::from_secs(3600);

/// The wall clock at one moment, advanced by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: DateTime<Utc>,
    since: Instant,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: wall_now(),
            since: Instant::now(),
        }
    }

    /// Starts no earlier than the relay's stored times: a slow wall clock must not delay its deadlines.
    pub(crate) fn of(relay: &Durable) -> Self {
        let newest = [relay.seller_away_since, relay.feed_patience_from];
        let newest = newest.into_iter().flatten().max();
        Self::start()
            .not_before(relay.phase_since)
            .not_before(newest.unwrap_or(relay.phase_since))
    }

    fn not_before(self, moment: DateTime<Utc>) -> Self {
        Self {
            wall: self.wall.max(moment),
            ..self
        }
    }

    /// The time, to the millisecond.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> DateTime<Utc> {
        let passed = moment.saturating_duration_since(self.since);
        let passed = TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX);
        self.wall
            .checked_add_signed(passed)
            .unwrap_or(self.wall)
            .trunc_subsecs(3)
    }
}

pub(super) fn wall_now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockStep {
    /// Positive when the clock was set forward.
    pub(super) by: TimeDelta,
    seen: Instant,
}

#[derive(Debug)]
pub(super) struct ProcessClock {
    steady: Clock,
    detector: Mutex<StepDetector>,
}

#[derive(Debug)]
struct StepDetector {
    /// Both clocks at the last comparison.
    compared: Clock,
    step: Option<ClockStep>,
    /// The wall time before each step, and its size.
    steps: VecDeque<(DateTime<Utc>, TimeDelta)>,
    /// The wall clock's largest lead over the steady clock.
    ahead: TimeDelta,
}

impl ProcessClock {
    pub(super) fn start() -> Self {
        Self::from(Clock::start())
    }

    fn from(steady: Clock) -> Self {
        Self {
            steady,
            detector: Mutex::new(StepDetector::from(steady)),
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        wall_now()
    }

    /// Setting the wall clock back delays nothing.
    pub(super) fn due(&self) -> DateTime<Utc> {
        self.detector.lock().due(self.steady.now(), wall_now())
    }

    /// The time since `moment`, without what the wall clock was set forward.
    pub(super) fn passed_since(&self, moment: DateTime<Utc>) -> TimeDelta {
        let now = wall_now();
        self.compare(now);
        self.detector.lock().passed(moment, now)
    }

    fn compare(&self, wall: DateTime<Utc>) {
        let step = self.detector.lock().compare(wall, Instant::now());
        if let Some(step) = step {
            tracing::warn!(
                by_seconds = step.by.num_seconds(),
                "wall clock stepped; relays in progress keep their own time"
            );
        }
    }

    pub(super) fn step(&self) -> Option<ClockStep> {
        self.detector
            .lock()
            .step
            .filter(|step| step.seen.elapsed() < STEP_ALARM_FOR)
    }

    pub(super) async fn watch_forever(&self) {
        loop {
            self.compare(wall_now());
            tokio::time::sleep(COMPARE_EVERY).await;
        }
    }
}

impl StepDetector {
    fn from(compared: Clock) -> Self {
        Self {
            compared,
            step: None,
            steps: VecDeque::new(),
            ahead: TimeDelta::zero(),
        }
    }

    fn due(&mut self, steady: DateTime<Utc>, wall: DateTime<Utc>) -> DateTime<Utc> {
        self.ahead = self.ahead.max(wall - steady);
        steady + self.ahead
    }

    fn passed(&self, moment: DateTime<Utc>, wall: DateTime<Utc>) -> TimeDelta {
        let later = self.steps.iter().filter(|(before, _)| *before >= moment);
        let set: TimeDelta = later.map(|(_, by)| *by).sum();
        wall - moment - set.max(TimeDelta::zero())
    }

    fn compare(&mut self, wall: DateTime<Utc>, now: Instant) -> Option<ClockStep> {
        let expected = self.compared.at(now);
        let by = wall - expected;
        self.compared = Clock { wall, since: now };
        if by.abs() <= TOLERANCE {
            return None;
        }
        self.steps.push_back((expected, by));
        if self.steps.len() > STEPS_KEPT {
            self.steps.pop_front();
        }
        self.step = Some(ClockStep { by, seen: now });
        self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    #[test]
    fn a_relays_clock_counts_what_passed_whatever_the_wall_clock_says() {
        let since = Instant::now();
        let clock = Clock {
            wall: noon(),
            since,
        };
        let later = since + Duration::from_millis(90_500);
        assert_eq!(clock.at(later), noon() + TimeDelta::milliseconds(90_500));
    }

    #[test]
    fn a_relays_clock_is_never_behind_its_stored_times() {
        let since = Instant::now();
        let three_hours_slow = Clock {
            wall: noon() - TimeDelta::hours(3),
            since,
        };
        let clock = three_hours_slow.not_before(noon());
        assert_eq!(clock.at(since), noon());
        let clock = clock.not_before(noon() - TimeDelta::hours(1));
        assert_eq!(clock.at(since), noon());
    }

    #[test]
    fn a_step_of_more_than_three_seconds_is_reported_once_and_followed() {
        let since = Instant::now();
        let mut detector = StepDetector::from(Clock {
            wall: noon(),
            since,
        });
        let mut step_at = |seconds: u64, wall_seconds: i64| {
            let wall = noon() + TimeDelta::seconds(wall_seconds);
            let step = detector.compare(wall, since + Duration::from_secs(seconds));
            step.map(|step| step.by.num_seconds())
        };
        assert_eq!(step_at(1, 1), None);
        assert_eq!(step_at(2, 4), None, "two seconds are corrected silently");
        assert_eq!(
            step_at(3, 10_805),
            Some(10_800),
            "NTP after the start, a suspend"
        );
        assert_eq!(step_at(4, 10_806), None);
        assert_eq!(step_at(5, 7), Some(-10_800));
        assert_eq!(step_at(6, 8), None);
    }

    #[test]
    fn due_follows_a_wall_clock_set_forward_and_not_one_set_back() {
        let ahead = |by: TimeDelta| {
            let steady = Clock {
                wall: wall_now() + by,
                since: Instant::now(),
            };
            let clock = ProcessClock::from(steady);
            clock.due() - clock.now()
        };
        // Set back by an hour, and forward by one.
        assert!(ahead(TimeDelta::hours(1)) > TimeDelta::minutes(59));
        assert!(ahead(-TimeDelta::hours(1)).abs() < TimeDelta::seconds(1));
    }

    #[test]
    fn due_never_goes_back_when_the_clock_is_set_forward_and_then_back() {
        let mut detector = StepDetector::from(Clock {
            wall: noon(),
            since: Instant::now(),
        });
        let minutes = |minutes| noon() + TimeDelta::minutes(minutes);
        assert_eq!(detector.due(minutes(1), minutes(1)), minutes(1));
        assert_eq!(detector.due(minutes(2), minutes(182)), minutes(182));
        assert_eq!(detector.due(minutes(3), minutes(3)), minutes(183));
    }

    #[test]
    fn a_step_forward_does_not_count_as_passed_time() {
        let since = Instant::now();
        let mut detector = StepDetector::from(Clock {
            wall: noon(),
            since,
        });
        let minutes = |minutes| noon() + TimeDelta::minutes(minutes);
        detector.compare(minutes(190), since + Duration::from_secs(600));
        assert_eq!(
            detector.passed(minutes(5), minutes(191)),
            TimeDelta::minutes(6)
        );
        assert_eq!(
            detector.passed(minutes(190), minutes(191)),
            TimeDelta::minutes(1),
            "a moment after the step"
        );
        detector.compare(minutes(12), since + Duration::from_secs(720));
        assert_eq!(
            detector.passed(minutes(5), minutes(13)),
            TimeDelta::minutes(8),
            "it was set back"
        );
    }
}
