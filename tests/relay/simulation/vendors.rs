//! Agora as its documents describe it, and the platform as its capabilities do, for one relay, in virtual time.

mod platform;

use relaykeeper::relay::{
    Answer, Call, Class, EgressHandle, EgressReading, EgressRef, Failure, Hint, Spec,
};

use super::dice::Dice;
use super::kept::KeptRow;
pub use super::objects::{Input, Ms, News, Task, VendorFaults};
use crate::egresses::{handle, id};
use crate::platforms::Quirks;

/// How much longer than its backend promises a preparation lives.
const PREPARATION_MARGIN: Ms = 30_000;
/// An empty channel ends a converter (`idleTimeout`, `agora.md §4.8`).
const IDLE: Ms = 240_000;

#[derive(Debug)]
struct Preparation {
    attempt: u32,
    at: Ms,
    task: Option<usize>,
}

#[derive(Debug)]
pub struct Vendors {
    pub(super) spec: Spec,
    quirks: Quirks,
    pub vendor_faults: VendorFaults,
    pub dice: Dice,
    pub inputs: Vec<Input>,
    pub tasks: Vec<Task>,
    preparations: Vec<Preparation>,
    /// When the seller joined, left, joined …
    pub seller: Vec<Ms>,
    pub news: Vec<News>,
    numbers: u32,
    pub kept: Option<KeptRow>,
}

fn failure(class: Class, message: &str) -> Failure {
    Failure {
        vendor: String::new(),
        call: String::new(),
        class,
        maybe_done: false,
        status: None,
        message: message.into(),
        retry_after_ms: None,
    }
}

impl Vendors {
    pub fn new(
        spec: Spec,
        quirks: Quirks,
        vendor_faults: VendorFaults,
        seller: Vec<Ms>,
        dice: Dice,
    ) -> Self {
        let mut vendors = Self {
            spec,
            quirks,
            vendor_faults,
            dice,
            inputs: Vec::new(),
            tasks: Vec::new(),
            preparations: Vec::new(),
            seller,
            news: Vec::new(),
            numbers: 0,
            kept: None,
        };
        for (i, at) in vendors.seller.clone().into_iter().enumerate() {
            let joined = i % 2 == 0;
            vendors.news.push(News::At(
                at,
                if joined {
                    Hint::SellerJoined
                } else {
                    Hint::SellerLeft
                },
            ));
        }
        vendors
    }

    pub fn seller_is_there(&self, now: Ms) -> bool {
        self.seller.iter().filter(|at| **at <= now).count() % 2 == 1
    }

