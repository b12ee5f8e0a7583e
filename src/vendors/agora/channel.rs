//! Who broadcasts in a channel (`agora.md §5`).

use std::sync::Arc;

use serde_json::Value;

use super::answer::list;
use super::encode;
use super::transport::{ProductClient, Request};
use crate::config;
use crate::vendors::VendorError;
use crate::vendors::governor::PermitRequest;
use crate::vendors::number::whole;

/// The Channel Management API, behind a budget of its own. Clones share it.
#[derive(Debug, Clone)]
pub struct Channels {
    client: ProductClient,
    base: Arc<str>,
}

/// Who broadcasts in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Nobody is in the channel: it does not exist.
    NoChannel,
    /// The broadcasters (live profile) or all users (communication profile). An egress that joined as host is among them.
    Uids(Vec<u32>),
    /// The same, but some entries cannot be read: others may be in the channel as well.
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

    /// Who broadcasts in `channel`.
    ///
    /// # Errors
    /// [`VendorError`]: no reading. An answer without a list of broadcasters or users is one of them; an entry that is no
    /// uid is skipped.
    pub async fn hosts(&self, permit: PermitRequest, channel: &str) -> Result<Hosts, VendorError> {
        let path = format!("{}/{}/hosts_only", self.base, encode(channel));
        let request = Request::read("channel.hosts", path);
        let reply = self.client.exchange(permit, &request).await?;
        let missing = "the hosts of a channel came in an unknown shape";
        self.client.documented(&reply, missing, hosts)
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
    let mut is_whole = true;
    for entry in list(entries)? {
        let entry = entry.get("uid").unwrap_or(entry);
        match entry {
            // An object or a list of another shape may name anybody, an empty one nobody.
            Value::Object(fields) => is_whole &= fields.is_empty(),
            Value::Array(items) => is_whole &= items.is_empty(),
            // What is no uid cannot be the seller.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                uids.extend(whole(entry).and_then(|uid| u32::try_from(uid).ok()));
            }
        }
    }
    Some(match is_whole {
        true => Hosts::Uids(uids),
        false => Hosts::Partly(uids),
    })
}
