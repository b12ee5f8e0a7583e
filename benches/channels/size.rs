//! The size of a run, from environment variables.

use std::time::Duration;

const WHOLE: usize = 10_000;

#[derive(Debug, Clone)]
pub struct Size {
    pub channels: usize,
    pub hold: Duration,
    /// Empty: all.
    parts: Vec<String>,
}

impl Size {
    pub fn from_env() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok();
            text.map(|text| text.parse::<usize>().expect("a number"))
        };
        let channels = number("RELAYKEEPER_CHANNELS").unwrap_or(WHOLE);
        let usual = if channels < WHOLE { 15 } else { 600 };
        let hold = number("RELAYKEEPER_HOLD_SECONDS").unwrap_or(usual);
        let parts = std::env::var("RELAYKEEPER_PARTS").unwrap_or_default();
        let parts = parts.split(',').map(str::trim);
        Self {
            channels,
            hold: Duration::from_secs(hold as u64),
            parts: parts
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    pub fn is_whole(&self) -> bool {
        self.channels >= WHOLE
    }

    pub fn includes(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    /// The numbers of relays; the last is `channels`.
    pub fn steps(&self) -> Vec<usize> {
        if let Ok(text) = std::env::var("RELAYKEEPER_STEPS") {
            let text = text.split(',').map(|step| step.trim().parse());
            let mut steps: Vec<usize> = text.collect::<Result<_, _>>().expect("numbers");
            steps.push(self.channels);
            steps.sort_unstable();
            steps.dedup();
            return steps;
        }
        let parts = [100, 10, 4, 2, 1];
        let mut steps: Vec<usize> = parts.iter().map(|part| self.channels / part).collect();
        if self.is_whole() {
            // Memory per relay is computed between 1,000 and the last number.
            steps.push(1000);
        }
        steps.retain(|step| *step > 0);
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// `whole` in a full run, else `short`.
    pub fn or<T>(&self, whole: T, short: T) -> T {
        if self.is_whole() { whole } else { short }
    }
}
