//! Adds to every operation what follows from its path and inputs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::Modify;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Content, ContentBuilder, OpenApi, Ref, RefOr, Required};

use super::examples;
use crate::api::limit::is_limited;
use crate::api::problem::Code;

const PROBLEMS: &str = "x-problems";
/// In all other schemas every field is required.
const OPTIONAL_FIELD_SCHEMAS: [&str; 7] = [
    "Start",
    "Stop",
    "Empty",
    "Problem",
    "CostRow",
    "PageTokenRequest",
    "PresenceReport",
];

pub(super) struct DocumentDefaults;

impl Modify for DocumentDefaults {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        add_schemes(components);
        for (name, schema) in &mut components.schemas {
            if let RefOr::T(Schema::Object(object)) = schema {
                if !OPTIONAL_FIELD_SCHEMAS.contains(&name.as_str()) {
                    object.required = object.properties.keys().cloned().collect();
                }
                drop_integer_formats(object);
                object.examples.extend(examples::of(name));
            }
        }
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                secure(path, operation);
                mark_optional_bodies(operation);
                add_problems(path, operation);
                add_examples(operation);
                add_headers(path, operation);
            }
        }
    }
}

pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.delete,
    ];
    all.into_iter().filter_map(Option::as_mut)
}

fn add_schemes(components: &mut Components) {
    let bearer = |description: &str| {
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(description))
                .build(),
        )
    };
    let header = |name: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            name,
            description,
        )))
    };
    let schemes = [
        (
            "api_token",
            bearer("A token of `auth.api_tokens` or `auth.admin_tokens`."),
        ),
        ("admin_token", bearer("A token of `auth.admin_tokens`.")),
        (
            "platform_signature",
            header(
                "Webhook-Signature",
                "The platform's proof; some send it in a header of another name.",
            ),
        ),
        (
            "agora_signature",
            header(
                "Agora-Signature-V2",
                "Agora's HMAC over the body, with any of the configured secrets.",
            ),
        ),
    ];
    for (name, scheme) in schemes {
        components.add_security_scheme(name, scheme);
    }
}

fn secure(path: &str, operation: &mut Operation) {
    let token = if path.starts_with("/v1/") {
        "api_token"
    } else if path == "/admin" || path.starts_with("/admin/") {
        "admin_token"
    } else {
        return;
    };
    if operation.security.is_none() {
        let none: [&str; 0] = [];
        operation.security = Some(vec![SecurityRequirement::new(token, none)]);
    }
}

fn mark_optional_bodies(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(RefOr::T(Schema::OneOf(_))) = &content.schema
        {
            body.required = Some(Required::False);
        }
    }
}

/// The bounds say more than `int32`.
fn drop_integer_formats(object: &mut Object) {
    let is_integer = |kind: &Type| *kind == Type::Integer;
    let integer = match &object.schema_type {
        SchemaType::Type(kind) => is_integer(kind),
        SchemaType::Array(kinds) => kinds.iter().any(is_integer),
        SchemaType::AnyValue => false,
    };
    if integer {
        object.format = None;
    }
    for property in object.properties.values_mut() {
        if let RefOr::T(Schema::Object(property)) = property {
            drop_integer_formats(property);
        }
    }
}

