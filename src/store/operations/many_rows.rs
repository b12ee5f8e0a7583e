//! Statements with many rows.

use sea_orm::Value;
use sea_orm::sea_query::{CommonTableExpression, Expr, IntoIden, Query, UpdateStatement, Values};

/// Most rows per statement: databases limit the number of values.
const ROWS: usize = 64;

/// The name of the rows in [`update_from`].
const GIVEN: &str = "given";

/// Splits rows into pieces with lengths of powers of two: few different statements, each of which stays prepared.
pub(crate) fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = 1 << rows.len().min(ROWS).checked_ilog2()?;
        let (piece, rest) = rows.split_at(length);
        rows = rest;
        Some(piece)
    })
}

/// An update with values from rows, at least one: `WITH given (…) AS (VALUES (…), …) UPDATE … FROM given`.
pub(crate) fn update_from<C: IntoIden>(
    columns: impl IntoIterator<Item = C>,
    rows: impl IntoIterator<Item = Vec<Value>>,
) -> UpdateStatement {
    let rows = CommonTableExpression::new()
        .table_name(GIVEN)
        .columns(columns)
        .values(rows.into_iter().map(Values).collect())
        .to_owned();
    Query::update().with_cte(rows).from(GIVEN).to_owned()
}

/// A column of those rows.
pub(crate) fn given(column: impl IntoIden) -> Expr {
    Expr::col((GIVEN, column))
}
