//! A limit of the account in a refusal: its storage, its live inputs, a product it has not (`cloudflare-stream.md §1.7`).

/// Storage capacity exceeded: answered with 413 (`cloudflare-stream.md §1.7, §6.4`).
const STORAGE: &[i64] = &[10011];
/// "Cloudflare Stream not enabled": answered with 403.
const NOT_ENABLED: &[i64] = &[10002];
/// "Authorization Failure", with "Cloudflare Stream not enabled" in the messages: answered with 403. With 400 it is another error.
const NOT_ALLOWED: &[i64] = &[10005];

/// One of the `errors`, or of the `messages`. Those of a success are no errors: a token's verification succeeds with a message
/// 10000. Those of a refusal may hold its reason: "Authorization Failure", and in the messages "Cloudflare Stream not enabled".
#[derive(Debug, Clone)]
pub(super) struct EnvelopeMessage {
    pub(super) code: Option<i64>,
    pub(super) text: String,
}

/// Which limit of the account a refusal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The minutes of video it may store.
    Storage,
    /// The live inputs it may have.
    LiveInputs,
    /// It has no subscription to the product.
    NotEnabled,
    /// Another.
    Other,
}

impl Limit {
    /// The limit that a refusal of the API's own names, by code or in words. `faults`: its errors and messages.
    pub(super) fn of(status: u16, faults: &[EnvelopeMessage]) -> Option<Self> {
        if matches!(status, 404 | 408 | 409) {
            return None;
        }
        let has = |codes: &[i64]| {
            let mut given = faults.iter().filter_map(|fault| fault.code);
            given.any(|code| codes.contains(&code))
        };
        let words = words_of(faults);
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
        // The words of a 429 are about the rate.
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
            // No body of ours is too large.
            Some(Self::Other)
        } else {
            None
        }
    }

    /// What it is and what an operator can do about it.
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

/// The words of the faults in lower case, with one space around each.
fn words_of(faults: &[EnvelopeMessage]) -> String {
    let texts = faults.iter().map(|fault| fault.text.to_ascii_lowercase());
    let texts = texts.collect::<Vec<_>>().join(" ; ");
    let words = texts.split(|character: char| !character.is_alphanumeric() && character != ';');
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}
