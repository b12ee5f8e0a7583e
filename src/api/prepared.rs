//! Static responses, compressed once and shared by all connections.

use std::io::Write as _;

use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;

#[derive(Debug)]
pub(super) struct Prepared {
    kind: &'static str,
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl Prepared {
    /// `kind` is the media type.
    pub(super) fn new(kind: &'static str, text: &'static str) -> Self {
        let plain = Bytes::from_static(text.as_bytes());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish());
        let gzip = gzip.ok().filter(|gzip| gzip.len() < plain.len());
        Self {
            kind,
            plain,
            gzip: gzip.map(Bytes::from),
        }
    }

    pub(super) fn answer(&self, request: &HttpRequest) -> HttpResponse {
        self.answer_with(request, HttpResponse::Ok())
    }

    pub(super) fn answer_with(
        &self,
        request: &HttpRequest,
        mut answer: HttpResponseBuilder,
    ) -> HttpResponse {
        answer
            .insert_header((CONTENT_TYPE, self.kind))
            .insert_header((VARY, HeaderValue::from_static("Accept-Encoding")));
        match &self.gzip {
            Some(gzip) if takes_gzip(request.headers()) => answer
                .insert_header((CONTENT_ENCODING, "gzip"))
                .body(gzip.clone()),
            _ => answer.body(self.plain.clone()),
        }
    }
}

/// RFC 9110 §12.5.3. A weight of 0 means "not gzip".
fn takes_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(ACCEPT_ENCODING);
    given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_gzip = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            is_gzip && weight.is_none_or(|weight| weight.parse().is_ok_and(|q: f32| q > 0.0))
        })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_sent_only_to_clients_that_accept_it() {
        let takes = |value: &str| {
            let request = TestRequest::get().insert_header((ACCEPT_ENCODING, value));
            takes_gzip(request.to_http_request().headers())
        };
        for yes in ["gzip", "br, GZIP", "deflate, gzip;q=0.5", "gzip; q=1"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip;q=0.000", "gzip;q=x", "xgzip"] {
            assert!(!takes(no), "{no}");
        }
    }
}
