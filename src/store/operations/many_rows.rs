use sea_orm::Value;
use sea_orm::sea_query::{CommonTableExpression, Expr, IntoIden, Query, UpdateStatement, Values};

/// Most rows per statement: databases limit its number of values.
const ROWS: usize = 64;

const GIVEN: &str = "given";

/// Splits rows into pieces whose lengths are powers of two: the few different statements stay prepared.
pub(crate) fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = 1 << rows.len().min(ROWS).checked_ilog2()?;
        let (piece, rest) = rows.split_at(length);
        rows = rest;
        Some(piece)
    })
}

/// `WITH given (…) AS (VALUES (…), …) UPDATE … FROM given`, for at least one row.
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

pub(crate) fn given(column: impl IntoIden) -> Expr {
    Expr::col((GIVEN, column))
}
