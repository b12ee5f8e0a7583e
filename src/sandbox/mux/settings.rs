//! The body of a live stream's creation or change (`mux.md §2.1`).

use serde_json::{Map, Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::MuxStreamSettings;
use super::invalid;

const IN_BOTH: [&str; 8] = [
    "latency_mode",
    "reconnect_window",
    "max_continuous_duration",
    "passthrough",
    "meta",
    "reconnect_slate_url",
    "use_slate_for_standard_latency",
    "new_asset_settings",
];
const IN_CREATIONS: [&str; 9] = [
    "playback_policies",
    "playback_policy",
    "advanced_playback_policies",
    "audio_only",
    "embedded_subtitles",
    "generated_subtitles",
    "simulcast_targets",
    "test",
    "low_latency",
];
const OF_ASSETS: [&str; 15] = [
    "playback_policies",
    "playback_policy",
    "advanced_playback_policies",
    "passthrough",
    "meta",
    "max_resolution_tier",
    "video_quality",
    "encoding_tier",
    "static_renditions",
    "master_access",
    "mp4_support",
    "normalize_audio",
    "inputs",
    "per_title_encode",
    "test",
];
/// Of a live stream's assets once it exists.
const OF_CHANGED_ASSETS: [&str; 4] = ["master_access", "meta", "mp4_support", "video_quality"];

pub(super) struct Creation {
    pub(super) settings: MuxStreamSettings,
    pub(super) policies: Vec<String>,
    pub(super) test: bool,
}

pub(super) fn body(cx: &CallContext<'_>) -> Result<Map<String, Value>, SimResponse> {
    if cx.ask.body.is_empty() {
        return Ok(Map::new());
    }
    if !cx.ask.says_json() {
        return Err(invalid("the Content-Type must be application/json"));
    }
    match cx.ask.json() {
        Some(Value::Object(body)) => Ok(body),
        _ => Err(invalid("the body is not a JSON object")),
    }
}

pub(super) fn creation(cx: &CallContext<'_>) -> Result<Creation, SimResponse> {
    let body = body(cx)?;
    let known = [IN_BOTH.as_slice(), &IN_CREATIONS].concat();
    only(&body, &known, "")?;
    let latency_mode = latency(&body)?.unwrap_or("standard");
    // `mux.md §2.4`
    let window = if latency_mode == "standard" { 60 } else { 0 };
    let new_asset_settings = asset_settings(&body, &OF_ASSETS)?;
    Ok(Creation {
        policies: policies(&body)?,
        test: flag(&body, "test")?.unwrap_or_default(),
        settings: MuxStreamSettings {
            latency_mode: latency_mode.to_owned(),
            reconnect_window: whole(&body, "reconnect_window", 0, 1800)?.unwrap_or(window),
            max_continuous_duration: whole(&body, "max_continuous_duration", 60, 43_200)?
                .unwrap_or(43_200),
            passthrough: text(&body, "passthrough", 255)?,
            meta: meta(&body)?,
            new_asset_settings: new_asset_settings.unwrap_or_else(|| json!({})),
        },
    })
}

pub(super) fn change(
    cx: &CallContext<'_>,
    mut settings: MuxStreamSettings,
) -> Result<MuxStreamSettings, SimResponse> {
    let body = body(cx)?;
    only(&body, &IN_BOTH, "")?;
    if let Some(mode) = latency(&body)? {
        settings.latency_mode = mode.to_owned();
    }
    if let Some(window) = whole(&body, "reconnect_window", 0, 1800)? {
        settings.reconnect_window = window;
    }
    if let Some(longest) = whole(&body, "max_continuous_duration", 60, 43_200)? {
        settings.max_continuous_duration = longest;
    }
    if let Some(passthrough) = text(&body, "passthrough", 255)? {
        settings.passthrough = Some(passthrough).filter(|text| !text.is_empty());
    }
    if let Some(meta) = meta(&body)? {
        settings.meta = Some(meta);
    }
    if let Some(Value::Object(new)) = asset_settings(&body, &OF_CHANGED_ASSETS)?
        && let Some(known) = settings.new_asset_settings.as_object_mut()
    {
        known.extend(new);
    }
    Ok(settings)
}

/// Of playback ids: `playback_policy` is the older name.
pub(super) fn policies(body: &Map<String, Value>) -> Result<Vec<String>, SimResponse> {
    let (new, old) = (body.get("playback_policies"), body.get("playback_policy"));
    let given = match (new, old) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "playback_policies and playback_policy exclude each other",
            ));
        }
        (Some(given), None) | (None, Some(given)) => given,
        (None, None) => return Ok(Vec::new()),
    };
    let wrong = || invalid("playback_policies must be a list of public, signed or drm");
    let all = given.as_array().ok_or_else(wrong)?;
    all.iter()
        .map(|one| match one.as_str() {
            Some(policy @ ("public" | "signed" | "drm")) => Ok(policy.to_owned()),
            _ => Err(wrong()),
        })
        .collect()
}

