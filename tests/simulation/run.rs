//! One relay's life: the core, a store that keeps what was stored, the janitor, and what befalls them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use relaykeeper::relay::{
    Action, ActionId, Announcement, Answer, Backend, Call, Class, Debt, Durable, Event, Fact,
    Failure, Hint, Jitter, Outcome, OutcomeCode, Owed, Owner, Phase, Prices, RecorderReading,
    RecorderRef, Relay, Spec, Step, Timing,
};
use uuid::Uuid;

use super::dice::Dice;
use super::mutants::Mutant;
use super::vendors::{Ms, News, Vendors, Wear};

/// The world begins here.
pub const START: Ms = 1_700_000_000_000;

/// What became of a relay that broke no rule.
#[derive(Debug, Default, Clone)]
pub struct Report {
    pub outcome: Option<OutcomeCode>,
    pub live: bool,
    pub crashes: u32,
    pub replacements: u32,
    pub debts: u32,
    pub faults: u32,
    pub events: u32,
    pub unknown_recorder: bool,
    pub interrupted: bool,
}

/// A rule was broken.
#[derive(Debug)]
pub struct Broken {
    pub seed: u64,
    pub rule: String,
    pub trace: String,
}

#[derive(Debug)]
enum Item {
    /// A request reaches its vendor.
    Arrives(u32, Action, Fate),
    /// Its answer comes home.
    Home(u32, Action, Result<Answer, Failure>),
    Hint(Hint),
    Page {
        attempt: u32,
        seq: u64,
        present: bool,
    },
    PageBeat(usize, u64),
    Stop,
    PredecessorDown,
    Vendor,
    News(Hint),
    Restart,
    Janitor,
    /// Somebody deletes the live input by hand.
    Meddler,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// Carried out, and the answer lost.
    DoneUnheard,
    /// Not carried out; whether, the caller cannot know.
    Lost,
    Refused(Class),
}

