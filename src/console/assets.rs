use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use crate::api::problem::Problem;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

pub(super) async fn asset(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let (kind, text) = match name.as_str() {
        "console.css" => (
            "text/css; charset=utf-8",
            include_str!("assets/console.css"),
        ),
        "live.js" => (JAVASCRIPT, include_str!("assets/live.js")),
        "act.js" => (JAVASCRIPT, include_str!("assets/act.js")),
        "icon.svg" => ("image/svg+xml", include_str!("assets/icon.svg")),
        _ => return Err(Problem::not_found("No such file.")),
    };
    // Short: updated pages must not run old scripts for long.
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CACHE_CONTROL, "max-age=60"))
        .body(text))
}
