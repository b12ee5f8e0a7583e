//! Draws `docs/performance.svg`.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 56.0;
const BELOW: f64 = 84.0;
const COLOURS: [&str; 4] = ["#0b6bcb", "#c2410c", "#15803d", "#7c3aed"];

struct Line {
    name: &'static str,
    /// The JSON pointer of the value in a step.
    at: &'static str,
    /// The factor of the values.
    by: f64,
}

const fn line(name: &'static str, at: &'static str, by: f64) -> Line {
    Line { name, at, by }
}

pub fn draw(steps: &[Value], machine: &str) -> String {
    let panels: [(&str, &[Line]); 3] = [
        (
            "Resident memory, MiB",
            &[
                line("after a restart", "/resident_kib", 1.0 / 1024.0),
                line("after the ramp", "/resident_kib_ramped", 1.0 / 1024.0),
            ],
        ),
        (
            "Calls to vendors a second",
            &[
                line("customer host", "/calls_per_second/customer", 1.0),
                line("Media Push", "/calls_per_second/media_push", 1.0),
                line("channel hosts", "/calls_per_second/hosts", 1.0),
                line("Cloudflare API", "/calls_per_second/cloudflare", 1.0),
            ],
        ),
        (
            "GET /v1/channels/{id}, ms",
            &[
                line("p50", "/read_p50_ms", 1.0),
                line("p99", "/read_p99_ms", 1.0),
                line("p99, first in 30 s", "/first_read_p99_ms", 1.0),
            ],
        ),
    ];
    let (wide, high) = (3.0 * (WIDTH + LEFT) + 24.0, TOP + HEIGHT + BELOW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <title>What live channels cost</title>\n\
         <rect width=\"{wide}\" height=\"{high}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"18\" fill=\"#444444\">At the default quotas. {}</text>\n",
        escaped(machine)
    );
    for (place, (title, lines)) in panels.iter().enumerate() {
        let left = place as f64 * (WIDTH + LEFT) + LEFT;
        panel(&mut svg, left, title, lines, steps);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, left: f64, title: &str, lines: &[Line], steps: &[Value]) {
    let number = |step: &Value, at: &str| step.pointer(at).and_then(Value::as_f64).unwrap_or(0.0);
    let widest = most(steps.iter().map(|step| number(step, "/relays")));
    let values = lines
        .iter()
        .flat_map(|line| steps.iter().map(|step| number(step, line.at) * line.by));
    let highest = nice(most(values));
    let x = |relays: f64| left + relays / widest * (WIDTH - 20.0);
    let y = |value: f64| TOP + HEIGHT - value / highest * HEIGHT;
    text(svg, left, TOP - 12.0, "start", "#111111", title);
    for part in 0..=4 {
        let value = highest * f64::from(part) / 4.0;
        let (at, right) = (y(value), left + WIDTH - 20.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{left:.1}\" y1=\"{at:.1}\" x2=\"{right:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>"
        );
        text(svg, left - 6.0, at + 4.0, "end", "#444444", &short(value));
        let relays = widest * f64::from(part) / 4.0;
        let below = TOP + HEIGHT + 16.0;
        text(svg, x(relays), below, "middle", "#444444", &short(relays));
    }
    let middle = left + (WIDTH - 20.0) / 2.0;
    text(
        svg,
        middle,
        TOP + HEIGHT + 32.0,
        "middle",
        "#444444",
        "live channels",
    );
    for (place, (line, colour)) in lines.iter().zip(COLOURS).enumerate() {
        let points: Vec<String> = steps
            .iter()
            .map(|step| {
                let value = number(step, line.at) * line.by;
                format!("{:.1},{:.1}", x(number(step, "/relays")), y(value))
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for point in points {
            let (x, y) = point.split_once(',').expect("a point");
            let _ = writeln!(
                svg,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let (row, column) = ((place / 2) as f64, (place % 2) as f64);
        let (at, below) = (left + column * 130.0, TOP + HEIGHT + 52.0 + row * 16.0);
        text(svg, at, below, "start", colour, &format!("● {}", line.name));
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, what: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{}</text>",
        escaped(what)
    );
}

fn most(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max).max(f64::MIN_POSITIVE)
}

/// Rounds up to one significant digit.
fn nice(value: f64) -> f64 {
    let digit = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let above = steps.into_iter().find(|step| step * digit >= value);
    above.unwrap_or(10.0) * digit
}

fn short(value: f64) -> String {
    if value >= 10.0 || value == value.trunc() {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
