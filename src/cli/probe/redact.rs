//! Removes secrets from recorded exchanges.

use serde_json::{Map, Value};

const REDACTED: &str = "[redacted]";
/// Keys whose value is a credential (`cloudflare-stream.md §2.4`, `mux.md §2.3`, `ivs.md §2.4`, `agora.md §4.5`).
const SECRET_KEYS: [&str; 10] = [
    "streamKey",
    "stream_key",
    "srt_passphrase",
    "value",
    "passphrase",
    "streamId",
    "secret",
    "token",
    "accessKey",
    "secretKey",
];
/// Keys of objects whose `url` contains a credential.
const SECRET_URLS: [&str; 2] = ["webRTC", "webRTCPlayback"];
/// Shorter values would match unrelated text.
const MIN_LENGTH: usize = 4;

/// Learns secrets from each response.
#[derive(Debug)]
pub(super) struct Redactor {
    known: Vec<(String, &'static str)>,
}

impl Redactor {
    /// Takes secrets with their replacements.
    pub(super) fn new<'a>(known: impl IntoIterator<Item = (&'a str, &'static str)>) -> Self {
        let known = known.into_iter();
        let known = known.map(|(text, instead)| (text.to_owned(), instead));
        Self {
            known: known.filter(|(text, _)| text.len() >= MIN_LENGTH).collect(),
        }
    }

    /// Later responses may repeat a credential in other places.
    pub(super) fn learn(&mut self, body: &Value) {
        match body {
            Value::Object(object) => {
                for (key, value) in object {
                    match value.as_str() {
                        Some(text) if SECRET_KEYS.contains(&key.as_str()) => {
                            if text.len() >= MIN_LENGTH {
                                self.known.push((text.to_owned(), REDACTED));
                            }
                        }
                        Some(_) | None => self.learn(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    pub(super) fn redacted(&self, value: &Value) -> Value {
        match value {
            Value::Object(object) => Value::Object(self.object(object)),
            Value::Array(items) => items.iter().map(|item| self.redacted(item)).collect(),
            Value::String(text) => Value::String(self.text(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn object(&self, object: &Map<String, Value>) -> Map<String, Value> {
        let one = |(key, value): (&String, &Value)| {
            let key_of_secret = SECRET_KEYS.contains(&key.as_str()) || key == "rtmpUrl";
            let secret = (key_of_secret && value.is_string())
                || (SECRET_URLS.contains(&key.as_str()) && value.is_object());
            let value = if secret {
                REDACTED.into()
            } else {
                self.redacted(value)
            };
            (key.clone(), value)
        };
        object.iter().map(one).collect()
    }

    fn text(&self, text: &str) -> String {
        let replaced = |text: String, (secret, instead): &(String, &'static str)| {
            text.replace(secret.as_str(), instead)
        };
        self.known.iter().fold(text.to_owned(), replaced)
    }
}

/// Removes list items without our tag; returns their number.
pub(super) fn leave_others_out(body: &mut Value, tag: &str) -> usize {
    let lists = [
        "/result",
        "/result/liveInputs",
        "/data/members",
        "/data",
        "/channels",
        "/streams",
    ];
    let mut left_out = 0;
    for pointer in lists {
        if let Some(items) = body.pointer_mut(pointer).and_then(Value::as_array_mut) {
            let all = items.len();
            items.retain(|item| item.to_string().contains(tag));
            left_out += all - items.len();
        }
    }
    left_out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_redacted_everywhere() {
        let mut redactor = Redactor::new([("tok-12345", "<api-token>"), ("", "<nothing>")]);
        redactor.learn(&json!({ "result": { "rtmps": { "streamKey": "k3y-of-the-input" } } }));
        let exchange = json!({
            "url": "https://api.example/accounts/x?token=tok-12345",
            "body": {
                "rtmps": { "url": "rtmps://live.example:443/live/", "streamKey": "another-key" },
                "srt": { "passphrase": "p4ss", "streamId": "s1" },
                "webRTC": { "url": "https://customer-c.example/s3cr3t/webRTC/publish" },
                "message": "cannot publish with k3y-of-the-input",
                "rtmpUrl": "rtmps://live.example:443/live/zzz",
            },
        });
        let text = redactor.redacted(&exchange).to_string();
        for secret in [
            "tok-12345",
            "k3y",
            "another-key",
            "p4ss",
            "s3cr3t",
            "zzz",
            "s1\"",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("<api-token>") && text.contains("rtmps://live.example:443/live/"));
    }

    #[test]
    fn only_our_own_list_items_are_kept() {
        let mut body =
            json!({ "result": [ { "meta": { "relaykeeper": "m_1" } }, { "meta": {} } ] });
        assert_eq!(leave_others_out(&mut body, "m_1"), 1);
        assert_eq!(
            body,
            json!({ "result": [ { "meta": { "relaykeeper": "m_1" } } ] })
        );
        let mut one = json!({ "result": { "uid": "u" } });
        assert_eq!(leave_others_out(&mut one, "m_1"), 0, "an object is no list");
    }
}
