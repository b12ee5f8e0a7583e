//! `/docs`: the OpenAPI document as a page. Made here, on the server: it needs no network beyond this service and reads without
//! a script, which only searches.

mod render;
mod schema;
mod text;

use std::sync::LazyLock;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use actix_web::{HttpRequest, HttpResponse};

use super::openapi;
use super::prepared::Prepared;
use super::routes::Routes;

const STYLE: &str = include_str!("docs/style.css");
const SCRIPT: &str = include_str!("docs/search.js");
/// Nothing but this service's own style and script.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

static PAGE: LazyLock<String> = LazyLock::new(|| render::page(openapi::document()));

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes
        .reads("/docs", page)
        .reads("/docs/style.css", style)
        .reads("/docs/search.js", script);
}

/// This documentation as a page
#[utoipa::path(
    get, path = "/docs", tag = "documentation", operation_id = "docs",
    responses((status = 200, body = String, content_type = "text/html", description = "The page.")),
)]
pub(super) async fn page(request: HttpRequest) -> HttpResponse {
    static PREPARED: LazyLock<Prepared> =
        LazyLock::new(|| Prepared::new("text/html; charset=utf-8", &PAGE));
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"));
    PREPARED.answer_with(&request, answer)
}

/// The page's style
#[utoipa::path(
    get, path = "/docs/style.css", tag = "documentation", operation_id = "docsStyle",
    responses((status = 200, body = String, content_type = "text/css", description = "CSS.")),
)]
pub(super) async fn style(request: HttpRequest) -> HttpResponse {
    static PREPARED: LazyLock<Prepared> =
        LazyLock::new(|| Prepared::new("text/css; charset=utf-8", STYLE));
    PREPARED.answer(&request)
}

/// The page's search
#[utoipa::path(
    get, path = "/docs/search.js", tag = "documentation", operation_id = "docsScript",
    responses((status = 200, body = String, content_type = "text/javascript", description = "JavaScript.")),
)]
pub(super) async fn script(request: HttpRequest) -> HttpResponse {
    static PREPARED: LazyLock<Prepared> =
        LazyLock::new(|| Prepared::new("text/javascript; charset=utf-8", SCRIPT));
    PREPARED.answer(&request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_each_operation_and_schema_and_loads_nothing_from_elsewhere() {
        let page = PAGE.as_str();
        for item in openapi::document().paths.paths.values() {
            for operation in [&item.get, &item.post].into_iter().flatten() {
                let id = operation.operation_id.as_deref().unwrap();
                assert!(page.contains(&format!("<article id=\"{id}\">")), "{id}");
                assert!(page.contains(&format!("<a href=\"#{id}\">")), "{id}");
            }
        }
        let parts = openapi::document().components.as_ref().unwrap();
        for name in parts.schemas.keys() {
            assert!(
                page.contains(&format!("<article id=\"schema-{name}\">")),
                "{name}"
            );
        }
        for sink in [
            "<script>",
            "src=\"http",
            "href=\"http",
            "style=\"",
            "onclick",
            "@import",
            "url(",
        ] {
            assert!(!page.contains(sink) && !STYLE.contains(sink), "{sink}");
        }
    }

    #[test]
    fn each_link_within_the_page_leads_somewhere() {
        let page = PAGE.as_str();
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn text_of_the_document_is_no_html() {
        assert_eq!(
            text::words("a `<b>` & \"c\""),
            "a <code>&lt;b&gt;</code> &amp; &quot;c&quot;"
        );
    }
}
