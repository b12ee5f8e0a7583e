//! Media Push: a converter pushes a channel to an RTMP(S) URL (`agora.md §4`).
//!
//! A converter's name is unique while it lives, so a create with an unknown outcome is looked up by name: by the id
//! in a 409, or in the list.

mod body;
mod converter;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};

pub use converter::{Converter, ConverterList, ConverterState};

use super::encode;
use super::transport::{ProductClient, Repeat, Request};
use crate::config;
use crate::vendors::governor::PermitRequest;
use crate::vendors::redact::secret_part;
use crate::vendors::{Class, Done, Vendor, VendorError, http};
use converter::ConverterPage;

/// A page lists 500 converters.
const MAX_PAGES: usize = 100;

/// The API of one App ID.
#[derive(Debug, Clone)]
pub struct MediaPush {
    client: ProductClient,
    app_id: Arc<str>,
    settings: Arc<config::MediaPushSettings>,
}

/// A converter to create.
#[derive(Debug, Clone)]
pub struct NewConverter {
    /// Our tag: 1 to 64 of `[A-Za-z0-9-_]`.
    pub name: String,
    /// The channel's name.
    pub channel: String,
    /// The uid to carry.
    pub seller_uid: u32,
    /// The publish URL, with the stream key; at most 1,024 characters.
    pub rtmp_url: SecretString,
    /// The converter ends this long after the seller left; Agora clamps it to 5 s to 24 h.
    pub idle_timeout: Duration,
    /// Whether buyers are near: key frames every 2 s, and no B-frames (`agora.md §4.12`).
    pub low_latency: bool,
    /// `cn`, `ap`, `na` or `eu`; later calls must use the same (`agora.md §4.1`).
    pub region: String,
}

/// The answer to a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateAnswer {
    /// The converter exists and starts.
    Created {
        /// Its id.
        converter_id: String,
        /// Its state.
        state: ConverterState,
    },
    /// 409: a converter of this name exists.
    NameTaken {
        /// Its id (`X-Resource-ID`); if absent, find the name in the list.
        converter_id: Option<String>,
    },
}

/// The answer to a get.
#[derive(Debug, Clone)]
pub enum GetAnswer {
    /// The converter exists.
    Found(Converter),
    /// 404: it never existed, is destroyed, or is moving to another machine (2 to 4 minutes).
    NotFound {
        /// A fallback domain answered.
        failed_over: bool,
    },
}

/// The answer to a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteAnswer {
    /// The converter is destroyed.
    Deleted,
    /// As [`GetAnswer::NotFound`].
    NotFound {
        /// A fallback domain answered, or an earlier attempt may have arrived.
        failed_over: bool,
    },
}

impl MediaPush {
    pub(super) fn new(client: ProductClient, settings: &config::AgoraSettings) -> Self {
        Self {
            client,
            app_id: encode(&settings.app_id).into(),
            settings: Arc::new(settings.media_push.clone()),
        }
    }

    /// Creates a converter.
    pub async fn create(
        &self,
        permit: PermitRequest,
        new: &NewConverter,
    ) -> Result<CreateAnswer, VendorError> {
        let request = Request {
            request_id: true,
            ..Request::post(
                "rtmp_converters.create",
                self.regional(&new.region, None),
                &body::create(new, &self.settings),
                Repeat::Never,
                vec![secret_part(new.rtmp_url.expose_secret())],
            )?
        };
        let reply = self.client.exchange(permit, &request).await?;
        if reply.status == 409 && !reply.is_foreign() {
            let converter_id = reply.header("x-resource-id");
            return Ok(CreateAnswer::NameTaken { converter_id });
        }
        let converter =
            self.client
                .documented(&reply, "a converter was created without an id", |body| {
                    Converter::read(body, None)
                })?;
        Ok(CreateAnswer::Created {
            converter_id: converter.id,
            state: converter.state,
        })
    }

    /// Like [`Self::get`], but takes a missing state from the channel's list, with another permit.
    pub async fn poll(
        &self,
        permit: PermitRequest,
        region: &str,
        converter_id: &str,
    ) -> Result<GetAnswer, VendorError> {
        let mut answer = self.get(permit, region, converter_id).await?;
        if let GetAnswer::Found(found) = &mut answer
            && found.state == ConverterState::Absent
        {
            let list = match &found.channel {
                Some(channel) => self.list_channel(permit, channel).await?,
                None => self.list(permit).await?,
            };
            let mut listed = list.converters.into_iter();
            if let Some(listed) = listed.find(|listed| listed.is(converter_id)) {
                found.state = listed.state;
            }
        }
        Ok(answer)
    }

