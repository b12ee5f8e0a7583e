//! Debts taken on, put off and settled.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::parts::add_debts;
use crate::store::NewDebt;
use crate::store::entities::{debt, id::Id};
use crate::store::writer::{Failure, Operation, Tx};

/// Takes debts on.
pub(crate) struct AddDebts(pub(crate) Vec<NewDebt>);

impl Operation for AddDebts {
    type Answer = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
        add_debts(tx, &self.0).await
    }
}

/// Strikes a debt off.
pub(crate) struct SettleDebt(pub(crate) Uuid);

impl Operation for SettleDebt {
    type Answer = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
        debt::Entity::delete_by_id(Id(self.0)).exec(&tx.sql).await?;
        Ok(())
    }
}

/// Puts a debt off after an attempt in vain.
pub(crate) struct PostponeDebt {
    pub(crate) id: Uuid,
    pub(crate) next_attempt_at: DateTime<Utc>,
    pub(crate) error: String,
}

impl Operation for PostponeDebt {
    type Answer = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), Failure> {
        use debt::Column as C;
        debt::Entity::update_many()
            .col_expr(C::NextAttemptAt, Expr::val(self.next_attempt_at))
            .col_expr(C::LastError, Expr::val(self.error.clone()))
            .col_expr(C::Attempts, Expr::col(C::Attempts).add(1))
            .filter(C::Id.eq(Id(self.id)))
            .exec(&tx.sql)
            .await?;
        Ok(())
    }
}
