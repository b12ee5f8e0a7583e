//! Is the token good, and how much is stored (`cloudflare-stream.md §1.5, §4.8`).

use reqwest::Method;
use serde::Deserialize;

use super::Cloudflare;
use super::api::ApiCall;
use super::wire::{count, lenient};
use crate::vendors::governor::PermitRequest;
use crate::vendors::{Class, VendorError};

/// What a token's verification says. It does not prove that the token may use Stream: a read does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenState {
    /// Good.
    Active,
    /// Switched off.
    Disabled,
    /// Past its time.
    Expired,
    /// A word nobody documented.
    Unknown(String),
}

/// What the account stores. A running recording counts 0 until it is finished.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageUsage {
    /// Minutes stored.
    pub total_minutes: f64,
    /// Minutes paid for; absent when not told.
    pub limit_minutes: Option<f64>,
    /// Videos; absent when not told.
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
    /// Asks whether the token is good. An account's own token (`cfat_…`) is verified by the account; any other by the
    /// user, and, since the wrong place calls a good token invalid, by the account if the user's refuses it.
    ///
    /// # Errors
    /// [`Class::Unauthorized`] when it is refused.
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

    /// How much the account stores: the cheapest call that proves the token may read Stream.
    ///
    /// # Errors
    /// As every read.
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
