use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use uuid::Uuid;

use super::advice::{Advice, advice};
use super::timeline::{RelayTimeline, timeline};
use super::{Console, PageFrame, format, frame, page_or};
use crate::actors::view::{OutcomeView, RelayView, in_words};
use crate::api::Api;
use crate::api::input::relay_id;
use crate::api::problem::Problem;
use crate::relay::{Detail, OutcomeCode, Phase};
use crate::store::{Delivery, PageRequest, StoredEntry};

const MAX_JOURNAL_ENTRIES: usize = 2000;
const MAX_DELIVERIES: u64 = 200;
const JOURNAL_PAGE_SIZE: u32 = 500;

#[derive(Template)]
#[template(path = "console/relay.html")]
struct RelayPage {
    frame: PageFrame,
    id: String,
    channel_id: i64,
    channel_name: String,
    phase: String,
    phase_name: String,
    may_stop: bool,
    over: bool,
    viewers: Option<u64>,
    facts: Vec<(&'static str, String)>,
    outcome: Option<OutcomeSection>,
    timeline: Option<RelayTimeline>,
    hls_url: Option<String>,
    player_url: Option<String>,
    recordings: Vec<RecordingLine>,
    cost: Option<CostSection>,
    deliveries: Vec<DeliveryLine>,
    journal: Vec<JournalLine>,
    /// Whether more journal entries exist than are shown.
    cut: bool,
}

struct OutcomeSection {
    ended_well: bool,
    code: String,
    message: String,
    advice: Option<Advice>,
    detail: Vec<(&'static str, String)>,
}

struct RecordingLine {
    uid: String,
    state: String,
    lasted: String,
    thumbnail_url: Option<String>,
    location: Option<String>,
    hls_url: Option<String>,
}

struct CostSection {
    lasted: String,
    minutes: u64,
    platform: String,
    stored: String,
    agora: String,
    total: String,
    source: &'static str,
}

struct DeliveryLine {
    id: i64,
    kind: String,
    status: String,
    attempts: i32,
    clock: String,
    last_answer: String,
}

struct JournalLine {
    seq: i64,
    at: String,
    clock: String,
    phase: String,
    phase_name: String,
    words: String,
    calls: String,
    raw: String,
}

pub(super) async fn page(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
    console: web::Data<Console>,
) -> HttpResponse {
    let made = relay(&request, &path, &api).await;
    page_or(&console, &api, request.headers(), made)
}

async fn relay(request: &HttpRequest, id: &str, api: &Api) -> Result<RelayPage, Problem> {
    let id = relay_id(id)?;
    let Some(view) = api.relay(id).await? else {
        return Err(Problem::not_found("No such relay."));
    };
    let (journal, cut) = journal(api, id).await?;
    let deliveries = api.store.deliveries_of(id, MAX_DELIVERIES).await?;
    let until = view.ended_at.map_or_else(|| api.now(), |at| at.0);
    let phase = view.phase.known();
    let live = phase.is_some_and(Phase::is_active);
    let hls_url = view.hls_playback_url.clone().filter(|_| live);
    Ok(RelayPage {
        frame: frame(api, "relays", request.headers()),
        id: view.id.to_string(),
        channel_id: view.channel_id,
        channel_name: view.channel_name.clone(),
        phase_name: format::readable(&view.phase),
        may_stop: phase.is_some_and(Phase::holds_slot),
        over: phase == Some(Phase::Ended),
        viewers: view.viewer_count,
        facts: facts(&view),
        outcome: view.outcome.as_ref().map(outcome),
        timeline: timeline(&journal, until),
        player_url: hls_url.as_deref().and_then(player),
        hls_url,
        recordings: recordings(&view),
        cost: cost(&view),
        deliveries: deliveries.iter().map(delivery_line).collect(),
        journal: journal.iter().map(journal_line).collect(),
        cut,
        phase: view.phase.to_string(),
    })
}

async fn journal(api: &Api, id: Uuid) -> Result<(Vec<StoredEntry>, bool), Problem> {
    let mut journal = Vec::new();
    let mut cursor = None;
    loop {
        let limit = JOURNAL_PAGE_SIZE;
        let page = api
            .store
            .journal(id, &PageRequest { limit, cursor })
            .await?;
        journal.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || journal.len() >= MAX_JOURNAL_ENTRIES {
            return Ok((journal, cursor.is_some()));
        }
    }
}

/// The platform's player for a manifest.
fn player(hls_url: &str) -> Option<String> {
    let video = hls_url.strip_suffix("/manifest/video.m3u8")?;
    Some(format!("{video}/iframe"))
}

fn facts(view: &RelayView) -> Vec<(&'static str, String)> {
    let agora = &view.agora;
    let known = [
        ("Relay", Some(view.id.to_string())),
        ("Seller", Some(view.seller_uid.to_string())),
        ("Backend", Some(format::readable(agora.backend.as_str()))),
        ("Requested", Some(format::timestamp(view.requested_at.0))),
        (
            "Egress accepted",
            view.started_at.map(|at| format::timestamp(at.0)),
        ),
        ("Live since", view.live_at.map(|at| format::timestamp(at.0))),
        (
            "End decided",
            view.stopped_at.map(|at| format::timestamp(at.0)),
        ),
        ("Ended", view.ended_at.map(|at| format::timestamp(at.0))),
        (
            "Live time",
            view.live_at.map(|_| format::duration(view.live_seconds)),
        ),
        ("Egress replacements", Some(agora.replacements.to_string())),
        ("Ingest", view.stream_key_id.clone()),
        ("Resource ID", agora.resource_id.as_deref().map(shorten)),
        ("Session ID", agora.sid.clone()),
        ("Egress uid", agora.recording_uid.map(|uid| uid.to_string())),
        ("Converter ID", agora.converter_id.clone()),
        ("HLS", view.hls_playback_url.clone()),
    ];
    known
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
}

/// Shortens a long id; the journal shows all of it.
fn shorten(id: &str) -> String {
    match id.char_indices().nth(24) {
        Some((end, _)) => format!("{}…", id.get(..end).unwrap_or_default()),
        None => id.to_owned(),
    }
}

fn outcome(view: &OutcomeView) -> OutcomeSection {
    let code = view.code.known();
    OutcomeSection {
        ended_well: code.is_some_and(OutcomeCode::ended_well),
        code: view.code.to_string(),
        message: view.message.to_owned(),
        advice: code.map(advice),
        detail: detail(&view.detail),
    }
}

fn detail(detail: &Detail) -> Vec<(&'static str, String)> {
    let failure = detail.failure.as_ref().map(|failure| {
        let status = failure.status.map(|status| format!(" ({status})"));
        let (vendor, call) = (&failure.vendor, &failure.call);
        format!(
            "{vendor}, {call}{}: {}",
            status.unwrap_or_default(),
            failure.message
        )
    });
    let known = [
        ("Last vendor failure", failure),
        ("Seller, last seen", detail.seller.clone()),
        ("Egress, last seen", detail.egress.clone()),
        ("Feed, last seen", detail.feed.clone()),
    ];
    known
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
}

fn recordings(view: &RelayView) -> Vec<RecordingLine> {
    let recording = |video: &crate::actors::view::RecordingView| RecordingLine {
        uid: video.id.clone(),
        state: video.state.to_string(),
        lasted: video
            .duration_seconds
            .map(format::duration)
            .unwrap_or_default(),
        thumbnail_url: video.thumbnail_url.clone(),
        location: video.location.clone(),
        hls_url: video.hls_url.clone(),
    };
    view.recordings.iter().map(recording).collect()
}

fn cost(view: &RelayView) -> Option<CostSection> {
    let cost = view.cost?;
    Some(CostSection {
        lasted: format::duration(cost.duration_seconds),
        minutes: cost.minutes,
        platform: format::capitalized(&view.platform),
        stored: format::dollars(cost.cost_micros),
        agora: format::dollars(cost.agora_cost_micros),
        total: format::dollars(cost.cost_micros.saturating_add(cost.agora_cost_micros)),
        source: match cost.source {
            crate::relay::Source::Recording => "the length of the recordings",
            crate::relay::Source::Observed => "the observed live time",
        },
    })
}

fn delivery_line(delivery: &Delivery) -> DeliveryLine {
    let answered = delivery.response_status.map(|status| status.to_string());
    DeliveryLine {
        id: delivery.id,
        kind: delivery.kind.to_string(),
        status: delivery.status.to_string(),
        attempts: delivery.attempts,
        clock: format::time_of_day(delivery.created_at),
        last_answer: delivery.last_error.clone().or(answered).unwrap_or_default(),
    }
}

fn journal_line(stored: &StoredEntry) -> JournalLine {
    let entry = &stored.entry;
    let raw =
        serde_json::json!({"event": entry.kind, "data": entry.data, "actions": entry.actions});
    JournalLine {
        seq: stored.seq,
        at: format::timestamp(entry.at),
        clock: format::time_of_day(entry.at),
        phase_name: format::readable(&entry.phase),
        phase: entry.phase.to_string(),
        words: in_words(&entry.kind, &entry.data),
        calls: format::call_names(&entry.actions).join(", "),
        raw: serde_json::to_string_pretty(&raw).unwrap_or_default(),
    }
}
