//! `/docs`: the OpenAPI document, shown by the vendored OpenAPI Explorer (`src/api/docs/README.md`). The page loads
//! nothing from other hosts.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use actix_web::{HttpRequest, HttpResponse};

use super::prepared::Prepared;
use super::routes::Routes;

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/openapi-explorer.min.js");
/// The explorer writes `<style>` elements and attributes.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes
        .reads("/docs", page)
        .reads("/docs/openapi-explorer.js", script);
}

/// API documentation
#[utoipa::path(
    get, path = "/docs", tag = "documentation", operation_id = "docs",
    responses((status = 200, body = String, content_type = "text/html", description = "The page.")),
)]
pub(super) async fn page(request: HttpRequest) -> HttpResponse {
    static PREPARED: LazyLock<Prepared> =
        LazyLock::new(|| Prepared::new("text/html; charset=utf-8", PAGE));
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((CACHE_CONTROL, "max-age=60"));
    PREPARED.answer_with(&request, answer)
}

/// The page's script
#[utoipa::path(
    get, path = "/docs/openapi-explorer.js", tag = "documentation", operation_id = "docsScript",
    responses((status = 200, body = String, content_type = "text/javascript", description = "JavaScript.")),
)]
pub(super) async fn script(request: HttpRequest) -> HttpResponse {
    static PREPARED: LazyLock<Prepared> =
        LazyLock::new(|| Prepared::new("text/javascript; charset=utf-8", SCRIPT));
    let mut answer = HttpResponse::Ok();
    // The script's URL contains its version.
    answer.insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    PREPARED.answer_with(&request, answer)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_script_is_the_published_one_and_the_page_asks_for_its_version() {
        let about = include_str!("docs/README.md");
        let digest = hex::encode(Sha256::digest(SCRIPT));
        assert!(about.contains(&digest), "{digest}");
        let version = SCRIPT.split("OpenAPI Explorer ").nth(1).unwrap();
        let version = version.split(' ').next().unwrap();
        assert!(about.contains(&format!("openapi-explorer@{version}")));
        let link = format!("src=\"/docs/openapi-explorer.js?{version}\"");
        assert!(PAGE.contains(&link), "{link}");
    }
}
