use std::collections::BTreeSet;

use actix_web::App;
use serde_json::Value;

use super::*;
use crate::api::routes::Routed;

const CHECKED_IN: &str = "docs/openapi.json";

fn document() -> Value {
    serde_json::from_str(text()).unwrap()
}

fn operations() -> Vec<(String, Value)> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| -> Vec<(String, Value)> {
        let item = item.as_object().unwrap().clone();
        item.into_iter()
            .map(|(method, operation)| (format!("{method} {path}"), operation))
            .collect()
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn the_document_knows_each_route_and_no_other() {
    let routed = Routed::default();
    // The console's pages are not part of the document.
    let pages: crate::api::Pages = std::sync::Arc::new(|_| {});
    let _ = App::new().configure(|config| crate::api::routes(config, &routed, &pages));
    let routed: BTreeSet<String> = routed.borrow().iter().cloned().collect();
    let documented: BTreeSet<String> = operations().into_iter().map(|(name, _)| name).collect();
    let missing: Vec<_> = routed.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&routed).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not documented: {missing:?}; not routed: {invented:?}"
    );
}

#[test]
fn the_checked_in_copy_is_what_the_handlers_say() {
    let file = format!("{}/{CHECKED_IN}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, text()).unwrap();
    }
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        checked_in == text(),
        "{CHECKED_IN} is old: UPDATE_OPENAPI=1 cargo test --lib openapi writes it anew"
    );
}

#[test]
fn each_operation_has_a_name_a_tag_and_says_how_it_can_fail() {
    let mut names = BTreeSet::new();
    for (name, operation) in operations() {
        assert!(operation["summary"].is_string(), "{name}");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{name}");
        assert!(names.insert(operation["operationId"].to_string()), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('5')),
            "{name}"
        );
        for (status, response) in responses {
            assert!(
                response["headers"]["X-Request-Id"].is_object(),
                "{name} {status}"
            );
        }
        assert!(operation.get("x-problems").is_none(), "{name}");
    }
}

#[test]
fn listed_problems_become_responses() {
    let source = Document::openapi();
    let text = serde_json::to_string(&source).unwrap();
    assert!(!text.contains("x-problems"));
    let start = &document()["paths"]["/v1/channels/{channel_id}/start"]["post"]["responses"];
    let examples = |status: &str| -> Vec<String> {
        let problem = &start[status]["content"]["application/problem+json"];
        problem["examples"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(examples("400"), ["invalid-request"]);
    assert_eq!(
        examples("422"),
        ["idempotency-mismatch", "invalid-request", "unsupported"]
    );
    assert_eq!(examples("503").len(), 6);
    assert!(start["503"]["headers"]["Retry-After"].is_object());
    assert!(start["401"]["headers"]["WWW-Authenticate"].is_object());
}

#[test]
fn each_body_of_json_has_an_example() {
    let mut bare = Vec::new();
    for (name, operation) in operations() {
        let responses = operation["responses"].as_object().unwrap().clone();
        let bodies = responses
            .into_iter()
            .chain([("request".to_owned(), operation["requestBody"].clone())]);
        for (place, body) in bodies {
            for kind in ["application/json", "application/problem+json"] {
                let content = &body["content"][kind];
                let is_described = content["schema"].get("$ref").is_some();
                if is_described
                    && content.get("example").is_none()
                    && content.get("examples").is_none()
                {
                    bare.push(format!("{name} {place}"));
                }
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn each_path_requires_the_token_of_its_scope() {
    for (name, operation) in operations() {
        let path = name.split(' ').nth(1).unwrap();
        let token = match path.split('/').nth(1).unwrap() {
            "v1" => Some("api_token"),
            "admin" => Some("admin_token"),
            _ => None,
        };
        if let Some(token) = token {
            assert!(operation["security"][0].get(token).is_some(), "{name}");
            assert!(operation["responses"].get("401").is_some(), "{name}");
        }
    }
}

#[test]
fn the_events_of_examples_are_facts_of_the_journal() {
    use strum::VariantNames as _;
    let page = super::examples::of("EventPage").unwrap();
    for event in page["events"].as_array().unwrap() {
        let name = event["event"].as_str().unwrap();
        assert!(crate::relay::Fact::VARIANTS.contains(&name), "{name}");
    }
}
