//! One HTTP exchange with a vendor, and whether a failed request may have arrived.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use tracing::Instrument as _;

use super::lease::{CallDeadline, Lease};
use super::proxy::Proxy;
use super::{Class, Done, Vendor, VendorError};
use crate::telemetry::{metrics, traced};

pub(crate) const USER_AGENT: &str = concat!("relaykeeper/", env!("CARGO_PKG_VERSION"));

const BODY_LIMIT: usize = 8 << 20;
const HTML: &[u8] = b"text/html";

/// In characters.
const EXCERPT: usize = 80;

const MIN_WAIT: Duration = Duration::from_secs(1);

/// The longest that a vendor blocks an account. None may stop all calls for hours.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(300);

/// A number from here on is a date (2001 or later), not a wait.
const SECONDS_SINCE_1970: f64 = 1e9;

pub(crate) struct RawResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl RawResponse {
    pub(crate) fn is_empty(&self) -> bool {
        self.body.trim_ascii().is_empty()
    }

    /// Whether a proxy, a bot challenge or a captive portal wrote the body.
    pub(crate) fn is_page(&self) -> bool {
        let body = self.body.trim_ascii_start();
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let html = self.headers.get(CONTENT_TYPE).is_some_and(|kind| {
            let kind = kind.as_bytes();
            kind.len() >= HTML.len()
                && kind
                    .iter()
                    .zip(HTML)
                    .all(|(a, b)| a.eq_ignore_ascii_case(b))
        });
        match body.trim_ascii_start().first() {
            Some(b'<') => true,
            Some(b'{' | b'[') | None => false,
            Some(_) => html,
        }
    }

    /// What an answer is that has no documented form.
    pub(crate) fn excerpt(&self) -> String {
        if self.is_empty() {
            return "an empty answer".to_owned();
        }
        if self.is_page() {
            return "a web page".to_owned();
        }
        let text = String::from_utf8_lossy(&self.body);
        match text.trim_start().starts_with(['{', '[']) {
            // It may hold a stream key.
            true => "JSON of another shape than documented".to_owned(),
            false => text
                .chars()
                .filter(|c| !c.is_control())
                .take(EXCERPT)
                .collect(),
        }
    }
}

/// Omits the body: it may contain a stream key.
impl std::fmt::Debug for RawResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Follows no redirects, which would leak credentials. Keeps up to `idle` connections per host.
pub(crate) fn client(user_agent: &str, idle: u32) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(usize::try_from(idle).unwrap_or(usize::MAX))
        .tcp_keepalive(Duration::from_secs(30))
        .no_proxy();
    match Proxy::of_environment() {
        Ok(Some(proxy)) => builder.proxy(proxy.rule()?),
        // The `check` command reports an invalid proxy.
        Ok(None) | Err(_) => builder,
    }
    .build()
}

/// Reads the answer within `timeout` and the lease. An error has [`Done::No`] if no connection was made or the lease
/// allows no call, else [`Done::Unknown`].
pub(crate) async fn send(
    vendor: Vendor,
    call: &'static str,
    request: reqwest::RequestBuilder,
    timeout: Duration,
    lease: &Lease,
) -> Result<RawResponse, VendorError> {
    let Some(deadline) = lease.begin(timeout) else {
        return Err(without_lease(vendor, call));
    };
    let begun = Instant::now();
    let span = tracing::error_span!("vendor_call", %vendor, call);
    let exchange = exchange(vendor, call, traced(request, &span), &deadline);
    let answer = exchange.instrument(span).await;
    let seconds = begun.elapsed().as_secs_f64();
    metrics::VENDOR_CALL_DURATION.observe(seconds, [&vendor.to_string(), call]);
    if let Err(error) = &answer {
        count(vendor, call, Some(error.class));
    }
    answer
}

/// `failure`: `None` for a success. The callers of [`send`] count its answers: a status alone does not show success.
pub(crate) fn count(vendor: Vendor, call: &str, failure: Option<Class>) {
    let class = failure.map_or_else(|| "ok".to_owned(), |class| class.to_string());
    metrics::VENDOR_CALLS.add(1, [&vendor.to_string(), call, &class]);
}

pub(crate) fn without_lease(vendor: Vendor, call: &'static str) -> VendorError {
    let message = "the lease of this process was not renewed in time".to_owned();
    failure(vendor, call, Class::Unavailable, Done::No, message)
}

pub(crate) fn without_permit(
    vendor: Vendor,
    call: &'static str,
    retry_after: Duration,
) -> VendorError {
    let message = "rate budget exhausted: no permit before the deadline".to_owned();
    VendorError {
        retry_after: Some(retry_after),
        ..failure(vendor, call, Class::RateLimited, Done::No, message)
    }
}

/// The meaning of a status, unless a vendor documents another one.
pub(crate) fn by_status(status: u16) -> (Class, Done) {
    match status {
        401 | 403 => (Class::Unauthorized, Done::No),
        404 => (Class::NotFound, Done::No),
        408 => (Class::Timeout, Done::Unknown),
        409 => (Class::Conflict, Done::No),
        429 => (Class::RateLimited, Done::No),
        400..=499 => (Class::Rejected, Done::No),
        500.. => (Class::Unavailable, Done::Unknown),
        _ => (Class::Unexpected, Done::Unknown),
    }
}