struct Queued {
    at: Ms,
    number: u64,
    item: Item,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// How bad the world is for this relay, per mille.
#[derive(Debug, Clone, Copy)]
struct Weather {
    faults: u64,
    crashes: u64,
    hints: u64,
    page: bool,
    jumps: u64,
}

#[derive(Debug)]
pub struct OpenDebt {
    pub debt: Debt,
    due: Ms,
    tries: u32,
    misses: u32,
    sid: Option<String>,
}

/// Signs of life of a recorder, as the process heard them.
#[derive(Debug, Default, Clone, Copy)]
struct Signs {
    silent_since: Option<Ms>,
    silent_until: Ms,
    proved_gone: bool,
}

pub struct Run {
    pub seed: u64,
    mutant: Mutant,
    dice: Dice,
    weather: Weather,
    pub now: Ms,
    numbers: u64,
    queue: BinaryHeap<Reverse<Queued>>,
    tick_at: Option<Ms>,
    pub spec: Spec,
    /// The waits after a 404 the core has to keep, in all.
    back_off: Ms,
    relay: Option<Relay>,
    incarnation: u32,
    offset: i64,
    journal: Vec<(DateTime<Utc>, Fact)>,
    stored: Option<Durable>,
    pub debts: Vec<OpenDebt>,
    told: Vec<Announcement>,
    pub vendors: Vendors,
    key: Option<u32>,
    doubted: Vec<Call>,
    signs: Vec<Signs>,
    down: Vec<(Ms, Ms, Fate)>,
    grudge: Option<(&'static str, Fate)>,
    lost_time: Ms,
    late: Ms,
    page_seq: u64,
    stop_waits: bool,
    report: Report,
    trace: Option<String>,
}

pub fn clock(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

fn spec(dice: &mut Dice) -> Spec {
    let secs = Duration::from_secs;
    let web = dice.chance(500);
    let backend = if web {
        Backend::CloudRecording {
            recording_uid_base: 900_000_000,
            page_url: String::new(),
            max_recording_hours: 1,
            ready_at_first_frame: true,
        }
    } else {
        Backend::MediaPush {
            region: "na".into(),
        }
    };
    let requested_at = clock(i64::try_from(START).unwrap());
    Spec {
        relay_id: Uuid::from_u128(u128::from(dice.draw())),
        owner: Owner {
            deployment: "shop".into(),
            database: "0a1b2c3d".into(),
        },
        channel_id: 42,
        channel_name: "show".into(),
        seller_uid: 7,
        enable_recording: dice.chance(800),
        delete_recording_after_days: Some(30),
        keep_live_input: dice.chance(200),
        backend,
        timing: Timing {
            poll_interval: secs(5),
            provisioning_timeout: secs(120),
            live_timeout: secs(dice.one_of(&[60, 120])),
            live_check_interval: secs(dice.one_of(&[5, 30])),
            reconnect_window: secs(dice.one_of(&[20, 60])),
            feed_timeout: secs(dice.one_of(&[60, 180])),
            max_duration: secs(dice.between(60, 600)),
            recording_timeout: secs(dice.one_of(&[60, 600])),
            recordings_interval: secs(20),
            query_interval: secs(if web { 120 } else { 15 }),
            not_found_backoff: [5, 10, 15, 30, 60].into_iter().map(secs).collect(),
        },
        prices: Prices {
            stored: 5_000_000,
            recorder: 14_000_000,
        },
        requested_at,
        recorder_not_before: dice
            .chance(150)
            .then(|| requested_at + Duration::from_secs(10)),
    }
}

fn seller(dice: &mut Dice) -> Vec<Ms> {
    let mut edges = Vec::new();
    if dice.chance(40) {
        return edges;
    }
    let mut at = START
        + if dice.chance(800) {
            dice.between(0, 15_000)
        } else {
            dice.between(0, 150_000)
        };
    edges.push(at);
    while dice.chance(450) && edges.len() < 7 {
        at += dice.between(5_000, 120_000);
        edges.push(at);
        if dice.chance(300) {
            break;
        }
        at += dice.between(2_000, 80_000);
        edges.push(at);
    }
    edges
}

impl Run {
    /// The relay of a seed, from its request to the end of everything.
    pub fn of(seed: u64, mutant: Mutant, traced: bool) -> Result<Report, Broken> {
        let mut run = Self::new(seed, mutant, traced);
        match run.drive() {
            Ok(()) => Ok(run.report),
            Err(rule) => Err(Broken {
                seed,
                rule,
                trace: run.trace.take().unwrap_or_default(),
            }),
        }
    }

    fn new(seed: u64, mutant: Mutant, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let spec = spec(&mut dice);
        let kind = dice.between(0, 100);
        let (faults, crashes, jumps) = match kind {
            0..35 => (3, 2, 0),
            35..75 => (50, 15, 1),
            75..92 => (250, 60, 3),
            _ => (30, 150, 5),
        };
        let weather = Weather {
            faults,
            crashes,
            jumps,
            hints: dice.one_of(&[0, 0, 700, 1000]),
            page: dice.chance(300),
        };
        let wear = Wear {
            moves: dice.one_of(&[0, 100, 600]),
            exits: dice.one_of(&[0, 50, 500]),
            cuts: dice.one_of(&[0, 50, 300]),
            fails: dice.one_of(&[0, 50, 300]),
            bad_videos: dice.one_of(&[0, 50]),
        };
        let seller = seller(&mut dice);
        let mut down = Vec::new();
        if dice.chance(80) {
            let from = START + dice.between(0, 200_000);
            let long = dice.one_of(&[10_000, 100_000, 400_000, 2_000_000]);
            let fate = dice.one_of(&[
                Fate::Lost,
                Fate::Refused(Class::Unavailable),
                Fate::Refused(Class::Unauthorized),
                Fate::Refused(Class::Quota),
            ]);
            down.push((from, from + long, fate));
        }
        // One kind of call mostly goes wrong, always in the same way.
        let kinds = [
            "create_live_input",
            "acquire",
            "start_recorder",
            "create_converter",
            "rotate_keys",
            "stop_recorder",
            "disable_live_input",
            "delete_live_input",
            "look_at_feed",
            "look_at_hosts",
            "look_at_recorder",
            "look_for_recordings",
        ];
        let fates = [
            Fate::DoneUnheard,
            Fate::DoneUnheard,
            Fate::Lost,
            Fate::Refused(Class::Unavailable),
            Fate::Refused(Class::Rejected),
        ];
        let grudge = dice
            .chance(200)
            .then(|| (dice.one_of(&kinds), dice.one_of(&fates)));
        let back_off = spec.timing.not_found_backoff.iter().sum::<Duration>();
        let back_off = u64::try_from(back_off.as_millis()).unwrap();
        let vendors = Vendors::new(spec.clone(), wear, seller, Dice::new(dice.draw()));
        Self {
            seed,
            mutant,
            weather,
            now: START,
            numbers: 0,
            queue: BinaryHeap::new(),
            tick_at: None,
            spec,
            back_off,
            relay: None,
            incarnation: 1,
            offset: 0,
            journal: Vec::new(),
            stored: None,
            debts: Vec::new(),
            told: Vec::new(),
            vendors,
            key: None,
            doubted: Vec::new(),
            signs: Vec::new(),
            down,
            grudge,
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

    /// What the process's clock shows.
    fn wall(&self) -> DateTime<Utc> {
        clock(i64::try_from(self.now).unwrap() + self.offset)
    }

    pub fn durable(&self) -> Option<&Durable> {
        self.relay
            .as_ref()
            .map(Relay::durable)
            .or(self.stored.as_ref())
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::new(u16::try_from(self.dice.draw() % 1000).unwrap())
    }

    fn drive(&mut self) -> Result<(), String> {
        let mut spec = self.spec.clone();
        if self.mutant == Mutant::OneMissMeansGone {
            spec.timing.not_found_backoff.clear();
        }
        let (seed, draw) = (self.seed, self.weather);
        let what = format!("seed {seed} {:?} {draw:?}", self.spec.backend);
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
        if self.spec.recorder_not_before.is_some() && self.dice.chance(500) {
            let wait = self.dice.between(0, 12_000);
            self.later(wait, Item::PredecessorDown);
        }
        if self.dice.chance(15) {
            let wait = self.dice.between(0, 200_000);
            self.later(wait, Item::Meddler);
        }
        if self.dice.chance(15) {
            let wait = self.dice.between(0, 200_000);
            let reason = String::new();
            self.later(wait, Item::Hint(Hint::FeedErrored { reason }));
        }
        self.take(step)?;
        self.news();
        loop {
            self.obey()?;
            let next = self.queue.peek().map(|Reverse(q)| q.at);
            let tick = self.tick_at.filter(|at| next.is_none_or(|n| *at < n));
            self.report.events += 1;
            if self.report.events > 20_000 {
                return Err("it does not come to an end".into());
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
                self.happens(queued.item)?;
            } else {
                return self.at_rest();
            }
            if self.over() {
                return self.at_rest();
            }
            self.news();
        }
    }

    /// Nothing can happen any more.
    fn over(&self) -> bool {
        self.debts.is_empty()
            && self
                .relay
                .as_ref()
                .is_some_and(|relay| relay.durable().phase == Phase::Ended)
            && !self.queue.iter().any(|Reverse(queued)| {
                matches!(
                    queued.item,
                    Item::Arrives(..) | Item::Janitor | Item::Restart
                )
            })
            && !self.vendors.tasks.iter().any(|task| task.alive(self.now))
    }

    /// Notifications on what has changed at the vendors: some, some twice, some late, in any order.
    fn news(&mut self) {
        for news in std::mem::take(&mut self.vendors.news) {
            match news {
                News::Edge(at) => self.at(at.max(self.now), Item::Vendor),
                News::At(at, hint) => {
                    if self.dice.chance(self.weather.hints) {
                        self.at(at.max(self.now), Item::News(hint));
                    } else {
                        self.at(at.max(self.now), Item::Vendor);
                    }
                }
            }
        }
        if self.weather.page && matches!(self.spec.backend, Backend::CloudRecording { .. }) {
            let known = usize::try_from(self.page_seq >> 32).unwrap();
            for task in known..self.vendors.tasks.len() {
                self.page_seq += 1 << 32;
                let from = self.vendors.tasks[task].publishes_from;
                self.at(from.max(self.now), Item::PageBeat(task, 1));
            }
        }
    }

    fn happens(&mut self, item: Item) -> Result<(), String> {
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
                self.janitor_hears(&hint);
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
                self.tell(Event::Page {
                    attempt,
                    seq,
                    present,
                })?;
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
            Item::Home(incarnation, action, result) => self.home(incarnation, action, result)?,
            Item::Restart => self.restart()?,
            Item::Janitor => self.pay()?,
            Item::Meddler => {
                self.note(|| "somebody deletes the live input".into());
                for input in &mut self.vendors.inputs {
                    input.deleted = true;
                }
                self.vendors.refresh(self.now);
            }
        }
        Ok(())
    }

    // ---- the process

    fn tell(&mut self, event: Event) -> Result<(), String> {
        let wall = self.wall();
        let Some(relay) = self.relay.as_mut() else {
            return Ok(());
        };
        let before = relay.durable().phase;
        let stale = matches!(&event, Event::Answered { action, .. } | Event::Failed { action, .. }
            if action.incarnation != self.incarnation);
        let stopping = matches!(event, Event::Stop);
        let step = relay.handle(event, wall).map_err(|e| e.to_string())?;
        if before == Phase::Ended && !step.actions.is_empty() {
            return Err("an action after the end".into());
        }
        if stale && step.ignored.is_none() {
            return Err("an answer to another life's call was taken".into());
        }
        if stopping && relay.durable().phase.holds_slot() {
            return Err("a stop was not honoured".into());
        }
        self.take(step)
    }

    /// Store, then act; at any point the process may die.
    fn take(&mut self, mut step: Step) -> Result<(), String> {
        let changed = !step.facts.is_empty();
        if self.trace.is_some() && (changed || !step.actions.is_empty()) {
            let facts: Vec<String> = step.facts.iter().map(|f| format!("{f:?}")).collect();
            let calls: Vec<String> = step
                .actions
                .iter()
                .map(|a| format!("{:?}", a.call))
                .collect();
            self.note(|| format!("  {} => {}", facts.join("; "), calls.join("; ")));
        }
        let at = (changed || !step.actions.is_empty())
            .then(|| {
                self.dice.chance(if changed {
                    self.weather.crashes
                } else {
                    self.weather.crashes / 8
                })
            })
            .filter(|crash| *crash)
            .map(|_| self.dice.between(0, 3));
        if at == Some(0) {
            if self.mutant == Mutant::ActBeforeStore {
                for action in step.actions.drain(..) {
                    self.act(action)?;
                }
            }
            self.note(|| "dies before the store".into());
            return self.dies();
        }
        self.store(&mut step)?;
        if at == Some(1) {
            let some = self.dice.between(0, step.actions.len() as u64 + 1);
            step.actions.truncate(usize::try_from(some).unwrap());
        }
        for action in step.actions {
            self.act(action)?;
        }
        if at.is_some() {
            self.note(|| "dies after the store".into());
            if self.mutant == Mutant::LastEntryLost {
                self.journal.pop();
            }
            return self.dies();
        }
        if self.dice.chance(self.weather.jumps) && self.late < self.now {
            // The machine sleeps; the world goes on.
            let long = self.dice.between(1_000, 400_000);
            self.note(|| format!("sleeps for {long} ms"));
            self.late = self.now + long;
            self.lost_time += long;
        }
        self.set_tick()
    }

    fn set_tick(&mut self) -> Result<(), String> {
        let wall = self.wall();
        let Some(relay) = &self.relay else {
            self.tick_at = None;
            return Ok(());
        };
        let wake = relay.wake_at(wall);
        if let Some(at) = wake.filter(|at| *at <= wall) {
            return Err(format!("wakes in the past: {at} at {wall}"));
        }
        self.tick_at = wake.map(|at| {
            let millis = (at - wall).num_microseconds().unwrap_or(i64::MAX) / 1000 + 1;
            (self.now + u64::try_from(millis).unwrap()).max(self.late)
        });
        Ok(())
    }

    fn store(&mut self, step: &mut Step) -> Result<(), String> {
        for (number, told) in &step.announcements {
            self.told.push(*told);
            if usize::try_from(*number).unwrap() != self.told.len() {
                return Err(format!("announcement {number} {told} out of order"));
            }
        }
        let wall = self.wall();
        for fact in step.facts.drain(..) {
            match &fact {
                Fact::Owed { debt } => self.owe((**debt).clone()),
                Fact::LiveInputReady { .. } | Fact::KeysRotated => {}
                Fact::Ended { cost } => self.check_cost(cost.is_some())?,
                _ => {}
            }
            self.journal.push((wall, fact));
        }
        Ok(())
    }

    fn check_cost(&mut self, costs: bool) -> Result<(), String> {
        let durable = self.relay.as_ref().map(Relay::durable).unwrap();
        let due = durable.live_at.is_some() || !durable.videos.is_empty();
        if costs != due {
            return Err(format!("cost row: {costs}, due: {due}"));
        }
        if self
            .journal
            .iter()
            .any(|(_, fact)| matches!(fact, Fact::Ended { .. }))
        {
            return Err("it ended twice".into());
        }
        Ok(())
    }

    fn dies(&mut self) -> Result<(), String> {
        self.relay = None;
        self.tick_at = None;
        self.key = None;
        self.report.crashes += 1;
        let long = match self.dice.between(0, 100) {
            0..60 => self.dice.between(500, 5_000),
            60..90 => self.dice.between(5_000, 120_000),
            90..99 => self.dice.between(120_000, 1_800_000),
            _ => 7 * 3_600_000,
        };
        self.lost_time += long + 30_000;
        self.stored = Durable::replay(self.journal.iter().map(|(at, fact)| (*at, fact)))
            .map_err(|e| e.to_string())?;
        self.later(long, Item::Restart);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        let Some(durable) = self.stored.take() else {
            // Its request was never stored: nobody was promised anything.
            return Ok(());
        };
        self.incarnation += 1;
        if self.dice.chance(50) {
            let was = self.offset;
            self.offset = i64::try_from(self.dice.between(0, 240_000)).unwrap() - 120_000;
            self.lost_time += (self.offset - was).unsigned_abs();
        }
        let (life, offset) = (self.incarnation, self.offset);
        self.note(|| format!("life {life}, clock off by {offset}"));
        self.relay = Some(Relay::load(durable, self.incarnation));
        if std::mem::take(&mut self.stop_waits) {
            let wait = self.dice.between(0, 3_000);
            self.later(wait, Item::Stop);
        }
        self.later(1_000, Item::Janitor);
        let jitter = self.jitter();
        self.tell(Event::Recovered { jitter })
    }

    // ---- calls

    fn fate(&mut self, call: &str) -> Fate {
        let out = self
            .down
            .iter()
            .find(|(from, to, _)| (*from..*to).contains(&self.now));
        if let Some((_, _, fate)) = out {
            return *fate;
        }
        if let Some((kind, fate)) = self.grudge
            && kind == call
            && self.dice.chance(800)
        {
            return fate;
        }
        if !self.dice.chance(self.weather.faults) {
            return Fate::Done;
        }
        self.report.faults += 1;
        match self.dice.between(0, 100) {
            0..35 => Fate::DoneUnheard,
            35..60 => Fate::Lost,
            60..80 => Fate::Refused(Class::Unavailable),
            80..95 => Fate::Refused(Class::RateLimited),
            95..97 => Fate::Refused(Class::Quota),
            97..99 => Fate::Refused(Class::Unexpected),
            _ => self.dice.one_of(&[
                Fate::Refused(Class::Unauthorized),
                Fate::Refused(Class::Rejected),
            ]),
        }
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        let fate = self.fate((&action.call).into());
        let reads = matches!(
            action.call,
            Call::LookAtFeed { .. }
                | Call::LookAtHosts
                | Call::LookAtRecorder(_)
                | Call::LookForRecordings { .. }
        );
        if reads || self.dice.chance(700) {
            return self.arrives(self.incarnation, action, fate);
        }
        let wait = self.dice.between(0, 400);
        self.later(wait, Item::Arrives(self.incarnation, action, fate));
        Ok(())
    }

    fn arrives(&mut self, incarnation: u32, action: Action, fate: Fate) -> Result<(), String> {
        let result = match fate {
            Fate::Done | Fate::DoneUnheard => {
                self.before_it_is_done(&action.call)?;
                let result = self.perform(&action.call);
                self.news();
                match fate {
                    Fate::DoneUnheard => Err(self.failure(Class::Timeout, true)),
                    _ => result,
                }
            }
            Fate::Lost => Err(self.failure(Class::Timeout, true)),
            Fate::Refused(class) => Err(self.failure(class, false)),
        };
        let call: &'static str = (&action.call).into();
        self.note(|| format!("    {call}: {fate:?} {result:?}"));
        let wait = match fate {
            Fate::Done | Fate::Refused(_) if self.dice.chance(900) => self.dice.between(30, 600),
            Fate::Done | Fate::Refused(_) => self.dice.between(600, 6_000),
            Fate::DoneUnheard | Fate::Lost => self.dice.one_of(&[200, 5_000, 15_000]),
        };
        self.later(wait, Item::Home(incarnation, action, result));
        Ok(())
    }

    fn failure(&mut self, class: Class, maybe_done: bool) -> Failure {
        let retry_after_ms = (class == Class::RateLimited).then(|| self.dice.between(500, 30_000));
        Failure {
            vendor: String::new(),
            call: String::new(),
            class,
            maybe_done,
            status: None,
            message: String::new(),
            retry_after_ms,
        }
    }

    /// A second recorder must not start while the first may publish: it has exited, was stopped, or has been silent for
    /// the whole back-off.
    fn before_it_is_done(&mut self, call: &Call) -> Result<(), String> {
        let (Call::StartRecorder { attempt, .. } | Call::CreateConverter { attempt, .. }) = call
        else {
            return Ok(());
        };
        for task in &self.vendors.tasks {
            if task.attempt >= *attempt || !task.alive(self.now) {
                continue;
            }
            let signs = self.signs.get(task.attempt as usize).copied();
            let signs = signs.unwrap_or_default();
            let silent = signs
                .silent_since
                .is_some_and(|since| signs.silent_until - since + 500 >= self.back_off);
            if !silent {
                return Err(format!(
                    "recorder {attempt} starts while {} is not proved gone: {signs:?}",
                    task.attempt
                ));
            }
        }
        Ok(())
    }

    fn perform(&mut self, call: &Call) -> Result<Answer, Failure> {
        let input = self.vendors.inputs.last().map_or(1, |input| input.key);
        let key = *self.key.get_or_insert(input);
        if let Some(answer) = self.mutant.instead(
            call,
            self.doubted.contains(call),
            key,
            self.now,
            &mut self.vendors,
        ) {
            self.vendors.refresh(self.now);
            return answer;
        }
        self.vendors.perform(call, key, self.now)
    }

    fn home(
        &mut self,
        incarnation: u32,
        action: Action,
        result: Result<Answer, Failure>,
    ) -> Result<(), String> {
        if incarnation != self.incarnation && self.dice.chance(500) {
            return Ok(());
        }
        if self.relay.is_none() {
            return Ok(());
        }
        let Action { id, call } = action;
        if incarnation == self.incarnation {
            self.hear(&call, &result);
        }
        let jitter = self.jitter();
        let event = match result {
            Ok(answer) => Event::Answered {
                action: id,
                answer,
                jitter,
            },
            Err(failure) => {
                if failure.maybe_done {
                    self.doubted.push(call);
                }
                Event::Failed {
                    action: id,
                    failure,
                    jitter,
                }
            }
        };
        self.tell(event)
    }

    /// What the process learns from an answer, for the rules and for the key it keeps in memory.
    fn hear(&mut self, call: &Call, result: &Result<Answer, Failure>) {
        let of = |recorder: &RecorderRef, vendors: &Vendors| {
            vendors.task(recorder).map(|at| vendors.tasks[at].attempt)
        };
        let (attempt, silent) = match (call, result) {
            (Call::RotateKeys { .. }, Ok(Answer::KeysRotated)) => {
                self.key = None;
                return;
            }
            (Call::StopRecorder(r), Ok(Answer::NotFound))
            | (Call::LookAtRecorder(r), Ok(Answer::Recorder(RecorderReading::NotFound))) => {
                (of(r, &self.vendors), true)
            }
            (Call::LookAtRecorder(r), Ok(Answer::Recorder(_))) => (of(r, &self.vendors), false),
            _ => return,
        };
        let Some(attempt) = attempt.map(|a| a as usize) else {
            return;
        };
        if self.signs.len() <= attempt {
            self.signs.resize(attempt + 1, Signs::default());
        }
        let signs = &mut self.signs[attempt];
        if silent {
            signs.silent_since.get_or_insert(self.now);
            signs.silent_until = self.now;
        } else {
            signs.silent_since = None;
        }
    }

    // ---- debts

    fn owe(&mut self, debt: Debt) {
        if self.mutant == Mutant::DebtsDropped {
            return;
        }
        self.report.debts += 1;
        if matches!(debt.owed, Owed::UnknownRecorder { .. }) {
            self.report.unknown_recorder = true;
        }
        let known = self
            .debts
            .iter()
            .any(|known| same(&known.debt.owed, &debt.owed));
        if known {
            return;
        }
        let due = u64::try_from(debt.due.timestamp_millis() - self.offset)
            .unwrap()
            .max(self.now);
        self.at(due, Item::Janitor);
        self.debts.push(OpenDebt {
            debt,
            due,
            tries: 0,
            misses: 0,
            sid: None,
        });
    }

    fn janitor_hears(&mut self, hint: &Hint) {
        let Hint::RecorderChanged { cname, sid } = hint else {
            return;
        };
        if self.relay.is_none() {
            return;
        }
        let mut due = None;
        for open in &mut self.debts {
            if let Owed::UnknownRecorder { cname: known, .. } = &open.debt.owed
                && known == cname
                && open.sid.is_none()
            {
                open.sid = Some(sid.clone());
                open.due = self.now;
                due = Some(self.now);
            }
        }
        if let Some(at) = due {
            self.at(at, Item::Janitor);
        }
    }

    /// The janitor tries what is due.
    fn pay(&mut self) -> Result<(), String> {
        if self.relay.is_none() {
            return Ok(());
        }
        let mut at = 0;
        while at < self.debts.len() {
            if self.debts[at].due > self.now {
                at += 1;
                continue;
            }
            let expires = self.debts[at].debt.expires.map(|at| at.timestamp_millis());
            let expired = expires.is_some_and(|at| at <= i64::try_from(self.now).unwrap());
            let paid = expired || self.try_to_pay(at)?;
            if paid {
                let debt = self.debts.remove(at);
                self.note(|| format!("paid: {:?}", debt.debt.owed));
                continue;
            }
            let open = &mut self.debts[at];
            open.tries += 1;
            let next = open.due.max(self.now + 1);
            let next = expires.map_or(next, |at| next.min(u64::try_from(at).unwrap() + 1));
            open.due = next;
            self.at(next, Item::Janitor);
            at += 1;
        }
        Ok(())
    }

    fn try_to_pay(&mut self, at: usize) -> Result<bool, String> {
        let fate = self.fate("");
        let tries = self.debts[at].tries;
        if !matches!(fate, Fate::Done | Fate::DoneUnheard) {
            let wait = 1_000u64 << tries.min(6);
            self.debts[at].due = self.now + wait.min(60_000);
            return Ok(false);
        }
        let owed = self.debts[at].debt.owed.clone();
        let now = self.now;
        let input_gone = |vendors: &mut Vendors, call: Call| vendors.perform(&call, 0, now).is_ok();
        let found = match &owed {
            Owed::StopRecorder {
                resource_id,
                sid,
                cname,
                uid,
            } => self.stop_recorder(resource_id, sid, cname, *uid),
            Owed::UnknownRecorder {
                resource_id,
                cname,
                uid,
            } => match self.debts[at].sid.clone() {
                Some(sid) => self.stop_recorder(resource_id, &sid, cname, *uid),
                None => {
                    self.debts[at].due = now + 3_600_000;
                    return Ok(false);
                }
            },
            Owed::DeleteConverter {
                converter_id,
                region,
            } => {
                let recorder = RecorderRef::MediaPush {
                    converter_id: converter_id.clone(),
                    region: region.clone(),
                };
                self.vendors.stop(&recorder, now) == Answer::Stopped
            }
            Owed::FindConverter { name, region } => {
                let listed = self
                    .vendors
                    .tasks
                    .iter()
                    .find(|t| t.cname == *name && t.alive(now) && !t.hidden(now));
                match listed.map(|task| task.sid.clone()) {
                    Some(converter_id) => {
                        let region = region.clone();
                        let recorder = RecorderRef::MediaPush {
                            converter_id,
                            region,
                        };
                        self.vendors.stop(&recorder, now) == Answer::Stopped
                    }
                    None => false,
                }
            }
            Owed::FindLiveInput { mark } => {
                if let Some(input) = self.vendors.input_by_mark(mark) {
                    self.vendors.inputs[input].deleted = true;
                }
                true
            }
            Owed::DisableLiveInput { uid } | Owed::DisableGhost { uid } => input_gone(
                &mut self.vendors,
                Call::DisableLiveInput {
                    live_input: uid.clone(),
                    urgent: true,
                },
            ),
            Owed::DeleteLiveInput { uid } => input_gone(
                &mut self.vendors,
                Call::DeleteLiveInput {
                    live_input: uid.clone(),
                },
            ),
            Owed::DeleteVideo { uid } => {
                let mut videos = self.vendors.inputs.iter_mut().flat_map(|i| &mut i.videos);
                match videos.find(|video| video.uid == *uid) {
                    // A video being recorded cannot be deleted.
                    Some(video) if video.closed.is_none() => {
                        self.debts[at].due = now + 60_000;
                        return Ok(false);
                    }
                    Some(video) => {
                        video.deleted = true;
                        true
                    }
                    None => true,
                }
            }
            Owed::FindRecordings { live_input } => {
                let call = Call::LookForRecordings {
                    live_input: live_input.clone(),
                    thorough: true,
                };
                if let Ok(Answer::Recordings(videos)) = self.vendors.perform(&call, 0, now) {
                    self.tell(Event::LateRecordings(videos))?;
                }
                if self.relay.is_none() {
                    return Ok(false);
                }
                let open = &mut self.debts[at];
                open.misses += 1;
                open.due = now + 23 * 3_600_000;
                return Ok(open.misses > 1);
            }
        };
        self.vendors.refresh(now);
        if fate == Fate::DoneUnheard {
            self.debts[at].due = now + 5_000;
            return Ok(false);
        }
        if found {
            return Ok(true);
        }
        // 404 at Agora: it may be moving. Looked for again at 30, 120, 240 s.
        let open = &mut self.debts[at];
        open.misses += 1;
        let wait = match open.misses {
            1 => 30_000,
            2 => 90_000,
            3 => 120_000,
            _ => return Ok(true),
        };
        open.due = now + wait;
        Ok(false)
    }

    fn stop_recorder(&mut self, resource_id: &str, sid: &str, cname: &str, uid: u32) -> bool {
        let recorder = RecorderRef::CloudRecording {
            resource_id: resource_id.into(),
            sid: sid.into(),
            cname: cname.into(),
            uid,
        };
        self.vendors.stop(&recorder, self.now) == Answer::Stopped
    }

    // ---- the rules

    /// What must hold after every step.
    fn obey(&mut self) -> Result<(), String> {
        for input in &self.vendors.inputs {
            let publishers = self
                .vendors
                .tasks
                .iter()
                .filter(|t| self.vendors.inputs[t.input].uid == input.uid)
                .filter(|t| t.may_publish(input, self.now))
                .count();
            if publishers > 1 {
                return Err(format!(
                    "{publishers} recorders can publish into {}",
                    input.uid
                ));
            }
        }
        let durable = self.durable();
        for task in self.vendors.tasks.iter().filter(|t| t.alive(self.now)) {
            let open = durable.is_some_and(|durable| {
                let ours = durable
                    .open_recorder()
                    .map(|r| durable.spec.mark(r.attempt));
                durable.phase != Phase::Ended && ours.is_some_and(|m| m.to_string() == task.cname)
            });
            let owed = self.debts.iter().any(|open| match &open.debt.owed {
                Owed::StopRecorder { sid, .. } => *sid == task.sid,
                Owed::DeleteConverter { converter_id, .. } => *converter_id == task.sid,
                Owed::UnknownRecorder { cname, .. } => *cname == task.cname,
                Owed::FindConverter { name, .. } => *name == task.cname,
                _ => false,
            });
            if !open && !owed {
                return Err(format!("recorder {} is nobody's", task.sid));
            }
            if !open && task.may_publish(&self.vendors.inputs[task.input], self.now) {
                let safe =
                    durable.is_some_and(|d| !d.phase.is_watched() || d.live_input.keys_stale);
                if !safe {
                    return Err(format!("given up, {} can publish", task.sid));
                }
            }
        }
        for input in self.vendors.inputs.iter().filter(|i| !i.deleted) {
            let owed = |kinds: fn(&Owed) -> bool| {
                self.debts.iter().any(|open| {
                    let target = open.debt.owed.target();
                    kinds(&open.debt.owed) && (target == input.uid || target == input.mark)
                })
            };
            let deletion =
                owed(|o| matches!(o, Owed::FindLiveInput { .. } | Owed::DeleteLiveInput { .. }));
            let disabling = owed(|o| matches!(o, Owed::DisableLiveInput { .. }));
            let ours = durable.filter(|durable| {
                let mark = durable.spec.mark(durable.live_input.attempt).to_string();
                mark == input.mark
                    && durable.live_input.stage != relaykeeper::relay::InputStage::Settled
            });
            let ended = durable.is_some_and(|durable| durable.phase == Phase::Ended);
            let kept = !ended || self.spec.keep_live_input;
            if !(deletion || ours.is_some() && kept) {
                return Err(format!("live input {} is nobody's", input.uid));
            }
            let disabled = ours.is_some_and(|durable| {
                durable.live_input.stage == relaykeeper::relay::InputStage::Disabled
            });
            if disabled && input.enabled && !disabling {
                return Err(format!("live input {} is not disabled", input.uid));
            }
        }
        if let Some(durable) = durable
            && durable.phase != Phase::Ended
        {
            let timing = &self.spec.timing;
            let all = timing.provisioning_timeout
                + timing.live_timeout
                + timing.max_duration
                + timing.recording_timeout * 3
                + Duration::from_secs(300);
            let all = u64::try_from(all.as_millis()).unwrap() + self.lost_time;
            if self.now > START + all && self.relay.is_some() && self.late <= self.now {
                return Err(format!("it is still {}", durable.phase));
            }
        }
        Ok(())
    }

    /// What must hold when nothing happens any more.
    fn at_rest(&mut self) -> Result<(), String> {
        self.obey()?;
        let journal = self.journal.iter().map(|(at, fact)| (*at, fact));
        let replayed = Durable::replay(journal).map_err(|e| e.to_string())?;
        let Some(relay) = &self.relay else {
            if replayed.is_some() || !self.vendors.inputs.is_empty() {
                return Err("something is left of a relay that was never stored".into());
            }
            return Ok(());
        };
        let durable = relay.durable();
        if replayed.as_ref() != Some(durable) {
            return Err("the journal adds up to another state".into());
        }
        if durable.phase != Phase::Ended {
            return Err(format!("it rests in {}", durable.phase));
        }
        if !self.debts.is_empty() {
            return Err(format!("debts stay open: {:?}", self.debts));
        }
        self.check_story()?;
        let outcome: Option<&Outcome> = durable.outcome.as_ref();
        self.report.outcome = outcome.map(|outcome| outcome.code);
        self.report.live = durable.live_at.is_some();
        self.report.replacements = durable.replacements;
        self.report.interrupted = durable.was_interrupted;
        Ok(())
    }

    /// The marketplace hears a story that makes sense.
    fn check_story(&self) -> Result<(), String> {
        use Announcement as A;
        let mut last = None;
        for told in &self.told {
            let fits = match (last, told) {
                (None, A::Starting)
                | (Some(A::Starting), A::Live | A::Stopped | A::Failed)
                | (Some(A::Live | A::Resumed), A::Interrupted | A::Stopped | A::Failed)
                | (Some(A::Interrupted), A::Resumed | A::Stopped | A::Failed)
                | (
                    Some(A::Stopped | A::Failed | A::RecordingReady | A::RecordingMissing),
                    A::RecordingReady | A::RecordingMissing | A::Ended,
                )
                | (Some(A::Ended), A::RecordingReady) => true,
                _ => false,
            };
            if !fits {
                return Err(format!("{told} after {last:?}: {:?}", self.told));
            }
            last = Some(if last == Some(A::Ended) {
                A::Ended
            } else {
                *told
            });
        }
        let ended = self.told.iter().filter(|told| **told == A::Ended).count();
        if ended != 1 {
            return Err(format!("relay.ended {ended} times"));
        }
        if !self.spec.enable_recording && self.told.contains(&A::RecordingReady) {
            return Err("a recording nobody wanted was announced".into());
        }
        Ok(())
    }
}

fn for_the_process(item: &Item) -> bool {
    matches!(
        item,
        Item::Home(..)
            | Item::Hint(_)
            | Item::Page { .. }
            | Item::Stop
            | Item::PredecessorDown
            | Item::Janitor
    )
}

fn same(one: &Owed, other: &Owed) -> bool {
    let kind = |owed: &Owed| -> &'static str { owed.into() };
    kind(one) == kind(other) && one.target() == other.target()
}

/// Names an action's id in a trace.
#[allow(dead_code, reason = "for traces")]
pub fn named(id: ActionId) -> String {
    format!("{}.{}", id.incarnation, id.number)
}
