//! The bodies of calls (`ivs.md §2.1`).

use serde_json::{Map, Value};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{IvsChannelSettings, SimAwsAccount, SimChannel};
use super::{invalid, not_found};

pub(super) type Body = Map<String, Value>;

/// What a channel has and a change may set.
pub(super) const OF_CHANNELS: [&str; 12] = [
    "name",
    "latencyMode",
    "type",
    "authorized",
    "recordingConfigurationArn",
    "insecureIngest",
    "preset",
    "playbackRestrictionPolicyArn",
    "multitrackInputConfiguration",
    "containerFormat",
    "adConfigurationArn",
    "failoverSlateConfigurationArn",
];

/// The body, with no other fields than the known ones.
pub(super) fn read(cx: &CallContext<'_>, known: &[&str]) -> Result<Body, SimResponse> {
    if cx.ask.body.is_empty() {
        return Ok(Map::new());
    }
    if !cx.ask.says_json() {
        return Err(invalid("the Content-Type must be application/json"));
    }
    let Some(Value::Object(body)) = cx.ask.json() else {
        return Err(invalid("the body is not a JSON object"));
    };
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(invalid(&format!("unknown field {key}"))),
        None => Ok(body),
    }
}

pub(super) fn text<'a>(body: &'a Body, key: &str) -> Result<Option<&'a str>, SimResponse> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(&format!("{key} must be a string"))),
    }
}

/// A required ARN of this kind of resource.
pub(super) fn arn<'a>(body: &'a Body, key: &str, kind: &str) -> Result<&'a str, SimResponse> {
    let arn = text(body, key)?.unwrap_or_default();
    match is_arn(arn, kind) {
        true => Ok(arn),
        false => Err(invalid(&format!("{key} must be the ARN of a {kind}"))),
    }
}

/// The channel whose ARN the body has under this key.
pub(super) fn found<'a>(
    cx: &'a CallContext<'_>,
    known: &[&str],
    key: &str,
) -> Result<&'a SimChannel, SimResponse> {
    let body = read(cx, known)?;
    let wanted = arn(&body, key, "channel")?;
    let channel = cx.state.ivs.channel(wanted);
    channel.ok_or_else(|| not_found(wanted))
}

pub(super) fn arns<'a>(body: &'a Body, kind: &str) -> Result<Vec<&'a str>, SimResponse> {
    let wrong = || invalid(&format!("arns must be 1 to 50 ARNs of a {kind}"));
    let arns = body.get("arns").and_then(Value::as_array);
    let arns = arns.filter(|arns| (1..=50).contains(&arns.len()));
    let arns = arns.ok_or_else(wrong)?.iter();
    let arns = arns.map(|arn| arn.as_str().filter(|arn| is_arn(arn, kind)));
    arns.collect::<Option<Vec<&str>>>().ok_or_else(wrong)
}

fn is_arn(text: &str, kind: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["arn", "aws", "ivs", region, account, resource] = parts.as_slice() else {
        return false;
    };
    let id = resource
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'));
    text.len() <= 128
        && !region.is_empty()
        && !account.is_empty()
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && id.is_some_and(|id| {
            !id.is_empty()
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

pub(super) fn name<'a>(body: &'a Body, key: &str) -> Result<Option<&'a str>, SimResponse> {
    let name = text(body, key)?;
    let is_valid = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        name.len() <= 128 && name.bytes().all(allowed)
    };
    match name {
        Some(name) if !is_valid(name) => Err(invalid(&format!(
            "{key} must match [a-zA-Z0-9-_]* and have at most 128 characters"
        ))),
        name => Ok(name),
    }
}

fn choice<'a>(body: &'a Body, key: &str, choices: &[&str]) -> Result<Option<&'a str>, SimResponse> {
    let chosen = text(body, key)?;
    match chosen {
        Some(chosen) if !choices.contains(&chosen) => Err(invalid(&format!(
            "{key} must be one of {}",
            choices.join(", ")
        ))),
        chosen => Ok(chosen),
    }
}

fn flag(body: &Body, key: &str) -> Result<Option<bool>, SimResponse> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(invalid(&format!("{key} must be true or false"))),
    }
}

/// `tags`, or none.
pub(super) fn tags(body: &Body) -> Result<Map<String, Value>, SimResponse> {
    let tags = match body.get("tags") {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(tags)) => tags,
        Some(_) => return Err(invalid("tags must be a map")),
    };
    let allowed = |text: &str| {
        let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
        text.chars().all(allowed)
    };
    let is_valid = |(key, value): (&String, &Value)| {
        let value = value.as_str().filter(|value| value.chars().count() <= 256);
        (1..=128).contains(&key.chars().count())
            && !key.starts_with("aws:")
            && allowed(key)
            && value.is_some_and(allowed)
    };
    match tags.len() <= 50 && tags.iter().all(is_valid) {
        true => Ok(tags.clone()),
        false => Err(invalid(
            "tags are at most 50, with keys of 1 to 128 and values of 0 to 256 alphanumeric characters, spaces and _.:/=+-@",
        )),
    }
}