async fn exchange(
    vendor: Vendor,
    call: &'static str,
    request: reqwest::RequestBuilder,
    deadline: &CallDeadline,
) -> Result<RawResponse, VendorError> {
    let exchange = async {
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > BODY_LIMIT {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok::<_, reqwest::Error>(RawResponse {
            status,
            headers,
            body,
        })
    };
    match within(deadline, exchange).await {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => Err(broken(vendor, call, error)),
        None => Err(failure(
            vendor,
            call,
            Class::Timeout,
            Done::Unknown,
            format!("no answer within {}", shown(deadline.length())),
        )),
    }
}

/// Unlike `tokio::time::timeout`, checks the deadline first: a process that was frozen past it must not continue the
/// call.
async fn within<F: Future>(deadline: &CallDeadline, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let timely = std::future::poll_fn(|cx| match deadline.has_passed() {
        true => std::task::Poll::Ready(None),
        false => future.as_mut().poll(cx).map(Some),
    });
    let timely = tokio::time::timeout_at(deadline.until(), timely).await;
    timely.ok().flatten()
}

fn shown(duration: Duration) -> humantime::FormattedDuration {
    let whole = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(whole))
}

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    requested_wait(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// Reads seconds, an HTTP date or a Unix time, and clamps the wait to [`MIN_WAIT`]..[`MAX_WAIT`].
pub(crate) fn requested_wait(text: &str) -> Option<Duration> {
    let until = |date: SystemTime| date.duration_since(SystemTime::now()).unwrap_or_default();
    let text = text.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) if !seconds.is_finite() => return None,
        Ok(seconds) if seconds >= SECONDS_SINCE_1970 => Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|since| UNIX_EPOCH.checked_add(since))
            .map_or(MAX_WAIT, until),
        // A negative number: the wait is over.
        Ok(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or_default(),
        Err(_) => until(chrono::DateTime::parse_from_rfc2822(text).ok()?.into()),
    };
    Some(wait.clamp(MIN_WAIT, MAX_WAIT))
}

/// Omits the URL: it may contain a secret.
fn broken(vendor: Vendor, call: &'static str, error: reqwest::Error) -> VendorError {
    let (class, done) = if error.is_connect() || error.is_builder() {
        (Class::Unavailable, Done::No)
    } else if error.is_timeout() {
        (Class::Timeout, Done::Unknown)
    } else {
        (Class::Unavailable, Done::Unknown)
    };
    let error = anyhow::Error::new(error.without_url());
    failure(vendor, call, class, done, format!("{error:#}"))
}

pub(crate) fn failure(
    vendor: Vendor,
    call: &'static str,
    class: Class,
    done: Done,
    message: String,
) -> VendorError {
    VendorError {
        vendor,
        call,
        class,
        done,
        status: None,
        code: None,
        message: message.chars().take(300).collect(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_of(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wait_of("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait_of(" 1.5 "), Some(Duration::from_millis(1500)));
        let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(90);
        let date = soon.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        for soon in [date, soon.timestamp().to_string()] {
            let wait = wait_of(&soon).unwrap();
            assert!((80..=90).contains(&wait.as_secs()), "{soon}: {wait:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_web_page_is_distinguished_from_json_text_and_an_empty_body() {
        let answer = |kind: Option<&str>, body: &str| {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kind {
                headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            }
            let body = body.as_bytes().to_vec();
            let status = 200;
            RawResponse {
                status,
                headers,
                body,
            }
        };
        for (kind, body) in [
            (Some("text/html"), "<html>"),
            (Some("Text/HTML; charset=utf-8"), "Attention required"),
            (Some("application/json"), "\n <!doctype html>"),
            (None, "\u{feff}<html>"),
        ] {
            assert!(answer(kind, body).is_page(), "{kind:?} {body}");
        }
        for (kind, body) in [
            (Some("text/html"), ""),
            (Some("text/html"), " {\"success\":true}"),
            (Some("text/plain"), "ok"),
            (Some("text"), "ok"),
            (None, "ok"),
            (None, ""),
        ] {
            assert!(!answer(kind, body).is_page(), "{kind:?} {body}");
        }
    }

    #[test]
    fn a_retry_after_is_clamped_to_between_a_second_and_five_minutes() {
        let over = (chrono::Utc::now() - chrono::TimeDelta::days(9)).timestamp();
        for past in [
            "0",
            "-0",
            "-1",
            "-1e300",
            "0.001",
            "Wed, 21 Oct 2015 07:28:00 GMT",
        ] {
            assert_eq!(wait_of(past), Some(MIN_WAIT), "{past}");
        }
        assert_eq!(wait_of(&over.to_string()), Some(MIN_WAIT));
        for far in [
            "301",
            "3600",
            "999999999",
            "18446744073709551615",
            "99999999999999999999999999",
            "1e300",
            "1790000000000",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(wait_of(far), Some(MAX_WAIT), "{far}");
        }
        for nothing in [
            "", "later", "inf", "-inf", "nan", "1e999", "0x10", "10 s", "1,000",
        ] {
            assert_eq!(wait_of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_body_of_an_answer_is_never_shown() {
        let answer = RawResponse {
            status: 200,
            headers: HeaderMap::new(),
            body: b"streamKey".to_vec(),
        };
        assert_eq!(
            format!("{answer:?}"),
            "Answer { status: 200, bytes: 9, .. }"
        );
    }
}
