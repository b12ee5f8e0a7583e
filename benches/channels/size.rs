//! How much is measured: what the environment says.

use std::time::Duration;

/// How many relays the figures are about.
const WHOLE: usize = 10_000;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Size {
    /// Relays held at once.
    pub channels: usize,
    /// How long they are held.
    pub hold: Duration,
    /// The parts that run; none: all.
    parts: Vec<String>,
}

impl Size {
    /// As the environment tells.
    pub fn told() -> Self {
        let number = |name: &str| {
            let told = std::env::var(name).ok();
            told.map(|text| text.parse::<usize>().expect("a number"))
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

    /// Whether it is the whole, or a try.
    pub fn is_whole(&self) -> bool {
        self.channels >= WHOLE
    }

    /// Whether this part runs.
    pub fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    /// The numbers of relays at which the ramp stops to be looked at; the last is all of them.
    pub fn steps(&self) -> Vec<usize> {
        if let Ok(told) = std::env::var("RELAYKEEPER_STEPS") {
            let told = told.split(',').map(|step| step.trim().parse());
            let mut steps: Vec<usize> = told.collect::<Result<_, _>>().expect("numbers");
            steps.push(self.channels);
            steps.sort_unstable();
            steps.dedup();
            return steps;
        }
        let parts = [100, 10, 4, 2, 1];
        let mut steps: Vec<usize> = parts.iter().map(|part| self.channels / part).collect();
        if self.is_whole() {
            // The memory of a relay is told between these.
            steps.push(1000);
        }
        steps.retain(|step| *step > 0);
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// The first, or in a try the second.
    pub fn or<T>(&self, whole: T, short: T) -> T {
        if self.is_whole() { whole } else { short }
    }
}
