//! Invariants at the end of every case.

use relaykeeper::sandbox::WorldSnapshot;
use serde_json::Value;

use super::life::was_lost;
use crate::support::database::Raw;
use crate::support::service::{AFTER_A_LOST_ANSWER, UNLISTED};

/// No ingest, egress or cleanup job is left, except an egress without a known session: it publishes nowhere, and keeps its cleanup job
/// until a notification names it or its time limit passes.
pub(crate) async fn nothing_is_left(state: &WorldSnapshot, raw: &Raw) -> Result<(), String> {
    let inputs: Vec<_> = state
        .live_inputs
        .iter()
        .filter(|input| !input.deleted)
        .map(|input| &input.uid)
        .collect();
    if !inputs.is_empty() {
        return Err(format!("ingests {inputs:?}"));
    }
    let cleanup_jobs = raw
        .texts(&format!("SELECT kind || ' ' || target || ' ' || COALESCE(last_error, '') FROM cleanup_jobs WHERE data NOT LIKE '{UNLISTED}'"))
        .await;
    if !cleanup_jobs.is_empty() {
        return Err(format!("cleanup jobs {cleanup_jobs:?}"));
    }
    let unknown = raw
        .texts(&format!(
            "SELECT target FROM cleanup_jobs WHERE data LIKE '{UNLISTED}'"
        ))
        .await;
    for egress in state.egresses.iter().filter(|one| one.is_alive()) {
        if egress.publishing || !unknown.contains(&Some(egress.name.clone())) {
            return Err(format!("egress {}", egress.id));
        }
    }
    Ok(())
}

/// One relay went live and was stopped, on one ingest, with every egress accounted for.
pub(crate) async fn check(
    state: &WorldSnapshot,
    raw: &Raw,
    relay: &Value,
    most_replacements: u64,
    crashes: u64,
) -> Result<(), String> {
    let violations: Vec<_> = state
        .violations
        .iter()
        .filter(|violation| !(crashes > 0 && AFTER_A_LOST_ANSWER.contains(&violation.kind)))
        .collect();
    if !violations.is_empty() {
        return Err(format!("violations {violations:?}"));
    }
    let lost = was_lost(relay);
    let replacements = relay["agora"]["replacements"].as_u64().unwrap_or(0);
    let egresses = state.egresses.len();
    let replaced = (u64::from(!lost)..=most_replacements).contains(&replacements);
    // A task that ended while its page was not served is started again under the same number after a crash.
    let page = relay["agora"]["backend"] == "cloud_recording";
    let most = replacements + 1 + if page { crashes } else { 0 };
    let accounted_for = u64::try_from(egresses).is_ok_and(|egresses| egresses <= most);
    if state.live_inputs.len() != 1 || !replaced || !accounted_for {
        return Err(format!(
            "{} ingests, {egresses} egresses, {replacements} replacements",
            state.live_inputs.len()
        ));
    }
    let relays = raw
        .texts("SELECT CASE WHEN ended_at IS NULL THEN 'unfinished' ELSE phase END FROM relays")
        .await;
    if relays != [Some("ended".to_owned())] {
        return Err(format!("relays {relays:?}"));
    }
    let went_live = !relay["live_at"].is_null();
    let costs = raw.texts("SELECT source FROM stream_costs").await;
    if costs.len() != usize::from(went_live || !state.videos.is_empty()) {
        return Err(format!("costs {costs:?}"));
    }
    let mut life = vec!["relay.starting"];
    life.extend(went_live.then_some("relay.live"));
    life.push(if lost {
        "relay.failed"
    } else {
        "relay.stopped"
    });
    life.push("relay.ended");
    check_messages(raw, state.videos.len(), &life).await
}

/// Two shows went through the one ingest of their channel, and each recording is one show's.
pub(crate) async fn check_kept(
    state: &WorldSnapshot,
    raw: &Raw,
    crashes: u64,
) -> Result<(), String> {
    let violations: Vec<_> = state
        .violations
        .iter()
        .filter(|violation| !(crashes > 0 && AFTER_A_LOST_ANSWER.contains(&violation.kind)))
        .collect();
    if !violations.is_empty() {
        return Err(format!("violations {violations:?}"));
    }
    if state.live_inputs.len() != 1 {
        return Err(format!("{} ingests", state.live_inputs.len()));
    }
    let relays = raw
        .number("SELECT COUNT(*) FROM relays WHERE phase = 'ended' AND ended_at IS NOT NULL")
        .await;
    let recordings = raw
        .number("SELECT COUNT(*) FROM recordings WHERE state = 'ready'")
        .await;
    let shows = raw
        .number("SELECT COUNT(DISTINCT relay_id) FROM recordings")
        .await;
    let videos = i64::try_from(state.videos.len()).unwrap_or(0);
    let expected = videos.min(2);
    if relays != 2 || recordings != videos || shows != expected {
        return Err(format!(
            "{relays} relays, {recordings} recordings of {shows} shows, {videos} videos"
        ));
    }
    let costs = raw.number("SELECT COUNT(*) FROM stream_costs").await;
    let due = "SELECT COUNT(*) FROM relays WHERE live_at IS NOT NULL OR id IN (SELECT relay_id FROM recordings)";
    let due = raw.number(due).await;
    let ended = raw
        .number("SELECT COUNT(*) FROM outbox WHERE type = 'relay.ended'")
        .await;
    if costs != due || ended != 2 {
        return Err(format!("{costs} costs of {due} shows, {ended} ends told"));
    }
    let missing = raw
        .number("SELECT COUNT(*) FROM outbox WHERE type = 'recording.missing'")
        .await;
    if missing != 0 {
        return Err(format!("{missing} recordings missing"));
    }
    Ok(())
}

/// The marketplace got every message once, numbered without a gap.
async fn check_messages(raw: &Raw, videos: usize, life: &[&str]) -> Result<(), String> {
    let messages: Vec<String> = raw
        .texts("SELECT type FROM outbox ORDER BY sequence")
        .await
        .into_iter()
        .flatten()
        .collect();
    let wrong = |what: &str| Err(format!("{what}: {messages:?}"));
    let last = raw
        .number("SELECT COALESCE(MAX(sequence), 0) FROM outbox")
        .await;
    let first = raw
        .number("SELECT COALESCE(MIN(sequence), 0) FROM outbox")
        .await;
    if first != 1 || usize::try_from(last).ok() != Some(messages.len()) {
        return wrong("the numbers have a gap");
    }
    let count = |kind: &str| messages.iter().filter(|one| *one == kind).count();
    if count("recording.missing") > 0 || count("recording.ready") != videos {
        return wrong("not its recordings");
    }
    let never_resumed = usize::from(life.contains(&"relay.failed"));
    let (interrupted, resumed) = (count("relay.interrupted"), count("relay.resumed"));
    if !(resumed..=resumed + never_resumed).contains(&interrupted) {
        return wrong("not its interruptions");
    }
    let interruptions = ["relay.interrupted", "relay.resumed"];
    let lived = messages
        .iter()
        .map(String::as_str)
        .filter(|kind| kind.starts_with("relay.") && !interruptions.contains(kind));
    if !lived.eq(life.iter().copied()) {
        return wrong("not its life");
    }
    Ok(())
}
