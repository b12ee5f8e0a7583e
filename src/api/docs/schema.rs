//! Schemas in words.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayItems, Object, Schema, SchemaType, Type};

use super::text::{escape, prose, words};

/// A component.
pub(super) fn article(name: &str, schema: &RefOr<Schema>) -> String {
    let name = escape(name);
    let head =
        format!("<article id=\"schema-{name}\"><h3><a href=\"#schema-{name}\">{name}</a></h3>");
    let body = match schema {
        RefOr::T(Schema::Object(object)) => {
            let about = prose(object.description.as_deref().unwrap_or_default());
            if object.properties.is_empty() {
                format!("{about}<p>{}</p>", object_kind(object))
            } else {
                format!("{about}<table>{}</table>", rows(object))
            }
        }
        RefOr::Ref(_) | RefOr::T(_) => format!("<p>{}</p>", kind(schema)),
    };
    format!("{head}{body}</article>")
}

fn rows(object: &Object) -> String {
    let row = |(name, schema): (&String, &RefOr<Schema>)| {
        let optional = if object.required.contains(name) {
            ""
        } else {
            "<br><small>may be left out</small>"
        };
        let within = match schema {
            RefOr::T(Schema::Object(inner)) if !inner.properties.is_empty() => {
                format!("<table>{}</table>", rows(inner))
            }
            RefOr::Ref(_) | RefOr::T(_) => String::new(),
        };
        format!(
            "<tr><th><code>{}</code>{optional}</th><td>{}<br>{}{within}</td></tr>",
            escape(name),
            kind(schema),
            words(&about(schema)),
        )
    };
    object.properties.iter().map(row).collect()
}

fn about(schema: &RefOr<Schema>) -> String {
    let text = match schema {
        RefOr::Ref(reference) => reference.description.clone(),
        RefOr::T(Schema::Object(object)) => object.description.clone().unwrap_or_default(),
        RefOr::T(Schema::Array(list)) => list.description.clone().unwrap_or_default(),
        RefOr::T(Schema::OneOf(either)) => either.description.clone().unwrap_or_default(),
        RefOr::T(_) => String::new(),
    };
    text.replace('\n', " ")
}

/// What a value is, as HTML.
pub(super) fn kind(schema: &RefOr<Schema>) -> String {
    match schema {
        RefOr::Ref(reference) => {
            let name = reference
                .ref_location
                .rsplit('/')
                .next()
                .unwrap_or_default();
            format!("<a href=\"#schema-{0}\">{0}</a>", escape(name))
        }
        RefOr::T(Schema::Object(object)) => object_kind(object),
        RefOr::T(Schema::Array(list)) => match &list.items {
            ArrayItems::RefOrSchema(item) => format!("list of {}", kind(item)),
            ArrayItems::False => "list".to_owned(),
        },
        RefOr::T(Schema::OneOf(either)) => one_of(&either.items),
        RefOr::T(Schema::AnyOf(either)) => one_of(&either.items),
        RefOr::T(Schema::AllOf(both)) => one_of(&both.items),
        RefOr::T(_) => "anything".to_owned(),
    }
}

fn one_of(items: &[RefOr<Schema>]) -> String {
    items.iter().map(kind).collect::<Vec<_>>().join(" or ")
}

fn object_kind(object: &Object) -> String {
    if let Some(values) = &object.enum_values {
        let values: Vec<String> = values.iter().map(value).collect();
        return values.join(" | ");
    }
    let mut kind = match &object.schema_type {
        SchemaType::Type(one) => type_name(one).to_owned(),
        SchemaType::Array(all) => all.iter().map(type_name).collect::<Vec<_>>().join(" or "),
        SchemaType::AnyValue => "anything".to_owned(),
    };
    let bounds = serde_json::to_value(object).unwrap_or_default();
    for (field, what) in [
        ("format", ""),
        ("minimum", "from "),
        ("maximum", "to "),
        ("minLength", "at least (characters) "),
        ("maxLength", "at most (characters) "),
        ("pattern", ""),
        ("default", "usually "),
    ] {
        // The formats of integers say nothing to who reads JSON.
        let bound = bounds
            .get(field)
            .filter(|bound| !bound.as_str().is_some_and(|text| text.starts_with("int")));
        if let Some(bound) = bound {
            kind.push_str(&format!(", {what}{}", value(bound)));
        }
    }
    kind
}

fn type_name(kind: &Type) -> &'static str {
    match kind {
        Type::Object => "object",
        Type::String => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
        Type::Array => "list",
        Type::Null => "null",
    }
}

fn value(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    format!("<code>{}</code>", escape(&text))
}
