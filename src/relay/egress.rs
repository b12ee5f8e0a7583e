//! What the core knows of an egress: facts about its backend, and values that only the backend reads.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::millis;

/// The name of an egress backend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackendName(String);

impl BackendName {
    /// From its text.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A backend and the options that only it reads. They have no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Backend {
    #[serde(rename = "backend")]
    pub name: BackendName,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub options: Value,
}

impl Backend {
    /// With options that the backend reads back by [`Backend::read`].
    #[must_use]
    pub fn new(name: impl Into<String>, options: &impl Serialize) -> Self {
        Self {
            name: BackendName::new(name),
            options: serde_json::to_value(options).unwrap_or(Value::Null),
        }
    }

    /// The options.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        T::deserialize(&self.options)
    }
}

/// What pushes the channel to the ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressSpec {
    /// Makes its calls.
    #[serde(flatten)]
    pub backend: Backend,
    /// What the planner must know of it.
    pub capabilities: EgressCapabilities,
}

/// Facts about a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressCapabilities {
    /// A start needs a preparation, and is repeated on the same one. `None`: a repeated start finds the egress by its
    /// tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Prepare>,
    /// An egress whose output was cut can get its target again.
    pub updates: bool,
    /// The backend itself ends an egress after this time. Needed by one that cannot find an egress by its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hours: Option<u32>,
}

/// A start in two steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// A first start must follow its preparation within this time.
    #[serde(with = "millis", rename = "fresh_ms")]
    pub fresh: Duration,
    /// A start can be repeated on its preparation for this time.
    #[serde(with = "millis", rename = "life_ms")]
    pub life: Duration,
    /// Failed starts until the next needs a new preparation.
    pub starts: u32,
}

/// An object of a backend, such as a preparation or a running egress. Only the backend reads it; its members are shown
/// under their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EgressHandle(Value);

impl EgressHandle {
    /// With members that the backend reads back by [`EgressHandle::read`].
    #[must_use]
    pub fn new(members: &impl Serialize) -> Self {
        Self(serde_json::to_value(members).unwrap_or(Value::Null))
    }

    /// With one member.
    #[must_use]
    pub fn of_id(name: &str, id: impl Into<String>) -> Self {
        Self(Value::Object(
            [(name.to_owned(), id.into().into())].into_iter().collect(),
        ))
    }

    /// Its members.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        T::deserialize(&self.0)
    }

    /// A member.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// The values of its members: with the backend, they identify the object.
impl fmt::Display for EgressHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.0.as_object().into_iter().flat_map(|all| all.values());
        for (place, member) in members.enumerate() {
            let separator = if place == 0 { "" } else { "/" };
            match member.as_str() {
                Some(text) => write!(f, "{separator}{text}")?,
                None => write!(f, "{separator}{member}")?,
            }
        }
        Ok(())
    }
}

/// What a start is made on, and when it was prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Preparation {
    pub handle: EgressHandle,
    pub at: DateTime<Utc>,
}

/// An egress as its backend can reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRef {
    /// Its backend.
    #[serde(flatten)]
    pub backend: Backend,
    /// Its resource tag.
    pub tag: String,
    /// It runs on one of these. The first is the most likely.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preparations: Vec<EgressHandle>,
    /// `None`: only a notification or a search can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<EgressHandle>,
}

impl EgressRef {
    /// A member of its handle or of its likely preparation.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        let handles = self.handle.iter().chain(self.preparations.first());
        handles.filter_map(|handle| handle.member(name)).next()
    }
}
