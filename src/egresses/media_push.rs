//! Media Push: a converter is created, and found again by its name (`agora.md §4`).

use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    EgressBackend, EgressFound, EgressList, EgressStart, EgressStarted, EgressStopped,
    ListedEgress, misused, unreadable,
};
use crate::config::{MediaPushSettings, Settings};
use crate::relay::{
    Backend, EgressCapabilities, EgressHandle, EgressReading, EgressRef, EgressSpec, Hint, Latency,
    Notice, Subject,
};
use crate::vendors::agora::Agora;
use crate::vendors::agora::media_push::{
    Converter, ConverterState, CreateAnswer, DeleteAnswer, GetAnswer, NewConverter,
};
use crate::vendors::governor::PermitRequest;
use crate::vendors::{Class, Done, VendorError, number, text};

pub(super) const NAME: &str = "media_push";

#[derive(Debug, Serialize, Deserialize)]
struct Options {
    /// Every call on a converter goes to the region of its creation (`agora.md §4.1`).
    region: String,
}

/// A handle.
#[derive(Debug, Serialize, Deserialize)]
struct ConverterHandle {
    converter_id: String,
}

#[derive(Debug)]
pub(super) struct MediaPushEgress {
    agora: Agora,
    settings: MediaPushSettings,
}

impl MediaPushEgress {
    pub(super) fn new(settings: &Settings, agora: &Agora) -> Self {
        Self {
            agora: agora.clone(),
            settings: settings.agora.media_push.clone(),
        }
    }

    fn backend(&self) -> Backend {
        let region = self.settings.region.clone();
        Backend::new(NAME, &Options { region })
    }

    /// The converter that has the new one's name.
    async fn taken(
        &self,
        permit: PermitRequest,
        new: &NewConverter,
        id: Option<String>,
    ) -> Result<Option<Converter>, VendorError> {
        let media_push = self.agora.media_push();
        let Some(id) = id else {
            let list = media_push.list_channel(permit, &new.channel).await?;
            let mut converters = list.converters.into_iter();
            return Ok(converters.find(|converter| converter.name.as_ref() == Some(&new.name)));
        };
        Ok(match media_push.get(permit, &new.region, &id).await? {
            GetAnswer::Found(converter) => Some(converter),
            GetAnswer::NotFound { .. } => None,
        })
    }
}

