//! `debts`: what a relay that has moved on still owes a vendor.

use sea_orm::entity::prelude::*;

use super::{from_text, id::Id};
use crate::store::{NewDebt, OpenDebt, StoreError};

/// A row of `debts`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "debts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub relay_id: Id,
    pub channel_id: i64,
    pub kind: String,
    pub target: String,
    pub data: String,
    pub created_at: DateTimeUtc,
    pub next_attempt_at: DateTimeUtc,
    pub expires_at: Option<DateTimeUtc>,
    pub attempts: i32,
    pub last_error: Option<String>,
}

/// None: rows are joined by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&NewDebt> for Model {
    fn from(debt: &NewDebt) -> Self {
        Self {
            id: debt.id.into(),
            relay_id: debt.relay_id.into(),
            channel_id: debt.channel_id,
            kind: debt.kind.clone(),
            target: debt.target.clone(),
            data: debt.data.to_string(),
            created_at: debt.created_at,
            next_attempt_at: debt.next_attempt_at,
            expires_at: debt.expires_at,
            attempts: 0,
            last_error: None,
        }
    }
}

impl TryFrom<Model> for OpenDebt {
    type Error = StoreError;

    fn try_from(model: Model) -> Result<Self, StoreError> {
        Ok(Self {
            attempts: model.attempts,
            last_error: model.last_error,
            debt: NewDebt {
                id: model.id.0,
                relay_id: model.relay_id.0,
                channel_id: model.channel_id,
                kind: model.kind,
                target: model.target,
                data: from_text(&model.data, "debts.data")?,
                created_at: model.created_at,
                next_attempt_at: model.next_attempt_at,
                expires_at: model.expires_at,
            },
        })
    }
}
