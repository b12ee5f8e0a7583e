use chrono::{TimeDelta, Utc};
use rand::RngExt;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::store::entities::{alarm, instance, node, relay};
use crate::store::writer::{Operation, OperationError, Tx};
use crate::store::{Instance, StoreError};

const UNLIMITED_LEASE: TimeDelta = TimeDelta::days(36_500);

/// Reads the instance row, and creates it first if it is missing.
pub(crate) struct DrawInstance;

impl Operation for DrawInstance {
    type Output = Instance;

    async fn run(&self, tx: &Tx<'_>) -> Result<Instance, OperationError> {
        let drawn = instance::Model {
            id: 1,
            database_id: format!("{:08x}", rand::rng().random::<u32>()),
            epoch: 0,
            created_at: Utc::now(),
            leader: 0,
        };
        instance::Entity::insert(drawn.into_active_model())
            .on_conflict(
                OnConflict::column(instance::Column::Id)
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(&tx.sql)
            .await?;
        let row = instance::Entity::find_by_id(1).one(&tx.sql).await?;
        Ok(row.ok_or_else(missing)?)
    }
}

/// Writes nothing.
pub(crate) struct PingWriter;

impl Operation for PingWriter {
    type Output = ();

    async fn run(&self, _: &Tx<'_>) -> Result<(), OperationError> {
        Ok(())
    }
}

/// Writes a row and deletes it again.
pub(crate) struct TryWrite;

impl Operation for TryWrite {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), OperationError> {
        let now = Utc::now();
        let key = ("try_write".to_owned(), String::new(), String::new());
        let row = alarm::Model {
            code: key.0.clone(),
            subject: key.1.clone(),
            node: key.2.clone(),
            detail: String::new(),
            since: now,
            last_seen_at: now,
        };
        alarm::Entity::insert(row.into_active_model())
            .exec_without_returning(&tx.sql)
            .await?;
        alarm::Entity::delete_by_id(key).exec(&tx.sql).await?;
        Ok(())
    }
}

pub(crate) struct TakeEpoch;

pub(crate) struct DrawEpoch;

impl Operation for DrawEpoch {
    type Output = i64;

    async fn run(&self, tx: &Tx<'_>) -> Result<i64, OperationError> {
        DrawInstance.run(tx).await?;
        let drawn = instance::Entity::update_many()
            .col_expr(
                instance::Column::Epoch,
                Expr::col(instance::Column::Epoch).add(1),
            )
            .exec_with_returning(&tx.sql)
            .await?;
        Ok(drawn.first().ok_or_else(missing)?.epoch)
    }
}

impl Operation for TakeEpoch {
    type Output = i64;

    async fn run(&self, tx: &Tx<'_>) -> Result<i64, OperationError> {
        let epoch = DrawEpoch.run(tx).await?;
        alone(tx, epoch).await?;
        relay::Entity::update_many()
            .col_expr(relay::Column::Epoch, Expr::val(epoch))
            .filter(relay::Column::EndedAt.is_null())
            .exec(&tx.sql)
            .await?;
        Ok(epoch)
    }
}

/// Makes this epoch the leader and only node.
async fn alone(tx: &Tx<'_>, epoch: i64) -> Result<(), OperationError> {
    node::Entity::delete_many().exec(&tx.sql).await?;
    let only = node::Model {
        epoch,
        name: format!("{}", std::process::id()),
        joined_at: Utc::now(),
        lease_until: Utc::now() + UNLIMITED_LEASE,
        leaving: false,
    };
    node::Entity::insert(only.into_active_model())
        .exec_without_returning(&tx.sql)
        .await?;
    instance::Entity::update_many()
        .col_expr(instance::Column::Leader, Expr::val(epoch))
        .exec(&tx.sql)
        .await?;
    Ok(())
}

fn missing() -> StoreError {
    StoreError::Corrupt("the instance row is gone".to_owned())
}
