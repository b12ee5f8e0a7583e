//! Decodes optional fields of platforms' answers: one that is missing, null or of an undocumented shape reads as `None`.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

use crate::vendors::number::whole;

pub(super) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// A whole number from 0, also written as 30.0 or as text.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(whole(&value).and_then(|number| u64::try_from(number).ok()))
}

pub(super) fn readable<T: DeserializeOwned>(items: Vec<Value>) -> Vec<T> {
    let read = |item| serde_json::from_value(item).ok();
    items.into_iter().filter_map(read).collect()
}

/// Whether a text can be a segment of a path.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