fn add_problems(path: &str, operation: &mut Operation) {
    let named = operation
        .extensions
        .as_mut()
        .and_then(|extensions| extensions.remove(PROBLEMS));
    if operation
        .extensions
        .as_ref()
        .is_some_and(|rest| rest.is_empty())
    {
        operation.extensions = None;
    }
    let named: Vec<Code> = named
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|code| code.as_str()?.parse().ok())
        .collect();
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    let mut add = |code: Code, status: Option<u16>| {
        let codes = by_status
            .entry(status.unwrap_or_else(|| code.status().as_u16()))
            .or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    };
    named.into_iter().for_each(|code| add(code, None));
    add(Code::Internal, None);
    if operation.parameters.is_some() || operation.request_body.is_some() {
        add(Code::InvalidRequest, None);
    }
    if operation.request_body.is_some() {
        add(Code::TooLarge, None);
        add(Code::InvalidRequest, Some(415));
    }
    let tokens = path.starts_with("/v1/") || path.starts_with("/admin");
    if tokens {
        add(Code::Unauthorized, None);
        add(Code::Database, None);
        // Which platforms are on, no schema says.
        let mut parameters = operation.parameters.iter().flatten();
        let names_platform = parameters
            .any(|one| matches!(one, RefOr::T(parameter) if parameter.name == "platform"));
        if operation.request_body.is_some() || names_platform {
            add(Code::InvalidRequest, Some(422));
        }
    }
    if is_limited(path) {
        add(Code::RateLimited, None);
    }
    if path.starts_with("/admin") {
        add(Code::Forbidden, None);
    }
    for (status, codes) in by_status {
        let response = problem(status, &codes, path);
        operation
            .responses
            .responses
            .insert(status.to_string(), response.into());
    }
}

fn problem(status: u16, codes: &[Code], path: &str) -> Response {
    let names: Vec<String> = codes
        .iter()
        .map(|code| format!("`{code}`: {}.", code.title()))
        .collect();
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    for code in codes {
        let example = ExampleBuilder::new()
            .summary(code.title())
            .value(Some(examples::problem(*code, status, path)));
        content = content.examples_from_iter([(code.to_string(), example.build())]);
    }
    let mut response = ResponseBuilder::new()
        .description(names.join(" "))
        .content("application/problem+json", content.build());
    let repeats = codes
        .iter()
        .filter(|code| code.retry_after().is_some())
        .count();
    if repeats > 0 {
        let text = if repeats == codes.len() {
            "Seconds until a retry may succeed."
        } else {
            "Seconds until a retry may succeed; absent for some codes."
        };
        response = response.header("Retry-After", header(text, &json!("5")));
    }
    if status == 401 && !path.starts_with("/webhooks/") {
        let text = "The expected authentication scheme.";
        response = response.header("WWW-Authenticate", header(text, &json!("Bearer")));
    }
    response.build()
}

fn header(description: &str, example: &Value) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(description))
        .example(Some(example.clone()))
        .build()
}

fn add_examples(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(set_example);
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.values_mut().for_each(set_example);
        }
    }
}

fn set_example(content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else {
        return;
    };
    if content.example.is_none() && content.examples.is_empty() {
        content.example = content
            .schema
            .as_ref()
            .and_then(name)
            .and_then(examples::of);
    }
}

/// The component that a schema refers to, possibly in a `oneOf` with null.
fn name(schema: &RefOr<Schema>) -> Option<&str> {
    match schema {
        RefOr::Ref(reference) => reference.ref_location.rsplit('/').next(),
        RefOr::T(Schema::OneOf(either)) => either.items.iter().find_map(name),
        RefOr::T(_) => None,
    }
}

fn add_headers(path: &str, operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        let id = header(
            "The request's id, also in the log.",
            &json!("0a6f2b1e-7c1d-4b0e-9a51-3f1f0c7a9d52"),
        );
        if is_limited(path) {
            let left = header(
                "The requests left (`r`), and the seconds until the full quota is restored (`t`); see draft-ietf-httpapi-ratelimit-headers. \
                 Absent if there is no limit.",
                &json!("\"token\";r=4990;t=1"),
            );
            let policy = header(
                "The quota (`q`) and its window in seconds (`w`).",
                &json!("\"token\";q=5000;w=1"),
            );
            let headers = &mut response.headers;
            headers.insert("RateLimit".to_owned(), left.into());
            headers.insert("RateLimit-Policy".to_owned(), policy.into());
        }
        response
            .headers
            .insert("X-Request-Id".to_owned(), id.into());
    }
}
