//! Writes the projection to `channels`. A row shows its channel's newest relay, `relay_id`. An older relay may only add
//! its recording, if the newest has none.
//!
//! If the table is the marketplace's, no row is inserted, and columns may have other types than ours: PostgreSQL casts
//! the values on assignment.

use sea_orm::sea_query::{
    Expr, ExprTrait, InsertStatement, OnConflict, Query, SimpleExpr, UpdateStatement,
};
use sea_orm::{ConnectionTrait, StatementBuilder, Value};

use super::many_rows::{given, pieces, update_from};
use crate::store::StoreError;
use crate::store::writer::{OperationError, ProjectedRow, Tx};

const CHANNELS: &str = "channels";
const ID: &str = "id";
const RELAY: &str = "relay_id";
const RECORDING: &str = "stream_recording_url";

impl ProjectedRow {
    const COLUMNS: [&str; 11] = [
        ID,
        RELAY,
        "channel_name",
        "stream_key_id",
        "hls_playback_url",
        RECORDING,
        "agora_resource_id",
        "agora_sid",
        "agora_recording_uid",
        "relay_status",
        "relay_started_at",
    ];

    fn values(&self) -> [Value; 11] {
        let p = self.projection.clone();
        [
            self.channel_id.into(),
            self.relay_id.into(),
            p.channel_name.into(),
            p.stream_key_id.into(),
            p.hls_playback_url.into(),
            p.stream_recording_url.into(),
            p.agora_resource_id.into(),
            p.agora_sid.into(),
            p.agora_recording_uid.into(),
            <&str>::from(p.relay_status).into(),
            p.relay_started_at.into(),
        ]
    }
}

/// Writes new relays.
pub(crate) async fn take_rows(tx: &Tx<'_>, relays: &[ProjectedRow]) -> Result<(), OperationError> {
    if relays.is_empty() || !tx.project {
        return Ok(());
    }
    let ours = ours(tx).await.map_err(OperationError::Projection)?;
    for piece in pieces(relays) {
        if ours {
            execute(tx, &insert(piece)?).await?;
        } else {
            execute(tx, &update(piece)).await?;
        }
    }
    Ok(())
}

/// Writes relays to the rows that show them; to other rows only a recording, if none is shown.
pub(crate) async fn refresh_rows(
    tx: &Tx<'_>,
    relays: &[ProjectedRow],
) -> Result<(), OperationError> {
    if !tx.project {
        return Ok(());
    }
    for piece in pieces(relays) {
        let mine = update(piece)
            .and_where(as_text(Expr::col((CHANNELS, RELAY))).eq(as_text(given(RELAY))))
            .to_owned();
        let refreshed = execute(tx, &mine).await?;
        if refreshed == piece.len() as u64 {
            continue;
        }
        // The update has written the recordings of the relays that are shown: for them this does nothing.
        for relay in piece {
            if let Some(url) = &relay.projection.stream_recording_url {
                show_recording(tx, relay.channel_id, url).await?;
            }
        }
    }
    Ok(())
}

async fn show_recording(tx: &Tx<'_>, channel_id: i64, url: &str) -> Result<(), OperationError> {
    let statement = Query::update()
        .table(CHANNELS)
        .value(RECORDING, url)
        .and_where(Expr::col(ID).eq(channel_id))
        .and_where(Expr::col(RELAY).is_not_null())
        .and_where(Expr::col(RECORDING).is_null())
        .to_owned();
    execute(tx, &statement).await?;
    Ok(())
}

fn insert(relays: &[ProjectedRow]) -> Result<InsertStatement, OperationError> {
    let shown = ProjectedRow::COLUMNS
        .into_iter()
        .filter(|column| *column != ID);
    let mut insert = Query::insert()
        .into_table(CHANNELS)
        .columns(ProjectedRow::COLUMNS)
        .on_conflict(OnConflict::column(ID).update_columns(shown).to_owned())
        .to_owned();
    for relay in relays {
        insert
            .values(relay.values().map(Expr::val))
            .map_err(|error| StoreError::Refused(error.to_string()))?;
    }
    Ok(insert)
}

fn update(relays: &[ProjectedRow]) -> UpdateStatement {
    let shown = ProjectedRow::COLUMNS
        .into_iter()
        .filter(|column| *column != ID);
    update_from(
        ProjectedRow::COLUMNS,
        relays.iter().map(|relay| relay.values().into()),
    )
    .table(CHANNELS)
    .values(shown.map(|column| (column, given(column))))
    .and_where(Expr::col((CHANNELS, ID)).eq(given(ID)))
    .to_owned()
}

/// The marketplace's column may have another type.
fn as_text(relay: Expr) -> SimpleExpr {
    relay.cast_as("text")
}

async fn ours(tx: &Tx<'_>) -> Result<bool, StoreError> {
    if let Some(known) = tx.batched_rows().channels_are_ours {
        return Ok(known);
    }
    let made = Query::select()
        .expr(Expr::val(1))
        .from("channels_additions")
        .and_where(Expr::col("kind").eq("table"))
        .to_owned();
    let ours = tx.sql.query_one(&made).await?.is_some();
    tx.batched_rows().channels_are_ours = Some(ours);
    Ok(ours)
}

async fn execute(tx: &Tx<'_>, statement: &impl StatementBuilder) -> Result<u64, OperationError> {
    match tx.sql.execute(statement).await {
        Ok(done) => Ok(done.rows_affected()),
        Err(error) => Err(OperationError::Projection(error.into())),
    }
}
