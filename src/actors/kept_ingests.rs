//! Ingests that channels keep: what their rows say, what relays write to them, and whose a recording is.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::platforms::NewIngest;
use crate::relay::{
    Cleanup, Durable, Fact, IngestOwner, IngestStage, IngestUse, KeptIngest, Recording, Spec, Step,
    user_of,
};
use crate::store::{
    JsonText, KeptIngestChange, KeptIngestOptions, KeptIngestRow, KeptIngestWrite, Store,
    StoreError,
};

/// A platform may notice late that a publisher is gone.
const MARGIN: TimeDelta = TimeDelta::seconds(30);
/// Sessions of earlier shows that are remembered.
const MOST_SESSIONS: usize = 4;
/// The last relays of a channel among which a recording's is searched.
const MOST_USES: u64 = 50;

/// The settings of a relay's ingest.
pub(super) fn settings(spec: &Spec, tag: String) -> NewIngest {
    let timeout = spec.timing.feed_timeout;
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    NewIngest {
        tag,
        title: format!("{} (channel {})", spec.channel_name, spec.channel_id),
        feed_timeout_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        delete_recording_after_days: spec.delete_recording_after_days,
        latency: spec.latency,
    }
}

fn options(spec: &Spec) -> KeptIngestOptions {
    let settings = settings(spec, String::new());
    KeptIngestOptions {
        title: settings.title,
        feed_timeout_seconds: settings.feed_timeout_seconds,
        delete_recording_after_days: settings.delete_recording_after_days,
        latency: settings.latency,
    }
}

/// What a relay knows of the ingest that it claimed.
pub(super) fn as_claimed(row: &KeptIngestRow, spec: &Spec, now: DateTime<Utc>) -> KeptIngest {
    KeptIngest {
        key_version: u32::try_from(row.key_version).unwrap_or_default(),
        broadcast_open: must_end_broadcast(row, spec, now),
        claimed_at: row.held_since.unwrap_or(now),
        foreign_sessions: row.last_sessions.read().unwrap_or_default(),
        sealed: false,
    }
}

/// Whether the show would go on with an earlier broadcast, or with its settings.
fn must_end_broadcast(row: &KeptIngestRow, spec: &Spec, now: DateTime<Utc>) -> bool {
    let (wanted, known) = (options(spec), row.options().ok());
    let is_same = known.as_ref().is_some_and(|known| {
        known.feed_timeout_seconds == wanted.feed_timeout_seconds
            && known.delete_recording_after_days == wanted.delete_recording_after_days
            && known.latency == wanted.latency
    });
    let timeout = known.map_or(wanted.feed_timeout_seconds, |known| {
        known.feed_timeout_seconds
    });
    let timeout = Duration::from_secs(timeout.into());
    let held = spec.capabilities.reconnect.holds_open(timeout);
    let held = TimeDelta::from_std(held).unwrap_or(TimeDelta::MAX);
    let may_be_open = !held.is_zero()
        && row.quiet_since.is_some_and(|quiet_since| {
            quiet_since
                .checked_add_signed(held)
                .and_then(|over| over.checked_add_signed(MARGIN))
                .is_none_or(|over| over > now)
        });
    row.reopen || may_be_open || !is_same
}

/// What a step changes of the kept ingest that the relay holds. `wall`: the time by the wall clock.
pub(super) fn writes(durable: &Durable, step: &Step, wall: DateTime<Utc>) -> Vec<KeptIngestWrite> {
    if durable.spec.ingest_owner == IngestOwner::Relay {
        return Vec::new();
    }
    let any = |is: fn(&Fact) -> bool| step.facts.iter().any(is);
    if any(|fact| matches!(fact, Fact::IngestGone | Fact::IngestGivenUp)) {
        return vec![KeptIngestWrite::Forget];
    }
    let Some(kept) = &durable.ingest.kept else {
        return Vec::new();
    };
    let mut writes = Vec::new();
    // A claimed one was requested by an earlier relay.
    let is_own = durable.ingest.requested_at.is_some();
    if is_own && any(|fact| matches!(fact, Fact::IngestReady { .. })) {
        let row = new_row(durable, wall);
        writes.extend(row.map(|row| KeptIngestWrite::Keep(Box::new(row))));
    }
    let is_released = durable.ingest.stage == IngestStage::Released
        && any(|fact| {
            let defers = matches!(fact, Fact::CleanupAdded { cleanup_job }
                if matches!(cleanup_job.cleanup, Cleanup::RenewIngestKey { .. }));
            defers || matches!(fact, Fact::IngestReleased)
        });
    let is_changed = any(|fact| {
        matches!(
            fact,
            Fact::KeyRenewing
                | Fact::KeyRenewed
                | Fact::SessionSeen { .. }
                | Fact::BroadcastEnded { .. }
                | Fact::EgressReplacing
                | Fact::EgressGone { .. }
                | Fact::CleanupAdded { .. }
        )
    });
    if is_released || is_changed {
        let ended = any(|fact| matches!(fact, Fact::BroadcastEnded { .. }));
        let sessions = kept.foreign_sessions.iter().chain(&durable.sessions);
        let sessions: Vec<_> = sessions.collect();
        let last = sessions.len().saturating_sub(MOST_SESSIONS);
        writes.push(KeptIngestWrite::Change(KeptIngestChange {
            key_stale: durable.ingest.key_stale,
            key_version: i32::try_from(kept.key_version).unwrap_or(i32::MAX),
            // Until its end is confirmed, it may also be closed.
            reopen: kept.broadcast_open,
            last_sessions: JsonText::of(&sessions.get(last..)),
            options: ended.then(|| JsonText::of(&options(&durable.spec))),
            released_at: is_released.then_some(wall),
        }));
    }
    writes
}

