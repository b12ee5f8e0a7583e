//! The steps of the protocol, and when each may happen.

use stateright::{Model, Property};

use super::properties::properties;
use super::state::{Call, Late, Process, RELAYS, Renewal, Standing, State};

/// The database's lease, in ticks.
const LEASE: u8 = 5;
/// The latest time to begin a call, from the sending of the last known renewal.
pub const HALF: u8 = LEASE / 2;
/// From the last read of the clock to a request's effect at the vendor.
const LATE: u8 = 1;
/// How far a process's clock may fall behind the database's in one lease.
const DRIFT: u8 = 1;
/// Nothing is sent this long before the lease's end.
const MARGIN: u8 = LATE + DRIFT;
/// A row's ticks after a renewal; at 0 its lease has expired.
pub const FULL: u8 = LEASE + 1;

/// What keeps the protocol safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A save is refused unless the relay bears its epoch.
    Fence,
    /// Nothing is sent in the margin before the lease's end.
    Margin,
    /// The margin is not a tick shorter.
    WholeMargin,
    /// A lease counts from the sending of its renewal, not from the answer.
    CountsFromSending,
    /// A call that takes too long is cut.
    CutByLease,
    /// No pause comes between reading the clock and sending.
    PollsAsItSends,
    /// A process's clock runs while the process is paused.
    ClockRuns,
    /// A node is removed only when its lease has expired.
    BuriesOnlyTheDead,
    /// A renewal of a removed node does nothing.
    RenewalNeedsRow,
    /// A process that joins again has dropped the relays of its last epoch.
    Abandons,
    /// A process ends its calls before it leaves or releases.
    CallsComeHome,
    /// A relay is not taken up again while its release may still be executed.
    HeedsReleases,
}

/// What may take any time on its way to the database. All else arrives at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    Nothing,
    Renewals,
    /// Saves and releases, one at a time in the whole fleet.
    Statements,
}

/// The model: a number of processes, with all guards or without one.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub processes: usize,
    pub slow: Slow,
    pub without: Option<Guard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time passes. One process's clock may stand still, if allowed.
    Tick(Option<usize>),
    /// A step of one process.
    Step(usize, Step),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Join,
    SendRenewal,
    ExecuteRenewal,
    HearRenewal,
    LoseRenewal,
    Bury,
    Leave,
    Begin(usize),
    Poll,
    Send,
    ComeHome,
    Claim(usize),
    TakeUp(usize),
    Save(usize),
    Release(usize),
    ExecuteLate,
    LoseLate,
}

fn steps() -> Vec<Step> {
    use Step::*;
    let mut steps = vec![
        Join,
        SendRenewal,
        ExecuteRenewal,
        HearRenewal,
        LoseRenewal,
        Bury,
        Leave,
        Poll,
        Send,
        ComeHome,
        ExecuteLate,
        LoseLate,
    ];
    for relay in 0..RELAYS {
        let of_relay = [Begin, Claim, TakeUp, Save, Release];
        steps.extend(of_relay.map(|step| step(relay)));
    }
    steps
}

/// When a step may happen.
impl Protocol {
    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// The latest time to send, from the last known renewal.
    fn cut(&self) -> u8 {
        if !self.has(Guard::Margin) {
            return LEASE;
        }
        LEASE - MARGIN + u8::from(!self.has(Guard::WholeMargin))
    }

    /// The age at which a process may do nothing. Higher ages are equivalent.
    fn over(&self) -> u8 {
        self.cut() + DRIFT + 1
    }

