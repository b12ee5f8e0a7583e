//! How much memory a process has, where `/proc` tells it.

/// What is in memory now.
pub(super) const RESIDENT: &str = "VmRSS:";
/// The most there ever was.
pub(super) const AT_MOST: &str = "VmHWM:";

/// In KiB; none where nobody tells.
pub(super) fn of(process: u32, which: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(which))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
