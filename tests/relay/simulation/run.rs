//! Runs one relay: the core, a store, the cleanup runner, and the faults of its seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use relaykeeper::relay::{
    Action, Announcement, Answer, Call, Class, Cleanup, CleanupJob, CreateRepeat, Durable,
    EgressHandle, EgressReading, EgressRef, Event, Fact, Failure, Hint, IngestOwner, Jitter,
    Outcome, OutcomeCode, PageReport, Phase, Recording, RecordingState, Relay, Spec, Step,
};

use super::dice::Dice;
use super::faults::{
    FaultRates, START, clock, failing_call, of_kept, outage, seller, spec, vendor_faults,
};
use super::mutants::Mutant;
use super::queue::{Fate, Item, Queued, for_the_process};
use super::vendors::{Ms, News, Vendors};
use crate::platforms::Platform;

mod calls;
mod cleanup_jobs;
mod process;
mod rules;

/// The result of a relay that broke no rule.
#[derive(Debug, Default, Clone)]
pub struct Report {
    pub outcome: Option<OutcomeCode>,
    pub live: bool,
    pub crashes: u32,
    pub replacements: u32,
    pub cleanup_jobs: u32,
    pub faults: u32,
    pub events: u32,
    pub unnamed_egress: bool,
    pub interrupted: bool,
    pub gave_up_recordings: bool,
    /// Its ingest was found by its tag.
    pub looked_up: bool,
    /// Beside others.
    pub had_others: bool,
    /// Its removal waited for the end of the broadcast.
    pub waited: bool,
    /// A recording was ready and not final.
    pub not_final: bool,
}

#[derive(Debug)]
pub struct Broken {
    pub seed: u64,
    pub rule: String,
    pub trace: String,
}

#[derive(Debug)]
pub struct OpenCleanupJob {
    pub cleanup_job: CleanupJob,
    due: Ms,
    tries: u32,
    misses: u32,
    /// From a notification.
    handle: Option<EgressHandle>,
}

/// Readings of an egress, as the process got them.
#[derive(Debug, Default, Clone, Copy)]
struct Signs {
    silent_since: Option<Ms>,
    silent_until: Ms,
}

pub struct Run {
    pub seed: u64,
    mutant: Mutant,
    dice: Dice,
    rates: FaultRates,
    pub now: Ms,
    numbers: u64,
    queue: BinaryHeap<Reverse<Queued>>,
    tick_at: Option<Ms>,
    pub spec: Spec,
    /// The tags of its first attempts.
    tags: Vec<String>,
    /// The sum of the waits after a 404.
    back_off: Ms,
    relay: Option<Relay>,
    incarnation: u32,
    offset: i64,
    journal: Vec<(DateTime<Utc>, Fact)>,
    stored: Option<Durable>,
    pub cleanup_jobs: Vec<OpenCleanupJob>,
    announced: Vec<Announcement>,
    pub vendors: Vendors,
    key: Option<u32>,
    doubted: Vec<Call>,
    signs: Vec<Signs>,
    down: Option<(Ms, Ms, Fate)>,
    failing_call: Option<(&'static str, Fate)>,
    lost_time: Ms,
    late: Ms,
    page_seq: u64,
    stop_waits: bool,
    report: Report,
    trace: Option<String>,
}

impl Run {
    /// Runs the relay of a seed to its end.
    pub fn of(
        seed: u64,
        platform: &Platform,
        mutant: Mutant,
        traced: bool,
    ) -> Result<Report, Broken> {
        let mut run = Self::new(seed, platform, mutant, traced);
        match run.drive() {
            Ok(()) => Ok(run.report),
            Err(rule) => Err(Broken {
                seed,
                rule,
                trace: run.trace.take().unwrap_or_default(),
            }),
        }
    }

