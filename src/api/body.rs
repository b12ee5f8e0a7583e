//! JSON bodies, checked against the schemas of the OpenAPI document. An error lists every mistake.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::input::{LARGEST_ID, json, uuid, whole, without_bom};
use super::problem::{FieldError, Problem};

/// A field's name, and a check that its schema cannot state.
pub(super) type Rule<'a> = (&'a str, &'a dyn Fn(&Value) -> Result<(), String>);

#[derive(Debug)]
pub(super) struct JsonBody(Map<String, Value>);

impl JsonBody {
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        Self::of(json(body)?)
    }

    /// An empty body or `null` counts as an empty object.
    pub(super) fn read_optional(body: &[u8]) -> Result<Self, Problem> {
        let is_empty = without_bom(body).trim_ascii().is_empty();
        let body = if is_empty { Value::Null } else { json(body)? };
        if body.is_null() {
            return Ok(Self(Map::new()));
        }
        Self::of(body)
    }

    fn of(body: Value) -> Result<Self, Problem> {
        let Value::Object(fields) = body else {
            return Err(Problem::invalid(vec![FieldError {
                pointer: String::new(),
                detail: "a JSON object".to_owned(),
            }]));
        };
        Ok(Self(fields))
    }

    /// A text that field order and spacing do not change. Omits nulls, except those of `nullable` fields.
    pub(super) fn canonical(&self, nullable: &[&str]) -> String {
        let mut given = self.0.clone();
        given.retain(|name, value| !value.is_null() || nullable.contains(&&**name));
        let mut text = String::new();
        write_canonical(&Value::Object(given), &mut text);
        text
    }

    /// For UUIDs.
    pub(super) fn ignore_case(&mut self, name: &str) {
        if let Some(Value::String(text)) = self.0.get_mut(name) {
            text.make_ascii_lowercase();
        }
    }

    /// Lists mistakes in the schema's order, unknown fields last.
    pub(super) fn check<T>(mut self, rules: &[Rule<'_>]) -> Result<T, Problem>
    where
        T: PartialSchema + DeserializeOwned,
    {
        let RefOr::T(Schema::Object(schema)) = T::schema() else {
            return Err(Problem::internal());
        };
        let mut errors = Vec::new();
        for (name, field) in &schema.properties {
            let rules = rules.iter().filter(|(of, _)| of == name);
            let checked = match self.0.get_mut(name) {
                Some(value) => rules
                    .map(|(_, rule)| rule(value))
                    .try_for_each(|checked| checked)
                    .and_then(|()| check(field, value)),
                None if schema.required.contains(name) => Err("is required".to_owned()),
                None => Ok(()),
            };
            errors.extend(checked.err().map(|detail| wrong(name, detail)));
        }
        let unknown = self
            .0
            .keys()
            .filter(|name| !schema.properties.contains_key(*name));
        errors.extend(unknown.map(|name| wrong(name, "is not a field of this request".to_owned())));
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        serde_json::from_value(Value::Object(self.0)).map_err(|error| {
            tracing::error!(%error, "a body that matches its schema could not be parsed");
            Problem::internal()
        })
    }
}

fn wrong(name: &str, detail: String) -> FieldError {
    let name = name.replace('~', "~0").replace('/', "~1");
    FieldError {
        pointer: format!("/{name}"),
        detail,
    }
}

/// Checks type and bounds, and turns `42.0` into 42. A field's rule checks length and pattern.
fn check(schema: &RefOr<Schema>, value: &mut Value) -> Result<(), String> {
    let schema = serde_json::to_value(schema).map_err(|error| error.to_string())?;
    let kinds = schema.get("type");
    let is = |kind: &str| match kinds {
        Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
        Some(one) => one == kind,
        None => false,
    };
    let nullable = is("null");
    if nullable && value.is_null() {
        return Ok(());
    }
    let expected = if is("integer") {
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
        let least = bound("minimum").unwrap_or(i64::MIN);
        let most = bound("maximum").unwrap_or(i64::MAX);
        let number = value.as_number().and_then(whole);
        if let Some(number) = number.filter(|number| (least..=most).contains(number)) {
            *value = number.into();
            return Ok(());
        }
        format!("an integer from {least} to {most}")
    } else if is("boolean") {
        if value.is_boolean() {
            return Ok(());
        }
        "true or false".to_owned()
    } else if let Some(Value::Array(words)) = schema.get("enum") {
        if words.contains(value) {
            return Ok(());
        }
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        format!("one of {}", words.join(", "))
    } else if schema.get("format").is_some_and(|format| format == "uuid") {
        if value.as_str().and_then(uuid).is_some() {
            return Ok(());
        }
        "a UUID".to_owned()
    } else if value.is_string() {
        return Ok(());
    } else {
        "a string".to_owned()
    };
    Err(if nullable {
        format!("null, or {expected}")
    } else {
        expected
    })
}

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

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;
    use utoipa::ToSchema;

    use super::*;

    #[derive(Deserialize, ToSchema)]
    struct TestBody {
        #[schema(minimum = 1, maximum = 4294967295_i64)]
        number: u32,
    }

    fn read(body: &Value) -> Result<TestBody, Problem> {
        JsonBody::read(body.to_string().as_bytes())?.check(&[])
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let number = |number: Value| read(&json!({"number": number})).map(|read| read.number);
        assert_eq!(number(json!(42.0)).unwrap(), 42);
        assert_eq!(number(json!(4_294_967_295.0)).unwrap(), 4_294_967_295);
        for bad in [
            json!(1.5),
            json!(0.0),
            json!(-1.0),
            json!(1e300),
            json!("42"),
            json!(null),
        ] {
            assert!(number(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_order_and_spacing_do_not_change_the_canonical_text() {
        let canonical = |text: &[u8]| JsonBody::read(text).unwrap().canonical(&["n"]);
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
    fn null_stands_for_an_absent_body_or_optional_field() {
        #[derive(Deserialize, ToSchema)]
        struct Optional {
            a: Option<bool>,
        }
        for body in [
            "",
            " ",
            "null",
            "\u{feff}",
            "\u{feff} null\n",
            "{}",
            r#"{"a":null}"#,
        ] {
            let body: Optional = JsonBody::read_optional(body.as_bytes())
                .unwrap()
                .check(&[])
                .unwrap();
            assert_eq!(body.a, None);
        }
        for bad in ["[]", "false", "0", "\"\"", "nul"] {
            assert!(JsonBody::read_optional(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