#[async_trait]
impl EgressBackend for MediaPushEgress {
    fn name(&self) -> &'static str {
        NAME
    }

    fn spec(&self, _live_timeout: Duration, _max_duration: Duration) -> EgressSpec {
        EgressSpec {
            backend: self.backend(),
            capabilities: EgressCapabilities {
                prepare: None,
                updates: false,
                max_hours: None,
            },
        }
    }

    fn notice(&self, event: &Value) -> Option<Notice> {
        notice(event)
    }

    fn query_interval(&self) -> Duration {
        self.settings.query_interval
    }

    fn rate(&self) -> f64 {
        let [_, push, _] = self.agora.rates();
        push
    }

    fn max_concurrent(&self) -> (&'static str, u32) {
        let limit = self.settings.max_concurrent;
        ("agora.media_push.max_concurrent", limit)
    }

    fn max_hours(&self) -> Option<u32> {
        None
    }

    /// Adopts a converter of the same name if it pushes this channel to this ingest; otherwise deletes it to free the name.
    async fn start(
        &self,
        permit: PermitRequest,
        start: EgressStart<'_>,
    ) -> Result<EgressStarted, VendorError> {
        let options = options(&start.spec.egress.backend)?;
        let new = NewConverter {
            name: start.spec.tag(start.attempt).to_string(),
            channel: start.spec.channel_name.clone(),
            seller_uid: start.spec.seller_uid,
            rtmp_url: start.publish_url.clone(),
            idle_timeout: self.settings.idle_timeout,
            low_latency: start.spec.latency == Latency::Low,
            region: options.region,
        };
        let media_push = self.agora.media_push();
        let taken = match media_push.create(permit, &new).await? {
            CreateAnswer::Created {
                converter_id,
                state: _,
            } => return Ok(running(converter_id)),
            CreateAnswer::NameTaken { converter_id } => {
                self.taken(permit, &new, converter_id).await?
            }
        };
        let Some(taken) = taken else {
            return Err(name_taken(
                "a converter with this name exists but cannot be found",
            ));
        };
        let same_target = taken
            .rtmp_url
            .as_ref()
            .is_none_or(|url| url.expose_secret() == new.rtmp_url.expose_secret());
        let same_channel = taken
            .channel
            .as_ref()
            .is_none_or(|channel| *channel == new.channel);
        if same_target && same_channel {
            return Ok(running(taken.id));
        }
        media_push.delete(permit, &new.region, &taken.id).await?;
        Err(name_taken(
            "a converter with this name pushed elsewhere; it was deleted",
        ))
    }

    async fn poll(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressReading, VendorError> {
        let (region, id) = place(egress)?;
        let polled = self.agora.media_push().poll(permit, &region, &id).await?;
        Ok(match polled {
            GetAnswer::Found(converter) => match converter.state {
                ConverterState::Running => EgressReading::Publishing,
                ConverterState::Failed => EgressReading::Failed,
                ConverterState::Connecting | ConverterState::Other(_) | ConverterState::Absent => {
                    EgressReading::Connecting
                }
            },
            GetAnswer::NotFound { .. } => EgressReading::NotFound,
        })
    }

    async fn stop(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressStopped, VendorError> {
        let (region, id) = place(egress)?;
        let deleted = self.agora.media_push().delete(permit, &region, &id).await?;
        Ok(match deleted {
            DeleteAnswer::Deleted => EgressStopped::Stopped,
            DeleteAnswer::NotFound { .. } => EgressStopped::NotFound,
        })
    }

    async fn find(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressFound, VendorError> {
        let list = self.agora.media_push().list(permit).await?;
        let mut converters = list.converters.into_iter();
        let found = converters.find(|converter| converter.name.as_ref() == Some(&egress.tag));
        Ok(match found {
            Some(converter) => EgressFound::Running(handle(converter.id)),
            None if list.may_be_cut => EgressFound::ListCut {
                ends_idle_after: self.settings.idle_timeout,
            },
            None => EgressFound::NotFound,
        })
    }

    async fn list(&self, permit: PermitRequest) -> Result<Option<EgressList>, VendorError> {
        let list = match self.agora.media_push().list(permit).await {
            Err(error) if is_not_enabled(&error) => return Ok(None),
            list => list?,
        };
        let named = list.converters.into_iter().filter_map(|converter| {
            Some(ListedEgress {
                egress: EgressRef {
                    backend: self.backend(),
                    tag: converter.name?,
                    preparations: Vec::new(),
                    handle: Some(handle(converter.id)),
                },
                created: converter.created_at,
            })
        });
        Ok(Some(EgressList {
            egresses: named.collect(),
            may_be_cut: list.may_be_cut,
        }))
    }
}

fn handle(converter_id: String) -> EgressHandle {
    EgressHandle::new(&ConverterHandle { converter_id })
}

fn running(converter_id: String) -> EgressStarted {
    EgressStarted::Running(Some(handle(converter_id)))
}

fn options(backend: &Backend) -> Result<Options, VendorError> {
    backend.read().map_err(|error| unreadable(&error))
}

/// The converter's region and id.
fn place(egress: &EgressRef) -> Result<(String, String), VendorError> {
    let Some(known) = &egress.handle else {
        return Err(misused("rtmp_converters", "the converter is unknown"));
    };
    let known: ConverterHandle = known.read().map_err(|error| unreadable(&error))?;
    Ok((options(&egress.backend)?.region, known.converter_id))
}

fn is_not_enabled(error: &VendorError) -> bool {
    error.class == Class::NotFound
        || (error.class == Class::Unauthorized && error.status == Some(403))
}

/// The name may be free at the next try.
fn name_taken(message: &str) -> VendorError {
    VendorError {
        class: Class::Unavailable,
        done: Done::Unknown,
        ..misused("rtmp_converters.create", message)
    }
}

/// Only the events of a converter's creation and end have its name; all have its id.
fn notice(event: &Value) -> Option<Notice> {
    let (product, kind) = (number(event, "/productId")?, number(event, "/eventType")?);
    if product != 5 || !(1..=4).contains(&kind) {
        return None;
    }
    let name = text(event, "/payload/converter/name");
    let id = text(event, "/payload/converter/id");
    let subject = match name.parse() {
        Ok(tag) => Subject::Tag(tag),
        Err(_) if id.is_empty() => return None,
        Err(_) => Subject::Egress(id.to_ascii_lowercase()),
    };
    Some(Notice::new(subject, Hint::EgressChanged))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TAG: &str = "shop_0a1b2c3d_0192f0c4000070008000000000000001_1";

    #[test]
    fn a_converter_is_known_by_its_name_or_its_id() {
        let of = |event, converter: Value| {
            notice(
                &json!({"noticeId": "n", "productId": 5, "eventType": event, "payload": {"converter": converter, "lts": 1}}),
            )
        };
        let changed = |subject| Some(Notice::new(subject, Hint::EgressChanged));
        let by_tag = of(1, json!({"id": "other", "name": TAG}));
        assert_eq!(by_tag, changed(Subject::Tag(TAG.parse().unwrap())));
        let by_id = changed(Subject::Egress("abcdef".into()));
        assert_eq!(of(3, json!({"id": "ABCDEF", "state": "failed"})), by_id);
        assert_eq!(of(4, json!({"id": "abcdef", "name": "theirs"})), by_id);
        assert_eq!(of(3, json!({"id": "", "state": "failed"})), None);
        assert_eq!(of(5, json!({"id": "abcdef"})), None);
    }
}
