//! What the kernel knows of a process: processor time and memory. And ending one.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The processor time a process has used, in seconds (`/proc/<pid>/stat`, whole hundredths).
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum();
    ticks as f64 / 100.0
}

/// The resident memory of a process, in KiB (`/proc/<pid>/status`).
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("a figure").parse().expect("a number")
}

/// What part of one core a process uses, from here on.
pub struct Used {
    pid: u32,
    since: Instant,
    cpu: f64,
}

impl Used {
    /// By this process, from now on.
    pub fn by(pid: u32) -> Self {
        Self {
            pid,
            since: Instant::now(),
            cpu: cpu_seconds(pid),
        }
    }

    /// The part of one core since then, in percent.
    pub fn percent(&self) -> f64 {
        self.seconds() / self.since.elapsed().as_secs_f64() * 100.0
    }

    /// Processor time since then, in seconds.
    pub fn seconds(&self) -> f64 {
        cpu_seconds(self.pid) - self.cpu
    }
}

/// Asks a process to go, as a deployment does, and waits until it has; how long that took.
pub fn terminate(child: &mut Child) -> Duration {
    let began = Instant::now();
    let told = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(told.is_ok_and(|status| status.success()), "it is there");
    let _ = child.wait();
    began.elapsed()
}

/// Ends a process without a warning, as a crash does.
pub fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
