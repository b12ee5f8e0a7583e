//! Calls on live inputs (`cloudflare-stream.md §2`).

use reqwest::Method;
use serde_json::{Value, json};

use super::api::IDEMPOTENCY_KEY;
use super::live_input::{LiveInput, LiveInputSummary, NewLiveInput, WireLiveInput};
use super::wire::{Items, readable};
use super::{Cloudflare, VENDOR};
use crate::platforms::api::ApiCall;
use crate::vendors::governor::PermitRequest;
use crate::vendors::http::failure;
use crate::vendors::{Class, Done, VendorError};

/// The assumed size of a full list; the cap is not documented (`cloudflare-stream.md §2.10`).
const LIST_CAP: usize = 1000;

/// The result of creating a live input.
#[derive(Debug, Clone)]
pub struct CreatedLiveInput {
    /// The live input.
    pub live_input: LiveInput,
    /// The settings that Cloudflare ignored twice; they raise an alarm.
    pub echo_differs: Vec<String>,
}

/// The account's live inputs.
#[derive(Debug, Clone)]
pub struct LiveInputList {
    /// Those in the answer.
    pub live_inputs: Vec<LiveInputSummary>,
    /// Whether there may be more.
    pub may_be_cut: bool,
}

impl Cloudflare {
    /// Creates a live input, or finds the one with the same tag from the last 6 hours. Corrects settings that
    /// Cloudflare ignored, once.
    ///
    /// # Errors
    /// [`Class::Conflict`] if the tag's live input was deleted. [`Class::Rejected`] if Cloudflare does not record
    /// automatically, so that nothing can be watched: then it is deleted again ([`Done::Unknown`] if that fails).
    pub async fn create_live_input(
        &self,
        permit: PermitRequest,
        new: &NewLiveInput,
    ) -> Result<CreatedLiveInput, VendorError> {
        const NAME: &str = "live_inputs.create";
        let call = ApiCall::new(NAME, Method::POST, self.live_inputs())
            .header(IDEMPOTENCY_KEY, &new.tag)
            .body(new.create_body());
        let mut live_input = self.live_input(permit, call, None).await?;
        let mut echo_differs = new.differences(&live_input);
        if !echo_differs.is_empty() {
            let uid = live_input.uid.clone();
            let put = ApiCall::new(
                "live_inputs.update",
                Method::PUT,
                self.live_input_path(&uid),
            )
            .body(new.update_body());
            match self.live_input(permit, put, Some(&uid)).await {
                Ok(updated) => {
                    echo_differs = new.differences(&updated);
                    live_input = updated;
                }
                // The live input exists but would play nothing.
                Err(error) if new.mode_differs(&live_input) => {
                    return Err(VendorError {
                        done: Done::Unknown,
                        ..error
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a live input's settings could not be corrected")
                }
            }
        }
        if new.mode_differs(&live_input) {
            let deleted = self.delete_live_input(permit, &live_input.uid).await;
            return Err(failure(
                VENDOR,
                NAME,
                Class::Rejected,
                if deleted.is_ok() {
                    Done::No
                } else {
                    Done::Unknown
                },
                "recording.mode is not automatic, though asked for twice".to_owned(),
            ));
        }
        Ok(CreatedLiveInput {
            live_input,
            echo_differs,
        })
    }

    /// Reads a live input with its credentials and status.
    pub async fn get_live_input(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<LiveInput, VendorError> {
        let call = ApiCall::new("live_inputs.get", Method::GET, self.live_input_path(uid));
        self.live_input(permit, call, Some(uid)).await
    }

    /// Lists all live inputs of the account, ours and others'.
    pub async fn list_live_inputs(
        &self,
        permit: PermitRequest,
    ) -> Result<LiveInputList, VendorError> {
        const NAME: &str = "live_inputs.list";
        let call =
            ApiCall::new(NAME, Method::GET, self.live_inputs()).query("include_counts", "true");
        let result: Value = self.api.result(permit, call).await?;
        let Some(Items { items, total }) = Items::of(result, "liveInputs") else {
            return Err(failure(
                VENDOR,
                NAME,
                Class::Unexpected,
                Done::No,
                "neither a list nor an object with liveInputs".to_owned(),
            ));
        };
        let count = items.len();
        let live_inputs: Vec<LiveInputSummary> = readable(items)
            .into_iter()
            .map(WireLiveInput::summary)
            .collect();
        let more =
            total.is_some_and(|total| usize::try_from(total).is_ok_and(|total| total > count));
        Ok(LiveInputList {
            may_be_cut: more || count >= LIST_CAP || live_inputs.len() < count,
            live_inputs,
        })
    }

    /// Disables a live input, which ends a running broadcast (`cloudflare-stream.md §2.7`).
    pub async fn disable_live_input(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<(), VendorError> {
        let call = ApiCall::new(
            "live_inputs.disable",
            Method::PUT,
            self.live_input_path(uid),
        )
        .body(json!({ "enabled": false }));
        let flaw = |wire: &WireLiveInput| {
            wire.flaw(Some(uid)).or_else(|| {
                wire.enabled
                    .unwrap_or_default()
                    .then_some("it is still enabled")
            })
        };
        let wire = self.api.result_if(permit, call, flaw).await?;
        self.read_live_input(wire);
        Ok(())
    }

    /// Enables a live input that was disabled, with all its settings.
    pub async fn enable_live_input(
        &self,
        permit: PermitRequest,
        uid: &str,
        settings: &NewLiveInput,
    ) -> Result<(), VendorError> {
        let mut body = settings.update_body();
        if let Some(object) = body.as_object_mut() {
            object.insert("enabled".to_owned(), true.into());
        }
        let call = ApiCall::new("live_inputs.enable", Method::PUT, self.live_input_path(uid));
        let flaw = |wire: &WireLiveInput| {
            let is_off = wire.enabled == Some(false);
            wire.flaw(Some(uid))
                .or(is_off.then_some("it is still disabled"))
        };
        let wire = self.api.result_if(permit, call.body(body), flaw).await?;
        self.read_live_input(wire);
        Ok(())
    }

    /// Gives a live input new credentials. Id and playback stay; a publisher with the old key is disconnected
    /// (`cloudflare-stream.md §2.8`).
    pub async fn rotate_keys(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<LiveInput, VendorError> {
        let mut path = self.live_input_path(uid);
        path.push("rotate_keys");
        let call = ApiCall::new("live_inputs.rotate_keys", Method::POST, path);
        self.live_input(permit, call, Some(uid)).await
    }

    /// Deletes a live input; its recordings stay (`cloudflare-stream.md §2.9`). Succeeds if it is already gone.
    pub async fn delete_live_input(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<(), VendorError> {
        let call = ApiCall::new(
            "live_inputs.delete",
            Method::DELETE,
            self.live_input_path(uid),
        );
        self.delete(permit, call).await
    }

    /// Succeeds if the object is already gone.
    pub(super) async fn delete(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
    ) -> Result<(), VendorError> {
        match self.api.send(permit, call).await {
            Err(error) if error.class != Class::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn live_input(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
        uid: Option<&str>,
    ) -> Result<LiveInput, VendorError> {
        let flaw = |wire: &WireLiveInput| wire.flaw(uid);
        let wire = self.api.result_if(permit, call, flaw).await?;
        Ok(self.read_live_input(wire))
    }

    fn read_live_input(&self, wire: WireLiveInput) -> LiveInput {
        if let Some(base) = wire.customer_base_url() {
            self.customer.remember(&base);
        }
        wire.read(self.customer.base_url().as_deref())
    }

    fn live_inputs(&self) -> Vec<&str> {
        vec!["accounts", self.api.account(), "stream", "live_inputs"]
    }

    pub(super) fn live_input_path<'a>(&'a self, uid: &'a str) -> Vec<&'a str> {
        let mut path = self.live_inputs();
        path.push(uid);
        path
    }
}
