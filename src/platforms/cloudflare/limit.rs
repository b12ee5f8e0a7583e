//! Account limits in refusals: storage, live inputs, a product without a subscription (`cloudflare-stream.md §1.7`).

/// Storage capacity exceeded, with 413 (`cloudflare-stream.md §1.7, §6.4`).
const STORAGE: &[i64] = &[10011];
/// "Cloudflare Stream not enabled", with 403.
const NOT_ENABLED: &[i64] = &[10002];
/// "Authorization Failure", with 403 and "Cloudflare Stream not enabled" in the messages. With 400 it is another
/// error.
const NOT_ALLOWED: &[i64] = &[10005];

/// An entry of `errors` or `messages`. In a success, messages are not errors: a token's verification has a message
/// 10000.
#[derive(Debug, Clone)]
pub(super) struct EnvelopeMessage {
    pub(super) code: Option<i64>,
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Storage,
    LiveInputs,
    NotEnabled,
    Other,
}

impl Limit {
    pub(super) fn of(status: u16, entries: &[EnvelopeMessage]) -> Option<Self> {
        if matches!(status, 404 | 408 | 409) {
            return None;
        }
        let has = |codes: &[i64]| {
            let mut given = entries.iter().filter_map(|entry| entry.code);
            given.any(|code| codes.contains(&code))
        };
        let words = words_of(entries);
        let says = |any: &[&str]| {
            any.iter()
                .any(|phrase| words.contains(&format!(" {phrase} ")))
        };
        if has(STORAGE) {
            return Some(Self::Storage);
        }
        let is_forbidden = matches!(status, 401 | 403) && has(NOT_ALLOWED);
        if is_forbidden || has(NOT_ENABLED) {
            return Some(Self::NotEnabled);
        }
        // The words of a 429 concern the rate.
        if status == 429 || says(&["rate limit", "too many requests"]) {
            return None;
        }
        if says(&["not enabled", "not subscribed", "not entitled"]) {
            return Some(Self::NotEnabled);
        }
        let is_used_up = says(&[
            "exceed",
            "exceeds",
            "exceeded",
            "limit",
            "limits",
            "quota",
            "quotas",
            "capacity",
            "maximum number",
        ]);
        if is_used_up && says(&["storage", "minutes"]) {
            Some(Self::Storage)
        } else if is_used_up && says(&["live input", "live inputs"]) {
            Some(Self::LiveInputs)
        } else if says(&["quota", "quotas"]) || status == 413 {
            // Our bodies are never too large.
            Some(Self::Other)
        } else {
            None
        }
    }

    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Storage => {
                "the account's Stream storage is used up: delete recordings or buy more"
            }
            Self::LiveInputs => {
                "the account has as many live inputs as it may: delete some or ask Cloudflare for more"
            }
            Self::NotEnabled => {
                "Stream is not enabled for the account: subscribe to it in the dashboard"
            }
            Self::Other => "a limit of the account is reached: ask Cloudflare for more",
        }
    }
}

/// The entries' words in lower case, with one space around each.
fn words_of(entries: &[EnvelopeMessage]) -> String {
    let texts = entries.iter().map(|entry| entry.text.to_ascii_lowercase());
    let texts = texts.collect::<Vec<_>>().join(" ; ");
    let words = texts.split(|character: char| !character.is_alphanumeric() && character != ';');
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}
