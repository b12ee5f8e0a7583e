//! A request, the relay's work and the vendor calls that follow form one trace. With the feature `otlp` and
//! `telemetry.otlp_endpoint` traces are exported; otherwise only the caller's trace id is logged.
//!
//! `traceparent` (W3C Trace Context) is accepted from callers, and sent to vendors only while traces are exported.

#[cfg(feature = "otlp")]
mod otlp;

use tracing::Span;

#[cfg(feature = "otlp")]
pub use otlp::{Exporter, ExporterError};

#[cfg(feature = "otlp")]
pub(crate) fn traced(request: reqwest::RequestBuilder, span: &Span) -> reqwest::RequestBuilder {
    otlp::inject(request, span)
}

#[cfg(not(feature = "otlp"))]
pub(crate) fn traced(request: reqwest::RequestBuilder, _: &Span) -> reqwest::RequestBuilder {
    request
}

pub(crate) fn adopt(span: &Span, parent: &str) {
    if let Some(trace_id) = trace_id(parent) {
        span.record("trace_id", trace_id);
        #[cfg(feature = "otlp")]
        otlp::adopt(span, parent);
    }
}

/// Version, 32 hexadecimal digits not all 0, 16 such digits, flags.
fn trace_id(parent: &str) -> Option<&str> {
    let is_hex = |text: &str, digits: usize| {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        text.len() == digits && text.bytes().all(hex)
    };
    let is_id = |text: &str, digits| is_hex(text, digits) && text.bytes().any(|byte| byte != b'0');
    let mut parts = parent.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = parts.next()?;
    let well_formed = is_hex(version, 2) && version != "ff" && is_hex(flags, 2);
    // Later versions may append fields.
    let whole = version != "00" || parts.next().is_none();
    (well_formed && whole && is_id(trace, 32) && is_id(span, 16)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_names_a_trace() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let zeros = "0".repeat(32);
        assert_eq!(
            trace_id(&format!("00-{TRACE}-00f067aa0ba902b7-01")),
            Some(TRACE)
        );
        assert_eq!(
            trace_id(&format!("01-{TRACE}-00f067aa0ba902b7-01-more")),
            Some(TRACE)
        );
        for odd in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{zeros}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{TRACE}\"-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(trace_id(&odd), None, "{odd}");
        }
    }
}