    fn seller_away_since(&self, now: Ms) -> Option<Ms> {
        if self.seller_is_there(now) {
            return None;
        }
        Some(
            self.seller
                .iter()
                .copied()
                .filter(|at| *at <= now)
                .max()
                .unwrap_or(0),
        )
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// Such a backend also reports an exit, names its egresses in notifications, and never ends one because the channel
    /// is empty.
    fn prepares(&self) -> bool {
        self.spec.egress.capabilities.prepare.is_some()
    }

    /// `key` is the ingest's key as the caller knows it.
    pub fn perform(&mut self, call: &Call, key: u32, now: Ms) -> Result<Answer, Failure> {
        let answer = match call {
            Call::CreateIngest { attempt } => self.create_input(*attempt, "", now),
            Call::FindIngest { attempt } => Ok(self.find(*attempt, now)),
            Call::PrepareEgress { attempt } => {
                assert!(self.prepares(), "nothing is to be prepared");
                self.preparations.push(Preparation {
                    attempt: *attempt,
                    at: now,
                    task: None,
                });
                let number = self.preparations.len() - 1;
                Ok(Answer::EgressPrepared(handle(number.to_string())))
            }
            Call::StartEgress {
                attempt,
                preparation,
                ingest,
            } => self.start(*attempt, preparation.as_ref(), ingest, key, "", now),
            Call::ClaimIngest => Ok(self.claim(now)),
            Call::EndBroadcast { ingest } => Ok(self.end_broadcast(ingest, now)),
            Call::RenewIngestKey { ingest } => Ok(self.renew_key(ingest)),
            Call::CloseIngest { ingest, .. } => Ok(self.close(ingest)),
            Call::RemoveIngest { ingest } => Ok(self.remove(ingest, now)),
            Call::StopEgress(egress) => Ok(self.stop(egress, now)),
            Call::UpdateEgress { egress, .. } => {
                let updates = self.spec.egress.capabilities.updates;
                assert!(updates, "the backend cannot update");
                let mends = self.dice.chance(700);
                Ok(match self.task(egress) {
                    Some(at) if self.tasks[at].alive(now) && !self.tasks[at].hidden(now) => {
                        let task = &mut self.tasks[at];
                        task.key = key;
                        if mends {
                            task.cut_from = None;
                        }
                        Answer::Updated
                    }
                    _ => Answer::NotFound,
                })
            }
            Call::PollFeed {
                ingest,
                probe_manifest,
                manifest_first,
            } => {
                // Whether the host reports a removed ingest is not documented. Drawn from the relay's id, so that other
                // seeds stay the same.
                let tells = self.spec.relay_id.as_u128().is_multiple_of(2);
                if tells && self.input(ingest).is_none_or(|input| input.deleted) {
                    return Ok(Answer::NotFound);
                }
                let reading = self.feed(ingest, *probe_manifest, now);
                Ok(match *manifest_first && reading.watchable != Some(true) {
                    true => Answer::NotYetWatchable,
                    false => Answer::Feed(reading),
                })
            }
            Call::PollEgress(egress) => Ok(Answer::Egress(self.poll(egress, now))),
            Call::PollHosts => Ok(Answer::Hosts {
                present: self.seller_is_there(now),
            }),
            Call::PollRecordings { ingest, thorough } => {
                Ok(Answer::Recordings(self.recordings(ingest, *thorough, now)))
            }
        };
        self.refresh(now);
        answer
    }

    pub fn start(
        &mut self,
        attempt: u32,
        preparation: Option<&EgressHandle>,
        ingest: &str,
        key: u32,
        other: &str,
        now: Ms,
    ) -> Result<Answer, Failure> {
        let tag = format!("{}{other}", self.spec.tag(attempt));
        let mut alive = self.tasks.iter().filter(|task| task.alive(now));
        let running = alive.find(|task| task.tag == tag);
        let Some(prepare) = &self.spec.egress.capabilities.prepare else {
            assert_eq!(preparation, None, "nothing is to be prepared");
            let id = match running {
                Some(task) => task.id.clone(),
                None => self.run(attempt, None, ingest, key, other, now),
            };
            return Ok(Answer::EgressRunning(Some(handle(id))));
        };
        let life = u64::try_from(prepare.life.as_millis()).unwrap() + PREPARATION_MARGIN;
        let at: usize = id(preparation.unwrap()).parse().unwrap();
        let preparation = &self.preparations[at];
        assert_eq!(
            preparation.attempt, attempt,
            "a preparation of another identity"
        );
        if let Some(task) = preparation.task.filter(|_| other.is_empty()) {
            return if self.tasks[task].alive(now) {
                let id = Some(self.tasks[task].id.clone()).filter(|_| self.dice.chance(500));
                Ok(Answer::EgressRunning(id.map(handle)))
            } else {
                Err(failure(Class::Rejected, "the preparation was used"))
            };
        }
        if now - preparation.at > life {
            return Ok(Answer::PreparationExpired);
        }
        if running.is_some() {
            return Ok(Answer::EgressElsewhere);
        }
        let id = self.run(attempt, Some(at), ingest, key, other, now);
        self.preparations[at].task = Some(self.tasks.len() - 1);
        Ok(Answer::EgressRunning(Some(handle(id))))
    }

    pub fn run(
        &mut self,
        attempt: u32,
        preparation: Option<usize>,
        ingest: &str,
        key: u32,
        other: &str,
        now: Ms,
    ) -> String {
        let number = self.number();
        let id = format!("s{number}");
        let input = self
            .inputs
            .iter()
            .position(|input| input.id == ingest)
            .unwrap();
        let max_hours = self.spec.egress.capabilities.max_hours;
        let limit = max_hours.map_or(u64::MAX / 2, |hours| u64::from(hours) * 3_600_000);
        let dice = &mut self.dice;
        let vendor_faults = self.vendor_faults;
        let mut task = Task {
            tag: format!("{}{other}", self.spec.tag(attempt)),
            id: id.clone(),
            preparation,
            input,
            key,
            attempt,
            publishes_from: now + dice.between(1_000, 7_000),
            moves: None,
            ends: now + limit,
            exit_is_reported: dice.chance(500),
            cut_from: None,
            fails_from: None,
            stopped: false,
            idle_edge: 0,
        };
        if dice.chance(vendor_faults.moves) {
            let from = now + dice.between(0, 120_000);
            let away = dice.one_of(&[30_000, 90_000, 100_000, 119_000, 150_000, 230_000]);
            task.moves = Some((from, from + away));
        }
        if dice.chance(vendor_faults.exits) {
            task.ends = now + dice.between(1, 180_000);
        }
        if dice.chance(vendor_faults.cuts) {
            task.cut_from = Some(now + dice.between(0, 120_000));
        }
        if dice.chance(vendor_faults.fails) {
            task.fails_from = Some(now + dice.between(0, 120_000));
        }
        let edges = [Some(task.publishes_from), task.cut_from, task.fails_from]
            .into_iter()
            .flatten()
            .chain(task.moves.into_iter().flat_map(|(from, to)| [from, to]))
            .chain((limit > task.ends - now).then_some(task.ends));
        self.news.extend(edges.map(News::Edge));
        let started = self.changed(&task.tag, &id);
        self.news.push(News::At(task.publishes_from, started));
        if !self.prepares() {
            self.news.push(News::Edge(now + IDLE));
        }
        self.tasks.push(task);
        id
    }

    fn changed(&self, tag: &str, id: &str) -> Hint {
        if self.prepares() {
            Hint::EgressNamed {
                tag: tag.into(),
                handle: handle(id),
            }
        } else {
            Hint::EgressChanged
        }
    }

    /// The task that a caller means: a handle belongs to its preparation (`agora.md §7.1`, 1003).
    pub fn task(&self, egress: &EgressRef) -> Option<usize> {
        let named = id(egress.handle.as_ref()?);
        let preparation = egress.preparations.first();
        let preparation = preparation.map(|known| id(known).parse().unwrap());
        let is_meant = |task: &Task| task.id == named && task.preparation == preparation;
        self.tasks.iter().position(is_meant)
    }

    pub fn stop(&mut self, egress: &EgressRef, now: Ms) -> Answer {
        let Some(at) = self.task(egress) else {
            return Answer::NotFound;
        };
        let over = self.prepares() && self.dice.chance(500);
        let task = &mut self.tasks[at];
        if !task.alive(now) {
            return if over {
                Answer::Stopped
            } else {
                Answer::NotFound
            };
        }
        if task.hidden(now) {
            return Answer::NotFound;
        }
        task.stopped = true;
        Answer::Stopped
    }

    fn poll(&self, egress: &EgressRef, now: Ms) -> EgressReading {
        let Some(at) = self.task(egress) else {
            return EgressReading::NotFound;
        };
        let task = &self.tasks[at];
        let past = |at: Option<Ms>| at.is_some_and(|at| at <= now);
        if !task.alive(now) {
            let reported = task.exit_is_reported && self.prepares() && now < task.ends + 60_000;
            return if reported {
                EgressReading::Exited
            } else {
                EgressReading::NotFound
            };
        }
        if task.hidden(now) {
            EgressReading::NotFound
        } else if past(task.fails_from) {
            EgressReading::Failed
        } else if now < task.publishes_from {
            EgressReading::Connecting
        } else if task.publishes(&self.inputs[task.input], now) {
            EgressReading::Publishing
        } else {
            EgressReading::Disconnected
        }
    }

    /// Applies what time and the last call changed.
    pub fn refresh(&mut self, now: Ms) {
        if !self.prepares() {
            let away = self.seller_away_since(now);
            for task in &mut self.tasks {
                let idle = away.map(|at| at.max(task.publishes_from) + IDLE);
                if let Some(idle) = idle.filter(|at| *at <= now && *at < task.ends) {
                    task.ends = idle;
                } else if let Some(idle) =
                    idle.filter(|at| now < *at && *at < task.ends && *at != task.idle_edge)
                {
                    task.idle_edge = idle;
                    self.news.push(News::Edge(idle));
                }
            }
        }
        self.refresh_inputs(now);
    }
}
