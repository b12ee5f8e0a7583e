//! Types of columns.

use std::fmt::{self, Display, Formatter};
use std::ops::Deref;
use std::str::FromStr;

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr};
use sea_orm::{ColIdx, DbErr, QueryResult, TryFromU64, TryGetError, TryGetable, Value};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::relay::{
    Announcement, CleanupKind, OutcomeCode, Phase, RecordingState, RelayStatus, Source,
};

/// An enum whose members are stored by name.
pub trait ClosedList: Copy + FromStr + Into<&'static str> {}

impl ClosedList for Announcement {}
impl ClosedList for CleanupKind {}
impl ClosedList for OutcomeCode {}
impl ClosedList for Phase {}
impl ClosedList for RecordingState {}
impl ClosedList for RelayStatus {}
impl ClosedList for Source {}

/// A member of a closed list. An unknown name does not keep its row from being read.
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

impl<T: ClosedList> Display for Named<T> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self)
    }
}

impl<T: ClosedList> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// JSON in a text column: PostgreSQL's `jsonb` would not return what was written. It is parsed only where it is
/// needed, so that a damaged text does not keep its row from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// The text of a value.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        serde_json::to_value(value).unwrap_or_default().into()
    }

    /// Parses the text.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.0)
    }
}

impl From<serde_json::Value> for JsonText {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string())
    }
}

impl From<&str> for JsonText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Display for JsonText {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Implements what SeaORM asks of a column's type, with [`From<&str>`] and [`Display`].
macro_rules! text_column {
    ($type:ty $(, $list:ident)?) => {
        impl$(<$list: ClosedList>)? From<$type> for Value {
            fn from(value: $type) -> Self {
                value.to_string().into()
            }
        }

        impl$(<$list: ClosedList>)? TryGetable for $type {
            fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
                String::try_get_by(row, index).map(|text| text.as_str().into())
            }
        }

        impl$(<$list: ClosedList>)? ValueType for $type {
            fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
                <String as ValueType>::try_from(value).map(|text| text.as_str().into())
            }

            fn type_name() -> String {
                stringify!($type).to_owned()
            }

            fn array_type() -> ArrayType {
                ArrayType::String
            }

            fn column_type() -> ColumnType {
                ColumnType::Text
            }
        }

        impl$(<$list: ClosedList>)? Nullable for $type {
            fn null() -> Value {
                Value::String(None)
            }
        }
    };
}

text_column!(JsonText);
text_column!(Named<T>, T);

/// A UUID: `uuid` in PostgreSQL, text in SQLite, where SeaORM would use a blob. `Sql` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub Uuid);

impl Deref for Id {
    type Target = Uuid;

    fn deref(&self) -> &Uuid {
        &self.0
    }
}

impl Display for Id {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl PartialEq<Uuid> for Id {
    fn eq(&self, id: &Uuid) -> bool {
        self.0 == *id
    }
}

impl From<Uuid> for Id {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<Id> for Value {
    fn from(id: Id) -> Self {
        Value::Uuid(Some(id.0))
    }
}

impl TryGetable for Id {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        if row.try_as_pg_row().is_some() {
            return Uuid::try_get_by(row, index).map(Self);
        }
        let text = String::try_get_by(row, index)?;
        Uuid::parse_str(&text)
            .map(Self)
            .map_err(|error| TryGetError::DbErr(DbErr::Type(format!("a UUID: {error}"))))
    }
}

impl ValueType for Id {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <Uuid as ValueType>::try_from(value).map(Self)
    }

    fn type_name() -> String {
        "Id".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::Uuid
    }

    fn column_type() -> ColumnType {
        ColumnType::Uuid
    }
}

impl Nullable for Id {
    fn null() -> Value {
        Value::Uuid(None)
    }
}

impl TryFromU64 for Id {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("Id"))
    }
}
