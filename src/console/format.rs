use chrono::{DateTime, Utc};
use serde_json::Value;

/// `12 s`, `3 m 05 s`, `2 h 10 m`, `4 d 3 h`.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} m {:02} s", seconds % 60),
        3600..86_400 => format!("{hours} h {:02} m", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// With tenths below a minute.
pub(super) fn short_duration(ms: u64) -> String {
    if ms < 60_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        duration(ms / 1000)
    }
}

pub(super) fn timestamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(super) fn time_of_day(at: DateTime<Utc>) -> String {
    let tenths = at.timestamp_subsec_millis() / 100;
    format!("{}.{tenths}", at.format("%H:%M:%S"))
}

/// Exact, with at least two decimals.
pub(super) fn dollars(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    let rest = format!("{rest:06}");
    let kept = rest.trim_end_matches('0').len().max(2);
    format!("${whole}.{}", rest.get(..kept).unwrap_or_default())
}

pub(super) fn capitalized(name: &str) -> String {
    let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
    format!("{}{rest}", first.to_uppercase())
}

pub(super) fn readable(name: &str) -> String {
    name.replace(['_', '-'], " ")
}

/// The vendor calls among a journal entry's actions.
pub(super) fn call_names(actions: &Value) -> Vec<String> {
    let names = crate::actors::calls_of(actions);
    names.iter().map(|name| readable(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [0, 59, 60, 3599, 3600, 86_399, 90_000].map(duration);
        assert_eq!(
            texts,
            [
                "0 s",
                "59 s",
                "1 m 00 s",
                "59 m 59 s",
                "1 h 00 m",
                "23 h 59 m",
                "1 d 1 h"
            ]
        );
        assert_eq!(short_duration(2345), "2.3 s");
    }

    #[test]
    fn amounts_are_exact_and_have_two_places_at_least() {
        assert_eq!(dollars(0), "$0.00");
        assert_eq!(dollars(5_000), "$0.005");
        assert_eq!(dollars(1_234_500), "$1.2345");
        assert_eq!(dollars(12_000_000), "$12.00");
    }
}