    pub fn enabled(&self, state: &State, at: usize, step: Step) -> bool {
        let it = &state.processes[at];
        let node = it.standing == Standing::Node;
        let home = |relay| it.call.relay() != Some(relay) || !self.has(Guard::CallsComeHome);
        let prompt = || state.processes.iter().all(|it| it.late == Late::None);
        match step {
            Step::Join => !node,
            Step::SendRenewal => node && it.renewal == Renewal::None,
            Step::ExecuteRenewal => matches!(it.renewal, Renewal::Asked(_)),
            Step::HearRenewal => matches!(it.renewal, Renewal::Answered(_)),
            Step::LoseRenewal => it.renewal != Renewal::None,
            Step::Bury => self.may_be_buried(it),
            Step::Leave => node && (0..RELAYS).all(home),
            Step::Begin(relay) => it.drives[relay] && it.call == Call::None && within(it, HALF),
            Step::Poll | Step::Send => self.may_send(it, step),
            Step::ComeHome => it.call != Call::None,
            Step::Claim(relay) => node && it.row.is_some() && state.owner(relay).is_none(),
            Step::TakeUp(relay) => node && self.may_take_up(it, relay),
            Step::Save(relay) => it.drives[relay] && prompt(),
            Step::Release(relay) => it.drives[relay] && home(relay) && prompt(),
            Step::ExecuteLate | Step::LoseLate => it.late != Late::None,
        }
    }

    fn may_be_buried(&self, it: &Process) -> bool {
        let dead = |left| left == 0 || !self.has(Guard::BuriesOnlyTheDead);
        it.row.is_some_and(dead)
    }

    fn may_send(&self, it: &Process, step: Step) -> bool {
        let in_time = within(it, self.cut()) || !self.has(Guard::CutByLease);
        match it.call {
            Call::Begun(_) if self.has(Guard::PollsAsItSends) => step == Step::Send && in_time,
            Call::Begun(_) => step == Step::Poll && in_time,
            Call::Polled(_) => step == Step::Send,
            Call::None | Call::Sent(..) => false,
        }
    }

    /// The process reads which relays bear its epoch, and misses one: an answer of the database was lost.
    fn may_take_up(&self, it: &Process, relay: usize) -> bool {
        let released = it.late == Late::Release { relay } && self.has(Guard::HeedsReleases);
        it.bears[relay] && !it.drives[relay] && !released
    }
}

/// Whether less time has passed by the process's clock, which may be slow.
pub fn within(it: &Process, limit: u8) -> bool {
    it.age.saturating_sub(DRIFT) <= limit
}

/// What a step does.
impl Protocol {
    pub fn step(&self, state: &mut State, at: usize, step: Step) {
        if let Step::Claim(relay) = step {
            for it in &mut state.processes {
                it.bears[relay] = false;
            }
        }
        let it = &mut state.processes[at];
        match step {
            Step::Join => join(it),
            Step::SendRenewal => {
                it.renewal = Renewal::Asked(0);
                if self.slow != Slow::Renewals {
                    self.execute_renewal(it);
                }
            }
            Step::ExecuteRenewal => self.execute_renewal(it),
            Step::HearRenewal => self.hear_renewal(it),
            Step::LoseRenewal => it.renewal = Renewal::None,
            Step::Bury => it.row = None,
            Step::Leave => {
                it.row = None;
                self.abandon(it, Standing::Away);
            }
            Step::Begin(relay) => it.call = Call::Begun(relay),
            Step::Poll => it.call = it.call.relay().map_or(Call::None, Call::Polled),
            Step::Send => {
                let sent = |relay| Call::Sent(relay, LATE + 1);
                it.call = it.call.relay().map_or(Call::None, sent);
            }
            Step::ComeHome => it.call = Call::None,
            Step::Claim(relay) => (it.bears[relay], it.drives[relay]) = (true, true),
            Step::TakeUp(relay) => it.drives[relay] = true,
            Step::Save(relay) => self.send_statement(state, at, Late::Save { relay, past: false }),
            Step::Release(relay) => {
                it.drives[relay] = false;
                self.send_statement(state, at, Late::Release { relay });
            }
            Step::ExecuteLate => self.execute_late(state, at),
            Step::LoseLate => it.late = Late::None,
        }
    }

    fn execute_renewal(&self, it: &mut Process) {
        let Renewal::Asked(age) = it.renewal else {
            return;
        };
        if it.row.is_none() && self.has(Guard::RenewalNeedsRow) {
            return self.abandon(it, Standing::Buried);
        }
        it.row = Some(FULL);
        it.renewal = Renewal::Answered(age);
    }