    fn new(seed: u64, platform: &Platform, mutant: Mutant, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mut spec = spec(&mut dice, platform);
        // Drawn from the seed, so that the relays of other seeds stay the same.
        if Dice::new(seed ^ 0x6f77_6e65).chance(300) {
            spec.ingest_owner = IngestOwner::Channel;
        }
        let rates = FaultRates::draw(&mut dice);
        let vendor_faults = vendor_faults(&mut dice);
        let seller = seller(&mut dice);
        let (down, failing_call) = (outage(&mut dice), failing_call(&mut dice));
        // Drawn from the seed, so that the relays of other seeds stay the same.
        let failing_call = failing_call.map(|(call, fate)| match fate {
            Fate::Refused(Class::Rejected) if seed.is_multiple_of(2) => {
                (call, Fate::Refused(Class::Unauthorized))
            }
            fate => (call, fate),
        });
        let failing_call = match spec.ingest_owner {
            IngestOwner::Relay => failing_call,
            IngestOwner::Channel => failing_call.map(|(call, fate)| (of_kept(seed, call), fate)),
        };
        let back_off = spec.timing.not_found_backoff.iter().sum::<Duration>();
        let back_off = u64::try_from(back_off.as_millis()).unwrap();
        let mut vendors = Vendors::new(
            spec.clone(),
            platform.quirks,
            vendor_faults,
            seller,
            Dice::new(dice.draw()),
        );
        vendors.keep(seed);
        Self {
            seed,
            mutant,
            rates,
            now: START,
            numbers: 0,
            queue: BinaryHeap::new(),
            tick_at: None,
            tags: (0..40).map(|at| spec.tag(at).to_string()).collect(),
            spec,
            back_off,
            relay: None,
            incarnation: 1,
            offset: 0,
            journal: Vec::new(),
            stored: None,
            cleanup_jobs: Vec::new(),
            announced: Vec::new(),
            vendors,
            key: None,
            doubted: Vec::new(),
            signs: Vec::new(),
            down,
            failing_call,
            lost_time: 0,
            late: 0,
            page_seq: 0,
            stop_waits: false,
            report: Report::default(),
            trace: traced.then(String::new),
            dice,
        }
    }

    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let t = self.now - START;
            let _ = writeln!(trace, "{:>9}.{:03} {}", t / 1000, t % 1000, what());
        }
    }

    fn later(&mut self, wait: Ms, item: Item) {
        self.at(self.now + wait, item);
    }

    fn at(&mut self, at: Ms, item: Item) {
        self.numbers += 1;
        self.queue.push(Reverse(Queued {
            at,
            number: self.numbers,
            item,
        }));
    }

    /// The process's clock.
    fn wall(&self) -> DateTime<Utc> {
        clock(i64::try_from(self.now).unwrap() + self.offset)
    }

    pub fn durable(&self) -> Option<&Durable> {
        self.relay
            .as_ref()
            .map(|relay| &**relay.durable())
            .or(self.stored.as_ref())
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::new(u16::try_from(self.dice.draw() % 1000).unwrap())
    }

    fn drive(&mut self) -> Result<(), String> {
        let mut spec = self.spec.clone();
        self.mutant.mislead(&mut spec);
        let (seed, draw) = (self.seed, self.rates);
        let what = format!(
            "seed {seed} {:?} {:?} {draw:?}",
            self.spec.egress, self.spec.capabilities
        );
        self.note(|| what);
        let (relay, step) = Relay::request(spec, 1).map_err(|e| e.to_string())?;
        self.relay = Some(relay);
        if self.dice.chance(600) {
            let wait = if self.dice.chance(300) {
                self.dice.between(0, 8_000)
            } else {
                self.dice.between(0, 240_000)
            };
            self.later(wait, Item::Stop);
        }
        if self.spec.egress_not_before.is_some() && self.dice.chance(500) {
            let wait = self.dice.between(0, 12_000);
            self.later(wait, Item::PredecessorDown);
        }
        if self.dice.chance(15) {
            let wait = self.dice.between(0, 200_000);
            self.later(wait, Item::ManualDelete);
        }
        if self.dice.chance(15) {
            let wait = self.dice.between(0, 200_000);
            let reason = String::new();
            self.later(wait, Item::Hint(Hint::FeedErrored { reason }));
        }
        self.take(step)?;
        self.news();
        loop {
            self.check_rules()?;
            let next = self.queue.peek().map(|Reverse(q)| q.at);
            let tick = self.tick_at.filter(|at| next.is_none_or(|n| *at < n));
            self.report.events += 1;
            if self.report.events > 20_000 {
                return Err("it does not end".into());
            }
            if let Some(at) = tick {
                self.now = self.now.max(at);
                self.tick_at = None;
                self.tell(Event::Tick)?;
            } else if let Some(Reverse(queued)) = self.queue.pop() {
                self.now = self.now.max(queued.at);
                if self.now < self.late && for_the_process(&queued.item) {
                    self.at(self.late, queued.item);
                    continue;
                }
                self.handle(queued.item)?;
            } else {
                return self.check_end();
            }
            if self.is_over() {
                return self.check_end();
            }
            self.news();
        }
    }

    /// Whether nothing can happen any more.
    fn is_over(&self) -> bool {
        self.cleanup_jobs.is_empty()
            && self
                .relay
                .as_ref()
                .is_some_and(|relay| relay.durable().phase == Phase::Ended)
            && !self.queue.iter().any(|Reverse(queued)| {
                matches!(
                    queued.item,
                    Item::Arrives(..) | Item::CleanupJobs | Item::Restart
                )
            })
            && !self.vendors.tasks.iter().any(|task| task.alive(self.now))
    }

    /// Queues notifications of what changed at the vendors: some, some twice, some late, in any order.
    fn news(&mut self) {
        for news in std::mem::take(&mut self.vendors.news) {
            match news {
                News::Edge(at) => self.at(at.max(self.now), Item::Vendor),
                News::At(at, hint) => {
                    if self.dice.chance(self.rates.hints) {
                        self.at(at.max(self.now), Item::News(hint));
                    } else {
                        self.at(at.max(self.now), Item::Vendor);
                    }
                }
            }
        }
        if self.rates.page && self.spec.egress.capabilities.prepare.is_some() {
            let known = usize::try_from(self.page_seq >> 32).unwrap();
            for task in known..self.vendors.tasks.len() {
                self.page_seq += 1 << 32;
                let from = self.vendors.tasks[task].publishes_from;
                self.at(from.max(self.now), Item::PageBeat(task, 1));
            }
        }
    }

    fn handle(&mut self, item: Item) -> Result<(), String> {
        match item {
            Item::Vendor => self.vendors.refresh(self.now),
            Item::News(hint) => {
                self.vendors.refresh(self.now);
                let copies = if self.dice.chance(150) { 2 } else { 1 };
                for _ in 0..copies {
                    let wait = if self.dice.chance(100) {
                        self.dice.between(0, 60_000)
                    } else {
                        self.dice.between(50, 3_000)
                    };
                    self.later(wait, Item::Hint(hint.clone()));
                }
            }
            Item::Hint(hint) => {
                self.note(|| format!("hint {hint:?}"));
                self.notify_cleanup_jobs(&hint);
                self.tell(Event::Hint(hint))?;
            }
            Item::PageBeat(at, seq) => {
                let task = &self.vendors.tasks[at];
                let attempt = task.attempt;
                if task.alive(self.now) {
                    if !task.hidden(self.now) {
                        let present = self.vendors.seller_is_there(self.now);
                        let page = Item::Page {
                            attempt,
                            seq,
                            present,
                        };
                        let wait = self.dice.between(20, 2_000);
                        self.later(wait, page);
                    }
                    let beat = self.now + 30_000;
                    let change = self.vendors.seller.iter().copied();
                    let next = change.filter(|at| *at > self.now).fold(beat, Ms::min);
                    self.at(next, Item::PageBeat(at, seq + 1));
                }
            }
            Item::Page {
                attempt,
                seq,
                present,
            } => {
                self.note(|| format!("page {attempt} {seq} present {present}"));
                let report = PageReport::Seller { seq, present };
                self.tell(Event::Page { attempt, report })?;
            }
            Item::Stop => {
                self.note(|| "stop".into());
                if self.relay.is_some() {
                    self.tell(Event::Stop)?;
                } else {
                    self.stop_waits = true;
                }
            }
            Item::PredecessorDown => self.tell(Event::PredecessorDown)?,
            Item::Arrives(incarnation, action, fate) => self.arrives(incarnation, action, fate)?,
            Item::Result(incarnation, action, result) => {
                self.deliver(incarnation, action, result)?
            }
            Item::Restart => self.restart()?,
            Item::CleanupJobs => self.run_cleanup_jobs()?,
            Item::ManualDelete => {
                self.note(|| "the ingest is deleted by hand".into());
                for input in &mut self.vendors.inputs {
                    input.deleted = true;
                }
                self.vendors.refresh(self.now);
            }
        }
        Ok(())
    }
}
