//! Relays for responses, from the directory or else from the store.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Api;
use super::problem::Problem;
use crate::actors::RelaySnapshot;
use crate::actors::view::{EgressView, OutcomeView, RecordingView, RelayView, WireTime};
use crate::relay::{
    BackendName, Detail, Durable, IngestOwner, Latency, OutcomeCode, Phase, RecordingState,
    RelayStatus,
};
use crate::store::{self, Named, StoredRelay};

impl Api {
    pub(super) fn view(&self, durable: &Durable) -> RelayView {
        RelayView::of(durable, self.viewers.known(durable), self.time_of(durable))
    }

    /// Refreshes the viewer count for the next read.
    fn view_with_viewers(&self, durable: &Durable) -> RelayView {
        let viewers = self.viewers.of(durable);
        RelayView::of(durable, viewers, self.time_of(durable))
    }

    /// The relay's own clock while the relay is active, else now.
    fn time_of(&self, durable: &Durable) -> DateTime<Utc> {
        let known = self.service.directory().get(durable.spec.relay_id);
        known.map_or_else(|| self.now(), |known| known.clock.now())
    }

    pub(crate) async fn relay(&self, id: Uuid) -> Result<Option<RelayView>, Problem> {
        if let Some(snapshot) = self.service.directory().get(id) {
            return Ok(Some(self.view_with_viewers(&snapshot.durable)));
        }
        match self.store.relay(id).await? {
            Some(stored) => Ok(Some(self.with_late_recordings(&stored).await?)),
            None => Ok(None),
        }
    }

    /// A relay in the directory that holds the channel's slot is the newest. One that does not may have a successor, which may
    /// have ended and left the directory.
    pub(super) async fn newest_relay(&self, channel_id: i64) -> Result<Option<RelayView>, Problem> {
        let in_directory = self.service.channel(channel_id);
        if let Some(holder) = in_directory.as_ref().filter(|relay| holds_slot(relay)) {
            return Ok(Some(self.view_with_viewers(&holder.durable)));
        }
        let stored = match self.store.newest_relay(channel_id).await {
            Ok(stored) => stored,
            Err(_) if in_directory.is_some() => None,
            Err(error) => return Err(error.into()),
        };
        let is_newer = |snapshot: &Arc<RelaySnapshot>| match &stored {
            Some(stored) => {
                let spec = &snapshot.durable.spec;
                spec.relay_id == *stored.id || spec.requested_at > stored.requested_at
            }
            None => true,
        };
        if let Some(snapshot) = in_directory.filter(is_newer) {
            return Ok(Some(self.view_with_viewers(&snapshot.durable)));
        }
        match stored {
            Some(stored) => self.relay_or(stored).await.map(Some),
            None => Ok(None),
        }
    }

    /// The relay that holds the channel's slot.
    pub(super) async fn on_air(&self, channel_id: i64) -> Result<Option<RelayView>, Problem> {
        let in_directory = self.service.channel(channel_id);
        if let Some(holder) = in_directory.filter(holds_slot) {
            return Ok(Some(self.view(&holder.durable)));
        }
        let stored = self.service.remote_slot_holder(channel_id).await?;
        Ok(stored.map(|stored| self.row(&stored)))
    }

    pub(super) fn row(&self, stored: &StoredRelay) -> RelayView {
        match self.service.directory().get(*stored.id) {
            Some(snapshot) => self.view(&snapshot.durable),
            None => stored_view(stored, self.now()),
        }
    }

    async fn relay_or(&self, stored: StoredRelay) -> Result<RelayView, Problem> {
        match self.service.directory().get(*stored.id) {
            Some(snapshot) => Ok(self.view_with_viewers(&snapshot.durable)),
            None => self.with_late_recordings(&stored).await,
        }
    }

    async fn with_late_recordings(&self, stored: &StoredRelay) -> Result<RelayView, Problem> {
        let mut view = stored_view(stored, self.now());
        add_recordings(&mut view, &self.store.recordings_of(*stored.id).await?);
        Ok(view)
    }
}

fn holds_slot(relay: &Arc<RelaySnapshot>) -> bool {
    relay.durable.phase.holds_slot()
}

/// A relay that was ended by force was ended in its columns only: they override its state, and replace an unreadable one.
pub(super) fn stored_view(stored: &StoredRelay, now: DateTime<Utc>) -> RelayView {
    let mut view = match stored.durable() {
        Ok(durable) => RelayView::of(&durable, None, now),
        Err(_) => from_columns(stored),
    };
    if view.phase == stored.phase {
        return view;
    }
    let phase = stored.phase.known();
    let code = stored.outcome.as_ref().and_then(Named::known);
    view.phase.clone_from(&stored.phase);
    view.relay_status = phase.map_or(RelayStatus::Failed, |phase| RelayStatus::of(phase, code));
    view.is_active = phase.is_some_and(Phase::is_active);
    view.is_live = phase == Some(Phase::Live);
    view.stopped_at = stored.stopped_at.map(WireTime);
    view.ended_at = stored.ended_at.map(WireTime);
    view.live_seconds = live_seconds(stored, now);
    if view.outcome.is_none() {
        view.outcome = stored.outcome.clone().map(|named| OutcomeView {
            code: named,
            message: code.map_or("The relay ended.", OutcomeCode::sentence),
            detail: Detail::default(),
        });
    }
    view
}

