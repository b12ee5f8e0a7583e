//! Limits the length of log lines, whatever callers and vendors send.

use std::io::{self, Write};

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

/// In bytes.
const LINE: usize = 16 * 1024;
/// The longest text in a shortened JSON line, in bytes.
const TEXT: usize = 500;

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

/// The subscriber hands over whole lines.
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

/// JSON stays valid JSON.
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
}
