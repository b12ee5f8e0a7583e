//! The bucket of recordings. Its client makes each request over this one's HTTP, under its lease, once.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::path::Path;
use object_store::{ClientOptions, ListResult, ObjectStore, ObjectStoreExt as _, RetryConfig};
use reqwest::{Method, StatusCode};

use super::VENDOR;
use super::credentials::AwsKeys;
use crate::config::{IvsSettings, VendorsSettings};
use crate::vendors::http::{self, USER_AGENT, by_status, failure};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, VendorError};

const LIST: &str = "s3.list";
const GET: &str = "s3.get";
const DELETE: &str = "s3.delete";

#[derive(Debug)]
pub(super) struct RecordingsBucket {
    name: String,
    store: AmazonS3,
}

impl RecordingsBucket {
    /// `None`: the settings name no bucket.
    pub(super) fn of_settings(
        settings: &IvsSettings,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> anyhow::Result<Option<Self>> {
        let name = settings.recording_bucket.clone();
        if name.is_empty() {
            return Ok(None);
        }
        let transport = S3Transport {
            client: http::client(USER_AGENT, vendors.idle_connections)?,
            timeout: vendors.write_timeout,
            lease: lease.clone(),
        };
        let keys = AwsKeys::of_settings(settings, vendors, lease)?;
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&name)
            .with_region(&settings.region)
            .with_credentials(keys.provider())
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            })
            .with_http_connector(transport);
        let builder = match settings.s3_endpoint.as_str() {
            // A bucket whose name has a dot has no host of its own with a certificate.
            "" => builder.with_virtual_hosted_style_request(!name.contains('.')),
            endpoint => builder.with_endpoint(endpoint).with_allow_http(true),
        };
        let store = builder.build()?;
        Ok(Some(Self { name, store }))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is directly below a prefix.
    pub(super) async fn list(&self, prefix: &str) -> Result<ListResult, VendorError> {
        let prefix = Path::from(prefix);
        let list = self.store.list_with_delimiter(Some(&prefix)).await;
        list.map_err(|error| refused(LIST, &error))
    }

    /// `None`: there is no such object.
    pub(super) async fn read(&self, key: &Path) -> Result<Option<Vec<u8>>, VendorError> {
        let read = async { self.store.get(key).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(GET, &error)),
        }
    }

    /// Deletes all objects below a prefix.
    pub(super) async fn delete_all(&self, prefix: &str) -> Result<(), VendorError> {
        let prefix = Path::from(prefix);
        let keys = self.store.list(Some(&prefix));
        let keys = keys.map_ok(|object| object.location).boxed();
        let deleted = self.store.delete_stream(keys);
        let deleted = deleted.try_for_each(|_| std::future::ready(Ok(())));
        match deleted.await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(refused(DELETE, &error)),
        }
    }
}

/// An HTTP client of [`object_store`] that makes our exchanges.
#[derive(Debug, Clone)]
struct S3Transport {
    client: reqwest::Client,
    timeout: Duration,
    lease: Lease,
}

impl HttpConnector for S3Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for S3Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let call = if parts.method == Method::POST || parts.method == Method::DELETE {
            DELETE
        } else if parts
            .uri
            .query()
            .is_some_and(|query| query.contains("list-type"))
        {
            LIST
        } else {
            GET
        };
        let body = body.as_bytes().cloned().unwrap_or_default();
        let request = self
            .client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body);
        let answer = http::send(VENDOR, call, request, self.timeout, &self.lease).await;
        // The kind would only decide whether to repeat it.
        let answer = answer.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let refused = refusal(call, answer.status);
        http::count(VENDOR, call, refused.as_ref().map(|error| error.class));
        if let Some(error) = refused {
            return Err(HttpError::new(HttpErrorKind::Unknown, error));
        }
        let mut response = HttpResponse::new(HttpResponseBody::from(answer.body));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// What a status means. Only objects may be missing.
fn refusal(call: &'static str, status: u16) -> Option<VendorError> {
    let (class, done) = by_status(status);
    let (class, message) = match status {
        200..300 => return None,
        404 if call != LIST => return None,
        404 => (Class::Rejected, "there is no such bucket"),
        401 | 403 => (
            class,
            "the bucket may not be read, or the credentials are refused",
        ),
        300..=400 => (Class::Rejected, "the bucket is in another region"),
        _ => (class, "S3 refused or failed"),
    };
    Some(VendorError {
        status: Some(status),
        ..failure(VENDOR, call, class, done, message.to_owned())
    })
}

/// The error of the exchange, or of its answer.
fn refused(call: &'static str, error: &object_store::Error) -> VendorError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<VendorError>() {
            return error.clone();
        }
        source = cause.source();
    }
    let message = "an answer of another shape than documented".to_owned();
    failure(VENDOR, call, Class::Unexpected, Done::Unknown, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_may_be_missing_and_a_status_tells_what_to_do() {
        for (call, status, class) in [
            (LIST, 200, None),
            (GET, 404, None),
            (DELETE, 404, None),
            (LIST, 404, Some(Class::Rejected)),
            (LIST, 403, Some(Class::Unauthorized)),
            (GET, 403, Some(Class::Unauthorized)),
            (LIST, 301, Some(Class::Rejected)),
            (LIST, 400, Some(Class::Rejected)),
            (LIST, 503, Some(Class::Unavailable)),
        ] {
            let refused = refusal(call, status).map(|error| error.class);
            assert_eq!(refused, class, "{call} {status}");
        }
    }
}
