//! Members of the core's closed lists in text columns.

use std::ops::Deref;
use std::str::FromStr;

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr};
use sea_orm::{ColIdx, QueryResult, TryGetError, TryGetable, Value};
use serde::{Serialize, Serializer};

use crate::relay::{
    Announcement, BackendKind, CleanupKind, OutcomeCode, Phase, RecordingState, RelayStatus, Source,
};

/// An enum whose members are stored by name.
pub trait ClosedList: Copy + FromStr + Into<&'static str> {}

impl ClosedList for Announcement {}
impl ClosedList for BackendKind {}
impl ClosedList for CleanupKind {}
impl ClosedList for OutcomeCode {}
impl ClosedList for Phase {}
impl ClosedList for RecordingState {}
impl ClosedList for RelayStatus {}
impl ClosedList for Source {}

/// A member of a closed list, as its column holds it: an unknown name must not keep the row from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named<T> {
    /// A member that this version knows.
    Known(T),
    /// The name of another version's member, or of none.
    Unknown(String),
}

impl<T: ClosedList> Named<T> {
    /// The member, if this version knows it.
    #[must_use]
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(member) => Some(*member),
            Self::Unknown(_) => None,
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(member) => (*member).into(),
            Self::Unknown(name) => name,
        }
    }
}

impl<T: ClosedList> Deref for Named<T> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<T: ClosedList> From<T> for Named<T> {
    fn from(member: T) -> Self {
        Self::Known(member)
    }
}

impl<T: ClosedList> From<&str> for Named<T> {
    fn from(name: &str) -> Self {
        name.parse()
            .map_or_else(|_| Self::Unknown(name.to_owned()), Self::Known)
    }
}

impl<T: ClosedList + PartialEq> PartialEq<T> for Named<T> {
    fn eq(&self, member: &T) -> bool {
        self.known() == Some(*member)
    }
}

impl<T: ClosedList> std::fmt::Display for Named<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self)
    }
}

impl<T: ClosedList> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<T: ClosedList> From<Named<T>> for Value {
    fn from(named: Named<T>) -> Self {
        named.as_str().into()
    }
}

impl<T: ClosedList> TryGetable for Named<T> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        String::try_get_by(row, index).map(|name| Self::from(name.as_str()))
    }
}

impl<T: ClosedList> ValueType for Named<T> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <String as ValueType>::try_from(value).map(|name| Self::from(name.as_str()))
    }

    fn type_name() -> String {
        "Named".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::String
    }

    fn column_type() -> ColumnType {
        ColumnType::Text
    }
}

impl<T: ClosedList> Nullable for Named<T> {
    fn null() -> Value {
        Value::String(None)
    }
}