fn from_columns(stored: &StoredRelay) -> RelayView {
    RelayView {
        id: *stored.id,
        channel_id: stored.channel_id,
        channel_name: stored.channel_name.clone(),
        seller_uid: u32::try_from(stored.seller_uid).unwrap_or_default(),
        phase: "".into(),
        relay_status: RelayStatus::Failed,
        is_active: false,
        is_live: false,
        platform: stored.platform.clone(),
        ingest_owner: IngestOwner::default(),
        latency: Latency::default(),
        hls_playback_url: None,
        dash_playback_url: None,
        stream_key_id: stored.ingest_id.clone(),
        agora: EgressView::with_ids(
            &BackendName::new(stored.backend.as_str()),
            stored.egress_ref().as_ref(),
            0,
        ),
        recordings: Vec::new(),
        recording_url: None,
        live_seconds: 0,
        viewer_count: None,
        outcome: None,
        cost: None,
        requested_at: WireTime(stored.requested_at),
        started_at: stored.started_at.map(WireTime),
        live_at: stored.live_at.map(WireTime),
        stopped_at: None,
        ended_at: None,
    }
}

fn live_seconds(row: &StoredRelay, now: DateTime<Utc>) -> u64 {
    let until = row.stopped_at.unwrap_or(now);
    let live = row.live_at.map(|from| (until - from).num_seconds());
    live.and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or_default()
}

pub(super) fn recording_view(recording: &store::RecordingRow) -> RecordingView {
    RecordingView {
        id: recording.id.clone(),
        state: recording.state.clone(),
        hls_url: recording.hls_url.clone(),
        dash_url: recording.dash_url.clone(),
        thumbnail_url: recording.thumbnail_url.clone(),
        location: recording.location.clone(),
        duration_seconds: recording.duration_seconds.and_then(whole_seconds),
    }
}

fn whole_seconds(seconds: f64) -> Option<u64> {
    std::time::Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|length| {
            u64::try_from(length.as_millis())
                .unwrap_or(u64::MAX)
                .div_ceil(1000)
        })
}

/// Adds recordings that arrived late: they are only in their table, not in the state.
pub(super) fn add_recordings(view: &mut RelayView, rows: &[store::RecordingRow]) {
    for row in rows {
        let known = view.recordings.iter_mut().find(|known| known.id == row.id);
        match known {
            Some(known)
                if row.state == RecordingState::Ready && known.state != RecordingState::Ready =>
            {
                *known = recording_view(row)
            }
            Some(_) => {}
            None => view.recordings.push(recording_view(row)),
        }
    }
    let ready = view
        .recordings
        .iter()
        .filter(|recording| recording.state == RecordingState::Ready);
    let main = ready.max_by_key(|recording| recording.duration_seconds);
    view.recording_url = main.and_then(|recording| recording.hls_url.clone());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::actors::view::fixture::{INGEST, at, live};

    fn stored(durable: &Durable) -> StoredRelay {
        StoredRelay::of(durable, 1, 1)
    }

    fn ended_by_force(mut stored: StoredRelay) -> StoredRelay {
        stored.phase = "ended".into();
        stored.relay_status = "failed".into();
        stored.outcome = Some("internal".into());
        stored.stopped_at = Some(at("10:10:10.500"));
        stored.ended_at = Some(at("10:10:10.500"));
        stored
    }

    #[test]
    fn a_stored_relay_reads_like_an_active_one() {
        let live = live();
        let now = at("10:20:00.000");
        assert_eq!(
            stored_view(&stored(&live), now),
            RelayView::of(&live, None, now)
        );
    }

    #[test]
    fn a_relay_that_was_ended_by_force_reads_as_ended_whatever_its_state_says() {
        let view = stored_view(&ended_by_force(stored(&live())), at("11:00:00.000"));
        let view = serde_json::to_value(view).unwrap();
        assert_eq!(view["phase"], "ended");
        assert_eq!(view["relay_status"], "failed");
        assert_eq!(view["is_live"], false);
        assert_eq!(view["outcome"]["code"], "internal");
        assert_eq!(view["live_seconds"], 600);
        assert_eq!(view["ended_at"], "2026-11-22T10:10:10.500Z");
        assert_eq!(view["agora"]["sid"], "session");
    }

    #[test]
    fn an_unreadable_state_is_replaced_by_the_columns() {
        for state in [Value::Null, json!({"phase": "dreaming"})] {
            let mut stored = ended_by_force(stored(&live()));
            stored.state = state.into();
            let view = serde_json::to_value(stored_view(&stored, at("11:00:00.000"))).unwrap();
            assert_eq!(view["phase"], "ended");
            assert_eq!(view["channel_name"], "show68");
            assert_eq!(view["stream_key_id"], INGEST);
            assert_eq!(view["outcome"]["code"], "internal");
        }
    }

    #[test]
    fn a_recording_that_came_late_is_shown_and_is_the_main_one_when_it_is_the_longest() {
        let late = store::RecordingRow {
            platform: "platform".into(),
            id: "late".into(),
            relay_id: live().spec.relay_id.into(),
            channel_id: 42,
            state: "ready".into(),
            duration_seconds: Some(12.25),
            hls_url: Some("https://host/late.m3u8".into()),
            dash_url: None,
            thumbnail_url: None,
            location: None,
            created_at: at("11:00:00.000"),
            ready_at: Some(at("11:00:00.000")),
        };
        let mut view = RelayView::of(&live(), None, at("11:00:00.000"));
        add_recordings(&mut view, &[late]);
        assert_eq!(view.recordings[0].duration_seconds, Some(13));
        assert_eq!(
            view.recording_url.as_deref(),
            Some("https://host/late.m3u8")
        );
    }
}
