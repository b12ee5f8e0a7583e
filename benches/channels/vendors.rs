//! The simulated vendors in a process of their own, so that their cost is not counted: this program, run once more, and
//! spoken to in lines of JSON. What is asked about is summed up there: it holds hundreds of thousands of calls.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, Utc};
use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors, WorldSnapshot};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::support::service::webhooks;

/// The vendors' limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limits {
    /// As the vendors document them, but for how many egresses may run at once: an account that holds so many.
    Documented,
    /// None that is ever reached.
    Raised,
}

/// How they are. Milliseconds of their own time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// How much faster their time runs.
    pub speed: f64,
    pub limits: Limits,
    pub create_ms: u64,
    pub acquire_ms: u64,
    pub start_ms: u64,
    pub other_ms: u64,
    /// From an egress's start to its push, and from that to a picture.
    pub push_ms: u64,
    pub playable_ms: u64,
    pub ready_ms: u64,
}

impl Default for Told {
    /// Quick, without limits.
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

/// Where they are, and what they let in.
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
    /// A service's settings for them.
    pub environment: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Limits(Limits),
    Summary { since: DateTime<Utc> },
    Starts,
    Playable,
    Webhooks { service: String },
}

/// What was called.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Answered calls by name: all, and those refused with 429.
    pub calls: BTreeMap<String, (u64, u64)>,
    /// What a vendor does not forgive, by kind.
    pub violations: BTreeMap<String, u64>,
    /// Ingests that were not deleted.
    pub live_inputs: usize,
    /// Egresses that cost money, and those of them that push.
    pub egresses: usize,
    pub publishing: usize,
}

impl Summary {
    /// The calls whose name begins so.
    pub fn of(&self, prefix: &str) -> u64 {
        let of = self
            .calls
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        of.map(|(_, (all, _))| all).sum()
    }

    /// Those that were refused.
    pub fn refused(&self) -> u64 {
        self.calls.values().map(|(_, refused)| refused).sum()
    }

    /// What came later is added.
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

/// The process they run in; killed when dropped.
pub struct House {
    pub at: Addresses,
    child: Child,
    told: ChildStdin,
    tells: BufReader<ChildStdout>,
}

impl House {
    pub fn open(told: &Told) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("vendors")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the vendors start");
        let mut house = Self {
            at: Addresses::default(),
            told: child.stdin.take().expect("it is piped"),
            tells: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
        };
        house.at = house.ask(told);
        house
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What was called before does not count.
    pub fn set_limits(&mut self, limits: Limits) {
        let () = self.ask(&Ask::Limits(limits));
    }

    /// What was called since then.
    pub fn since(&mut self, since: DateTime<Utc>) -> Summary {
        self.ask(&Ask::Summary { since })
    }

    /// When each Cloud Recording start was answered, by resource id.
    pub fn starts(&mut self) -> BTreeMap<String, DateTime<Utc>> {
        self.ask(&Ask::Starts)
    }

    /// Since when each ingest can be watched, by its uid. Their time runs as ours.
    pub fn playable(&mut self) -> BTreeMap<String, DateTime<Utc>> {
        self.ask(&Ask::Playable)
    }

    /// Notifications go to this service from now on.
    pub fn notify(&mut self, service: &str) {
        let service = service.to_owned();
        let () = self.ask(&Ask::Webhooks { service });
    }

    fn ask<T: for<'a> Deserialize<'a>>(&mut self, what: &impl Serialize) -> T {
        let line = serde_json::to_string(what).expect("JSON");
        writeln!(self.told, "{line}").expect("it listens");
        self.told.flush().expect("it listens");
        let mut answer = String::new();
        self.tells.read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        process::kill(&mut self.child);
    }
}

/// The other side: serves until nobody asks any more.
pub fn serve() {
    let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
    let told: Told = serde_json::from_str(&lines.next().expect("a line")).expect("JSON");
    let vendors = SimulatedVendors::start(options(&told)).expect("vendors");
    say(&addresses(&vendors));
    for line in lines {
        match serde_json::from_str(&line).expect("JSON") {
            Ask::Limits(limits) => {
                vendors.set_quotas(quotas(limits));
                say(&());
            }
            Ask::Summary { since } => say(&summary(&vendors.state_since(since))),
            Ask::Playable => say(&playable(&vendors.state())),
            Ask::Webhooks { service } => {
                vendors.set_webhooks(webhooks(&service));
                say(&());
            }
            Ask::Starts => say(&starts(&vendors.state())),
        }
    }
}

fn say(what: &impl Serialize) {
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

fn options(told: &Told) -> Options {
    let millis = Duration::from_millis;
    Options {
        speed: told.speed,
        wire_speed: Some(1.0),
        quotas: quotas(told.limits),
        create_latency: millis(told.create_ms),
        acquire_latency: millis(told.acquire_ms),
        start_latency: millis(told.start_ms),
        latency: millis(told.other_ms),
        push_after: millis(told.push_ms),
        converter_push_after: millis(told.push_ms),
        playable_after: millis(told.playable_ms),
        recording_ready_after: millis(told.ready_ms),
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
