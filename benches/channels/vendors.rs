//! The simulated vendors in a process of their own, so that their cost is not counted: this binary, controlled by lines of
//! JSON. It adds up the calls itself: there are hundreds of thousands.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, Utc};
use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors, WorldSnapshot};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::support::service::webhooks;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limits {
    /// As documented, except for the number of egresses.
    Documented,
    Raised,
}

/// In simulated milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VendorsConfig {
    pub speed: f64,
    pub limits: Limits,
    pub create_ms: u64,
    pub acquire_ms: u64,
    pub start_ms: u64,
    pub other_ms: u64,
    /// From the egress's start to its push.
    pub push_ms: u64,
    /// From the push to playable.
    pub playable_ms: u64,
    pub ready_ms: u64,
}

impl Default for VendorsConfig {
    fn default() -> Self {
        Self {
            speed: 1.0,
            limits: Limits::Raised,
            create_ms: 5,
            acquire_ms: 5,
            start_ms: 5,
            other_ms: 5,
            push_ms: 100,
            playable_ms: 200,
            ready_ms: 200,
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Addresses {
    pub cloudflare: String,
    pub customer: String,
    pub agora: String,
    pub account_id: String,
    pub cloudflare_token: String,
    pub app_id: String,
    pub customer_id: String,
    pub customer_secret: String,
    /// Settings of a service that uses them.
    pub environment: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
enum VendorsRequest {
    Limits(Limits),
    Summary { since: DateTime<Utc> },
    Starts,
    Playable,
    Webhooks { service: String },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Summary {
    /// By name: all, and those refused with 429.
    pub calls: BTreeMap<String, (u64, u64)>,
    /// By kind.
    pub violations: BTreeMap<String, u64>,
    pub live_inputs: usize,
    pub egresses: usize,
    /// Egresses that push.
    pub publishing: usize,
}

impl Summary {
    /// The number of calls whose name begins with `prefix`.
    pub fn of(&self, prefix: &str) -> u64 {
        let of = self
            .calls
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        of.map(|(_, (all, _))| all).sum()
    }

    pub fn refused(&self) -> u64 {
        self.calls.values().map(|(_, refused)| refused).sum()
    }

    pub fn add(&mut self, later: Self) {
        for (name, (all, refused)) in later.calls {
            let sum = self.calls.entry(name).or_default();
            *sum = (sum.0 + all, sum.1 + refused);
        }
        for (kind, count) in later.violations {
            *self.violations.entry(kind).or_default() += count;
        }
        self.live_inputs = later.live_inputs;
        self.egresses = later.egresses;
        self.publishing = later.publishing;
    }
}

/// Killed when dropped.
pub struct VendorsProcess {
    pub at: Addresses,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl VendorsProcess {
    pub fn open(config: &VendorsConfig) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("vendors")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the vendors start");
        let mut process = Self {
            at: Addresses::default(),
            requests: child.stdin.take().expect("it is piped"),
            answers: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
        };
        process.at = process.request(config);
        process
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Changes the limits; earlier calls do not count.
    pub fn set_limits(&mut self, limits: Limits) {
        let () = self.request(&VendorsRequest::Limits(limits));
    }

    pub fn since(&mut self, since: DateTime<Utc>) -> Summary {
        self.request(&VendorsRequest::Summary { since })
    }

    /// When each Cloud Recording `start` was answered, by resource id.
    pub fn starts(&mut self) -> BTreeMap<String, DateTime<Utc>> {
        self.request(&VendorsRequest::Starts)
    }

    /// When each live input became playable, by uid. Needs speed 1.
    pub fn playable(&mut self) -> BTreeMap<String, DateTime<Utc>> {
        self.request(&VendorsRequest::Playable)
    }

    /// Sends notifications to this service.
    pub fn notify(&mut self, service: &str) {
        let service = service.to_owned();
        let () = self.request(&VendorsRequest::Webhooks { service });
    }

    fn request<T: for<'a> Deserialize<'a>>(&mut self, what: &impl Serialize) -> T {
        let line = serde_json::to_string(what).expect("JSON");
        writeln!(self.requests, "{line}").expect("it listens");
        self.requests.flush().expect("it listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for VendorsProcess {
    fn drop(&mut self) {
        process::kill(&mut self.child);
    }
}

/// The child process: ends with its standard input.
pub fn serve() {
    let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
    let config: VendorsConfig = serde_json::from_str(&lines.next().expect("a line")).expect("JSON");
    let vendors = SimulatedVendors::start(options(&config)).expect("vendors");
    reply(&addresses(&vendors));
    for line in lines {
        match serde_json::from_str(&line).expect("JSON") {
            VendorsRequest::Limits(limits) => {
                vendors.set_quotas(quotas(limits));
                reply(&());
            }
            VendorsRequest::Summary { since } => reply(&summary(&vendors.state_since(since))),
            VendorsRequest::Playable => reply(&playable(&vendors.state())),
            VendorsRequest::Webhooks { service } => {
                vendors.set_webhooks(webhooks(&service));
                reply(&());
            }
            VendorsRequest::Starts => reply(&starts(&vendors.state())),
        }
    }
}

fn reply(what: &impl Serialize) {
    println!("{}", serde_json::to_string(what).expect("JSON"));
}

fn addresses(vendors: &SimulatedVendors) -> Addresses {
    Addresses {
        cloudflare: vendors.cloudflare_api_base_url(),
        customer: vendors.customer_base_url(),
        agora: vendors.agora_base_url(),
        account_id: vendors.account_id().to_owned(),
        cloudflare_token: vendors.cloudflare_api_token().to_owned(),
        app_id: vendors.agora_app_id().to_owned(),
        customer_id: vendors.agora_customer_id().to_owned(),
        customer_secret: vendors.agora_customer_secret().to_owned(),
        environment: (vendors.environment().into_iter())
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

fn options(config: &VendorsConfig) -> Options {
    let millis = Duration::from_millis;
    Options {
        speed: config.speed,
        wire_speed: Some(1.0),
        quotas: quotas(config.limits),
        create_latency: millis(config.create_ms),
        acquire_latency: millis(config.acquire_ms),
        start_latency: millis(config.start_ms),
        latency: millis(config.other_ms),
        push_after: millis(config.push_ms),
        converter_push_after: millis(config.push_ms),
        playable_after: millis(config.playable_ms),
        recording_ready_after: millis(config.ready_ms),
        ..Options::default()
    }
}

fn quotas(limits: Limits) -> Quotas {
    const NEVER: u32 = 1_000_000;
    let account = Quotas {
        max_egresses: 100_000,
        max_converters: 100_000,
        ..Quotas::default()
    };
    match limits {
        Limits::Documented => account,
        Limits::Raised => Quotas {
            cloudflare_requests: NEVER,
            cloud_recording_per_second: NEVER,
            media_push_per_second: NEVER,
            hosts_per_second: NEVER,
            ..account
        },
    }
}

fn summary(state: &WorldSnapshot) -> Summary {
    let mut summary = Summary::default();
    for call in &state.calls {
        let sum = summary.calls.entry(call.call.to_owned()).or_default();
        sum.0 += 1;
        sum.1 += u64::from(call.status == Some(429));
    }
    for violation in &state.violations {
        *summary
            .violations
            .entry(violation.kind.to_owned())
            .or_default() += 1;
    }
    let inputs = state.live_inputs.iter();
    summary.live_inputs = inputs.filter(|input| !input.deleted).count();
    let alive = state.egresses.iter().filter(|one| one.is_alive());
    summary.egresses = alive.clone().count();
    summary.publishing = alive.filter(|one| one.publishing).count();
    summary
}

fn playable(state: &WorldSnapshot) -> BTreeMap<String, DateTime<Utc>> {
    let now = Utc::now();
    let since = |input: &relaykeeper::sandbox::LiveInputSnapshot| {
        let ago = state.simulated_seconds - input.playable_since_seconds?;
        let ago = chrono::TimeDelta::from_std(Duration::from_secs_f64(ago)).ok()?;
        Some((input.uid.clone(), now - ago))
    };
    state.live_inputs.iter().filter_map(since).collect()
}

fn starts(state: &WorldSnapshot) -> BTreeMap<String, DateTime<Utc>> {
    let started = state
        .calls
        .iter()
        .filter(|call| call.call == "agora.cloud_recording.start" && call.status == Some(200));
    let resource = |line: &str| {
        let mut parts = line.split('/');
        parts.find(|part| *part == "resourceid")?;
        parts.next().map(str::to_owned)
    };
    started
        .filter_map(|call| Some((resource(&call.line)?, call.at)))
        .collect()
}
