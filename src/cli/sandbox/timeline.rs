//! Prints the demo's journal entries as they occur, with a progress bar on a terminal.

use std::time::Duration;

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use relaykeeper::actors::view::in_words;
use serde_json::Value;

const STEPS: u64 = 8;

pub(super) struct Timeline {
    began: Option<DateTime<Utc>>,
    phases: Vec<String>,
    progress: ProgressBar,
}

#[allow(clippy::print_stdout, reason = "the command's output")]
impl Timeline {
    pub(super) fn begin(title: &str) -> Self {
        println!("{title}\n");
        // Drawn on standard error, on terminals only.
        let progress = ProgressBar::new(STEPS);
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {bar:32} {pos}/{len} {msg}") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(100));
        Self {
            began: None,
            phases: Vec::new(),
            progress,
        }
    }

    pub(super) fn tell(&mut self, event: &Value) {
        let at = event
            .get("at")
            .and_then(Value::as_str)
            .and_then(|at| at.parse().ok());
        self.began = self.began.or(at);
        let phase = event
            .get("phase")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if self.phases.last() != Some(&phase) {
            self.progress.inc(1);
            self.progress.set_message(phase.clone());
            self.phases.push(phase.clone());
        }
        self.line(at.unwrap_or_else(Utc::now), &phase, &words(event));
    }

    /// Prints an action of the demo itself.
    pub(super) fn say(&self, what: &str) {
        self.line(Utc::now(), "", &format!("→ {what}"));
    }

    fn line(&self, at: DateTime<Utc>, phase: &str, what: &str) {
        let since = (at - self.began.unwrap_or(at)).num_milliseconds().max(0);
        let (seconds, tenths) = (since / 1000, since % 1000 / 100);
        self.progress
            .suspend(|| println!("  {seconds:>3}.{tenths} s  {phase:<13}  {what}"));
    }

    pub(super) fn phases(&self) -> &[String] {
        &self.phases
    }

    pub(super) fn close(&self) {
        self.progress.finish_and_clear();
    }

    pub(super) fn sum_up(&self, results: &[(&str, String)]) {
        println!();
        for (name, value) in results {
            println!("  {name:<12} {value}");
        }
    }
}

fn words(event: &Value) -> String {
    let kind = event
        .get("event")
        .and_then(Value::as_str)
        .unwrap_or_default();
    in_words(kind, event.get("data").unwrap_or(&Value::Null))
}
