//! `relays`: one row per broadcast. `state` is authoritative; the columns are for queries and cleanup.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SimpleExpr;
use strum::IntoEnumIterator as _;

use crate::relay::{Durable, EgressRef, OutcomeCode, Phase, RelayStatus};
use crate::store::{Id, JsonText, Named};

/// The version of the state's format that is written.
const STATE_VERSION: i32 = 1;

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "relays")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub channel_id: i64,
    /// Agora's channel name.
    pub channel_name: String,
    pub seller_uid: i64,
    pub phase: Named<Phase>,
    pub relay_status: Named<RelayStatus>,
    /// The egress's backend.
    pub backend: String,
    pub platform: String,
    pub ingest_id: Option<String>,
    /// The text of the egress's handle.
    pub egress_id: Option<String>,
    /// See [`Model::egress_ref`].
    pub egress: Option<JsonText>,
    /// From `stopping` on.
    pub outcome: Option<Named<OutcomeCode>>,
    /// When the start was accepted.
    pub requested_at: DateTimeUtc,
    /// When Agora accepted the egress.
    pub started_at: Option<DateTimeUtc>,
    /// When the stream was first playable.
    pub live_at: Option<DateTimeUtc>,
    /// When `stopping` began.
    pub stopped_at: Option<DateTimeUtc>,
    pub ended_at: Option<DateTimeUtc>,
    /// See [`Model::durable`].
    pub state: JsonText,
    /// The version of the state's format.
    pub state_version: i32,
    /// Its owner's epoch.
    pub epoch: i64,
    /// Number of its journal entries.
    pub revision: i64,
    /// Written by any node that requests a stop, never by the owner.
    pub stop_requested_at: Option<DateTimeUtc>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Whether the relay holds its channel's slot.
pub fn holds_slot() -> SimpleExpr {
    let phases = Phase::iter().filter(|phase| phase.holds_slot());
    Column::Phase.is_in(phases.map(Named::Known))
}

/// A stored state that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the stored state of relay {relay_id} cannot be read: {reason}")]
pub struct Unreadable {
    /// The relay's id.
    pub relay_id: Uuid,
    /// The reason.
    pub reason: String,
}

impl Model {
    /// The row of this state.
    #[must_use]
    pub fn of(durable: &Durable, epoch: i64, revision: i64) -> Self {
        let spec = &durable.spec;
        let egress = durable.egress_ref();
        Self {
            id: spec.relay_id.into(),
            channel_id: spec.channel_id,
            channel_name: spec.channel_name.clone(),
            seller_uid: spec.seller_uid.into(),
            phase: durable.phase.into(),
            relay_status: durable.relay_status().into(),
            backend: spec.egress.backend.name.to_string(),
            platform: spec.platform.to_string(),
            ingest_id: durable.ingest.id.clone(),
            egress_id: egress
                .as_ref()
                .and_then(|egress| egress.handle.as_ref())
                .map(ToString::to_string),
            egress: egress.as_ref().map(JsonText::of),
            outcome: durable.outcome.as_ref().map(|outcome| outcome.code.into()),
            requested_at: spec.requested_at,
            started_at: durable.started_at,
            live_at: durable.live_at,
            stopped_at: durable.stopped_at,
            ended_at: durable.ended_at,
            state: JsonText::of(durable),
            state_version: STATE_VERSION,
            epoch,
            revision,
            stop_requested_at: None,
        }
    }

    /// The durable state, unless it has another version or is invalid.
    pub fn durable(&self) -> Result<Durable, Unreadable> {
        let unreadable = |reason: String| Unreadable {
            relay_id: *self.id,
            reason,
        };
        if self.state_version != STATE_VERSION {
            return Err(unreadable(format!(
                "it has version {}, this program reads {STATE_VERSION}",
                self.state_version
            )));
        }
        self.state
            .read()
            .map_err(|error| unreadable(error.to_string()))
    }

    /// The last egress, readable without the state.
    #[must_use]
    pub fn egress_ref(&self) -> Option<EgressRef> {
        self.egress.as_ref()?.read().ok()
    }

    /// Whether it holds its channel's slot.
    #[must_use]
    pub fn holds_slot(&self) -> bool {
        self.phase.known().is_some_and(Phase::holds_slot)
    }

    /// The row after these journal entries.
    pub(crate) fn after(&self, entries: &[crate::store::JournalEntry]) -> Self {
        let entries = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        Self {
            revision: self.revision.saturating_add(entries),
            ..self.clone()
        }
    }
}
