//! Who broadcasts in a channel (`agora.md` §12).

use std::sync::Arc;

use serde_json::Value;

use super::answer::list;
use super::encode;
use super::transport::{Line, Request};
use crate::config;
use crate::vendors::VendorError;
use crate::vendors::governor::Caller;
use crate::vendors::number::whole;

/// The Channel Management API, behind a budget of its own. Clones share it.
#[derive(Debug, Clone)]
pub struct Channels {
    line: Line,
    base: Arc<str>,
}

/// Who broadcasts in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Nobody is in the channel: it does not exist.
    NoChannel,
    /// The broadcasters (live profile) or all users (communication profile). A recorder that joined as host is among them.
    Uids(Vec<u32>),
}

impl Channels {
    pub(super) fn new(line: Line, settings: &config::Agora) -> Self {
        let app_id = encode(&settings.app_id);
        Self {
            line,
            base: format!("/dev/v1/channel/user/{app_id}").into(),
        }
    }

    /// Who broadcasts in `channel`.
    ///
    /// # Errors
    /// [`VendorError`]: no reading. An answer without a list of broadcasters or users is one of them; an entry that is no
    /// uid is skipped.
    pub async fn hosts(&self, caller: Caller, channel: &str) -> Result<Hosts, VendorError> {
        let path = format!("{}/{}/hosts_only", self.base, encode(channel));
        let request = Request::read("channel.hosts", path);
        let reply = self.line.exchange(caller, &request).await?;
        reply.documented("the hosts of a channel came in an unknown shape", hosts)
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
    let entries = list(data.get("broadcasters").or_else(|| data.get("users"))?)?;
    // A list of objects has another shape, and may name the seller. Elsewhere what is no uid cannot be the seller.
    let is_scalar = |entry: &Value| !entry.is_object() && !entry.is_array();
    if !entries.is_empty() && !entries.iter().any(is_scalar) {
        return None;
    }
    let uid = |entry: &Value| u32::try_from(whole(entry)?).ok();
    Some(Hosts::Uids(entries.iter().filter_map(uid).collect()))
}
