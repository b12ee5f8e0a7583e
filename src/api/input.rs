//! What comes in, read strictly: each mistake is told by its place, all of a body's at once, and what is not known is
//! refused.

use std::ops::RangeInclusive;

use serde_json::{Map, Number, Value};
use url::form_urlencoded;
use uuid::Uuid;

use super::problem::{FieldError, Problem};
use super::strict_json;
use crate::store::PageRequest;

/// The largest integer a JSON number holds exactly everywhere: 2^53 - 1.
pub(super) const LARGEST_ID: i64 = (1 << 53) - 1;
/// The rows of a page when none are asked for.
const USUAL_LIMIT: u32 = 50;
/// The most rows of a page.
const LARGEST_LIMIT: u32 = 200;

/// A channel's id in a path.
pub(super) fn channel_id(text: &str) -> Result<i64, Problem> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let id = text
        .parse()
        .ok()
        .filter(|id| plain && (1..=LARGEST_ID).contains(id));
    id.ok_or_else(|| Problem::parameter("channel_id", "an integer from 1 to 9007199254740991"))
}

/// A relay's id in a path.
pub(crate) fn relay_id(text: &str) -> Result<Uuid, Problem> {
    uuid(text).ok_or_else(|| Problem::parameter("relay_id", "a UUID"))
}

fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// The JSON of a body. A byte order mark before it is skipped (RFC 8259 §8.1).
///
/// # Errors
/// 400 when it is no JSON, or has a key twice.
pub(super) fn json(body: &[u8]) -> Result<Value, Problem> {
    strict_json::read(without_mark(body)).map_err(|error| {
        Problem::body(match error.is_data() {
            true => error.to_string(),
            false => format!("not JSON: {error}"),
        })
    })
}

pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The fields of a JSON object, taken one by one.
#[derive(Debug)]
pub(super) struct Fields {
    rest: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Reads a body that must be a JSON object.
    ///
    /// # Errors
    /// 400 when it is no JSON, 422 when it is no object.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        Self::of(json(body)?)
    }

    /// The same of a body that may be left out. `null` leaves it out.
    ///
    /// # Errors
    /// As [`Fields::read`].
    pub(super) fn read_optional(body: &[u8]) -> Result<Self, Problem> {
        let left_out = without_mark(body).trim_ascii().is_empty();
        let body = if left_out { Value::Null } else { json(body)? };
        Self::of(if body.is_null() {
            Value::Object(Map::new())
        } else {
            body
        })
    }

    fn of(body: Value) -> Result<Self, Problem> {
        let Value::Object(rest) = body else {
            return Err(Problem::invalid(vec![FieldError {
                pointer: String::new(),
                detail: "a JSON object".to_owned(),
            }]));
        };
        Ok(Self {
            rest,
            errors: Vec::new(),
        })
    }

    /// The body in one form, whatever its order and spacing. A null is left out, unless its field is in `nullable`.
    pub(super) fn canonical(&self, nullable: &[&str]) -> String {
        let mut given = self.rest.clone();
        given.retain(|name, value| !value.is_null() || nullable.contains(&&**name));
        let mut text = String::new();
        write_canonical(&Value::Object(given), &mut text);
        text
    }

    /// Reads a field's text in any letter case: a UUID in capitals is the same one.
    pub(super) fn ignore_case(&mut self, name: &str) {
        if let Some(Value::String(text)) = self.rest.get_mut(name) {
            text.make_ascii_lowercase();
        }
    }

    /// A field that may be left out. `null` leaves it out.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.nullable(name, read).flatten()
    }

    /// A field that may be left out, and whose `null` has a meaning of its own: the inner `None`.
    pub(super) fn nullable<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let value = self.rest.remove(name)?;
        if value.is_null() {
            return Some(None);
        }
        self.taken(name, &value, read).map(Some)
    }

    fn taken<T>(
        &mut self,
        name: &str,
        value: &Value,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        read(value).map_err(|detail| self.wrong(name, detail)).ok()
    }

    /// A field that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let Some(value) = self.rest.remove(name) else {
            self.wrong(name, "is required".to_owned());
            return None;
        };
        self.taken(name, &value, read)
    }

    /// Refuses what was not taken.
    ///
    /// # Errors
    /// 422 that tells everything that is wrong.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        let unknown: Vec<String> = self.rest.keys().cloned().collect();
        for name in unknown {
            self.wrong(&name, "is not a field of this request".to_owned());
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Problem::invalid(self.errors))
    }

    fn wrong(&mut self, name: &str, detail: String) {
        let name = name.replace('~', "~0").replace('/', "~1");
        self.errors.push(FieldError {
            pointer: format!("/{name}"),
            detail,
        });
    }
}

