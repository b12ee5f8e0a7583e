//! Media Push: a converter carries a channel to an RTMP(S) URL (`agora.md §4`).
//!
//! A converter's name is unique while it lives, so a create that may have happened is looked up by its name: by the id
//! a 409 brings, or in the list.

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

/// A list that goes on for longer has lost its way (500 converters a page).
const PAGES: usize = 100;

/// The API of one App ID. Clones share its budget.
#[derive(Debug, Clone)]
pub struct MediaPush {
    client: ProductClient,
    app_id: Arc<str>,
    settings: Arc<config::MediaPushSettings>,
}

/// A converter to create.
#[derive(Debug, Clone)]
pub struct NewConverter {
    /// Our mark: 1 to 64 of `[A-Za-z0-9-_]`.
    pub name: String,
    /// The channel's name.
    pub channel: String,
    /// Whose stream it carries.
    pub seller_uid: u32,
    /// Where to, stream key included; at most 1,024 characters.
    pub rtmp_url: SecretString,
    /// It destroys itself when the seller was away for so long; Agora clamps it to 5 s to 24 h.
    pub idle_timeout: Duration,
    /// `cn`, `ap`, `na` or `eu`; later calls name the same (`agora.md §4.1`).
    pub region: String,
}

/// What a create was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateAnswer {
    /// It is there, and on its way.
    Created {
        /// Its id.
        converter_id: String,
        /// Its state.
        state: ConverterState,
    },
    /// 409: a converter of this name is there already.
    NameTaken {
        /// Its id (`X-Resource-ID`); without it, find the name in the list.
        converter_id: Option<String>,
    },
}

/// What a get was answered.
#[derive(Debug, Clone)]
pub enum GetAnswer {
    /// It is there.
    Found(Converter),
    /// 404: it was never there, is destroyed, or is moved to another machine (2 to 4 minutes).
    NotFound {
        /// Another domain than the first one said so.
        failed_over: bool,
    },
}

/// What a delete was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteAnswer {
    /// It is gone.
    Deleted,
    /// 404, as in [`GetAnswer::NotFound`].
    NotFound {
        /// Another domain than the first one said so, or an earlier attempt of this call may have arrived.
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
    ///
    /// # Errors
    /// [`VendorError`]; [`Done::Unknown`] after a timeout, a cut, a 5xx: look for its name.
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

    /// Asks for a converter and its state, in the region it was created in. A state that the answer does not tell is taken from
    /// the list of its channel, which takes a permit more.
    ///
    /// # Errors
    /// [`VendorError`]: no reading.
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

    /// Asks for a converter, in the region it was created in.
    ///
    /// # Errors
    /// [`VendorError`]: no reading.
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

    /// All converters of the project, of all regions as far as Agora lists them (`agora.md §4.6`).
    ///
    /// # Errors
    /// [`VendorError`]: then no converter is known to be absent.
    pub async fn list(&self, permit: PermitRequest) -> Result<ConverterList, VendorError> {
        let path = format!("/v1/projects/{}/rtmp-converters", self.app_id);
        self.pages(permit, "rtmp_converters.list", path).await
    }

    /// All converters of a channel.
    ///
    /// # Errors
    /// As [`Self::list`].
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

    /// Are the credentials believed? 200, 403 (Media Push is not enabled) and 404 say so, as does any other refusal of the
    /// request itself.
    ///
    /// # Errors
    /// [`Class::Unauthorized`] with status 401 when they are not; other classes when Agora did not say.
    pub async fn check_credentials(&self, permit: PermitRequest) -> Result<(), VendorError> {
        let path = format!("/v1/projects/{}/rtmp-converters", self.app_id);
        let request = read("rtmp_converters.list", path);
        let reply = self.client.exchange(permit, &request).await?;
        let is_believed = reply.is_done() || (matches!(reply.status, 403 | 404) && reply.is_own());
        let result = match is_believed {
            true => Ok(()),
            false => Err(reply.refused()),
        };
        self.client.conclude(&reply, &result);
        result
    }

    /// Destroys a converter, in the region it was created in.
    ///
    /// # Errors
    /// [`VendorError`]: delete again.
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
        let result = match reply.is_done() {
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
        for _ in 0..PAGES {
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
                "a list of converters in an unknown shape",
                ConverterPage::read,
            )?;
            list.converters.extend(page.converters);
            list.may_be_cut |= page.may_be_cut;
            match page.cursor {
                0 => return Ok(list),
                next if next == cursor => {
                    return Err(reply.unexpected("a list of converters that does not go on"));
                }
                next => cursor = next,
            }
        }
        let message = format!("a list of converters longer than {PAGES} pages");
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
