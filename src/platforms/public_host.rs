//! A platform's public host of manifests: no token, no API budget.

use std::time::Duration;

use crate::config::VendorsSettings;
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::http::{self, RawResponse, failure};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, Vendor, VendorError};

/// The pause after a 429 that names no wait.
const PAUSE: Duration = Duration::from_secs(5);

/// A client of the host. Clones share its budget.
#[derive(Debug, Clone)]
pub(super) struct PublicHost {
    vendor: Vendor,
    client: reqwest::Client,
    governor: Governor,
    timeout: Duration,
    lease: Lease,
}

impl PublicHost {
    pub(super) fn new(
        vendor: Vendor,
        user_agent: &str,
        governor: Governor,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> reqwest::Result<Self> {
        Ok(Self {
            vendor,
            client: http::client(user_agent, vendors.idle_connections)?,
            governor,
            timeout: vendors.read_timeout,
            lease: lease.clone(),
        })
    }

    pub(super) fn governor(&self) -> &Governor {
        &self.governor
    }

    /// Any answer but a 429, which is counted here; the caller counts the others.
    pub(super) async fn get(
        &self,
        permit: PermitRequest,
        name: &'static str,
        url: String,
    ) -> Result<RawResponse, VendorError> {
        let vendor = self.vendor;
        if !self.lease.ready(permit.until).await {
            return Err(http::without_lease(vendor, name));
        }
        let permit = self
            .governor
            .permit(permit)
            .await
            .map_err(|denied| http::without_permit(vendor, name, denied.retry_after))?;
        let answer = http::send(
            vendor,
            name,
            self.client.get(url),
            self.timeout,
            &self.lease,
        )
        .await
        .map_err(|error| VendorError {
            done: Done::No,
            ..error
        })?;
        permit.answered(None);
        if answer.status == 429 {
            let pause = http::retry_after(&answer.headers).unwrap_or(PAUSE);
            self.governor.pause(pause);
            http::count(vendor, name, Some(Class::RateLimited));
            let message = "too many requests".to_owned();
            return Err(VendorError {
                status: Some(429),
                retry_after: Some(pause),
                ..failure(vendor, name, Class::RateLimited, Done::No, message)
            });
        }
        Ok(answer)
    }
}
