//! Concurrent relays: their cost at several numbers, recovery after a SIGKILL, and a long hold at the documented quotas.
//!
//! Media Push: the simulator would have to play Cloud Recording's pages.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::process::CpuMeter;
use crate::ramp;
use crate::results::{Part, Row, percentile, sorted};
use crate::service::{Metrics, Service};
use crate::size::Size;
use crate::support::database::TestDatabase;
use crate::support::usage::{cpu_seconds, resident_kib};
use crate::vendors::{Limits, Summary, VendorsConfig, VendorsProcess};

/// Timed reads per measurement.
const READS: usize = 200;
const READS_AT_ONCE: usize = 8;
/// The hold that the table requires.
const TARGET: Duration = Duration::from_secs(600);
const SAMPLE: Duration = Duration::from_secs(10);

pub async fn measure(size: &Size) -> Part {
    let mut part = Part::default();
    let mut vendors = VendorsProcess::open(&VendorsConfig::default());
    let database = TestDatabase::sqlite();
    let mut steps = Vec::new();
    let mut before = 0;
    let mut last = None;
    for relays in size.steps() {
        drop(last.take());
        println!("  … {relays} relays");
        let step = step(size, &mut vendors, &database, before, relays).await;
        let (figures, service) = step;
        println!("  {figures}");
        steps.push(figures);
        before = relays;
        last = Some(service);
    }
    memory(&mut part, &steps);
    last.expect("a step").kill();
    let service = killed(&mut part, &vendors, &database, size).await;
    let samples = hold(&mut part, &mut vendors, &service, size).await;
    part.samples = json!({ "steps": steps, "hold": samples });
    service.terminate();
    part
}

/// Brings `relays` on air at raised limits, then measures a service with delivered settings.
async fn step(
    size: &Size,
    vendors: &mut VendorsProcess,
    database: &TestDatabase,
    before: usize,
    relays: usize,
) -> (Value, Service) {
    vendors.set_limits(Limits::Raised);
    if before > 0 {
        ramp::poll_seldom(database).await;
    }
    let mut service = Service::spawn(&vendors.at, &database.url, &ramp::settings());
    service.ready().await;
    let began = Utc::now();
    let starts = ramp::go_live(&service, before + 1..relays + 1, relays).await;
    let ramp = (Utc::now() - began).as_seconds_f64();
    let ramped_kib = resident_kib(service.id());
    service.terminate();
    ramp::poll_as_delivered(database).await;
    vendors.set_limits(Limits::Documented);

    let mut service = Service::spawn(&vendors.at, &database.url, &Vec::new());
    service.ready().await;
    service.until_live(relays).await;
    // Until each relay has polled once, at 80 % of the customer host's default 200 requests per second.
    let once = Duration::from_secs_f64(relays as f64 / 140.0);
    tokio::time::sleep(once + size.or(Duration::from_secs(10), Duration::from_secs(5))).await;
    let (since, used, vendors_used) = (
        Utc::now(),
        CpuMeter::by(service.id()),
        CpuMeter::by(vendors.id()),
    );
    tokio::time::sleep(size.or(Duration::from_secs(20), Duration::from_secs(5))).await;
    let (cpu, vendors_cpu) = (used.percent(), vendors_used.percent());
    let seconds = (Utc::now() - since).as_seconds_f64();
    let called = vendors.since(since);
    // A channel's first read in 30 s fetches the number of viewers; later ones use the cache.
    let first = reads(&service, relays).await;
    let reads = reads(&service, relays).await;
    let resident = resident_kib(service.id());
    let figures = json!({
        "relays": relays,
        "ramp_seconds": round(ramp),
        "start_p50_ms": round(percentile(&starts, 50.0)),
        "start_p99_ms": round(percentile(&starts, 99.0)),
        "resident_kib": resident,
        "resident_kib_ramped": ramped_kib,
        "cpu_percent": round(cpu),
        "vendors_cpu_percent": round(vendors_cpu),
        "read_p50_ms": round(percentile(&reads, 50.0)),
        "read_p99_ms": round(percentile(&reads, 99.0)),
        "first_read_p50_ms": round(percentile(&first, 50.0)),
        "first_read_p99_ms": round(percentile(&first, 99.0)),
        "calls_per_second": {
            "cloudflare": round(called.of("cloudflare.") as f64 / seconds),
            "customer": round(called.of("customer.") as f64 / seconds),
            "media_push": round(called.of("agora.media_push.") as f64 / seconds),
            "hosts": round(called.of("agora.channel.") as f64 / seconds),
        },
        "refused": called.refused(),
    });
    (figures, service)
}

/// Returns sorted latencies in milliseconds.
async fn reads(service: &Service, relays: usize) -> Vec<f64> {
    let took = stream::iter(0..READS)
        .map(async |read| {
            let path = format!("/v1/channels/{}", read * relays / READS + 1);
            let began = Instant::now();
            let answer = service.request(Method::GET, &path).send().await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.bytes().await.expect("a body");
            began.elapsed().as_secs_f64() * 1000.0
        })
        .buffer_unordered(READS_AT_ONCE)
        .collect()
        .await;
    sorted(took)
}

fn memory(part: &mut Part, steps: &[Value]) {
    let of = |key: &str, step: &Value| step[key].as_f64().expect("a figure");
    let last = steps.last().expect("a step");
    let first = steps.iter().find(|step| step["relays"] == 1000);
    let first = first.unwrap_or(&steps[0]);
    let more = of("relays", last) - of("relays", first);
    if more <= 0.0 {
        return;
    }
    let each = |key: &str| (of(key, last) - of(key, first)) / more;
    let steady = each("resident_kib");
    let row = format!(
        "resident memory per live relay, {} → {}",
        first["relays"], last["relays"]
    );
    let note = format!(
        "{:.0} → {:.0} MiB, when each has polled once after a restart; in the process that brought them on air: {:.1} KiB each",
        of("resident_kib", first) / 1024.0,
        of("resident_kib", last) / 1024.0,
        each("resident_kib_ramped")
    );
    let row = Row::new(row, format!("{steady:.1} KiB"));
    part.row(row.against("≤ 10 KiB", steady <= 10.0).note(note));
}

