//! The broadcasters of a channel (`agora.md §5`).

use std::sync::Arc;

use serde_json::Value;

use super::answer::list;
use super::encode;
use super::transport::{ProductClient, Request};
use crate::config;
use crate::vendors::governor::PermitRequest;
use crate::vendors::number::whole;
use crate::vendors::{Class, Done, Vendor, VendorError};

const CALL: &str = "channel.hosts";

/// The Channel Management API.
#[derive(Debug, Clone)]
pub struct Channels {
    client: ProductClient,
    base: Arc<str>,
}

/// The broadcasters of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// The channel does not exist: it is empty.
    NoChannel,
    /// The broadcasters (live profile) or all users (communication profile), including an egress that joined as host.
    Uids(Vec<u32>),
    /// Some entries are unreadable, so others may be in the channel too.
    Partly(Vec<u32>),
}

impl Channels {
    pub(super) fn new(client: ProductClient, settings: &config::AgoraSettings) -> Self {
        let app_id = encode(&settings.app_id);
        Self {
            client,
            base: format!("/dev/v1/channel/user/{app_id}").into(),
        }
    }

    /// Reads the broadcasters of `channel`.
    pub async fn hosts(&self, permit: PermitRequest, channel: &str) -> Result<Hosts, VendorError> {
        let path = format!("{}/{}/hosts_only", self.base, encode(channel));
        let request = Request::read(CALL, path);
        let reply = self.client.exchange(permit, &request).await?;
        let missing = "the hosts of a channel have an undocumented shape";
        self.client.documented(&reply, missing, hosts)
    }

    /// Whether `uid` is a broadcaster of `channel`.
    pub async fn has(
        &self,
        permit: PermitRequest,
        channel: &str,
        uid: u32,
    ) -> Result<bool, VendorError> {
        match self.hosts(permit, channel).await? {
            Hosts::NoChannel => Ok(false),
            Hosts::Uids(uids) => Ok(uids.contains(&uid)),
            Hosts::Partly(uids) if uids.contains(&uid) => Ok(true),
            Hosts::Partly(_) => Err(VendorError {
                vendor: Vendor::Agora,
                call: CALL,
                class: Class::Unexpected,
                done: Done::Unknown,
                status: None,
                code: None,
                message: "the seller may be among entries of an undocumented form".into(),
                retry_after: None,
            }),
        }
    }
}

fn hosts(body: &Value) -> Option<Hosts> {
    if body.get("success").and_then(Value::as_bool) == Some(false) {
        return None;
    }
    let data = body.get("data")?;
    if data.get("channel_exist").and_then(Value::as_bool) == Some(false) {
        return Some(Hosts::NoChannel);
    }
    let lists = || {
        ["broadcasters", "users"]
            .into_iter()
            .filter_map(|key| data.get(key))
    };
    let entries = lists()
        .find(|list| !list.is_null())
        .or_else(|| lists().next())?;
    let mut uids = Vec::new();
    let mut is_complete = true;
    for entry in list(entries)? {
        let entry = entry.get("uid").unwrap_or(entry);
        match entry {
            // A non-empty object or list of an unknown shape may name a user.
            Value::Object(fields) => is_complete &= fields.is_empty(),
            Value::Array(items) => is_complete &= items.is_empty(),
            // A value that is not a uid cannot be the seller.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                uids.extend(whole(entry).and_then(|uid| u32::try_from(uid).ok()));
            }
        }
    }
    Some(match is_complete {
        true => Hosts::Uids(uids),
        false => Hosts::Partly(uids),
    })
}
