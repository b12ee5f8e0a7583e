//! Verifies the token and reads the storage usage (`cloudflare-stream.md §1.5, §4.8`).

use reqwest::Method;
use serde::Deserialize;

use super::Cloudflare;
use super::wire::{count, lenient};
use crate::platforms::api::ApiCall;
use crate::vendors::governor::PermitRequest;
use crate::vendors::{Class, VendorError};

/// The state of a token. It does not prove access to Stream: only a read does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenState {
    /// Valid.
    Active,
    /// Disabled.
    Disabled,
    /// Expired.
    Expired,
    /// An undocumented state.
    Unknown(String),
}

/// What the account stores. A running recording counts 0 until it is finished.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageUsage {
    /// Stored minutes.
    pub total_minutes: f64,
    /// Paid minutes, if reported.
    pub limit_minutes: Option<f64>,
    /// The number of videos, if reported.
    pub video_count: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct WireToken {
    status: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUsage {
    total_storage_minutes: f64,
    #[serde(default, deserialize_with = "lenient")]
    total_storage_minutes_limit: Option<f64>,
    #[serde(default, deserialize_with = "count")]
    video_count: Option<u64>,
}

impl Cloudflare {
    /// Verifies the token: an account's own (`cfat_…`) at the account, others at the user, then at the account, since
    /// the wrong endpoint calls a valid token invalid.
    pub async fn verify_token(&self, permit: PermitRequest) -> Result<TokenState, VendorError> {
        if self.api.token().starts_with("cfat_") {
            return self.verify(permit, self.account_tokens()).await;
        }
        let by_user = self.verify(permit, vec!["user", "tokens", "verify"]).await;
        match by_user {
            Err(error) if error.class == Class::Unauthorized => self
                .verify(permit, self.account_tokens())
                .await
                .map_err(|_| error),
            other => other,
        }
    }

    /// Reads the storage usage: the cheapest call that proves access to Stream.
    pub async fn storage_usage(&self, permit: PermitRequest) -> Result<StorageUsage, VendorError> {
        let path = vec!["accounts", self.api.account(), "stream", "storage-usage"];
        let call = ApiCall::new("stream.storage_usage", Method::GET, path);
        let usage: WireUsage = self.api.result(permit, call).await?;
        Ok(StorageUsage {
            total_minutes: usage.total_storage_minutes,
            limit_minutes: usage.total_storage_minutes_limit,
            video_count: usage.video_count,
        })
    }

    fn account_tokens(&self) -> Vec<&str> {
        vec!["accounts", self.api.account(), "tokens", "verify"]
    }

    async fn verify(
        &self,
        permit: PermitRequest,
        path: Vec<&str>,
    ) -> Result<TokenState, VendorError> {
        let call = ApiCall::new("tokens.verify", Method::GET, path);
        let token: WireToken = self.api.result(permit, call).await?;
        Ok(match token.status.as_str() {
            "active" => TokenState::Active,
            "disabled" => TokenState::Disabled,
            "expired" => TokenState::Expired,
            _ => TokenState::Unknown(token.status),
        })
    }
}