/// Writes JSON with the fields of each object in order.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            out.push('{');
            for (place, name) in names.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_canonical(fields.get(name).unwrap_or(&Value::Null), out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        // 42 and 42.0 are one number.
        Value::Number(number) => match whole(number) {
            Some(whole) if whole.unsigned_abs() <= LARGEST_ID.unsigned_abs() => {
                out.push_str(&whole.to_string());
            }
            _ => out.push_str(&number.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

/// A whole number. One that is written 42.0 is one too: JSON has only one kind of number. Those beyond 64 bits are the
/// largest and the smallest.
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

/// An integer within bounds.
pub(super) fn integer(range: RangeInclusive<u64>) -> impl FnOnce(&Value) -> Result<u64, String> {
    move |value| {
        let number = match value {
            Value::Number(number) => whole(number).and_then(|number| u64::try_from(number).ok()),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        };
        let number = number.filter(|number| range.contains(number));
        number.ok_or_else(|| format!("an integer from {} to {}", range.start(), range.end()))
    }
}

/// A seller's uid: none that is given to recorders, or drawn by their page.
pub(super) fn seller_uid(
    recorders: &RangeInclusive<u32>,
    pages: &RangeInclusive<u32>,
) -> impl FnOnce(&Value) -> Result<u32, String> {
    move |value| {
        let number = integer(1..=u64::from(u32::MAX))(value)?;
        let uid = u32::try_from(number).map_err(|error| error.to_string())?;
        for (range, whose) in [(recorders, "recorders"), (pages, "the recorder's page")] {
            if range.contains(&uid) {
                let (first, last) = (range.start(), range.end());
                return Err(format!("not a uid of {whose}: those are {first} to {last}"));
            }
        }
        Ok(uid)
    }
}

/// True or false.
pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "true or false".to_owned())
}

/// A relay's id in a body.
pub(super) fn relay_id_field(value: &Value) -> Result<Uuid, String> {
    let id = value.as_str().and_then(uuid);
    id.ok_or_else(|| "a relay's id: a UUID".to_owned())
}

/// The name of an Agora channel: 1 to 64 of its 89 characters (`agora.md §1.5`), which are one byte each. `.` and `..` are
/// refused although Agora allows them: as a part of a URL's path they name another path, encoded or not.
pub(super) fn channel_name(value: &Value) -> Result<String, String> {
    const MARKS: &str = " !#$%&()+-:;<=.>?@[]^_{}|~,";
    let known = |letter: char| letter.is_ascii_alphanumeric() || MARKS.contains(letter);
    let name = value.as_str().unwrap_or_default();
    let is_dots = matches!(name, "." | "..");
    if (1..=64).contains(&name.len()) && name.chars().all(known) && !is_dots {
        return Ok(name.to_owned());
    }
    Err(format!(
        "1 to 64 ASCII letters, digits and characters of \"{MARKS}\", but not \".\" or \"..\""
    ))
}

/// The parameters of a query.
#[derive(Debug)]
pub(crate) struct Query {
    given: Vec<(String, String)>,
}

impl Query {
    /// Reads a query of which these names are known. A name without a value counts as left out, but for `limit`.
    ///
    /// # Errors
    /// 400 for another name, and for one that is given twice.
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

    /// A parameter, if it is given and has a value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.get_or_empty(name).filter(|value| !value.is_empty())
    }

    /// A parameter, if it is given, with a value or without.
    pub(super) fn get_or_empty(&self, name: &str) -> Option<&str> {
        let found = self.given.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Which page of a list: `limit` and `cursor`.
    ///
    /// # Errors
    /// 400 for a limit out of bounds, and for one without a value: the description of the API promises integers only.
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

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let read = |value: Value| integer(1..=u64::from(u32::MAX))(&value);
        assert_eq!(read(json!(42.0)), Ok(42));
        assert_eq!(read(json!(4_294_967_295.0)), Ok(4_294_967_295));
        for bad in [
            json!(1.5),
            json!(0.0),
            json!(-1.0),
            json!(1e300),
            json!("42"),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_same_request_in_another_order_and_spacing_is_the_same() {
        let canonical = |text: &[u8]| Fields::read(text).unwrap().canonical(&["n"]);
        let one = canonical(br#"{"b":[1,{"z":"\u0041","y":null}],"a":1.50}"#);
        let other = b"\xef\xbb\xbf{ \"a\" : 1.5,\n\"c\":null,\"b\":[1,{\"y\":null,\"z\":\"A\"}]}";
        assert_eq!(one, canonical(other));
        assert_ne!(one, canonical(br#"{"b":[1,{"z":"A","y":null}],"a":1.6}"#));
        assert_ne!(canonical(b"{}"), canonical(br#"{"n":null}"#));
        let numbers = canonical(br#"{"a":42,"b":[0]}"#);
        assert_eq!(numbers, canonical(br#"{"a":42.0,"b":[-0.0]}"#));
        assert_eq!(numbers, canonical(br#"{"a":4.2e1,"b":[0]}"#));
        assert_ne!(canonical(br#"{"a":1e300}"#), canonical(br#"{"a":2e300}"#));
    }

    #[test]
    fn null_leaves_out_a_body_and_a_field_that_may_be_left_out() {
        for body in [
            "",
            " ",
            "null",
            "\u{feff}",
            "\u{feff} null\n",
            "{}",
            r#"{"a":null}"#,
        ] {
            let mut fields = Fields::read_optional(body.as_bytes()).unwrap();
            assert_eq!(fields.optional("a", boolean), None, "{body:?}");
            assert!(fields.finish().is_ok(), "{body:?}");
        }
        let mut fields = Fields::read(br#"{"a":null,"b":null,"c":null}"#).unwrap();
        assert_eq!(fields.nullable("a", boolean), Some(None));
        assert_eq!(fields.required("b", boolean), None);
        assert!(fields.finish().is_err(), "c is not known");
        for bad in ["[]", "false", "0", "\"\"", "nul"] {
            assert!(Fields::read_optional(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