    fn hear_renewal(&self, it: &mut Process) {
        if let Renewal::Answered(age) = it.renewal {
            let counts = self.has(Guard::CountsFromSending);
            it.age = if counts { age } else { 0 };
            it.renewal = Renewal::None;
        }
    }

    /// What was sent stays on its way.
    fn abandon(&self, it: &mut Process, standing: Standing) {
        it.standing = standing;
        it.age = self.over();
        it.renewal = Renewal::None;
        if self.has(Guard::Abandons) {
            it.drives = [false; RELAYS];
        }
        if it.call.acts_on().is_none() {
            it.call = Call::None;
        }
    }

    fn send_statement(&self, state: &mut State, at: usize, statement: Late) {
        state.processes[at].late = statement;
        if self.slow != Slow::Statements {
            self.execute_late(state, at);
        }
    }

    fn execute_late(&self, state: &mut State, at: usize) {
        let late = std::mem::replace(&mut state.processes[at].late, Late::None);
        match late {
            Late::None => {}
            Late::Save { relay, past } => self.save(state, at, relay, past),
            Late::Release { relay } => state.processes[at].bears[relay] = false,
        }
    }

    /// Notes a save that is accepted although another process or epoch has the relay.
    fn save(&self, state: &mut State, at: usize, relay: usize, past: bool) {
        let bearer = state.processes.iter().position(|it| it.bears[relay]);
        let owns = bearer == Some(at) && !past;
        let accepted = owns || !self.has(Guard::Fence);
        state.overwritten |= accepted && bearer.is_some() && !owns;
    }

    pub fn tick(&self, state: &mut State, still: Option<usize>) {
        let older = |age: u8| self.over().min(age + 1);
        for (at, it) in state.processes.iter_mut().enumerate() {
            it.row = it.row.map(|left| left.saturating_sub(1));
            if let Call::Sent(relay, left) = it.call {
                it.call = if left == 1 {
                    Call::None
                } else {
                    Call::Sent(relay, left - 1)
                };
            }
            if still == Some(at) {
                continue;
            }
            it.age = older(it.age);
            it.renewal = match it.renewal {
                Renewal::None => Renewal::None,
                Renewal::Asked(age) => Renewal::Asked(older(age)),
                Renewal::Answered(age) => Renewal::Answered(older(age)),
            };
        }
    }

    /// Forgets an age that makes no difference: while no call is begun, past the age at which one may begin.
    fn blur(&self, it: &mut Process) {
        let old = |age: u8| age > HALF + DRIFT && !matches!(it.call, Call::Begun(_));
        if let Renewal::Answered(age) = it.renewal
            && old(age)
            && self.has(Guard::CountsFromSending)
        {
            it.renewal = Renewal::None;
        }
        if old(it.age) {
            it.age = self.over();
        }
    }
}

/// A fresh epoch: no relay bears it, and no earlier statement uses it.
fn join(it: &mut Process) {
    it.standing = Standing::Node;
    it.row = Some(FULL);
    it.bears = [false; RELAYS];
    it.renewal = Renewal::Answered(0);
    it.late = match it.late {
        Late::Save { relay, .. } => Late::Save { relay, past: true },
        Late::None | Late::Release { .. } => Late::None,
    };
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            processes: vec![Process::away(self.over()); self.processes],
            overwritten: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick(None));
        if !self.has(Guard::ClockRuns) {
            actions.extend((0..self.processes).map(|at| Action::Tick(Some(at))));
        }
        let steps = steps();
        for at in 0..self.processes {
            let enabled = steps.iter().filter(|step| self.enabled(state, at, **step));
            actions.extend(enabled.map(|step| Action::Step(at, *step)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick(still) => self.tick(&mut state, still),
            Action::Step(at, step) => self.step(&mut state, at, step),
        }
        state.processes.iter_mut().for_each(|it| self.blur(it));
        Some(state.representative())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }
}
