//! Chart geometry: percent horizontally, so that charts scale and text does not; pixels vertically, from the top.

use std::fmt;

pub(super) const HEIGHT: u64 = 160;
const MAX_LABELS: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Percent(u64);

impl Percent {
    /// `part` of `whole`, at most 100 %.
    pub(super) fn of(part: u64, whole: u64) -> Self {
        Self(part.saturating_mul(10_000) / whole.max(1)).min(Self(10_000))
    }

    pub(super) fn to(self, end: Self) -> Self {
        Self(end.0.saturating_sub(self.0))
    }

    pub(super) fn is_at_least(self, percent: u64) -> bool {
        self.0 >= percent * 100
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

pub(super) struct GridLine {
    pub(super) y: u64,
    pub(super) label: String,
}

pub(super) struct BarStack {
    pub(super) label: String,
    /// Class, title and value, from the bottom up.
    pub(super) parts: Vec<(&'static str, String, u64)>,
}

pub(super) struct BarPart {
    pub(super) class: &'static str,
    pub(super) y: u64,
    pub(super) height: u64,
    pub(super) title: String,
}

pub(super) struct ChartColumn {
    pub(super) x: Percent,
    pub(super) middle: Percent,
    pub(super) width: Percent,
    /// Empty where space is short.
    pub(super) label: String,
    pub(super) parts: Vec<BarPart>,
}

pub(super) struct BarChart {
    pub(super) columns: Vec<ChartColumn>,
    pub(super) grid: Vec<GridLine>,
}

pub(super) fn bar_chart(stacks: Vec<BarStack>, format: impl Fn(u64) -> String) -> BarChart {
    let height = |stack: &BarStack| stack.parts.iter().map(|part| part.2).sum::<u64>();
    let top = round_up(stacks.iter().map(height).max().unwrap_or_default());
    let count = stacks.len();
    let column = |(index, stack): (usize, BarStack)| {
        let mut sum = 0;
        let parts = stack.parts.into_iter().filter(|part| part.2 > 0);
        let parts = parts.map(|(class, title, value)| {
            let bottom = down(sum, top);
            sum += value;
            let y = down(sum, top).min(bottom.saturating_sub(1));
            BarPart {
                class,
                y,
                height: bottom - y,
                title,
            }
        });
        ChartColumn {
            x: across(index * 10 + 2, count),
            middle: across(index * 10 + 5, count),
            width: across(6, count),
            parts: parts.collect(),
            label: label(stack.label, index, count),
        }
    };
    BarChart {
        columns: stacks.into_iter().enumerate().map(column).collect(),
        grid: grid(top, format),
    }
}

pub(super) struct ChartPoint {
    pub(super) x: Percent,
    pub(super) y: u64,
    pub(super) title: String,
}

pub(super) struct LineSegment {
    pub(super) from: (Percent, u64),
    pub(super) to: (Percent, u64),
}

pub(super) struct ChartLine {
    pub(super) class: &'static str,
    pub(super) points: Vec<ChartPoint>,
    pub(super) segments: Vec<LineSegment>,
}

pub(super) struct LineChart {
    pub(super) lines: Vec<ChartLine>,
    pub(super) grid: Vec<GridLine>,
    pub(super) labels: Vec<(Percent, String)>,
}

/// Each row is a line: its class, its name and its values. `None` is a gap that the line bridges.
pub(super) fn line_chart(
    labels: &[String],
    rows: &[(&'static str, &'static str, Vec<Option<u64>>)],
    format: impl Fn(u64) -> String,
) -> LineChart {
    let numbers = rows.iter().flat_map(|row| row.2.iter().flatten());
    let top = round_up(numbers.max().copied().unwrap_or_default());
    let count = labels.len();
    let line = |(class, name, numbers): &(&'static str, &'static str, Vec<Option<u64>>)| {
        let at = |index: usize| across(index * 10 + 5, count);
        let known = numbers.iter().zip(labels).enumerate();
        let known = known.filter_map(|(index, (number, label))| number.map(|n| (index, n, label)));
        let points: Vec<ChartPoint> = known
            .map(|(index, number, label)| ChartPoint {
                x: at(index),
                y: down(number, top),
                title: format!("{label}: {name} {}", format(number)),
            })
            .collect();
        let pairs = points.iter().zip(points.iter().skip(1));
        let segments = pairs.map(|(from, to)| LineSegment {
            from: (from.x, from.y),
            to: (to.x, to.y),
        });
        let segments = segments.collect();
        ChartLine {
            class,
            points,
            segments,
        }
    };
    let below = labels.iter().enumerate();
    let below = below.map(|(index, text)| {
        let text = label(text.clone(), index, count);
        (across(index * 10 + 5, count), text)
    });
    LineChart {
        lines: rows.iter().map(line).collect(),
        labels: below.filter(|(_, text)| !text.is_empty()).collect(),
        grid: grid(top, format),
    }
}

/// A position in tenths of a column.
fn across(tenths: usize, columns: usize) -> Percent {
    let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    Percent::of(number(tenths), number(columns * 10))
}

fn down(value: u64, top: u64) -> u64 {
    HEIGHT - (value.saturating_mul(HEIGHT) / top.max(1)).min(HEIGHT)
}

fn grid(top: u64, format: impl Fn(u64) -> String) -> Vec<GridLine> {
    let line = |value| GridLine {
        y: down(value, top),
        label: format(value),
    };
    match top {
        0 => Vec::new(),
        _ => vec![line(top), line(top / 2)],
    }
}

fn label(text: String, index: usize, count: usize) -> String {
    let every = count.div_ceil(MAX_LABELS).max(1);
    let from_the_end = count.saturating_sub(index + 1);
    if from_the_end.is_multiple_of(every) {
        text
    } else {
        String::new()
    }
}

/// 0, 2, 4, 10, 20, 40, 100, …: the half is round too.
fn round_up(value: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    let mut step = 1_u64;
    loop {
        for times in [2, 4, 10] {
            let top = step.saturating_mul(times);
            if top >= value {
                return top;
            }
        }
        step = step.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(values: &[u64]) -> BarStack {
        BarStack {
            label: "22".into(),
            parts: values.iter().map(|v| ("", String::new(), *v)).collect(),
        }
    }

    #[test]
    fn a_bars_parts_are_stacked_and_fill_their_share_of_the_height() {
        let bars = bar_chart(vec![stack(&[5, 5]), stack(&[0, 1])], |n| n.to_string());
        let parts = |index: usize| -> Vec<(u64, u64)> {
            let column = &bars.columns[index];
            column.parts.iter().map(|p| (p.y, p.height)).collect()
        };
        assert_eq!(parts(0), [(80, 80), (0, 80)]);
        assert_eq!(parts(1), [(144, 16)]);
        assert_eq!(bars.grid[0].label, "10");
    }

    #[test]
    fn a_small_part_of_a_high_bar_is_visible() {
        let bars = bar_chart(vec![stack(&[100_000, 1])], |n| n.to_string());
        assert!(bars.columns[0].parts.iter().all(|part| part.height >= 1));
    }

    #[test]
    fn a_missing_number_is_a_gap_that_the_line_bridges() {
        let labels = ["a", "b", "c"].map(str::to_owned);
        let lines = line_chart(
            &labels,
            &[("", "median", vec![Some(1), None, Some(2)])],
            |n| n.to_string(),
        );
        assert_eq!(
            (lines.lines[0].points.len(), lines.lines[0].segments.len()),
            (2, 1)
        );
        assert_eq!(lines.lines[0].points[1].y, 0);
    }

    #[test]
    fn charts_of_nothing_and_of_huge_values_stay_within_bounds() {
        assert_eq!(Percent::of(5, 0).to_string(), "100.00%");
        assert_eq!(Percent::of(1, 3).to_string(), "33.33%");
        assert_eq!(bar_chart(Vec::new(), |n| n.to_string()).columns.len(), 0);
        assert!(round_up(u64::MAX) == u64::MAX);
        let zeros = bar_chart(vec![stack(&[0])], |n| n.to_string());
        assert!(zeros.grid.is_empty(), "the axis invents no scale");
    }
}