/// Measures how long after a SIGKILL a new process has all actors.
async fn killed(
    part: &mut Part,
    vendors: &VendorsProcess,
    database: &TestDatabase,
    size: &Size,
) -> Service {
    let relays = size.channels;
    let mut service = Service::spawn(&vendors.at, &database.url, &Vec::new());
    let ready = service.ready().await.as_secs_f64();
    let back = service.all_back(relays).await.as_secs_f64();
    let figure = |what| format!("{relays} live relays, SIGKILL, restart on SQLite: {what}");
    let row = Row::new(figure("ready"), format!("{ready:.2} s"));
    part.row(row.against("≤ 1 s", ready <= 1.0));
    let row = Row::new(figure("all actors back"), format!("{back:.2} s"));
    part.row(row.against("≤ 10 s", back <= 10.0));
    service
}

async fn hold(
    part: &mut Part,
    vendors: &mut VendorsProcess,
    service: &Service,
    size: &Size,
) -> Value {
    tokio::time::sleep(Duration::from_secs(60).min(size.hold / 2)).await;
    let (mut since, used, vendors_used) = (
        Utc::now(),
        CpuMeter::by(service.id()),
        CpuMeter::by(vendors.id()),
    );
    let before = service.metrics().await;
    let (mut called, mut samples, mut live) = (Summary::default(), Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < size.hold {
        tokio::time::sleep(SAMPLE.min(size.hold)).await;
        let now = Utc::now();
        called.add(vendors.since(since));
        since = now;
        let metrics = service.metrics().await;
        live.push(metrics.sum("relaykeeper_relays{phase=\"live\"}") as usize);
        samples.push(json!({
            "seconds": began.elapsed().as_secs(),
            "live": live.last(),
            "cpu_seconds": round(cpu_seconds(service.id())),
            "resident_kib": resident_kib(service.id()),
            "waiting": metrics.sum("relaykeeper_governor_waiting"),
        }));
    }
    let seconds = began.elapsed().as_secs_f64();
    let (cpu, vendors_cpu) = (used.percent(), vendors_used.percent());
    let after = service.metrics().await;
    held(part, size, &live, &called, seconds);
    calls(part, &called, seconds);
    denied(part, &before, &after, seconds);
    let figure = format!("processor while {} are live", size.channels);
    let note =
        format!("of one core, over {seconds:.0} s; the simulated vendors took {vendors_cpu:.0} %");
    let row = Row::new(figure, format!("{cpu:.0} %"));
    part.row(row.against("≤ 50 %", cpu <= 50.0).note(note));
    json!({ "called": called, "samples": samples })
}

fn held(part: &mut Part, size: &Size, live: &[usize], called: &Summary, seconds: f64) {
    let least = live.iter().min().copied().unwrap_or(0);
    let figure =
        format!("live relays held at once, one process, {seconds:.0} s at the default quotas");
    let row = Row::new(figure, least.to_string());
    let long = seconds >= TARGET.as_secs_f64() || !size.is_whole();
    let target = format!("{} for 10 minutes", size.channels);
    let row = row.against(target, long && least == size.channels);
    let note = format!(
        "the minimum of {} samples; {} egresses were pushing at the end",
        live.len(),
        called.publishing
    );
    part.row(row.note(note));
    let refused = called.refused() + called.violations.values().sum::<u64>();
    let row = Row::new("calls refused by a vendor meanwhile", refused.to_string());
    let row = row.against("0", refused == 0);
    part.row(row.note(match called.violations.is_empty() {
        true => "429, and quotas passed".to_owned(),
        false => format!("{:?}", called.violations),
    }));
}

fn calls(part: &mut Part, called: &Summary, seconds: f64) {
    let of = |name: &str| called.of(name) as f64 / seconds;
    let note = format!(
        "a second: customer host {:.0}, Media Push {:.1}, channel hosts {:.1}",
        of("customer."),
        of("agora.media_push."),
        of("agora.channel.")
    );
    let list = called.of("cloudflare.live_inputs.list");
    let by_relays = called.of("cloudflare.") - list;
    let row = Row::new("Cloudflare API calls of live relays", by_relays.to_string());
    let row = row.against("0", by_relays == 0);
    part.row(row.note(format!(
        "and {list} lists of the janitor's, for all; {note}"
    )));
}

/// Polls dropped for want of a permit in time.
fn denied(part: &mut Part, before: &Metrics, after: &Metrics, seconds: f64) {
    const DENIED: &str = "relaykeeper_governor_denied_total";
    let rate = |name: &str| (after.sum(name) - before.sum(name)) / seconds;
    let of = |governor: &str| rate(&format!("{DENIED}{{governor=\"{governor}\""));
    let names = [
        "cloudflare_customer_host",
        "agora_media_push",
        "agora_channel",
    ];
    let denied = names.map(|name| format!("{name} {:.0}", of(name)));
    let waiting = after.sum("relaykeeper_governor_waiting");
    let figure = "polls dropped for lack of a permit, per second";
    let note = format!(
        "{}; {waiting:.0} wait for a permit at the end",
        denied.join(", ")
    );
    part.row(Row::new(figure, format!("{:.0}", rate(DENIED))).note(note));
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
