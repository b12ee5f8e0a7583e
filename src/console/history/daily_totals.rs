//! Totals per day, and their CSV, which needs no escaping: it has only numbers and our own codes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::NaiveDate;

use crate::relay::OutcomeCode;
use crate::store::{CostGroup, CostSum, PastRelay};

/// Relays requested on a UTC day, and the cost of relays that ended on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DayTotals {
    pub(super) date: NaiveDate,
    pub(super) ended_well: u64,
    pub(super) failed: u64,
    pub(super) running: u64,
    /// Counts by outcome code.
    pub(super) reasons: BTreeMap<String, u64>,
    /// Times to live in milliseconds, sorted.
    times: Vec<u64>,
    /// Micro-dollars.
    pub(super) platform: u64,
    pub(super) agora: u64,
}

/// One for each day from `first` to `last`.
pub(super) fn daily_totals(
    first: NaiveDate,
    last: NaiveDate,
    lives: &[PastRelay],
    costs: &[CostSum],
) -> Vec<DayTotals> {
    let mut days: BTreeMap<NaiveDate, DayTotals> = first
        .iter_days()
        .take_while(|date| *date <= last)
        .map(|date| (date, DayTotals::new(date)))
        .collect();
    for life in lives {
        if let Some(day) = days.get_mut(&life.requested_at.date_naive()) {
            day.add(life);
        }
    }
    for sum in costs {
        if let CostGroup::Day(date) = sum.group
            && let Some(day) = days.get_mut(&date)
        {
            day.platform = micros(sum.cost_micros);
            day.agora = micros(sum.agora_cost_micros);
        }
    }
    let mut days: Vec<DayTotals> = days.into_values().collect();
    for day in &mut days {
        day.times.sort_unstable();
    }
    days
}

impl DayTotals {
    fn new(date: NaiveDate) -> Self {
        Self {
            date,
            ended_well: 0,
            failed: 0,
            running: 0,
            reasons: BTreeMap::new(),
            times: Vec::new(),
            platform: 0,
            agora: 0,
        }
    }

    fn add(&mut self, life: &PastRelay) {
        match &life.outcome {
            None => self.running += 1,
            Some(code) => {
                if code.known().is_some_and(OutcomeCode::ended_well) {
                    self.ended_well += 1;
                } else {
                    self.failed += 1;
                }
                *self.reasons.entry(code.to_string()).or_default() += 1;
            }
        }
        let took = life
            .live_at
            .map(|at| (at - life.requested_at).num_milliseconds());
        self.times
            .extend(took.and_then(|ms| u64::try_from(ms).ok()));
    }

    pub(super) fn label(&self) -> String {
        self.date.format("%b %-d").to_string()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ended_well + self.failed + self.running + self.platform + self.agora == 0
    }

    pub(super) fn median(&self) -> Option<u64> {
        self.percentile(50)
    }

    pub(super) fn p95(&self) -> Option<u64> {
        self.percentile(95)
    }

    /// By nearest rank, in milliseconds.
    fn percentile(&self, percent: usize) -> Option<u64> {
        let rank = (self.times.len() * percent).div_ceil(100);
        self.times.get(rank.saturating_sub(1)).copied()
    }
}

/// In micro-dollars.
pub(super) fn total_cost(sum: &CostSum) -> u64 {
    micros(sum.cost_micros).saturating_add(micros(sum.agora_cost_micros))
}

fn micros(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or_default()
}

pub(super) fn days_csv(days: &[DayTotals]) -> String {
    let mut text = String::from(
        "day,ended_well,failed,running,time_to_live_median_ms,time_to_live_p95_ms,platform_micros,agora_micros,outcomes\r\n",
    );
    for day in days {
        let time = |time: Option<u64>| time.map(|ms| ms.to_string()).unwrap_or_default();
        let reasons = day.reasons.iter();
        let reasons: Vec<String> = reasons
            .map(|(code, count)| format!("{code}:{count}"))
            .collect();
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{},{}\r\n",
            day.date,
            day.ended_well,
            day.failed,
            day.running,
            time(day.median()),
            time(day.p95()),
            day.platform,
            day.agora,
            reasons.join(" ")
        );
    }
    text
}

pub(super) fn channels_csv(sums: &[CostSum]) -> String {
    let mut text =
        String::from("channel_id,relays,duration_seconds,platform_micros,agora_micros\r\n");
    for sum in sums {
        if let CostGroup::Channel(id) = sum.group {
            let _ = write!(
                text,
                "{id},{},{},{},{}\r\n",
                sum.relays, sum.duration_seconds, sum.cost_micros, sum.agora_cost_micros
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;

    fn life(day: u32, to_live_ms: Option<i64>, outcome: Option<&str>) -> PastRelay {
        let requested_at: DateTime<Utc> = format!("2026-11-{day}T23:59:59Z").parse().unwrap();
        PastRelay {
            requested_at,
            live_at: to_live_ms.map(|ms| requested_at + TimeDelta::milliseconds(ms)),
            outcome: outcome.map(Into::into),
        }
    }

    fn totals_of(lives: &[PastRelay]) -> Vec<DayTotals> {
        let date = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        daily_totals(date(20), date(22), lives, &[])
    }

    #[test]
    fn a_relay_counts_on_the_day_of_its_request_and_empty_days_are_listed() {
        let days = totals_of(&[
            life(22, None, None),
            life(20, None, Some("seller_left")),
            life(20, None, Some("live_timeout")),
            life(20, None, Some("a code of tomorrow")),
        ]);
        let counts: Vec<_> = days
            .iter()
            .map(|day| (day.ended_well, day.failed, day.running))
            .collect();
        assert_eq!(counts, [(1, 2, 0), (0, 0, 0), (0, 0, 1)]);
        assert_eq!(days[0].reasons["live_timeout"], 1);
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let lives: Vec<PastRelay> = (1..=20).map(|n| life(21, Some(n * 100), None)).collect();
        let days = totals_of(&lives);
        assert_eq!((days[1].median(), days[1].p95()), (Some(1000), Some(1900)));
        assert_eq!(days[0].median(), None);
    }

    #[test]
    fn a_days_line_of_csv_holds_everything_in_its_column() {
        let csv = days_csv(&totals_of(&[life(20, Some(1500), Some("cancelled"))]));
        assert_eq!(
            csv.lines().nth(1),
            Some("2026-11-20,1,0,0,1500,1500,0,0,cancelled:1")
        );
        assert_eq!(csv.lines().nth(2), Some("2026-11-21,0,0,0,,,0,0,"));
    }
}
