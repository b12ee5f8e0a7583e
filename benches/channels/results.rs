use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use crate::chart;
use crate::machine;
use crate::size::Size;

#[derive(Debug, Clone, Serialize)]
pub struct Row {
    figure: String,
    target: String,
    measured: String,
    /// `None` without a target.
    met: Option<bool>,
    note: String,
}

impl Row {
    pub fn new(figure: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            figure: figure.into(),
            target: String::new(),
            measured: measured.into(),
            met: None,
            note: String::new(),
        }
    }

    pub fn against(mut self, target: impl Into<String>, met: bool) -> Self {
        self.target = target.into();
        self.met = Some(met);
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn line(&self) -> String {
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        format!(
            "| {} | {} | {} | {met} | {} |",
            self.figure, self.target, self.measured, self.note
        )
    }
}

#[derive(Debug, Default, Serialize)]
pub struct Part {
    rows: Vec<Row>,
    pub samples: Value,
}

impl Part {
    /// Adds a row and prints it.
    pub fn row(&mut self, row: Row) {
        println!("{}", row.line());
        self.rows.push(row);
    }
}

pub struct Results {
    machine: Value,
    parts: Vec<(&'static str, Part)>,
    folder: Option<PathBuf>,
}

impl Results {
    pub fn new(size: &Size) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        Self {
            machine: machine::describe(),
            parts: Vec::new(),
            folder: size.is_whole().then_some(root),
        }
    }

    pub fn machine(&self) -> String {
        machine::line(&self.machine)
    }

    /// Adds a finished part and writes the file.
    pub fn add(&mut self, name: &'static str, part: Part) {
        self.parts.push((name, part));
        self.write();
    }

    pub fn finish(&self) {
        println!("\n{}\n", self.machine());
        println!("| figure | target | measured | met | |\n|---|---|---|---|---|");
        for row in self.parts.iter().flat_map(|(_, part)| &part.rows) {
            println!("{}", row.line());
        }
    }

    /// Keeps the other parts of the day's file.
    fn write(&self) {
        let Some(root) = &self.folder else {
            return;
        };
        let folder = root.join("benches/results");
        std::fs::create_dir_all(&folder).expect("a folder");
        let date = chrono::Utc::now().format("%Y-%m-%d").to_string();
        let file = folder.join(format!("{date}.json"));
        let earlier = std::fs::read(&file).ok();
        let earlier: Option<Value> = earlier.and_then(|text| serde_json::from_slice(&text).ok());
        let mut all = earlier.unwrap_or_else(|| json!({ "date": date, "parts": {} }));
        for (name, part) in &self.parts {
            let mut part = serde_json::to_value(part).expect("JSON");
            part["machine"] = self.machine.clone();
            all["parts"][*name] = part;
        }
        let text = serde_json::to_string_pretty(&all).expect("JSON");
        std::fs::write(&file, text + "\n").expect("a file");
        if let Some(steps) = all["parts"]["held"]["samples"]["steps"].as_array() {
            let drawn = chart::draw(steps, &self.machine());
            std::fs::write(root.join("docs/performance.svg"), drawn).expect("a file");
        }
    }
}

pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * percent / 100.0).ceil() as usize;
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