/// How many entries a page has, and after which entry it begins.
pub(super) fn page(
    body: &Body,
    usual: usize,
    most: usize,
) -> Result<(usize, Option<String>), SimResponse> {
    let size = match body.get("maxResults") {
        None | Some(Value::Null) => usual,
        Some(number) => {
            let number = number
                .as_u64()
                .and_then(|number| usize::try_from(number).ok());
            let wrong = || invalid(&format!("maxResults must be between 1 and {most}"));
            let number = number.filter(|number| (1..=most).contains(number));
            number.ok_or_else(wrong)?
        }
    };
    let token = text(body, "nextToken")?.filter(|token| !token.is_empty());
    let after = token.map(|token| {
        let bytes = hex::decode(token).ok();
        let after = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        after.ok_or_else(|| invalid("nextToken is invalid"))
    });
    Ok((size, after.transpose()?))
}

/// A page of entries, which are sorted by their keys, and the token of the next one.
pub(super) fn paged(
    (size, after): (usize, Option<String>),
    entries: Vec<(String, Value)>,
) -> (Vec<Value>, Option<String>) {
    let mut rest = entries.into_iter();
    let mut rest = rest
        .by_ref()
        .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let (mut shown, mut last) = (Vec::new(), None);
    for (key, value) in rest.by_ref().take(size) {
        shown.push(value);
        last = Some(key);
    }
    let more = rest.next().is_some();
    (shown, last.filter(|_| more).map(hex::encode))
}

/// A channel's settings, of which the body changes some.
pub(super) fn settings(
    body: &Body,
    account: &SimAwsAccount,
    mut known: IvsChannelSettings,
) -> Result<IvsChannelSettings, SimResponse> {
    let put = |place: &mut String, value: Option<&str>| {
        if let Some(value) = value {
            value.clone_into(place);
        }
    };
    put(&mut known.name, name(body, "name")?);
    put(
        &mut known.latency_mode,
        choice(body, "latencyMode", &["NORMAL", "LOW"])?,
    );
    let kinds = ["BASIC", "STANDARD", "ADVANCED_SD", "ADVANCED_HD"];
    put(&mut known.kind, choice(body, "type", &kinds)?);
    known.authorized = flag(body, "authorized")?.unwrap_or(known.authorized);
    known.insecure_ingest = flag(body, "insecureIngest")?.unwrap_or(known.insecure_ingest);
    let presets = [
        "",
        "HIGHER_BANDWIDTH_DELIVERY",
        "CONSTRAINED_BANDWIDTH_DELIVERY",
    ];
    put(&mut known.preset, choice(body, "preset", &presets)?);
    match (known.kind.starts_with("ADVANCED_"), known.preset.is_empty()) {
        (true, true) => presets[1].clone_into(&mut known.preset),
        (false, false) if body.contains_key("preset") => {
            return Err(invalid(
                "preset goes with the types ADVANCED_SD and ADVANCED_HD",
            ));
        }
        (false, _) => known.preset.clear(),
        (true, false) => {}
    }
    put(
        &mut known.container_format,
        choice(body, "containerFormat", &["TS", "FRAGMENTED_MP4"])?,
    );
    if let Some(configuration) = text(body, "recordingConfigurationArn")? {
        if !configuration.is_empty() {
            arn(body, "recordingConfigurationArn", "recording-configuration")?;
            if configuration != account.recording_configuration {
                return Err(not_found(configuration));
            }
        }
        configuration.clone_into(&mut known.recording_configuration);
    }
    // The account has none of these.
    for (key, kind) in [
        (
            "playbackRestrictionPolicyArn",
            "playback-restriction-policy",
        ),
        ("adConfigurationArn", "ad-configuration"),
        (
            "failoverSlateConfigurationArn",
            "failover-slate-configuration",
        ),
    ] {
        if text(body, key)?.is_some_and(|given| !given.is_empty()) {
            return Err(not_found(arn(body, key, kind)?));
        }
    }
    if let Some(tracks) = body.get("multitrackInputConfiguration") {
        let known = ["enabled", "policy", "maximumResolution"];
        let tracks = tracks.as_object();
        if !tracks.is_some_and(|tracks| tracks.keys().all(|key| known.contains(&key.as_str()))) {
            return Err(invalid("multitrackInputConfiguration is invalid"));
        }
    }
    Ok(known)
}
