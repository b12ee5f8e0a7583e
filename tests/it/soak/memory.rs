//! The memory of a process, from `/proc`.

pub(super) const RESIDENT: &str = "VmRSS:";
pub(super) const PEAK: &str = "VmHWM:";

/// In KiB; `None` where there is no `/proc`.
pub(super) fn of(process: u32, which: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(which))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
