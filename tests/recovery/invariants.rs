//! What holds when everything has come to rest, whatever happened on the way.

use relaykeeper::sandbox::Snapshot;
use serde_json::Value;

use super::support::database::Raw;

/// What a look at a vendor may note: 409 is how a converter is found again by its name, 400/53 how a task on an older
/// resource is (`agora.md §4.3`, `§2.2`).
const LOOKS: [&str; 2] = ["name_conflict", "task_conflict"];

/// No live input, no recorder, no debt. A recorder whose session nobody told us stays a debt until a notification names it or
/// its own hours are over; it publishes nowhere.
pub(crate) async fn nothing_is_left(state: &Snapshot, raw: &Raw) -> Result<(), String> {
    let inputs: Vec<_> = state
        .live_inputs
        .iter()
        .filter(|input| !input.deleted)
        .map(|input| &input.uid)
        .collect();
    if !inputs.is_empty() {
        return Err(format!("live inputs {inputs:?}"));
    }
    let debts = raw
        .texts("SELECT kind || ' ' || target || ' ' || COALESCE(last_error, '') FROM debts WHERE kind <> 'unknown_recorder'")
        .await;
    if !debts.is_empty() {
        return Err(format!("debts {debts:?}"));
    }
    let unknown = raw
        .texts("SELECT target FROM debts WHERE kind = 'unknown_recorder'")
        .await;
    for recorder in state.recorders.iter().filter(|one| one.is_alive()) {
        if recorder.publishing || !unknown.contains(&Some(recorder.name.clone())) {
            return Err(format!("recorder {}", recorder.id));
        }
    }
    Ok(())
}

/// One relay was started, went live, had its recorder replaced once, and was stopped.
pub(crate) async fn check(state: &Snapshot, raw: &Raw, relay: &Value) -> Result<(), String> {
    let violations: Vec<_> = state
        .violations
        .iter()
        .filter(|violation| !LOOKS.contains(&violation.kind))
        .collect();
    if !violations.is_empty() {
        return Err(format!("violations {violations:?}"));
    }
    let replacements = relay["agora"]["replacements"].as_u64();
    let recorders = state.recorders.len();
    if state.live_inputs.len() != 1 || replacements != Some(1) || recorders != 2 {
        return Err(format!(
            "{} live inputs, {recorders} recorders, {replacements:?} replacements",
            state.live_inputs.len()
        ));
    }
    let relays = raw
        .texts("SELECT phase FROM relays WHERE live_at IS NOT NULL AND ended_at IS NOT NULL")
        .await;
    if relays != [Some("ended".to_owned())] || raw.number("SELECT COUNT(*) FROM relays").await != 1
    {
        return Err(format!("relays {relays:?}"));
    }
    let costs = raw.texts("SELECT source FROM stream_costs").await;
    if costs != [Some("recording".to_owned())] {
        return Err(format!("costs {costs:?}"));
    }
    told(raw, state.videos.len()).await
}

/// The marketplace was told of everything, once, and numbered without a gap.
async fn told(raw: &Raw, videos: usize) -> Result<(), String> {
    let told: Vec<String> = raw
        .texts("SELECT type FROM outbox ORDER BY sequence")
        .await
        .into_iter()
        .flatten()
        .collect();
    let wrong = |what: &str| Err(format!("{what}: {told:?}"));
    let last = raw
        .number("SELECT COALESCE(MAX(sequence), 0) FROM outbox")
        .await;
    let first = raw
        .number("SELECT COALESCE(MIN(sequence), 0) FROM outbox")
        .await;
    if first != 1 || usize::try_from(last).ok() != Some(told.len()) {
        return wrong("the numbers have a gap");
    }
    let count = |kind: &str| told.iter().filter(|one| *one == kind).count();
    for kind in [
        "relay.starting",
        "relay.live",
        "relay.stopped",
        "relay.ended",
    ] {
        if count(kind) != 1 {
            return wrong("not told exactly once");
        }
    }
    if count("relay.failed") + count("recording.missing") > 0 || count("recording.ready") != videos
    {
        return wrong("recordings");
    }
    if count("relay.interrupted") != count("relay.resumed") {
        return wrong("interruptions");
    }
    let life = told
        .iter()
        .filter(|kind| kind.starts_with("relay."))
        .map(String::as_str);
    let mut life = life.filter(|kind| !["relay.interrupted", "relay.resumed"].contains(kind));
    if !life.by_ref().eq([
        "relay.starting",
        "relay.live",
        "relay.stopped",
        "relay.ended",
    ]) {
        return wrong("out of order");
    }
    Ok(())
}
