//! The page's HTML.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::response::Response;
use utoipa::openapi::security::SecurityScheme;
use utoipa::openapi::{Content, OpenApi, RefOr, Required};

use super::schema;
use super::text::{escape, prose, words};

/// The whole page.
pub(super) fn page(document: &OpenApi) -> String {
    let info = &document.info;
    let tags = document.tags.as_deref().unwrap_or_default();
    let (mut nav, mut main) = (String::new(), String::new());
    for tag in tags {
        let name = escape(&tag.name);
        nav.push_str(&format!("<h2>{name}</h2><ul>"));
        let about = tag.description.as_deref().unwrap_or_default();
        main.push_str(&format!(
            "<section><h2 id=\"{name}\">{name}</h2>{}",
            prose(about)
        ));
        for (method, path, operation) in operations(document, &tag.name) {
            let id = escape(operation.operation_id.as_deref().unwrap_or_default());
            let summary = escape(operation.summary.as_deref().unwrap_or_default());
            nav.push_str(&format!("<li><a href=\"#{id}\">{summary}</a></li>"));
            main.push_str(&article(method, path, operation));
        }
        nav.push_str("</ul>");
        main.push_str("</section>");
    }
    let components = document.components.as_ref();
    let schemes = components.map(|parts| parts.security_schemes.iter());
    let schemes: String = schemes
        .into_iter()
        .flatten()
        .map(|(name, scheme)| scheme_row(name, scheme))
        .collect();
    let schemas = components.map(|parts| parts.schemas.iter());
    let schemas: String = schemas
        .into_iter()
        .flatten()
        .map(|(name, schema)| schema::article(name, schema))
        .collect();
    let (title, version) = (escape(&info.title), escape(&info.version));
    let about = prose(info.description.as_deref().unwrap_or_default());
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title} {version}</title>\
         <link rel=\"stylesheet\" href=\"/docs/style.css\"><script src=\"/docs/search.js\" defer></script></head><body>\
         <nav><p class=\"name\"><a href=\"#top\">{title}</a> <small>{version}</small></p>\
         <input id=\"search\" type=\"search\" placeholder=\"Search\" aria-label=\"Search\" hidden>{nav}\
         <h2>more</h2><ul><li><a href=\"#tokens\">Tokens and signatures</a></li><li><a href=\"#schemas\">Schemas</a></li>\
         <li><a href=\"/openapi.json\">openapi.json</a></li></ul></nav>\
         <main id=\"top\"><h1>{title}</h1>{about}{main}\
         <section><h2 id=\"tokens\">Tokens and signatures</h2><table>{schemes}</table></section>\
         <section><h2 id=\"schemas\">Schemas</h2>{schemas}</section></main></body></html>\n"
    )
}

fn operations<'a>(
    document: &'a OpenApi,
    tag: &'a str,
) -> impl Iterator<Item = (&'static str, &'a str, &'a Operation)> {
    let methods = |item: &'a PathItem| {
        [
            ("GET", &item.get),
            ("POST", &item.post),
            ("DELETE", &item.delete),
        ]
    };
    let all = document.paths.paths.iter().flat_map(move |(path, item)| {
        let of = methods(item).into_iter();
        of.filter_map(move |(method, operation)| Some((method, path.as_str(), operation.as_ref()?)))
    });
    all.filter(move |(_, _, operation)| operation.tags.iter().flatten().any(|other| other == tag))
}

