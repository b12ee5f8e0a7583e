//! Media Push calls (`agora.md §4`).

use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::calls::VendorCall;
use super::super::http::{CallContext, SimResponse};
use super::super::world::{BRIEF, BackgroundJob, ConverterEvent, SimConverter};
use super::{converter_body, destroyed, message, no_permission};

/// Listed in `agora.md §4.9`.
const UPDATABLE: [&str; 7] = [
    "rtmpUrl",
    "transcodeOptions.videoOptions.canvas",
    "transcodeOptions.videoOptions.layout",
    "transcodeOptions.videoOptions.bitrate",
    "transcodeOptions.videoOptions.frameRate",
    "transcodeOptions.videoOptions.gop",
    "transcodeOptions.audioOptions.rtcStreamUids",
];

fn not_enabled(cx: &CallContext<'_>) -> Option<SimResponse> {
    (!cx.world.options.media_push_enabled).then(no_permission)
}

pub(super) fn create(cx: &mut CallContext<'_>) -> SimResponse {
    if let Some(refusal) = not_enabled(cx) {
        return refusal;
    }
    let Some(body) = cx.ask.json().filter(|_| cx.ask.says_json()) else {
        return message(400, "Invalid parameter: body");
    };
    let wanted = match converter_body::read(&body) {
        Ok(wanted) => wanted,
        Err(reason) => return message(400, &reason),
    };
    if let Some(id) = cx.state.converters.named(&wanted.name) {
        let id = id.to_owned();
        cx.state.violation("name_conflict", wanted.name);
        return message(409, "Resource with the same name already exists.")
            .with("X-Resource-ID", id);
    }
    let (alive, quotas) = (&cx.state.converters, &cx.state.quotas);
    if alive.count() >= quotas.max_converters
        || (wanted.full_hd && alive.full_hd() >= quotas.max_full_hd_converters)
    {
        cx.state.violation("converters_passed", wanted.name);
        return message(429, "Resource quota limit exceeded");
    }
    for uid in &wanted.uids {
        cx.state.sellers.name(&wanted.channel, *uid);
    }
    let options = if wanted.raw {
        "/converter/rawOptions"
    } else {
        "/converter/transcodeOptions"
    };
    let id = cx.state.dice.hex(32);
    let now = Utc::now().timestamp();
    let converter = SimConverter {
        id: id.clone(),
        name: wanted.name,
        region: cx.ask.part(0).to_owned(),
        channel: wanted.channel,
        uids: wanted.uids,
        raw: wanted.raw,
        full_hd: wanted.full_hd,
        rtmp_url: wanted.rtmp_url,
        idle_timeout: wanted.idle_timeout,
        options: body.pointer(options).cloned().unwrap_or_default(),
        created: now,
        updated: now,
        push_at: cx.now + cx.world.options.converter_push_after,
        idle_since: None,
        state: "connecting",
        connection: None,
        destroyed: false,
        away_until: None,
        drop_until: None,
        sequence: None,
        wake: watch::Sender::new(0),
    };
    let answer = json!({"converter": converter.brief(), "fields": BRIEF});
    cx.state.converters.insert(converter);
    let request = request_id(cx);
    cx.state
        .converter_notice(&id, &ConverterEvent::Created { request: &request });
    // Fails only while the sandbox stops.
    let _ = cx.world.jobs.send(BackgroundJob::RunConverter(id.clone()));
    SimResponse::json(200, &answer).with("X-Resource-ID", id)
}

fn request_id(cx: &mut CallContext<'_>) -> String {
    match cx.ask.header("x-request-id") {
        Some(id) => id.to_owned(),
        None => cx.state.dice.hex(32),
    }
}

/// The path's converter, if it is in the path's region.
fn found<'a>(cx: &'a CallContext<'_>) -> Option<&'a SimConverter> {
    cx.state
        .converters
        .get(&cx.ask.part(5).to_lowercase())
        .filter(|converter| converter.reachable() && converter.region == cx.ask.part(0))
}

pub(super) fn get(cx: &mut CallContext<'_>) -> SimResponse {
    if let Some(refusal) = not_enabled(cx) {
        return refusal;
    }
    let Some(converter) = found(cx) else {
        return destroyed(VendorCall::ConverterGet);
    };
    let options = &cx.world.options;
    let answer = converter.answer(options.converter_state_in_answers);
    let body = if options.converter_wrapped {
        json!({"converter": answer})
    } else {
        answer
    };
    SimResponse::json(200, &body)
}