fn new_row(durable: &Durable, wall: DateTime<Utc>) -> Option<KeptIngestRow> {
    let (spec, ingest) = (&durable.spec, &durable.ingest);
    Some(KeptIngestRow {
        channel_id: spec.channel_id,
        platform: spec.platform.to_string(),
        ingest_id: ingest.id.clone()?,
        tag: spec.tag(ingest.attempt).to_string(),
        hls_url: ingest.hls_url.clone()?,
        dash_url: ingest.dash_url.clone(),
        options: JsonText::of(&options(spec)),
        holder: Some(spec.relay_id.to_string()),
        held_since: Some(wall),
        key_stale: false,
        key_version: 0,
        reopen: false,
        quiet_since: None,
        last_sessions: JsonText::of(&Vec::<String>::new()),
        created_at: wall,
    })
}

/// Since when an ingest may have recordings of this relay.
pub(super) fn used_since(durable: &Durable) -> DateTime<Utc> {
    let kept = durable.ingest.kept.as_ref();
    kept.map_or(durable.spec.requested_at, |kept| kept.claimed_at)
}

/// Removes recordings that are another relay's: several used the ingest.
pub(super) async fn own_recordings(
    store: &Store,
    durable: &Durable,
    ingest: &str,
    mut found: Vec<Recording>,
) -> Result<Vec<Recording>, StoreError> {
    let spec = &durable.spec;
    if spec.ingest_owner == IngestOwner::Relay || found.is_empty() {
        return Ok(found);
    }
    let relays = store
        .relays_with_ingest(spec.channel_id, ingest, MOST_USES)
        .await?;
    let uses = relays.iter().filter_map(|stored| stored.durable().ok());
    let others = uses.filter(|other| other.spec.relay_id != spec.relay_id);
    let uses: Vec<_> = others
        .map(|other| use_of(&other))
        .chain([use_of(durable)])
        .collect();
    found.retain(|recording| {
        user_of(&recording.id, recording.created_at, &uses) == Some(spec.relay_id)
    });
    Ok(found)
}

fn use_of(durable: &Durable) -> IngestUse {
    let recordings = durable.recordings.iter().map(|recording| &recording.id);
    IngestUse {
        relay: durable.spec.relay_id,
        claimed_at: used_since(durable),
        began_at: durable.broadcast_began_at,
        known: durable.sessions.iter().chain(recordings).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::view::fixture::{at, requested};
    use crate::relay::Reconnect;

    fn spec() -> Spec {
        let mut spec = requested().spec;
        spec.timing.feed_timeout = Duration::from_secs(180);
        spec.ingest_owner = IngestOwner::Channel;
        spec.capabilities.reconnect = Reconnect::Held {
            longest: Duration::from_secs(86_400),
        };
        spec
    }

    fn row(spec: &Spec) -> KeptIngestRow {
        let mut durable = Durable::new(spec.clone());
        durable.ingest.id = Some("ingest".into());
        durable.ingest.hls_url = Some("https://host/ingest.m3u8".into());
        new_row(&durable, at("10:00:00.000")).unwrap()
    }

    #[test]
    fn a_feed_timeout_goes_to_the_platform_in_whole_seconds_rounded_up() {
        for (millis, seconds) in [
            (1, 1),
            (1_000, 1),
            (1_500, 2),
            (180_000, 180),
            (86_400_000, 86_400),
        ] {
            let mut spec = spec();
            spec.timing.feed_timeout = Duration::from_millis(millis);
            let settings = settings(&spec, "tag".into());
            assert_eq!(settings.feed_timeout_seconds, seconds);
        }
    }

    #[test]
    fn a_broadcast_is_ended_if_it_may_be_open_or_was_not_reopened_or_has_other_settings() {
        let (spec, now) = (spec(), at("11:00:00.000"));
        let new = row(&spec);
        assert!(!must_end_broadcast(&new, &spec, now), "never published");
        let quiet = |time| KeptIngestRow {
            quiet_since: Some(at(time)),
            ..new.clone()
        };
        // 180 s, and 30 s more.
        assert!(must_end_broadcast(&quiet("10:56:31.000"), &spec, now));
        assert!(!must_end_broadcast(&quiet("10:56:30.000"), &spec, now));
        let mut anew = spec.clone();
        anew.capabilities.reconnect = Reconnect::Anew;
        assert!(!must_end_broadcast(&quiet("10:59:59.000"), &anew, now));
        let reopen = KeptIngestRow {
            reopen: true,
            ..new.clone()
        };
        assert!(must_end_broadcast(&reopen, &spec, now));
        let mut other = spec.clone();
        other.delete_recording_after_days = None;
        assert!(must_end_broadcast(&new, &other, now));
        other = spec.clone();
        other.channel_name = "other".into();
        assert!(!must_end_broadcast(&new, &other, now), "a title");
    }
}
