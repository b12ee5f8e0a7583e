use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::usage::cpu_seconds;

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