pub(super) fn delete(cx: &mut CallContext<'_>) -> SimResponse {
    if let Some(refusal) = not_enabled(cx) {
        return refusal;
    }
    let Some(id) = found(cx).map(|converter| converter.id.clone()) else {
        return destroyed(VendorCall::ConverterDelete);
    };
    cx.state
        .destroy_converter(cx.world, cx.now, &id, "Delete Request");
    SimResponse::empty(200).with("X-Resource-ID", id)
}

pub(super) fn list(cx: &mut CallContext<'_>, channel: Option<&str>) -> SimResponse {
    if let Some(refusal) = not_enabled(cx) {
        return refusal;
    }
    let Ok(from) = cx.ask.query("cursor").unwrap_or("0").parse::<usize>() else {
        return message(400, "Invalid parameter: cursor");
    };
    let mut all: Vec<&SimConverter> = cx
        .state
        .converters
        .values()
        .filter(|converter| {
            converter.reachable() && channel.is_none_or(|channel| converter.channel == channel)
        })
        .collect();
    all.sort_by_key(|converter| (converter.created, &converter.id));
    let size = cx.world.options.converter_page_size.max(1);
    let mut members = cx.world.odd_entries();
    let known = all
        .iter()
        .skip(from)
        .take(size)
        .map(|converter| {
            json!({
                "rtcChannel": converter.channel, "status": "200", "converterName": converter.name, "updateTs": converter.updated.to_string(),
                "appId": cx.world.keys.app_id, "rtmpUrl": converter.rtmp_url, "ip": "127.0.0.1", "converterId": converter.id.to_uppercase(),
                "create": converter.created.to_string(), "idleTimeout": converter.idle_timeout.to_string(), "state": converter.state,
            })
        });
    members.extend(known);
    let next = if from + size < all.len() {
        from + size
    } else {
        0
    };
    SimResponse::json(
        200,
        &json!({"success": true, "data": {"total_count": all.len(), "cursor": next, "members": members}}),
    )
}

pub(super) fn update(cx: &mut CallContext<'_>) -> SimResponse {
    if let Some(refusal) = not_enabled(cx) {
        return refusal;
    }
    let Some(id) = found(cx).map(|converter| converter.id.clone()) else {
        return destroyed(VendorCall::ConverterUpdate);
    };
    let Some(body) = cx.ask.json().filter(|_| cx.ask.says_json()) else {
        return message(400, "Invalid parameter: body");
    };
    let sequence = cx
        .ask
        .query("sequence")
        .map(|text| text.parse::<i64>().ok().filter(|number| *number >= 0));
    let Some(Some(sequence)) = sequence else {
        return message(400, "Invalid parameter: sequence");
    };
    let Some(converter) = cx.state.converters.get_mut(&id) else {
        return destroyed(VendorCall::ConverterUpdate);
    };
    if converter.sequence.is_some_and(|last| sequence <= last) {
        return message(400, "Invalid parameter: sequence must grow");
    }
    let fields: Vec<&str> = body
        .get("fields")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .split(',')
        .collect();
    let known = |field: &&str| UPDATABLE.contains(field) && (!converter.raw || *field == "rtmpUrl");
    if !fields.iter().all(known) {
        return message(400, "Invalid parameter: fields");
    }
    let wanted = body.get("converter").cloned().unwrap_or_default();
    let mut connection = None;
    let mut moved = false;
    for field in &fields {
        let pointer = format!("/{}", field.replace('.', "/"));
        let Some(value) = wanted.pointer(&pointer) else {
            return message(400, "Invalid parameter: fields");
        };
        if *field == "rtmpUrl" {
            match converter_body::rtmp_url(&wanted) {
                Ok(url) => converter.rtmp_url = url,
                Err(reason) => return message(400, &reason),
            }
            connection = converter.connection.take();
            moved = true;
        } else if let Some(place) = pointer
            .strip_prefix("/transcodeOptions")
            .and_then(|rest| converter.options.pointer_mut(rest))
        {
            *place = value.clone();
        }
    }
    converter.sequence = Some(sequence);
    converter.updated = Utc::now().timestamp();
    converter.nudge();
    if let Some(connection) = connection {
        cx.state.disconnect(cx.world, cx.now, connection);
    }
    if moved {
        cx.state.set_converter(&id, "connecting");
    }
    let (request, fields) = (request_id(cx), fields.join(","));
    let event = ConverterEvent::Updated {
        request: &request,
        fields: &fields,
    };
    cx.state.converter_notice(&id, &event);
    let brief = cx.state.converters.get(&id).map(SimConverter::brief);
    SimResponse::json(200, &json!({"converter": brief, "fields": BRIEF})).with("X-Resource-ID", id)
}
