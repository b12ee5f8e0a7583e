//! The order in which Agora's domains are tried (`agora.md §1.2`).

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use url::Url;

use super::AgoraSetupError;

/// How long calls prefer a domain that answered instead of the first.
const REMEMBERED: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Domains {
    urls: Vec<String>,
    /// A place in `urls`, and until when it is tried first.
    preferred: Mutex<Option<(usize, Instant)>>,
}

impl Domains {
    pub(super) fn new<'a>(urls: impl Iterator<Item = &'a str>) -> Result<Self, AgoraSetupError> {
        let mut checked: Vec<String> = Vec::new();
        for text in urls {
            let text = text.trim().trim_end_matches('/');
            let valid = Url::parse(text).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
            });
            if !valid {
                return Err(AgoraSetupError::BaseUrl(text.into()));
            }
            if !checked.iter().any(|known| known == text) {
                checked.push(text.into());
            }
        }
        Ok(Self {
            urls: checked,
            preferred: Mutex::new(None),
        })
    }

    /// The URLs in the order to try them, each with its place in the settings.
    pub(super) fn order(&self, now: Instant) -> Vec<(usize, &str)> {
        let first = self.first(now);
        let (before, from) = self.urls.split_at(first.min(self.urls.len()));
        let numbered = (first..).zip(from).chain((0..).zip(before));
        numbered.map(|(n, url)| (n, url.as_str())).collect()
    }

    pub(super) fn prefer(&self, place: usize, now: Instant) {
        let preferred = (place != 0).then(|| (place, now + REMEMBERED));
        *self.preferred.lock() = preferred;
    }

    pub(super) fn after(&self, place: usize) -> usize {
        if place + 1 < self.urls.len() {
            place + 1
        } else {
            0
        }
    }

    fn first(&self, now: Instant) -> usize {
        let mut preferred = self.preferred.lock();
        match *preferred {
            Some((place, until)) if now < until => place,
            _ => {
                *preferred = None;
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(domains: &Domains, now: Instant) -> Vec<usize> {
        domains.order(now).iter().map(|(n, _)| *n).collect()
    }

    #[test]
    fn a_domain_that_worked_is_tried_first_for_ten_minutes() {
        let domains =
            Domains::new(["https://a", "https://b/", "https://c", "https://a"].into_iter())
                .unwrap();
        let now = Instant::now();
        assert_eq!(places(&domains, now), [0, 1, 2]);
        domains.prefer(1, now);
        assert_eq!(places(&domains, now), [1, 2, 0]);
        assert_eq!(domains.order(now)[0].1, "https://b");
        assert_eq!(places(&domains, now + REMEMBERED), [0, 1, 2]);
    }

    #[test]
    fn an_invalid_base_url_is_refused() {
        for text in ["", "api.agora.io", "ftp://a", "https://a/?b"] {
            assert!(Domains::new([text].into_iter()).is_err(), "{text}");
        }
    }
}
