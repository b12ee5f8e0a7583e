//! IVS's API: each operation is a signed POST of JSON with a budget of its own (`ivs.md §1`).

use std::time::Duration;

use anyhow::Context as _;
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::header::HeaderValue;
use reqwest::{Method, Request};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use strum::IntoEnumIterator as _;
use url::Url;

use super::credentials::AwsKeys;
use super::{VENDOR, refusal};
use crate::config::{IvsSettings, VendorsSettings};
use crate::platforms::api::{AnsweredCall, ApiCall, ApiClient, PlatformApi};
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::http::RawResponse;
use crate::vendors::lease::Lease;
use crate::vendors::{Vendor, VendorError};

pub(super) type IvsApi = ApiClient<IvsAccess>;

/// The operations in use: their names are IAM's actions and the paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
pub(super) enum IvsOperation {
    GetChannel,
    CreateChannel,
    ListChannels,
    UpdateChannel,
    DeleteChannel,
    ListStreamKeys,
    GetStreamKey,
    CreateStreamKey,
    DeleteStreamKey,
    GetStream,
    ListStreams,
    StopStream,
    GetRecordingConfiguration,
}

impl IvsOperation {
    pub(super) fn call(self) -> &'static str {
        match self {
            Self::GetChannel => "channels.get",
            Self::CreateChannel => "channels.create",
            Self::ListChannels => "channels.list",
            Self::UpdateChannel => "channels.update",
            Self::DeleteChannel => "channels.delete",
            Self::ListStreamKeys => "stream_keys.list",
            Self::GetStreamKey => "stream_keys.get",
            Self::CreateStreamKey => "stream_keys.create",
            Self::DeleteStreamKey => "stream_keys.delete",
            Self::GetStream => "streams.get",
            Self::ListStreams => "streams.list",
            Self::StopStream => "streams.stop",
            Self::GetRecordingConfiguration => "recording_configurations.get",
        }
    }

    fn budget(self) -> &'static str {
        match self {
            Self::GetChannel => "ivs_get_channel",
            Self::CreateChannel => "ivs_create_channel",
            Self::ListChannels => "ivs_list_channels",
            Self::UpdateChannel => "ivs_update_channel",
            Self::DeleteChannel => "ivs_delete_channel",
            Self::ListStreamKeys => "ivs_list_stream_keys",
            Self::GetStreamKey => "ivs_get_stream_key",
            Self::CreateStreamKey => "ivs_create_stream_key",
            Self::DeleteStreamKey => "ivs_delete_stream_key",
            Self::GetStream => "ivs_get_stream",
            Self::ListStreams => "ivs_list_streams",
            Self::StopStream => "ivs_stop_stream",
            Self::GetRecordingConfiguration => "ivs_get_recording_configuration",
        }
    }

    fn writes(self) -> bool {
        match self {
            Self::CreateChannel
            | Self::UpdateChannel
            | Self::DeleteChannel
            | Self::CreateStreamKey
            | Self::DeleteStreamKey
            | Self::StopStream => true,
            Self::GetChannel
            | Self::ListChannels
            | Self::ListStreamKeys
            | Self::GetStreamKey
            | Self::GetStream
            | Self::ListStreams
            | Self::GetRecordingConfiguration => false,
        }
    }
}

/// An account in a region: its credentials, and the budget of each operation (`ivs.md §1.3`).
#[derive(Debug)]
pub(super) struct IvsAccess {
    signer: IvsSigner,
    /// Of the settings.
    secret: SecretString,
    get_channel: Governor,
    others: Vec<(IvsOperation, Governor)>,
}

impl PlatformApi for IvsAccess {
    const VENDOR: Vendor = VENDOR;
    const PAUSE: Duration = Duration::from_secs(1);

    fn governor(&self, call: &ApiCall<'_>) -> &Governor {
        let mut others = self.others.iter();
        let found = others.find(|(operation, _)| operation.call() == call.name);
        found.map_or(&self.get_channel, |(_, governor)| governor)
    }

    async fn authorize(&self, request: &mut Request) -> Result<(), VendorError> {
        self.signer.sign(request).await
    }

    fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    fn refused(call: AnsweredCall<'_>, answer: &RawResponse) -> VendorError {
        refusal::refused(call, answer)
    }

    fn is_own(answer: &RawResponse) -> bool {
        refusal::kind(answer).is_some()
    }

