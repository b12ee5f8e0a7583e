//! Checks of a body's fields; the error names the field.

use serde_json::Value;

/// `Ok(None)`: missing.
pub(super) fn number(body: &Value, name: &str, from: u64, to: u64) -> Result<Option<u64>, String> {
    match body.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) if (from..=to).contains(&number) => Ok(Some(number)),
            _ => Err(format!("{name} must be a number from {from} to {to}")),
        },
    }
}

pub(super) fn required_number(body: &Value, name: &str, from: u64, to: u64) -> Result<u64, String> {
    number(body, name, from, to)?.ok_or_else(|| format!("{name} is required"))
}

pub(super) fn required_text<'a>(body: &'a Value, name: &str) -> Result<&'a str, String> {
    body.get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| format!("{name} is required and must be a text that is not empty"))
}

pub(super) fn boolean(body: &Value, name: &str) -> Result<Option<bool>, String> {
    match body.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_bool()
            .map(Some)
            .ok_or_else(|| format!("{name} must be true or false")),
    }
}

pub(super) fn choice(body: &Value, name: &str, known: &[&str]) -> Result<(), String> {
    match body.get(name) {
        None => Ok(()),
        Some(value) if value.as_str().is_some_and(|text| known.contains(&text)) => Ok(()),
        Some(_) => Err(format!("{name} must be one of {}", known.join(", "))),
    }
}

pub(super) fn one_output(service: &Value) -> Result<String, String> {
    let outputs = service
        .get("outputs")
        .and_then(Value::as_array)
        .ok_or("outputs is required")?;
    let [output] = outputs.as_slice() else {
        return Err("outputs must have exactly one item".to_owned());
    };
    let url = required_text(output, "rtmpUrl")?;
    if !is_rtmp(url) {
        return Err("rtmpUrl must begin with rtmp:// or rtmps://".to_owned());
    }
    Ok(url.to_owned())
}

pub(super) fn is_rtmp(url: &str) -> bool {
    url.starts_with("rtmp://") || url.starts_with("rtmps://")
}

/// 1 to 64 bytes out of 89 characters.
pub(super) fn is_channel(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || " !#$%&()+-:;<=.>?@[]^_{}|~,".contains(one))
}