    /// Reads a converter, in the region of its creation.
    pub async fn get(
        &self,
        permit: PermitRequest,
        region: &str,
        converter_id: &str,
    ) -> Result<GetAnswer, VendorError> {
        let path = self.regional(region, Some(converter_id));
        let reply = self
            .client
            .exchange(permit, &read("rtmp_converters.get", path))
            .await?;
        if reply.is_not_found() {
            let failed_over = reply.failed_over;
            return Ok(GetAnswer::NotFound { failed_over });
        }
        let missing = "a converter came without an id, a name, a URL and a state";
        let found = self.client.documented(&reply, missing, |body| {
            Converter::read(body, Some(converter_id))
        })?;
        Ok(GetAnswer::Found(found))
    }

    /// Lists the project's converters, in all regions as far as Agora lists them (`agora.md §4.6`). After an error no
    /// converter is known to be absent.
    pub async fn list(&self, permit: PermitRequest) -> Result<ConverterList, VendorError> {
        let path = format!("/v1/projects/{}/rtmp-converters", self.app_id);
        self.pages(permit, "rtmp_converters.list", path).await
    }

    /// Lists a channel's converters.
    pub async fn list_channel(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<ConverterList, VendorError> {
        let channel = encode(channel);
        let path = format!(
            "/v1/projects/{}/channels/{channel}/rtmp-converters",
            self.app_id
        );
        self.pages(permit, "rtmp_converters.list_channel", path)
            .await
    }

    /// Checks the credentials: 200, 403 (Media Push is not enabled) and 404 prove them.
    ///
    /// # Errors
    /// [`Class::Unauthorized`] with 401 if they are refused; others prove nothing.
    pub async fn check_credentials(&self, permit: PermitRequest) -> Result<(), VendorError> {
        let path = format!("/v1/projects/{}/rtmp-converters", self.app_id);
        let request = read("rtmp_converters.list", path);
        let reply = self.client.exchange(permit, &request).await?;
        let proves_credentials =
            reply.is_success() || (matches!(reply.status, 403 | 404) && reply.is_own());
        let result = match proves_credentials {
            true => Ok(()),
            false => Err(reply.refused()),
        };
        self.client.conclude(&reply, &result);
        result
    }

    /// Destroys a converter, in the region of its creation. Delete again after an error.
    pub async fn delete(
        &self,
        permit: PermitRequest,
        region: &str,
        converter_id: &str,
    ) -> Result<DeleteAnswer, VendorError> {
        let request = Request {
            method: Method::DELETE,
            repeat: Repeat::Harmless,
            ..read(
                "rtmp_converters.delete",
                self.regional(region, Some(converter_id)),
            )
        };
        let reply = self.client.exchange(permit, &request).await?;
        if reply.is_not_found() {
            let failed_over = reply.failed_over;
            return Ok(DeleteAnswer::NotFound { failed_over });
        }
        // Documented without a body.
        let result = match reply.is_success() {
            true => Ok(DeleteAnswer::Deleted),
            false => Err(reply.refused()),
        };
        self.client.conclude(&reply, &result);
        result
    }

    /// Follows `data.cursor` until it is 0; each page takes a permit.
    async fn pages(
        &self,
        permit: PermitRequest,
        call: &'static str,
        path: String,
    ) -> Result<ConverterList, VendorError> {
        let mut list = ConverterList::default();
        let mut cursor = 0;
        for _ in 0..MAX_PAGES {
            let path = match cursor {
                0 => path.clone(),
                cursor => format!("{path}?cursor={cursor}"),
            };
            let reply = self.client.exchange(permit, &read(call, path)).await?;
            if reply.status == 404 && !reply.is_own() {
                return Err(reply.unexpected("a 404 that is not Agora's own"));
            }
            let page = self.client.documented(
                &reply,
                "a list of converters of an undocumented shape",
                ConverterPage::read,
            )?;
            list.converters.extend(page.converters);
            list.may_be_cut |= page.may_be_cut;
            match page.cursor {
                0 => return Ok(list),
                next if next == cursor => {
                    return Err(
                        reply.unexpected("a list of converters whose cursor does not advance")
                    );
                }
                next => cursor = next,
            }
        }
        let message = format!("a list of converters longer than {MAX_PAGES} pages");
        Err(http::failure(
            Vendor::Agora,
            call,
            Class::Unexpected,
            Done::No,
            message,
        ))
    }

    fn regional(&self, region: &str, converter_id: Option<&str>) -> String {
        let region = encode(&region.to_ascii_lowercase());
        let all = format!("/{region}/v1/projects/{}/rtmp-converters", self.app_id);
        match converter_id {
            Some(id) => format!("{all}/{}", encode(id)),
            None => all,
        }
    }
}

fn read<'a>(call: &'static str, path: String) -> Request<'a> {
    Request {
        request_id: true,
        ..Request::read(call, path)
    }
}
