use std::process::Command;

use serde_json::{Value, json};

pub fn describe() -> Value {
    json!({
        "processor": processor(),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "memory_gib": memory_gib(),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "rustc": rustc(),
        "load_before": read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
    })
}

pub fn line(machine: &Value) -> String {
    let text = |key: &str| machine[key].as_str().unwrap_or("unknown").to_owned();
    format!(
        "{}, {} cores, {} GiB, Linux {}, {}; load before: {}",
        text("processor"),
        machine["cores"],
        machine["memory_gib"],
        text("kernel"),
        text("rustc"),
        text("load_before")
    )
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let model = text.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1));
    model.unwrap_or("unknown").to_owned()
}

fn memory_gib() -> u64 {
    let text = read("/proc/meminfo");
    let total = text.lines().next().unwrap_or_default();
    let kib = total
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok());
    kib.unwrap_or(0u64) / (1024 * 1024)
}

fn rustc() -> String {
    let asked = Command::new("rustc").arg("--version").output();
    let version = asked.map(|asked| String::from_utf8_lossy(&asked.stdout).trim().to_owned());
    let version = version.unwrap_or_default();
    version.split(" (").next().unwrap_or("rustc").to_owned()
}

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}
