//! Strict parsing of paths, queries and values.

use serde_json::{Number, Value};
use url::form_urlencoded;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use uuid::Uuid;

use super::problem::Problem;
use super::strict_json;
use crate::store::PageRequest;

/// 2^53 - 1, the largest integer that every JSON reader holds exactly.
pub(super) const LARGEST_ID: i64 = (1 << 53) - 1;
const USUAL_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 200;

pub(super) fn channel_id(text: &str) -> Result<i64, Problem> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let id = text
        .parse()
        .ok()
        .filter(|id| plain && (1..=LARGEST_ID).contains(id));
    id.ok_or_else(|| Problem::parameter("channel_id", "an integer from 1 to 9007199254740991"))
}

pub(crate) fn relay_id(text: &str) -> Result<Uuid, Problem> {
    uuid(text).ok_or_else(|| Problem::parameter("relay_id", "a UUID"))
}

pub(super) fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// Ignores a byte order mark (RFC 8259 §8.1).
pub(super) fn json(body: &[u8]) -> Result<Value, Problem> {
    strict_json::read(without_bom(body)).map_err(|error| {
        Problem::body(match error.is_data() {
            true => error.to_string(),
            false => format!("not JSON: {error}"),
        })
    })
}

pub(super) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The number if it is whole, also as `42.0`. Saturates at 64 bits.
pub(super) fn whole(number: &Number) -> Option<i64> {
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    let float = number.as_f64()?;
    if float.fract() != 0.0 {
        return None;
    }
    let beyond = if float < 0.0 { i64::MIN } else { i64::MAX };
    Some(format!("{float:.0}").parse().unwrap_or(beyond))
}

const PUNCTUATION: &str = " !#$%&()+-:;<=.>?@[]^_{}|~,";
const LONGEST_NAME: usize = 64;

/// Checks an Agora channel's name: 1 to 64 of 89 one-byte characters (`agora.md §1.5`). Refuses `.` and `..`, which Agora
/// allows: in a URL's path they mean another path, even percent-encoded.
pub(super) fn channel_name(value: &Value) -> Result<(), String> {
    let known =
        |character: char| character.is_ascii_alphanumeric() || PUNCTUATION.contains(character);
    let name = value.as_str().unwrap_or_default();
    let is_dots = matches!(name, "." | "..");
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(known) && !is_dots {
        return Ok(());
    }
    Err(format!(
        "1 to {LONGEST_NAME} ASCII letters, digits and characters of \"{PUNCTUATION}\", but not \".\" or \"..\""
    ))
}

pub(super) fn channel_name_schema() -> Object {
    let set = ["-", "[", "]"]
        .iter()
        .fold(PUNCTUATION.to_owned(), |set, special| {
            set.replace(special, &format!("\\{special}"))
        });
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!(
            "Agora's name of the channel: 1 to {LONGEST_NAME} of its 89 characters, but not `.` or `..`."
        )))
        .min_length(Some(1))
        .max_length(Some(LONGEST_NAME))
        .pattern(Some(format!(
            "^(?!\\.{{1,2}}$)[a-zA-Z0-9{set}]{{1,{LONGEST_NAME}}}$"
        )))
        .build()
}

#[derive(Debug)]
pub(crate) struct Query {
    given: Vec<(String, String)>,
}

impl Query {
    /// Refuses unknown and repeated names.
    pub(crate) fn read(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut given: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                return Err(Problem::parameter(
                    &name,
                    "is not a parameter of this request",
                ));
            }
            if given.iter().any(|(other, _)| *other == name) {
                return Err(Problem::parameter(&name, "is given twice"));
            }
            given.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { given })
    }

    /// An empty value counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.get_or_empty(name).filter(|value| !value.is_empty())
    }

    pub(super) fn get_or_empty(&self, name: &str) -> Option<&str> {
        let found = self.given.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Refuses an empty `limit`: its schema allows integers only.
    pub(super) fn page(&self) -> Result<PageRequest, Problem> {
        let limit = match self.get_or_empty("limit") {
            None => Some(USUAL_LIMIT),
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| (1..=LARGEST_LIMIT).contains(n)),
        };
        let wrong = || Problem::parameter("limit", format!("an integer from 1 to {LARGEST_LIMIT}"));
        Ok(PageRequest {
            limit: limit.ok_or_else(wrong)?,
            cursor: self.get("cursor").map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_channel_name_is_made_of_agoras_89_characters() {
        let taken = (0..=u8::MAX)
            .filter(|byte| channel_name(&json!(format!("a{}", char::from(*byte)))).is_ok())
            .count();
        assert_eq!(taken, 89);
        for dots in ["...", ".a", "a.."] {
            assert!(channel_name(&json!(dots)).is_ok(), "{dots}");
        }
        for bad in [
            "", ".", "..", "a/b", "a\"b", "a'b", "a*b", "a`b", "a\\b", "ü", "a\n",
        ] {
            assert!(channel_name(&json!(bad)).is_err(), "{bad:?}");
        }
        assert!(channel_name(&json!("a".repeat(64))).is_ok());
        assert!(channel_name(&json!("a".repeat(65))).is_err());
        assert!(channel_name(&json!(7)).is_err());
    }

    #[test]
    fn a_channel_id_is_a_plain_integer_that_every_client_can_hold() {
        assert_eq!(channel_id("1").unwrap(), 1);
        assert_eq!(channel_id("9007199254740991").unwrap(), LARGEST_ID);
        for bad in [
            "0",
            "-1",
            "+1",
            "01",
            "9007199254740992",
            "1.0",
            "x",
            "",
            "99999999999999999999",
        ] {
            assert!(channel_id(bad).is_err(), "{bad}");
        }
    }
}
