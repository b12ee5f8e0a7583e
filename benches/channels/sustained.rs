//! How many live channels Cloudflare's default quota sustains while shows end and begin, for each owner of ingests: computed, and for
//! half-hour shows also simulated with the real governor in virtual time.
//!
//! With an ingest of its own a relay makes three calls: create, disable, delete. With one that its channel keeps it makes none, or
//! two if it begins in the reconnect window of the show before: disable, enable. All share one list of recordings every 20 s.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use relaykeeper::vendors::governor::{Governor, PermitRequest, Priority};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::results::{Part, Row, percentile, sorted};

const QUOTA: u32 = 1200;
const WINDOW: Duration = Duration::from_secs(300);
const SHARE: f64 = 0.8;
/// Reserved for stops; unused by a relay whose egress answered its stop.
const KEPT: f64 = 0.2;
const LIST_EVERY: Duration = Duration::from_secs(20);
const SHOWS: [(&str, u64); 3] = [("30 min", 1800), ("1 h", 3600), ("2 h", 7200)];
const SIMULATED: Duration = Duration::from_secs(6 * 3600);
/// Live channels of kept ingests whose shows are apart: the quota sets no limit.
const APART: f64 = 10_000.0;

/// A relay's calls.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    at_start: u32,
    at_end: u32,
}

const OWN: Way = Way {
    name: "ingest.owner relay",
    at_start: 1,
    at_end: 2,
};
const KEPT_CLOSE: Way = Way {
    name: "ingest.owner channel, each show in the reconnect window of the one before",
    at_start: 2,
    at_end: 0,
};
const KEPT_APART: Way = Way {
    name: "ingest.owner channel, shows farther apart",
    at_start: 0,
    at_end: 0,
};

impl Way {
    /// Relays per second with this part of the share.
    fn per_second(self, part: f64) -> f64 {
        let permits = f64::from(QUOTA) * SHARE * part / WINDOW.as_secs_f64();
        (permits - 1.0 / LIST_EVERY.as_secs_f64()) / f64::from(self.at_start + self.at_end)
    }
}

pub fn measure() -> Part {
    let mut part = Part::default();
    let mut samples = Vec::new();
    for way in [OWN, KEPT_CLOSE] {
        for (name, seconds) in SHOWS {
            let all = way.per_second(1.0) * seconds as f64;
            let calm = way.per_second(1.0 - KEPT) * seconds as f64;
            let row = Row::new(
                format!(
                    "sustained live channels at the default quota, shows of {name}, computed: {}",
                    way.name
                ),
                format!("{all:.0}"),
            );
            part.row(row.note(format!(
                "{calm:.0} while the fifth that is kept for stops is not used"
            )));
            samples.push(json!({
                "way": way.name,
                "show_seconds": seconds,
                "of_the_share": all,
                "without_the_kept_fifth": calm,
            }));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let show = Duration::from_secs(SHOWS[0].1);
    let limited = [OWN, KEPT_CLOSE].into_iter().flat_map(|way| {
        let calm = way.per_second(1.0 - KEPT);
        [0.98, 1.1].map(|of_calm| (way, calm * of_calm))
    });
    let apart = (KEPT_APART, APART / show.as_secs_f64());
    for (way, rate) in limited.chain([apart]) {
        let seen = local.block_on(&runtime, simulate(way, rate, show));
        let row = Row::new(
            format!(
                "shows of 30 min, simulated: {rate:.2} starts a second for 6 h of virtual time, {}",
                way.name
            ),
            format!("{} live", seen["live_at_the_end"]),
        );
        part.row(row.note(format!(
            "{} of {} starts had their permits within 60 s (p99 {} s); {} calls wait at the end; the most calls in any window: {}",
            seen["started"], seen["asked"], seen["start_wait_p99"], seen["waiting_at_the_end"], seen["most_in_a_window"]
        )));
        samples.push(seen);
    }
    part.samples = json!(samples);
    part
}

#[derive(Default)]
struct Counts {
    live: i64,
    asked: u64,
    started: u64,
    waits: Vec<f64>,
    calls: Vec<Instant>,
}

type SharedCounts = Rc<RefCell<Counts>>;

/// Starts `rate` channels per second.
async fn simulate(way: Way, rate: f64, show: Duration) -> Value {
    let governor = Governor::sliding_window("cloudflare", QUOTA, WINDOW, SHARE);
    let counts = SharedCounts::default();
    let began = Instant::now();
    tokio::task::spawn_local(lists(governor.clone(), Rc::clone(&counts)));
    let mut turn = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    while began.elapsed() < SIMULATED {
        turn.tick().await;
        tokio::task::spawn_local(relay(way, governor.clone(), Rc::clone(&counts), show));
    }
    let waiting = governor.snapshot().waiting;
    let seen = counts.take();
    json!({
        "way": way.name,
        "starts_per_second": rate,
        "asked": seen.asked,
        "started": seen.started,
        "live_at_the_end": seen.live,
        "start_wait_p99": percentile(&sorted(seen.waits), 99.0).round(),
        "waiting_at_the_end": waiting,
        "most_in_a_window": most(&seen.calls),
    })
}

async fn relay(way: Way, governor: Governor, counts: SharedCounts, show: Duration) {
    counts.borrow_mut().asked += 1;
    let asked = Instant::now();
    let patience = Duration::from_secs(60);
    for _ in 0..way.at_start {
        if !call(&governor, &counts, Priority::Start, patience).await {
            return;
        }
    }
    {
        let mut counts = counts.borrow_mut();
        counts.started += 1;
        counts.live += 1;
        counts.waits.push(asked.elapsed().as_secs_f64());
    }
    tokio::time::sleep(show).await;
    counts.borrow_mut().live -= 1;
    for _ in 0..way.at_end {
        while !call(&governor, &counts, Priority::Finalize, patience).await {
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
        tokio::time::sleep(LIST_EVERY).await;
    }
}

async fn lists(governor: Governor, counts: SharedCounts) {
    loop {
        call(
            &governor,
            &counts,
            Priority::Finalize,
            Duration::from_secs(60),
        )
        .await;
        tokio::time::sleep(LIST_EVERY).await;
    }
}

/// Returns whether the call got a permit in time.
async fn call(
    governor: &Governor,
    counts: &SharedCounts,
    priority: Priority,
    within: Duration,
) -> bool {
    let until = Instant::now() + within;
    let Ok(permit) = governor.permit(PermitRequest { priority, until }).await else {
        return false;
    };
    counts.borrow_mut().calls.push(Instant::now());
    tokio::time::sleep(Duration::from_millis(300)).await;
    permit.answered(None);
    true
}

/// The most calls in any window.
fn most(calls: &[Instant]) -> usize {
    let mut first = 0;
    let counts = calls.iter().enumerate().map(|(last, at)| {
        while calls[first] + WINDOW <= *at {
            first += 1;
        }
        last - first + 1
    });
    counts.max().unwrap_or(0)
}