    fn exchange_id(answer: &RawResponse) -> Option<&str> {
        answer.headers.get("x-amzn-requestid")?.to_str().ok()
    }
}

/// Signs requests with AWS's Signature Version 4 (`ivs.md §1.1`).
#[derive(Debug, Clone)]
pub struct IvsSigner {
    keys: AwsKeys,
    region: String,
}

impl IvsSigner {
    /// With the credentials and the region of the settings. A role's keys are read while `lease` is held.
    pub fn of_settings(
        settings: &IvsSettings,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            keys: AwsKeys::of_settings(settings, vendors, lease)?,
            region: settings.region.clone(),
        })
    }

    /// Adds the headers. A request that cannot be signed stays as it is: AWS refuses it.
    ///
    /// # Errors
    /// The keys of a role cannot be read.
    pub async fn sign(&self, request: &mut Request) -> Result<(), VendorError> {
        let credential = self.keys.current().await?;
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let body = HttpRequestBody::from(body.unwrap_or_default().to_vec());
        let mut unsigned = HttpRequest::new(body);
        *unsigned.method_mut() = request.method().clone();
        *unsigned.headers_mut() = request.headers().clone();
        let Ok(uri) = request.url().as_str().parse() else {
            return Ok(());
        };
        *unsigned.uri_mut() = uri;
        let authorizer = AwsAuthorizer::new(&credential, "ivs", &self.region);
        if authorizer.try_authorize(&mut unsigned, None).is_ok() {
            let mut headers = std::mem::take(unsigned.headers_mut());
            for value in headers.values_mut() {
                // Signature and session token.
                value.set_sensitive(true);
            }
            *request.headers_mut() = headers;
        }
        Ok(())
    }
}

impl IvsApi {
    pub(super) fn of_settings(
        settings: &IvsSettings,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> anyhow::Result<Self> {
        let base = Url::parse(&settings.api_url()).context("ivs.api_base_url is not a URL")?;
        HeaderValue::from_str(settings.session_token.expose_secret())
            .context("ivs.session_token cannot be a header")?;
        let rate = settings.requests_per_second;
        let budget = |operation: IvsOperation| match operation == IvsOperation::ListStreams {
            true => Governor::polls_per_second(operation.budget(), rate),
            false => Governor::per_second(operation.budget(), rate),
        };
        let others =
            IvsOperation::iter().filter(|operation| *operation != IvsOperation::GetChannel);
        let account = IvsAccess {
            signer: IvsSigner::of_settings(settings, vendors, lease)?,
            secret: settings.secret_access_key.clone(),
            get_channel: budget(IvsOperation::GetChannel),
            others: others.map(|other| (other, budget(other))).collect(),
        };
        Ok(Self::new(account, base, vendors, lease)?)
    }

    /// The first serves [`IvsOperation::GetChannel`].
    pub(super) fn governors(&self) -> impl Iterator<Item = &Governor> {
        let others = self.api.others.iter().map(|(_, governor)| governor);
        std::iter::once(&self.api.get_channel).chain(others)
    }

    pub(super) fn governor_of(&self, operation: IvsOperation) -> &Governor {
        let call = call(operation, Value::Null);
        self.api.governor(&call)
    }

    /// `flaw` says why the answer does not prove that the call took effect.
    pub(super) async fn data<T: DeserializeOwned>(
        &self,
        permit: PermitRequest,
        operation: IvsOperation,
        body: Value,
        flaw: impl FnOnce(&T) -> Option<&'static str>,
    ) -> Result<T, VendorError> {
        self.ask(permit, call(operation, body), |call, answer| {
            // Omits serde's error: it may quote a stream key.
            let data = serde_json::from_slice(&answer.body).ok();
            let data = data.ok_or_else(|| call.unexpected(answer, ANOTHER_SHAPE))?;
            match flaw(&data) {
                Some(what) => Err(call.unexpected(answer, what)),
                None => Ok(data),
            }
        })
        .await
    }

    /// Makes a call whose answer's body does not matter, unless it is a web page.
    pub(super) async fn send(
        &self,
        permit: PermitRequest,
        operation: IvsOperation,
        body: Value,
    ) -> Result<(), VendorError> {
        self.ask(permit, call(operation, body), |call, answer| {
            match answer.is_page() {
                true => Err(call.unexpected(answer, "a web page")),
                false => Ok(()),
            }
        })
        .await
    }
}

const ANOTHER_SHAPE: &str = "an answer of another shape than documented";

/// Adds a member, if it has a value.
pub(super) fn with(mut body: Value, key: &str, value: Option<&str>) -> Value {
    if let Some((members, value)) = body.as_object_mut().zip(value) {
        members.insert(key.to_owned(), value.into());
    }
    body
}

fn call(operation: IvsOperation, body: Value) -> ApiCall<'static> {
    let path: &'static str = operation.into();
    let call = ApiCall::new(operation.call(), Method::POST, [path]).body(body);
    match operation.writes() {
        true => call,
        false => call.reads(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// An independent signature of a request, by AWS's description.
    fn signature(
        secret: &str,
        (date, region, service): (&str, &str, &str),
        canonical_request: &str,
    ) -> String {
        let mac = |key: &[u8], text: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let day = &date[..8];
        let hash = hex::encode(Sha256::digest(canonical_request));
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
        let key = [day, region, service, "aws4_request"];
        let key = key
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                mac(&key, part)
            });
        hex::encode(mac(&key, &text))
    }

