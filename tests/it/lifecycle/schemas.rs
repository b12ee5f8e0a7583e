//! Validation against the vendors' schemas (`tests/fixtures/vendors`), made strict: rules from prose are added, and unknown members
//! are errors.

use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::{Map, Value, json};

use super::tap::Exchange;

pub struct Document {
    name: &'static str,
    root: Value,
}

pub fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/vendors")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

pub fn agora() -> Vec<Document> {
    read(&[
        "agora-cloud-recording.en.json",
        "agora-cloud-recording.zh-CN.json",
        "agora-media-push.zh-CN.json",
        "agora-query-channel-information.en.json",
    ])
}

pub fn cloudflare() -> Vec<Document> {
    read(&["cloudflare-stream.json"])
}

fn read(names: &[&'static str]) -> Vec<Document> {
    let read = |name: &&'static str| {
        let mut root = fixture(name);
        correct(name, &mut root);
        in_prose(&mut root);
        Document { name, root }
    };
    names.iter().map(read).collect()
}

/// Patches contradictions within the documents: the examples win.
fn correct(name: &str, root: &mut Value) {
    let schemas = &mut root["components"]["schemas"];
    match name {
        // The schema requires the page's members of the push too; no example has them.
        "agora-cloud-recording.en.json" => {
            let param = schemas["serviceParam"].as_object_mut().expect("a schema");
            param.remove("required").expect("the defect is still there");
        }
        // A misprint.
        "agora-cloud-recording.zh-CN.json" => {
            let stopped = &mut schemas["serverResponse-stop-new"]["anyOf"][0]["properties"];
            let service = &mut stopped["extensionServiceState"]["items"]["properties"];
            let service = service.as_object_mut().expect("a schema");
            let payload = service
                .remove("playload")
                .expect("the misprint is still there");
            service.insert("payload".to_owned(), payload);
        }
        "agora-media-push.zh-CN.json" => {
            // Strings in the schema, numbers in its examples, strings in the list's examples.
            for times in ["create-ts", "update-ts"] {
                schemas[times]["type"] = json!(["string", "number"]);
            }
            // From the English reference.
            let list = &mut root["components"]["responses"]["success-list"]["content"];
            let member =
                "/application~1json/schema/properties/data/properties/members/items/properties";
            let member = list.pointer_mut(member).expect("members of the list");
            member["ip"] = json!({"type": "string"});
        }
        _ => {}
    }
}

/// Turns `x-prose-enum` and the like into rules, where the schema has none.
fn in_prose(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let prose: Vec<String> = members
                .keys()
                .filter(|key| key.starts_with("x-prose-"))
                .cloned()
                .collect();
            for key in prose {
                let rule = members.remove(&key).expect("a key");
                members
                    .entry(key.trim_start_matches("x-prose-").to_owned())
                    .or_insert(rule);
            }
            members.values_mut().for_each(in_prose);
        }
        Value::Array(items) => items.iter_mut().for_each(in_prose),
        _ => {}
    }
}

impl Document {
    /// The operation, and the values of the path's parameters.
    fn operation(&self, method: &str, path: &str) -> Option<(&Value, Vec<(String, String)>)> {
        let parts: Vec<&str> = path.split('/').collect();
        let paths = self.root["paths"].as_object().expect("paths");
        paths.iter().find_map(|(template, operations)| {
            let operation = operations.get(method.to_lowercase())?;
            let template: Vec<&str> = template.split('/').collect();
            let fits = template.len() == parts.len()
                && template
                    .iter()
                    .zip(&parts)
                    .all(|(wanted, part)| wanted == part || wanted.starts_with('{'));
            let values = template
                .iter()
                .zip(&parts)
                .filter(|(wanted, _)| wanted.starts_with('{'));
            let values = values.map(|(wanted, part)| {
                let value = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
                (
                    wanted.trim_matches(['{', '}']).to_owned(),
                    value.into_owned(),
                )
            });
            fits.then(|| (operation, values.collect()))
        })
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.resolved(
                self.root
                    .pointer(reference.trim_start_matches('#'))
                    .expect("a reference"),
            ),
            None => value,
        }
    }

    pub fn faults_of(&self, name: &str, value: &Value) -> Vec<String> {
        self.faults(
            &json!({"$ref": format!("#/components/schemas/{name}")}),
            value,
        )
    }

    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut components = self.root["components"].clone();
        for kind in ["schemas", "responses"] {
            if let Some(all) = components.get_mut(kind).and_then(Value::as_object_mut) {
                all.values_mut()
                    .for_each(|schema| self.strict(schema, false));
            }
        }
        let mut schema = schema.clone();
        self.strict(&mut schema, true);
        schema["components"] = components;
        faults(&schema, value)
    }

    /// Forbids unknown members of every object, except in the parts of an `allOf`. If a schema has only alternatives, each is closed:
    /// otherwise one without requirements would match everything.
    fn strict(&self, schema: &mut Value, place: bool) {
        let closed = place && self.names_members(schema);
        let Some(members) = schema.as_object_mut() else {
            return;
        };
        let alone = !members.contains_key("properties") && !members.contains_key("allOf");
        if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
            for schema in properties.values_mut() {
                self.strict(schema, true);
            }
        }
        if let Some(items) = members.get_mut("items") {
            self.strict(items, true);
        }
        for (parts, place) in [("allOf", false), ("anyOf", alone), ("oneOf", alone)] {
            if let Some(parts) = members.get_mut(parts).and_then(Value::as_array_mut) {
                for schema in parts {
                    self.strict(schema, place);
                }
            }
        }
        if closed {
            members.insert("unevaluatedProperties".to_owned(), json!(false));
        }
    }

    fn names_members(&self, schema: &Value) -> bool {
        let schema = self.resolved(schema);
        ["properties", "allOf", "anyOf", "oneOf"]
            .iter()
            .any(|key| schema.get(key).is_some())
    }
}

pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler
        .add_resource("it.json", schema.clone())
        .expect("JSON");
    let schema = compiler.compile("it.json", &mut schemas).expect("a schema");
    match schemas.validate(value, schema) {
        Ok(()) => Vec::new(),
        Err(error) => vec![format!("{error:#}")],
    }
}

/// Of every document that describes the call.
pub fn violations(documents: &[Document], exchange: &Exchange) -> Vec<String> {
    let line = format!("{} {}?{}", exchange.method, exchange.path, exchange.query);
    let mut found = Vec::new();
    let mut known = false;
    for document in documents {
        let Some((operation, values)) = document.operation(&exchange.method, &exchange.path) else {
            continue;
        };
        known = true;
        let request = request(document, operation, &values, exchange);
        let both = request
            .into_iter()
            .chain(answer(document, operation, exchange));
        found.extend(
            both.map(|fault| format!("{line} {}\n{}: {fault}", exchange.status, document.name)),
        );
    }
    if !known {
        found.push(format!("no document describes {line}"));
    }
    found
}

fn request(
    document: &Document,
    operation: &Value,
    values: &[(String, String)],
    exchange: &Exchange,
) -> Vec<String> {
    let mut found = Vec::new();
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let parameters: Vec<&Value> = parameters
        .into_iter()
        .flatten()
        .map(|one| document.resolved(one))
        .collect();
    let named = |place: &str, name: &str| {
        let mut parameters = parameters.iter();
        parameters
            .find(|one| one["in"] == place && one["name"] == name)
            .map(|one| document.resolved(&one["schema"]))
    };
    for (name, value) in values {
        let Some(schema) = named("path", name) else {
            panic!("{}: the path's {name} is not described", document.name);
        };
        found.extend(document.faults(schema, &json!(value)));
    }
    for (name, value) in url::form_urlencoded::parse(exchange.query.as_bytes()) {
        match named("query", &name) {
            Some(schema) if schema["type"] == "number" => match value.parse::<u32>() {
                Ok(value) => found.extend(document.faults(schema, &json!(value))),
                Err(_) => found.push(format!("{name} of the query is {value}")),
            },
            Some(schema) => found.extend(document.faults(schema, &json!(value))),
            None => found.push(format!("{name} of the query is not described")),
        }
    }
    let schema = operation.pointer("/requestBody/content/application~1json/schema");
    match (schema, exchange.sent()) {
        (Some(schema), Some(body)) => {
            let kind = exchange.header("content-type").unwrap_or_default();
            if !kind.starts_with("application/json") {
                found.push(format!("Content-Type is {kind:?}"));
            }
            found.extend(document.faults(schema, &body));
        }
        (None, None) => {}
        (wanted, _) => found.push(format!(
            "a body is {}",
            if wanted.is_some() {
                "missing"
            } else {
                "not described"
            }
        )),
    }
    found
}

/// Some errors have no documented body; any is valid then.
fn answer(document: &Document, operation: &Value, exchange: &Exchange) -> Vec<String> {
    let success = (200..300).contains(&exchange.status);
    let names: &[&str] = if success {
        &["200", "2XX"]
    } else {
        &["default", "非 2XX", "非 200"]
    };
    let response = names
        .iter()
        .find_map(|name| operation["responses"].get(name));
    let response = document.resolved(response.expect("a response"));
    match (
        response.pointer("/content/application~1json/schema"),
        exchange.answered(),
    ) {
        (Some(schema), Some(body)) => document.faults(schema, &body),
        (Some(_), None) => vec!["an empty answer".to_owned()],
        (None, Some(body)) if success => vec![format!("a body where none is described: {body}")],
        (None, _) => Vec::new(),
    }
}

/// A schema of the example's members and types; `may_miss` are optional, `open` may hold anything.
pub fn like(example: &Value, may_miss: &[&str], open: &[&str]) -> Value {
    match example {
        Value::Object(members) => {
            let required: Vec<&String> = members
                .keys()
                .filter(|key| !may_miss.contains(&key.as_str()))
                .collect();
            let properties: Map<String, Value> = members
                .iter()
                .map(|(key, value)| {
                    let schema = if open.contains(&key.as_str()) {
                        json!({})
                    } else {
                        like(value, may_miss, open)
                    };
                    (key.clone(), schema)
                })
                .collect();
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        }
        Value::Array(items) => match items.first() {
            Some(item) => json!({"type": "array", "items": like(item, may_miss, open)}),
            None => json!({"type": "array"}),
        },
        Value::String(_) => json!({"type": "string"}),
        Value::Number(_) => json!({"type": "number"}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Null => json!({}),
    }
}
