//! What callers and vendors say is bounded wherever it is logged or counted: a line has a length, and refusals a number.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use parking_lot::Mutex;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

/// The longest line of the log, in bytes.
const LINE: usize = 16 * 1024;
/// The longest text in a JSON line that was longer.
const TEXT: usize = 500;
/// Answers to refused requests, and to those without a valid token, that are logged at INFO in a second; the others are logged at
/// DEBUG, and all are counted.
const UNPROVEN_A_SECOND: u32 = 50;

/// A request's method: one of a closed list, as a caller may make up any.
pub(super) fn method(method: &Method) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = METHODS.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("other")
}

/// Counts the answers of a second that anyone can cause.
pub(super) struct Budget(Mutex<Option<(Instant, u32)>>);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether one more of them is logged at INFO.
    pub(super) fn is_logged(&self, now: Instant) -> bool {
        let mut second = self.0.lock();
        let (began, count) = second
            .filter(|(began, _)| now.duration_since(*began) < Duration::from_secs(1))
            .unwrap_or((now, 0));
        *second = Some((began, count.saturating_add(1)));
        count < UNPROVEN_A_SECOND
    }
}

/// Writers of lines that are never too long.
pub(super) struct Bounded<M>(pub(super) M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Bounded<M> {
    type Writer = BoundedLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        BoundedLine(self.0.make_writer())
    }

    fn make_writer_for(&'a self, about: &tracing::Metadata<'_>) -> Self::Writer {
        BoundedLine(self.0.make_writer_for(about))
    }
}

/// Writes one line: the subscriber hands it over as a whole.
pub(super) struct BoundedLine<W>(W);

impl<W: Write> Write for BoundedLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= LINE {
            self.0.write_all(line)?;
        } else {
            self.0.write_all(shortened(line).as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A line that is too long, without a part of its texts. A line of JSON stays JSON.
fn shortened(line: &[u8]) -> String {
    let json = serde_json::from_slice(line).ok().map(|mut line: Value| {
        shorten_texts(&mut line);
        format!("{line}\n")
    });
    json.filter(|line| line.len() <= LINE).unwrap_or_else(|| {
        let kept = line.get(..TEXT).unwrap_or(line);
        let kept = String::from_utf8_lossy(kept);
        format!("{kept}… ({} bytes in all)\n", line.len())
    })
}

fn shorten_texts(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > TEXT => {
            let kept: String = text.chars().take(TEXT).collect();
            *text = format!("{kept}… ({} bytes in all)", text.len());
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_texts),
        Value::Object(fields) => fields.values_mut().for_each(shorten_texts),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str) -> String {
        let mut out = Vec::new();
        BoundedLine(&mut out).write_all(line.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_one_of_json_stays_json() {
        let usual = "a line\n";
        assert_eq!(written(usual), usual);
        let cut = written(&format!("{}\n", "é".repeat(LINE)));
        assert!(
            cut.len() < 2 * TEXT && cut.ends_with("bytes in all)\n"),
            "{cut}"
        );
        let long = "x".repeat(10 * LINE);
        let line = format!("{{\"level\":\"INFO\",\"span\":{{\"method\":\"{long}\"}}}}\n");
        let cut = written(&line);
        assert!(cut.len() < 2 * TEXT && cut.ends_with("}\n"), "{cut}");
        let cut: Value = serde_json::from_str(&cut).unwrap();
        assert_eq!(cut["level"], "INFO");
    }

    #[test]
    fn so_many_answers_of_a_second_are_logged() {
        let budget = Budget::new();
        let now = Instant::now();
        let logged = (0..1000).filter(|_| budget.is_logged(now)).count();
        assert_eq!(logged, 50);
        assert!(budget.is_logged(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_method_nobody_knows_is_other() {
        assert_eq!(method(&Method::GET), "GET");
        let made_up = Method::from_bytes("X".repeat(10_000).as_bytes()).unwrap();
        assert_eq!(method(&made_up), "other");
    }
}
