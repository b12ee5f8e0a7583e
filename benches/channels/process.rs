use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// CPU time from `/proc/<pid>/stat`, which counts hundredths of a second.
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

/// Resident memory.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("a figure").parse().expect("a number")
}

/// Measures CPU time since its creation.
pub struct CpuMeter {
    pid: u32,
    since: Instant,
    cpu: f64,
}

impl CpuMeter {
    pub fn by(pid: u32) -> Self {
        Self {
            pid,
            since: Instant::now(),
            cpu: cpu_seconds(pid),
        }
    }

    /// Share of one core in percent.
    pub fn percent(&self) -> f64 {
        self.seconds() / self.since.elapsed().as_secs_f64() * 100.0
    }

    pub fn seconds(&self) -> f64 {
        cpu_seconds(self.pid) - self.cpu
    }
}

/// Sends SIGTERM. Returns how long the process took.
pub fn terminate(child: &mut Child) -> Duration {
    let began = Instant::now();
    let status = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "it is there");
    let _ = child.wait();
    began.elapsed()
}

pub fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
