//! What `channels` shows. Its row shows one relay, `relay_id`: the newest one takes it, and from then on an older one may
//! only add the recording the newer one does not have.
//!
//! The table may be someone else's. Then no row is made, and the columns may be of other types than ours: values go in as
//! text, 64-bit integer, UUID and time with zone, which PostgreSQL casts on assignment.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SimpleExpr, UpdateStatement};
use sea_orm::{ConnectionTrait, StatementBuilder};
use uuid::Uuid;

use crate::store::writer::{Failure, Tx};
use crate::store::{Projection, StoreError};

const CHANNELS: &str = "channels";

/// A new relay takes its channel's row.
pub(crate) async fn take_row(
    tx: &Tx<'_>,
    channel_id: i64,
    relay_id: Uuid,
    projection: &Projection,
) -> Result<(), Failure> {
    if !tx.project {
        return Ok(());
    }
    let mut values = values(projection);
    values.push(("relay_id", Expr::val(relay_id)));
    if ours(tx).await.map_err(Failure::Projection)? {
        let (columns, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        let insert = Query::insert()
            .into_table(CHANNELS)
            .columns(columns.iter().copied().chain(["id"]))
            .values(values.into_iter().chain([Expr::val(channel_id)]))
            .map_err(|error| StoreError::Refused(error.to_string()))?
            .on_conflict(OnConflict::column("id").update_columns(columns).to_owned())
            .to_owned();
        execute(tx, &insert).await?;
    } else {
        execute(tx, update(channel_id).values(values)).await?;
    }
    Ok(())
}

/// A relay shows itself in the row it holds; without it, only its recording, where the newer relay has none.
pub(crate) async fn refresh_row(
    tx: &Tx<'_>,
    channel_id: i64,
    relay_id: Uuid,
    projection: &Projection,
) -> Result<(), Failure> {
    if !tx.project {
        return Ok(());
    }
    let mine = update(channel_id)
        .values(values(projection))
        .and_where(shown().eq(relay_id.to_string()))
        .to_owned();
    if execute(tx, &mine).await? == 0
        && let Some(url) = &projection.stream_recording_url
    {
        show_recording(tx, channel_id, url).await?;
    }
    Ok(())
}

/// Shows a recording where none is shown.
pub(crate) async fn show_recording(tx: &Tx<'_>, channel_id: i64, url: &str) -> Result<(), Failure> {
    if !tx.project {
        return Ok(());
    }
    let column = "stream_recording_url";
    let statement = update(channel_id)
        .value(column, url)
        .and_where(Expr::col("relay_id").is_not_null())
        .and_where(Expr::col(column).is_null())
        .to_owned();
    execute(tx, &statement).await?;
    Ok(())
}

fn update(channel_id: i64) -> UpdateStatement {
    Query::update()
        .table(CHANNELS)
        .and_where(Expr::col("id").eq(channel_id))
        .to_owned()
}

/// The relay the row shows, whatever the column's type.
fn shown() -> SimpleExpr {
    Expr::col("relay_id").cast_as("text")
}

fn values(projection: &Projection) -> Vec<(&'static str, SimpleExpr)> {
    let p = projection.clone();
    vec![
        ("channel_name", Expr::val(p.channel_name)),
        ("stream_key_id", Expr::val(p.stream_key_id)),
        ("hls_playback_url", Expr::val(p.hls_playback_url)),
        ("stream_recording_url", Expr::val(p.stream_recording_url)),
        ("agora_resource_id", Expr::val(p.agora_resource_id)),
        ("agora_sid", Expr::val(p.agora_sid)),
        ("agora_recording_uid", Expr::val(p.agora_recording_uid)),
        ("relay_status", Expr::val(p.relay_status)),
        ("relay_started_at", Expr::val(p.relay_started_at)),
    ]
}

/// Whether our own migration made the table.
async fn ours(tx: &Tx<'_>) -> Result<bool, StoreError> {
    if let Some(known) = tx.pending().channels_are_ours {
        return Ok(known);
    }
    let made = Query::select()
        .expr(Expr::val(1))
        .from("channels_additions")
        .and_where(Expr::col("kind").eq("table"))
        .to_owned();
    let ours = tx.sql.query_one(&made).await?.is_some();
    tx.pending().channels_are_ours = Some(ours);
    Ok(ours)
}

async fn execute(tx: &Tx<'_>, statement: &impl StatementBuilder) -> Result<u64, Failure> {
    match tx.sql.execute(statement).await {
        Ok(done) => Ok(done.rows_affected()),
        Err(error) => Err(Failure::Projection(error.into())),
    }
}