fn article(method: &str, path: &str, operation: &Operation) -> String {
    let id = escape(operation.operation_id.as_deref().unwrap_or_default());
    let summary = escape(operation.summary.as_deref().unwrap_or_default());
    let about = prose(operation.description.as_deref().unwrap_or_default());
    let path = escape(path);
    let mut html = format!(
        "<article id=\"{id}\"><h3><a href=\"#{id}\">{summary}</a></h3>\
         <p class=\"call\"><b class=\"{method}\">{method}</b> <code>{path}</code></p>{about}"
    );
    let tokens: Vec<String> = operation
        .security
        .iter()
        .flatten()
        .filter_map(|one| serde_json::to_value(one).ok())
        .filter_map(|one| Some(one.as_object()?.keys().next()?.clone()))
        .map(|name| format!("<a href=\"#scheme-{0}\">{0}</a>", escape(&name)))
        .collect();
    if !tokens.is_empty() {
        html.push_str(&format!("<p>Wants {}.</p>", tokens.join(" or ")));
    }
    let parameters: String = operation
        .parameters
        .iter()
        .flatten()
        .map(parameter_row)
        .collect();
    if !parameters.is_empty() {
        html.push_str(&format!("<h4>Parameters</h4><table>{parameters}</table>"));
    }
    if let Some(RefOr::T(body)) = &operation.request_body {
        html.push_str("<h4>Body</h4>");
        html.push_str(&prose(body.description.as_deref().unwrap_or_default()));
        body.content
            .iter()
            .for_each(|(kind, content)| html.push_str(&content_of(kind, content)));
    }
    html.push_str("<h4>Answers</h4>");
    for (status, response) in &operation.responses.responses {
        if let RefOr::T(response) = response {
            html.push_str(&answer(status, response));
        }
    }
    html.push_str("</article>");
    html
}

fn parameter_row(parameter: &RefOr<Parameter>) -> String {
    let RefOr::T(parameter) = parameter else {
        return String::new();
    };
    let place = match parameter.parameter_in {
        ParameterIn::Path => "path",
        ParameterIn::Query | ParameterIn::QueryString => "query",
        ParameterIn::Header => "header",
        ParameterIn::Cookie => "cookie",
    };
    let needed = match parameter.required {
        Required::True => ", required",
        Required::False => "",
    };
    let kind = parameter
        .schema
        .as_ref()
        .map(schema::kind)
        .unwrap_or_default();
    let about = words(parameter.description.as_deref().unwrap_or_default());
    let name = escape(&parameter.name);
    format!(
        "<tr><th><code>{name}</code><br><small>{place}{needed}</small></th><td>{kind}<br>{about}</td></tr>"
    )
}

fn answer(status: &str, response: &Response) -> String {
    let about = words(&response.description);
    let mut html = format!(
        "<details><summary><b>{}</b> {about}</summary>",
        escape(status)
    );
    let headers: String = response
        .headers
        .iter()
        .map(|(name, header)| {
            let about = match header {
                RefOr::T(header) => header.description.as_deref().unwrap_or_default(),
                RefOr::Ref(_) => "",
            };
            format!(
                "<tr><th><code>{}</code></th><td>{}</td></tr>",
                escape(name),
                words(about)
            )
        })
        .collect();
    if !headers.is_empty() {
        html.push_str(&format!("<table>{headers}</table>"));
    }
    response
        .content
        .iter()
        .for_each(|(kind, content)| html.push_str(&content_of(kind, content)));
    html.push_str("</details>");
    html
}

fn content_of(kind: &str, content: &RefOr<Content>) -> String {
    let RefOr::T(content) = content else {
        return String::new();
    };
    let shape = content
        .schema
        .as_ref()
        .map(schema::kind)
        .unwrap_or_default();
    let mut html = format!("<p><code>{}</code> {shape}</p>", escape(kind));
    let named = content
        .examples
        .iter()
        .filter_map(|(name, example)| match example {
            RefOr::T(example) => Some((Some(name), example.value.as_ref()?)),
            RefOr::Ref(_) => None,
        });
    for (name, example) in content
        .example
        .iter()
        .map(|example| (None, example))
        .chain(named)
    {
        if let Some(name) = name {
            html.push_str(&format!("<p><code>{}</code></p>", escape(name)));
        }
        let example = serde_json::to_string_pretty(example).unwrap_or_default();
        html.push_str(&format!("<pre>{}</pre>", escape(&example)));
    }
    html
}

fn scheme_row(name: &str, scheme: &RefOr<SecurityScheme>) -> String {
    let scheme = serde_json::to_value(scheme).unwrap_or_default();
    let text = |field: &str| scheme.get(field).and_then(serde_json::Value::as_str);
    let place = match text("name") {
        Some(header) => format!("header <code>{}</code>", escape(header)),
        None => "<code>Authorization: Bearer …</code>".to_owned(),
    };
    let about = words(text("description").unwrap_or_default());
    let name = escape(name);
    format!("<tr id=\"scheme-{name}\"><th><code>{name}</code></th><td>{place}<br>{about}</td></tr>")
}