fn asset_settings(body: &Map<String, Value>, known: &[&str]) -> Result<Option<Value>, SimResponse> {
    let Some(settings) = body.get("new_asset_settings") else {
        return Ok(None);
    };
    let inner = settings
        .as_object()
        .ok_or_else(|| invalid("new_asset_settings must be an object"))?;
    only(inner, known, "new_asset_settings.")?;
    policies(inner)?;
    text(inner, "passthrough", 255)?;
    meta(inner)?;
    for (key, choices) in [
        ("master_access", ["none", "temporary"].as_slice()),
        ("max_resolution_tier", &["1080p", "1440p", "2160p"]),
        ("video_quality", &["basic", "plus", "premium"]),
    ] {
        choice(inner, key, choices)?;
    }
    Ok(Some(settings.clone()))
}

fn only(body: &Map<String, Value>, known: &[&str], within: &str) -> Result<(), SimResponse> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(invalid(&format!("unknown field {within}{key}"))),
        None => Ok(()),
    }
}

fn latency(body: &Map<String, Value>) -> Result<Option<&str>, SimResponse> {
    choice(body, "latency_mode", &["standard", "reduced", "low"])
}

fn choice<'a>(
    body: &'a Map<String, Value>,
    key: &str,
    choices: &[&str],
) -> Result<Option<&'a str>, SimResponse> {
    let Some(value) = body.get(key) else {
        return Ok(None);
    };
    let chosen = value.as_str().filter(|chosen| choices.contains(chosen));
    let wrong = || invalid(&format!("{key} must be one of {}", choices.join(", ")));
    chosen.map(Some).ok_or_else(wrong)
}

fn whole(
    body: &Map<String, Value>,
    key: &str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, SimResponse> {
    let Some(value) = body.get(key) else {
        return Ok(None);
    };
    let number = value
        .as_u64()
        .filter(|number| (least..=most).contains(number));
    let wrong = || invalid(&format!("{key} must be between {least} and {most}"));
    number.map(Some).ok_or_else(wrong)
}

fn text(body: &Map<String, Value>, key: &str, most: usize) -> Result<Option<String>, SimResponse> {
    let Some(value) = body.get(key) else {
        return Ok(None);
    };
    let text = value.as_str().filter(|text| text.chars().count() <= most);
    let wrong = || invalid(&format!("{key} must be text of at most {most} characters"));
    text.map(|text| Some(text.to_owned())).ok_or_else(wrong)
}

fn meta(body: &Map<String, Value>) -> Result<Option<Value>, SimResponse> {
    let Some(meta) = body.get("meta") else {
        return Ok(None);
    };
    let inner = meta
        .as_object()
        .ok_or_else(|| invalid("meta must be an object"))?;
    only(inner, &["title", "creator_id", "external_id"], "meta.")?;
    for (key, most) in [("title", 512), ("creator_id", 128), ("external_id", 128)] {
        text(inner, key, most)?;
    }
    Ok(Some(meta.clone()))
}

fn flag(body: &Map<String, Value>, key: &str) -> Result<Option<bool>, SimResponse> {
    let Some(value) = body.get(key) else {
        return Ok(None);
    };
    let wrong = || invalid(&format!("{key} must be true or false"));
    value.as_bool().map(Some).ok_or_else(wrong)
}
