//! One HTTP exchange with a vendor: what came back, or whether the request may have arrived all the same.

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::{Class, Done, Vendor, VendorError};

/// The most of an answer that is read, in bytes.
const BODY_LIMIT: usize = 8 << 20;

/// What came back, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, as it came.
    pub(crate) body: Vec<u8>,
}

/// A client that follows no redirect (a credential must not travel) and keeps connections.
///
/// # Errors
/// When no TLS provider is installed.
pub(crate) fn client(user_agent: &str) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_keepalive(Duration::from_secs(30))
        .no_proxy()
        .build()
}

/// Sends a request and reads its answer within `timeout`.
///
/// # Errors
/// [`Class::Unavailable`] with [`Done::No`] when no connection came about, else [`Done::Unknown`].
pub(crate) async fn send(
    vendor: Vendor,
    call: &'static str,
    request: reqwest::RequestBuilder,
    timeout: Duration,
) -> Result<Answer, VendorError> {
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
        Ok::<_, reqwest::Error>(Answer {
            status,
            headers,
            body,
        })
    };
    match tokio::time::timeout(timeout, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(broken(vendor, call, error)),
        Err(_) => Err(failure(
            vendor,
            call,
            Class::Timeout,
            Done::Unknown,
            format!("no answer within {}", humantime::format_duration(timeout)),
        )),
    }
}

/// An exchange the transport broke. The URL is left out: it may hold a secret.
fn broken(vendor: Vendor, call: &'static str, error: reqwest::Error) -> VendorError {
    let (class, done) = if error.is_connect() || error.is_builder() {
        (Class::Unavailable, Done::No)
    } else if error.is_timeout() {
        (Class::Timeout, Done::Unknown)
    } else {
        (Class::Unavailable, Done::Unknown)
    };
    let error = error.without_url();
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    failure(vendor, call, class, done, message)
}

/// A failure without an answer.
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
