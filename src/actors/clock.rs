//! What time it is.
//!
//! What others read (signatures, tokens, times of new relays) is told by the wall clock of that moment. A relay's own
//! times are told by a [`Clock`] of its own, which goes on steadily when the wall clock is set: no deadline passes because
//! of that. What is scheduled goes by [`ProcessClock::due`], which never goes back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::relay::Durable;

/// Between two comparisons of the clocks.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// The clocks part by more than this when the wall clock was set or the machine slept.
const TOLERANCE: TimeDelta = TimeDelta::seconds(3);
/// So many steps of the wall clock are remembered.
const STEPS: usize = 64;
/// How long a step is worth an alarm.
const NEWS: Duration = Duration::from_secs(3600);

/// A steady clock: the wall clock as it was once, moved on by the monotonic one.
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

    /// The clock of a relay that this process begins to drive. It is never behind what is stored: a wall clock that is
    /// wrong must not put its deadlines off.
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

    /// Now, to the millisecond.
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

/// The wall clock, to the millisecond.
fn wall_now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// A step of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockStep {
    /// By how much: positive when it was set forward.
    pub(super) by: TimeDelta,
    seen: Instant,
}

/// The time of a process.
#[derive(Debug)]
pub(super) struct ProcessClock {
    steady: Clock,
    detector: Mutex<StepDetector>,
}

#[derive(Debug)]
struct StepDetector {
    /// Both clocks as they were at the last comparison.
    compared: Clock,
    step: Option<ClockStep>,
    /// The steps seen, and what the wall clock would show had it not stepped.
    steps: VecDeque<(DateTime<Utc>, TimeDelta)>,
    /// How far the wall clock was ahead of the steady one at most.
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

    /// The wall clock of this moment, to the millisecond.
    pub(super) fn now(&self) -> DateTime<Utc> {
        wall_now()
    }

    /// The time up to which scheduled work is due: a wall clock that is set back delays nothing.
    pub(super) fn due(&self) -> DateTime<Utc> {
        self.detector.lock().due(self.steady.now(), wall_now())
    }

    /// How much time has passed since a moment told by the wall clock. What the wall clock was set forward since then
    /// has not passed.
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
                "the wall clock stepped: relays in progress keep their own time, everything else follows it"
            );
        }
    }

    /// The last step of the wall clock, while it is news.
    pub(super) fn step(&self) -> Option<ClockStep> {
        self.detector
            .lock()
            .step
            .filter(|step| step.seen.elapsed() < NEWS)
    }

    /// Compares the wall clock with the monotonic one, forever.
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

    /// The steady clock, moved on by what the wall clock was ahead of it at most: it never goes back.
    fn due(&mut self, steady: DateTime<Utc>, wall: DateTime<Utc>) -> DateTime<Utc> {
        self.ahead = self.ahead.max(wall - steady);
        steady + self.ahead
    }

    fn passed(&self, moment: DateTime<Utc>, wall: DateTime<Utc>) -> TimeDelta {
        let later = self.steps.iter().filter(|(before, _)| *before >= moment);
        let set: TimeDelta = later.map(|(_, by)| *by).sum();
        wall - moment - set.max(TimeDelta::zero())
    }

    /// The step since the last comparison, if there was one. The next comparison starts from here.
    fn compare(&mut self, wall: DateTime<Utc>, now: Instant) -> Option<ClockStep> {
        let expected = self.compared.at(now);
        let by = wall - expected;
        self.compared = Clock { wall, since: now };
        if by.abs() <= TOLERANCE {
            return None;
        }
        self.steps.push_back((expected, by));
        if self.steps.len() > STEPS {
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
    fn a_relays_clock_is_never_behind_what_is_stored_of_it() {
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
    fn a_step_of_more_than_three_seconds_is_told_once_and_followed() {
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
    fn what_is_due_follows_a_wall_clock_set_forward_and_not_one_set_back() {
        let ahead = |by: TimeDelta| {
            let steady = Clock {
                wall: wall_now() + by,
                since: Instant::now(),
            };
            let clock = ProcessClock::from(steady);
            clock.due() - clock.now()
        };
        // The wall clock was set back by an hour, and forward by one.
        assert!(ahead(TimeDelta::hours(1)) > TimeDelta::minutes(59));
        assert!(ahead(-TimeDelta::hours(1)).abs() < TimeDelta::seconds(1));
    }

    #[test]
    fn what_is_due_never_goes_back_when_the_clock_is_set_forward_and_then_back() {
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
    fn what_the_clock_was_set_forward_has_not_passed() {
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
            "it was told after the step"
        );
        detector.compare(minutes(12), since + Duration::from_secs(720));
        assert_eq!(
            detector.passed(minutes(5), minutes(13)),
            TimeDelta::minutes(8),
            "it was set back"
        );
    }
}
