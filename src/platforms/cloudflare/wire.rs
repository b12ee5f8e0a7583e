//! Cloudflare's forms of times and lists.

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

pub(super) use crate::platforms::wire::{count, lenient, readable};
use crate::vendors::number::whole;

/// An RFC 3339 time with any number of fractional digits (`cloudflare-stream.md §2.4`).
pub(super) fn time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value
        .as_str()
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .map(|time| time.to_utc()))
}

/// A bare array, or an object with the array under `key` and a `total` (`cloudflare-stream.md §2.10`).
pub(super) struct Items {
    pub(super) items: Vec<Value>,
    pub(super) total: Option<u64>,
}

impl Items {
    pub(super) fn of(result: Value, key: &str) -> Option<Self> {
        match result {
            Value::Array(items) => Some(Self { items, total: None }),
            Value::Object(mut object) => {
                let total = object.get("total").and_then(whole);
                let total = total.and_then(|total| u64::try_from(total).ok());
                match object.remove(key) {
                    Some(Value::Array(items)) => Some(Self { items, total }),
                    Some(_) | None => None,
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
}
