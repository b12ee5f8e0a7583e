//! Which database this is, and which process's saves count.

use chrono::{TimeDelta, Utc};
use rand::RngExt;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::store::entities::{alarm, instance, node, relay};
use crate::store::writer::{Failure, Operation, Tx};
use crate::store::{Instance, StoreError};

/// The lease of a process that shares its database with nobody.
const FOR_GOOD: TimeDelta = TimeDelta::days(36_500);

/// Reads the instance; draws its database id when there is none yet.
pub(crate) struct DrawInstance;

impl Operation for DrawInstance {
    type Answer = Instance;

    async fn run(&self, tx: &Tx<'_>) -> Result<Instance, Failure> {
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
        Ok(row.ok_or_else(missing)?.into())
    }
}

/// Writes nothing: whether, and when, the database would take something.
pub(crate) struct Probe;

impl Operation for Probe {
    type Answer = ();

    async fn run(&self, _: &Tx<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Writes something and takes it back in the same transaction: whether there is room for more. A commit that changes
/// nothing succeeds on a full disk too.
pub(crate) struct TryWrite;

impl Operation for TryWrite {
    type Answer = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
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

/// Takes the database over: whoever saves under an older epoch is fenced from now on.
pub(crate) struct TakeEpoch;

/// Draws an epoch that nobody had before.
pub(crate) struct DrawEpoch;

impl Operation for DrawEpoch {
    type Answer = i64;

    async fn run(&self, tx: &Tx<'_>) -> Result<i64, Failure> {
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
    type Answer = i64;

    async fn run(&self, tx: &Tx<'_>) -> Result<i64, Failure> {
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

/// The epoch of the one process on a SQLite file: nobody else's counts any more.
async fn alone(tx: &Tx<'_>, epoch: i64) -> Result<(), Failure> {
    node::Entity::delete_many().exec(&tx.sql).await?;
    let only = node::Model {
        epoch,
        name: format!("{}", std::process::id()),
        joined_at: Utc::now(),
        lease_until: Utc::now() + FOR_GOOD,
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
