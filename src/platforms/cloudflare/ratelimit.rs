//! Reads the `Ratelimit` and `Ratelimit-Policy` headers (`cloudflare-stream.md §1.4`).

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::platforms::api::RateLimits;
use crate::vendors::governor::QuotaReport;
use crate::vendors::http::requested_wait;

/// The window of the API's budget.
pub(super) const WINDOW: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Item {
    name: String,
    parameters: Vec<(String, String)>,
}

impl Item {
    fn text(&self, key: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let (_, value) = parameters.find(|(name, _)| name == key)?;
        Some(value)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }
}

/// Ignores an item for another window unless it is exhausted.
pub(super) fn read(headers: &HeaderMap) -> RateLimits {
    let policies = items(headers, "ratelimit-policy");
    let mut limits = RateLimits::default();
    for item in items(headers, "ratelimit") {
        let Some(remaining) = item.number("r") else {
            continue;
        };
        if remaining == 0 {
            let wait = item.text("t").and_then(requested_wait);
            limits.exhausted_for = limits.exhausted_for.max(wait);
        }
        let policy = policies.iter().find(|policy| policy.name == item.name);
        let window = policy.and_then(|policy| policy.number("w"));
        if window.is_some_and(|seconds| seconds != WINDOW.as_secs()) {
            continue;
        }
        let report = QuotaReport {
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            quota: policy
                .and_then(|policy| policy.number("q"))
                .map(|quota| u32::try_from(quota).unwrap_or(u32::MAX)),
        };
        if limits
            .report
            .is_none_or(|other| report.remaining < other.remaining)
        {
            limits.report = Some(report);
        }
    }
    limits
}

fn items(headers: &HeaderMap, name: &str) -> Vec<Item> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let name = parts
                .next()
                .unwrap_or_default()
                .trim_matches('"')
                .to_owned();
            let parameters = parts
                .filter_map(|part| part.split_once('='))
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect();
            Item { name, parameters }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(limit: &str, policy: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", limit.parse().unwrap());
        if let Some(policy) = policy {
            headers.insert("ratelimit-policy", policy.parse().unwrap());
        }
        headers
    }

    fn report(remaining: u32, quota: Option<u32>) -> Option<QuotaReport> {
        Some(QuotaReport { remaining, quota })
    }

    #[test]
    fn the_documented_header_is_read() {
        let limits = read(&headers("\"default\";r=50;t=30", None));
        assert_eq!(limits.report, report(50, None));
        assert_eq!(limits.exhausted_for, None);
    }

    #[test]
    fn the_policy_of_the_same_name_tells_the_quota() {
        let policy = "\"burst\";q=100;w=60, \"default\";q=1200;w=300";
        assert_eq!(
            read(&headers("\"default\";r=50;t=30", Some(policy))).report,
            report(50, Some(1200))
        );
    }

    #[test]
    fn an_item_of_another_window_is_ignored_unless_it_is_exhausted() {
        let policy = "\"burst\";q=100;w=60, \"default\";q=1200;w=300";
        let limit = "\"burst\";r=0;t=12, \"default\";r=800;t=30";
        let limits = read(&headers(limit, Some(policy)));
        assert_eq!(limits.report, report(800, Some(1200)));
        assert_eq!(limits.exhausted_for, Some(Duration::from_secs(12)));
    }

    #[test]
    fn an_exhausted_quota_stops_calls_for_five_minutes_at_most() {
        for (reset, seconds) in [("1790000000000", 300), ("86400", 300), ("0", 1), ("-5", 1)] {
            let limits = read(&headers(&format!("\"default\";r=0;t={reset}"), None));
            assert_eq!(
                limits.exhausted_for,
                Some(Duration::from_secs(seconds)),
                "{reset}"
            );
        }
        let limits = read(&headers("\"default\";r=0;t=inf", None));
        assert_eq!(
            (limits.report, limits.exhausted_for),
            (report(0, None), None)
        );
    }

    #[test]
    fn a_header_of_another_form_is_ignored() {
        for odd in [
            "",
            "50",
            "limit=100, remaining=50",
            "\"default\";r=many",
            ";;,,=",
        ] {
            assert_eq!(read(&headers(odd, None)), RateLimits::default(), "{odd}");
        }
        assert_eq!(read(&HeaderMap::new()), RateLimits::default());
    }
}
