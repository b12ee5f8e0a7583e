//! Rows of `relays`, made and changed: those of a batch in one statement.
//!
//! A statement says how many rows it wrote. Which it did not, and why, each operation finds out alone.

use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, OnConflict};
use sea_orm::{ConnectionTrait, EntityTrait, IntoActiveModel, Iterable, ModelTrait};

use super::many::{given, pieces, update_from};
use crate::store::entities::relay::{Column, Entity, Model};
use crate::store::writer::{Change, Failure, Tx};

/// Makes relays; how many. One whose id is there, or whose channel's slot is held, is not made.
pub(crate) async fn insert(tx: &Tx<'_>, relays: &[Model]) -> Result<u64, Failure> {
    let mut made = 0;
    for piece in pieces(relays) {
        let rows = piece.iter().cloned();
        made += Entity::insert_many(rows.map(IntoActiveModel::into_active_model))
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(&tx.sql)
            .await?;
    }
    Ok(made)
}

/// Changes relays; how many. One that is not its row's owner's, or not as expected, is not changed; and never the stop that
/// somebody asked for.
pub(crate) async fn update(tx: &Tx<'_>, changes: &[Change]) -> Result<u64, Failure> {
    const EXPECTED: &str = "expected_revision";
    let mut changed = 0;
    for piece in pieces(changes) {
        let columns = Column::iter().map(IntoIden::into_iden);
        let rows = piece.iter().map(|change| {
            let row = Column::iter().map(|column| change.row.get(column));
            row.chain([change.expected_revision.into()]).collect()
        });
        let written = Column::iter()
            .filter(|column| !matches!(column, Column::Id | Column::StopRequestedAt))
            .map(|column| (column, given(column)));
        let stands = |column: Column| Expr::col((Entity, column));
        let update = update_from(columns.chain([EXPECTED.into_iden()]), rows)
            .table(Entity)
            .values(written)
            .and_where(stands(Column::Id).eq(given(Column::Id)))
            .and_where(stands(Column::Epoch).eq(given(Column::Epoch)))
            .and_where(stands(Column::Revision).eq(given(EXPECTED)))
            .to_owned();
        changed += tx.sql.execute(&update).await?.rows_affected();
    }
    Ok(changed)
}
