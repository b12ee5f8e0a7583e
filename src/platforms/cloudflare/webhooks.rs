//! Cloudflare's two kinds of webhooks (`cloudflare-stream.md §5`): the Stream video webhook, and live notifications,
//! which a policy sends to a destination.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Cloudflare;
use super::wire::{lenient, readable};
use crate::platforms::api::ApiCall;
use crate::vendors::governor::PermitRequest;
use crate::vendors::{Class, VendorError};

const LIVE_ALERT: &str = "stream_live_notifications";

/// The account's one Stream video webhook (`cloudflare-stream.md §5.1`).
#[derive(Debug, Clone)]
pub struct StreamWebhook {
    /// The target.
    pub notification_url: String,
    /// The signing secret, present when it is set.
    pub secret: Option<SecretString>,
}

/// The URL has either name, or both.
#[derive(Debug, Deserialize)]
struct WireWebhook {
    #[serde(default, rename = "notificationUrl", deserialize_with = "lenient")]
    camel: Option<String>,
    #[serde(default, rename = "notification_url", deserialize_with = "lenient")]
    snake: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    secret: Option<SecretString>,
}

impl From<WireWebhook> for StreamWebhook {
    fn from(wire: WireWebhook) -> Self {
        Self {
            notification_url: wire.camel.or(wire.snake).unwrap_or_default(),
            secret: wire.secret,
        }
    }
}

/// A destination of notifications.
#[derive(Debug, Clone, Deserialize)]
pub struct NotificationDestination {
    /// The id.
    pub id: String,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The target; absent from the answer to a create.
    #[serde(default, deserialize_with = "lenient")]
    pub url: Option<String>,
}

/// A policy: which alerts go where (`cloudflare-stream.md §5.3`).
#[derive(Debug, Clone, Deserialize)]
pub struct NotificationPolicy {
    /// The id.
    pub id: String,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// Whether it is enabled.
    #[serde(default, deserialize_with = "lenient")]
    pub enabled: Option<bool>,
    /// The alert type.
    #[serde(default)]
    pub alert_type: String,
    #[serde(default)]
    mechanisms: Mechanisms,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Mechanisms {
    #[serde(default)]
    webhooks: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct CreatedObject {
    id: String,
}

impl NotificationPolicy {
    /// Whether it sends to this destination.
    #[must_use]
    pub fn uses(&self, destination: &str) -> bool {
        let mut webhooks = self.mechanisms.webhooks.iter();
        webhooks.any(|webhook| webhook.get("id").and_then(Value::as_str) == Some(destination))
    }

    /// Whether it sends live inputs' events there.
    #[must_use]
    pub fn tells_of_live_inputs(&self, destination: &str) -> bool {
        self.alert_type == LIVE_ALERT && self.enabled != Some(false) && self.uses(destination)
    }
}

impl Cloudflare {
    /// The account's Stream video webhook, if one is set.
    pub async fn stream_webhook(
        &self,
        permit: PermitRequest,
    ) -> Result<Option<StreamWebhook>, VendorError> {
        let call = ApiCall::new("stream.webhook.get", Method::GET, self.webhook());
        match self.api.result::<WireWebhook>(permit, call).await {
            Ok(webhook) => Ok(Some(webhook.into())),
            Err(error) if error.class == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the webhook, replacing any other. The answer has its secret.
    pub async fn set_stream_webhook(
        &self,
        permit: PermitRequest,
        url: &str,
    ) -> Result<StreamWebhook, VendorError> {
        let call = ApiCall::new("stream.webhook.set", Method::PUT, self.webhook())
            .body(json!({ "notificationUrl": url }));
        let flaw = |webhook: &WireWebhook| {
            let url = webhook.camel.as_ref().or(webhook.snake.as_ref());
            url.is_none_or(String::is_empty)
                .then_some("a webhook without a URL")
        };
        Ok(self.api.result_if(permit, call, flaw).await?.into())
    }

    /// Deletes the webhook, if it exists.
    pub async fn delete_stream_webhook(&self, permit: PermitRequest) -> Result<(), VendorError> {
        let call = ApiCall::new("stream.webhook.delete", Method::DELETE, self.webhook());
        self.delete(permit, call).await
    }

    /// Lists the destinations of notifications.
    pub async fn notification_destinations(
        &self,
        permit: PermitRequest,
    ) -> Result<Vec<NotificationDestination>, VendorError> {
        let call = ApiCall::new(
            "alerting.destinations.list",
            Method::GET,
            self.alerting(&["destinations", "webhooks"]),
        );
        Ok(readable(self.api.result(permit, call).await?))
    }

    /// Creates a destination; notifications carry `secret` in `cf-webhook-auth`. Cloudflare first sends a test
    /// message, and refuses the destination if the answer is not 2xx (`cloudflare-stream.md §5.4`).
    pub async fn create_notification_destination(
        &self,
        permit: PermitRequest,
        name: &str,
        url: &str,
        secret: &SecretString,
    ) -> Result<String, VendorError> {
        let call = ApiCall::new(
            "alerting.destinations.create",
            Method::POST,
            self.alerting(&["destinations", "webhooks"]),
        )
        .body(json!({ "name": name, "url": url, "secret": secret.expose_secret() }));
        let created: CreatedObject = self.api.result(permit, call).await?;
        Ok(created.id)
    }

    /// Lists the policies.
    pub async fn notification_policies(
        &self,
        permit: PermitRequest,
    ) -> Result<Vec<NotificationPolicy>, VendorError> {
        let call = ApiCall::new(
            "alerting.policies.list",
            Method::GET,
            self.alerting(&["policies"]),
        );
        Ok(readable(self.api.result(permit, call).await?))
    }

    /// Sends the events of all live inputs to a destination.
    pub async fn create_live_policy(
        &self,
        permit: PermitRequest,
        name: &str,
        destination: &str,
    ) -> Result<String, VendorError> {
        let call = ApiCall::new(
            "alerting.policies.create",
            Method::POST,
            self.alerting(&["policies"]),
        )
        .body(json!({
            "name": name,
            "enabled": true,
            "alert_type": LIVE_ALERT,
            "mechanisms": { "webhooks": [ { "id": destination } ] },
            "filters": {},
        }));
        let created: CreatedObject = self.api.result(permit, call).await?;
        Ok(created.id)
    }

    /// Deletes a destination, if it exists.
    pub async fn delete_notification_destination(
        &self,
        permit: PermitRequest,
        id: &str,
    ) -> Result<(), VendorError> {
        let path = self.alerting(&["destinations", "webhooks", id]);
        let call = ApiCall::new("alerting.destinations.delete", Method::DELETE, path);
        self.delete(permit, call).await
    }

    /// Deletes a policy, if it exists.
    pub async fn delete_notification_policy(
        &self,
        permit: PermitRequest,
        id: &str,
    ) -> Result<(), VendorError> {
        let path = self.alerting(&["policies", id]);
        let call = ApiCall::new("alerting.policies.delete", Method::DELETE, path);
        self.delete(permit, call).await
    }

    fn webhook(&self) -> Vec<&str> {
        vec!["accounts", self.api.account(), "stream", "webhook"]
    }

    fn alerting<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        let mut path = vec!["accounts", self.api.account(), "alerting", "v3"];
        path.extend(rest);
        path
    }
}
