//! One relay: its life as a picture, its preview, recordings, cost, journal; and why it failed.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use uuid::Uuid;

use super::advice::{Advice, advice};
use super::picture::{Picture, picture};
use super::{Console, Frame, frame, page_or, say};
use crate::actors::view::{OutcomeView, RelayView, in_words};
use crate::api::Api;
use crate::api::input::relay_id;
use crate::api::problem::Problem;
use crate::relay::{Detail, OutcomeCode, Phase};
use crate::store::{Delivery, PageRequest, StoredEntry};

/// The most entries of a journal that are shown.
const MOST: usize = 2000;
/// The most messages that are shown.
const MOST_TOLD: u64 = 200;
/// Entries read at once.
const PIECE: u32 = 500;

#[derive(Template)]
#[template(path = "console/relay.html")]
struct Relay {
    frame: Frame,
    id: String,
    channel_id: i64,
    channel_name: String,
    phase: String,
    phase_name: String,
    may_stop: bool,
    /// Nothing more happens.
    over: bool,
    viewers: Option<u64>,
    facts: Vec<(&'static str, String)>,
    outcome: Option<Outcome>,
    picture: Option<Picture>,
    hls_url: Option<String>,
    player_url: Option<String>,
    recordings: Vec<Recording>,
    cost: Option<Cost>,
    deliveries: Vec<Told>,
    journal: Vec<Entry>,
    /// Whether the journal goes on behind what is shown.
    cut: bool,
}

struct Outcome {
    well: bool,
    code: String,
    message: String,
    advice: Option<Advice>,
    detail: Vec<(&'static str, String)>,
}

struct Recording {
    uid: String,
    state: String,
    lasted: String,
    thumbnail_url: Option<String>,
    hls_url: Option<String>,
}

struct Cost {
    lasted: String,
    minutes: u64,
    cloudflare: String,
    agora: String,
    total: String,
    source: &'static str,
}

/// A message to the marketplace, and what became of it.
struct Told {
    id: i64,
    kind: String,
    status: String,
    attempts: i32,
    clock: String,
    said: String,
}

struct Entry {
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

async fn relay(request: &HttpRequest, id: &str, api: &Api) -> Result<Relay, Problem> {
    let id = relay_id(id)?;
    let Some(view) = api.relay(id).await? else {
        return Err(Problem::not_found("There is no such relay."));
    };
    let (journal, cut) = journal(api, id).await?;
    let deliveries = api.store.deliveries_of(id, MOST_TOLD).await?;
    let until = view.ended_at.map_or_else(|| api.now(), |at| at.0);
    let phase: Option<Phase> = view.phase.parse().ok();
    let live = phase.is_some_and(Phase::is_active);
    let hls_url = view.hls_playback_url.clone().filter(|_| live);
    Ok(Relay {
        frame: frame(api, "relays", request.headers()),
        id: view.id.to_string(),
        channel_id: view.channel_id,
        channel_name: view.channel_name.clone(),
        phase_name: say::plain(&view.phase),
        may_stop: phase.is_some_and(Phase::holds_slot),
        over: phase == Some(Phase::Ended),
        viewers: view.viewer_count,
        facts: facts(&view),
        outcome: view.outcome.as_ref().map(outcome),
        picture: picture(&journal, until),
        player_url: hls_url.as_deref().and_then(player),
        hls_url,
        recordings: recordings(&view),
        cost: cost(&view),
        deliveries: deliveries.iter().map(told).collect(),
        journal: journal.iter().map(entry).collect(),
        cut,
        phase: view.phase,
    })
}

async fn journal(api: &Api, id: Uuid) -> Result<(Vec<StoredEntry>, bool), Problem> {
    let mut journal = Vec::new();
    let mut cursor = None;
    loop {
        let limit = PIECE;
        let page = api
            .store
            .journal(id, &PageRequest { limit, cursor })
            .await?;
        journal.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || journal.len() >= MOST {
            return Ok((journal, cursor.is_some()));
        }
    }
}

/// Cloudflare's player for a manifest's address (`…/<uid>/manifest/video.m3u8`).
fn player(hls_url: &str) -> Option<String> {
    let video = hls_url.strip_suffix("/manifest/video.m3u8")?;
    Some(format!("{video}/iframe"))
}

fn facts(view: &RelayView) -> Vec<(&'static str, String)> {
    let agora = &view.agora;
    let known = [
        ("Relay", Some(view.id.to_string())),
        ("Seller", Some(view.seller_uid.to_string())),
        ("Backend", Some(say::plain(&agora.backend))),
        ("Asked for", Some(say::moment(view.requested_at.0))),
        (
            "Egress accepted",
            view.started_at.map(|at| say::moment(at.0)),
        ),
        ("Live from", view.live_at.map(|at| say::moment(at.0))),
        ("End decided", view.stopped_at.map(|at| say::moment(at.0))),
        ("Ended", view.ended_at.map(|at| say::moment(at.0))),
        (
            "Live for",
            view.live_at.map(|_| say::lasting(view.live_seconds)),
        ),
        ("Egresses replaced", Some(agora.replacements.to_string())),
        ("Ingest", view.stream_key_id.clone()),
        ("Resource", agora.resource_id.as_deref().map(begin)),
        ("Session (sid)", agora.sid.clone()),
        (
            "Egress's uid",
            agora.recording_uid.map(|uid| uid.to_string()),
        ),
        ("Converter", agora.converter_id.clone()),
        ("HLS", view.hls_playback_url.clone()),
    ];
    known
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
}

/// The beginning of a long id; the journal has all of it.
fn begin(id: &str) -> String {
    match id.char_indices().nth(24) {
        Some((end, _)) => format!("{}…", id.get(..end).unwrap_or_default()),
        None => id.to_owned(),
    }
}

fn outcome(view: &OutcomeView) -> Outcome {
    let code: Option<OutcomeCode> = view.code.parse().ok();
    Outcome {
        well: code.is_some_and(OutcomeCode::ended_well),
        code: view.code.clone(),
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

fn recordings(view: &RelayView) -> Vec<Recording> {
    let recording = |video: &crate::actors::view::RecordingView| Recording {
        uid: video.id.clone(),
        state: video.state.clone(),
        lasted: video.duration_seconds.map(say::lasting).unwrap_or_default(),
        thumbnail_url: video.thumbnail_url.clone(),
        hls_url: video.hls_url.clone(),
    };
    view.recordings.iter().map(recording).collect()
}

fn cost(view: &RelayView) -> Option<Cost> {
    let cost = view.cost?;
    Some(Cost {
        lasted: say::lasting(cost.duration_seconds),
        minutes: cost.minutes,
        cloudflare: say::dollars(cost.cost_micros),
        agora: say::dollars(cost.agora_cost_micros),
        total: say::dollars(cost.cost_micros.saturating_add(cost.agora_cost_micros)),
        source: match cost.source {
            crate::relay::Source::Recording => "the recordings' length",
            crate::relay::Source::Observed => "the time it was live, as observed",
        },
    })
}

fn told(delivery: &Delivery) -> Told {
    let answered = delivery.response_status.map(|status| status.to_string());
    Told {
        id: delivery.id,
        kind: delivery.kind.clone(),
        status: delivery.status.to_string(),
        attempts: delivery.attempts,
        clock: say::clock(delivery.created_at),
        said: delivery.last_error.clone().or(answered).unwrap_or_default(),
    }
}

fn entry(stored: &StoredEntry) -> Entry {
    let entry = &stored.entry;
    let raw =
        serde_json::json!({"event": entry.kind, "data": entry.data, "actions": entry.actions});
    Entry {
        seq: stored.seq,
        at: say::moment(entry.at),
        clock: say::clock(entry.at),
        phase_name: say::plain(&entry.phase),
        phase: entry.phase.clone(),
        words: in_words(&entry.kind, &entry.data),
        calls: say::calls(&entry.actions).join(", "),
        raw: serde_json::to_string_pretty(&raw).unwrap_or_default(),
    }
}