    /// `post-vanilla` of AWS's Signature Version 4 test suite.
    #[test]
    fn the_tests_own_signature_is_that_of_awss_test_suite() {
        let empty = hex::encode(Sha256::digest(""));
        let request = format!(
            "POST\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n{empty}"
        );
        let scope = ("20150830T123600Z", "us-east-1", "service");
        assert_eq!(
            signature("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope, &request),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }

    #[tokio::test]
    async fn a_request_is_signed_for_ivs_with_its_body_its_time_and_the_session_token() {
        for token in [None, Some("session-token".to_owned())] {
            let settings = IvsSettings {
                region: "eu-west-1".into(),
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: "secret".into(),
                session_token: token.clone().unwrap_or_default().into(),
                ..IvsSettings::default()
            };
            let (vendors, lease) = (VendorsSettings::default(), Lease::for_good());
            let signer = IvsSigner::of_settings(&settings, &vendors, &lease).unwrap();
            let client = reqwest::Client::builder().no_proxy();
            rustls::crypto::ring::default_provider()
                .install_default()
                .ok();
            let client = client.build().unwrap();
            let body = serde_json::json!({"name": "a b"});
            let url = "https://ivs.eu-west-1.amazonaws.com:8443/CreateChannel";
            let mut request = client.post(url).json(&body).build().unwrap();
            signer.sign(&mut request).await.unwrap();
            assert_eq!(request.body().unwrap().as_bytes().unwrap().len(), 14);
            let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
            let (date, hash) = (header("x-amz-date"), header("x-amz-content-sha256"));
            let sent = NaiveDateTime::parse_from_str(&date, "%Y%m%dT%H%M%SZ").unwrap();
            assert!((chrono::Utc::now().naive_utc() - sent).num_seconds().abs() < 60);
            assert_eq!(hash, hex::encode(Sha256::digest(body.to_string())));
            let mut signed = vec![
                ("content-type", "application/json".to_owned()),
                ("host", "ivs.eu-west-1.amazonaws.com:8443".to_owned()),
                ("x-amz-content-sha256", hash.clone()),
                ("x-amz-date", date.clone()),
            ];
            signed.extend(token.map(|token| ("x-amz-security-token", token)));
            let names: Vec<_> = signed.iter().map(|(name, _)| *name).collect();
            let names = names.join(";");
            let headers: String = signed
                .iter()
                .map(|(name, value)| format!("{name}:{value}\n"))
                .collect();
            let canonical = format!("POST\n/CreateChannel\n\n{headers}\n{names}\n{hash}");
            let scope = (date.as_str(), "eu-west-1", "ivs");
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}/eu-west-1/ivs/aws4_request, SignedHeaders={names}, Signature={}",
                &date[..8],
                signature("secret", scope, &canonical)
            );
            assert_eq!(header("authorization"), expected);
            assert!(request.headers()["authorization"].is_sensitive());
        }
    }

    #[test]
    fn each_operation_has_a_budget_of_its_own() {
        let lease = Lease::for_good();
        let settings = IvsSettings {
            region: "eu-west-1".into(),
            ..IvsSettings::default()
        };
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let api = IvsApi::of_settings(&settings, &VendorsSettings::default(), &lease).unwrap();
        for operation in IvsOperation::iter() {
            let governor = api.governor_of(operation);
            assert_eq!(governor.name(), operation.budget());
        }
    }
}
