//! The steps of the protocol, and when each may happen.

use stateright::{Model, Property};

use super::properties::properties;
use super::state::{Call, Late, Process, RELAYS, Renewal, Standing, State};

/// The database's lease, in ticks.
const LEASE: u8 = 5;
/// The latest age of the last known renewal at which a call begins.
pub const HALF: u8 = LEASE / 2;
/// Ticks from the last read of the clock to a request's effect at the vendor.
const LATE: u8 = 1;
/// Ticks that a process's clock may fall behind the database's in one lease.
const DRIFT: u8 = 1;
/// Nothing is sent in these last ticks of a lease.
const MARGIN: u8 = LATE + DRIFT;
/// A row's ticks after a renewal; at 0 its lease has expired.
pub const FULL: u8 = LEASE + 1;

/// What keeps the protocol safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A save is refused unless the relay bears the process's epoch.
    Fence,
    Margin,
    /// The margin is not a tick shorter.
    WholeMargin,
    /// A lease counts from the sending of its renewal, not from the answer.
    CountsFromSending,
    /// A call that was not sent in time is cut.
    CutByLease,
    /// No pause comes between reading the clock and sending.
    ReadsClockAsItSends,
    ClockRuns,
    RemovesOnlyExpired,
    /// A renewal of a removed node does nothing.
    RenewalNeedsRow,
    /// A process that joins again no longer drives the relays of its last epoch.
    DropsRelays,
    /// A process ends its calls before it leaves or releases.
    EndsCallsFirst,
    /// A relay is not taken up again while its release may still be executed.
    WaitsForReleases,
}

/// What may take any time to reach the database. All else arrives at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    Nothing,
    Renewals,
    /// Saves and releases, one at a time in the whole fleet.
    Statements,
}

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
    Step(usize, Step),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Join,
    SendRenewal,
    ExecuteRenewal,
    ReceiveAnswer,
    LoseRenewal,
    RemoveNode,
    Leave,
    Begin(usize),
    ReadClock,
    Send,
    EndCall,
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
        ReceiveAnswer,
        LoseRenewal,
        RemoveNode,
        Leave,
        ReadClock,
        Send,
        EndCall,
        ExecuteLate,
        LoseLate,
    ];
    for relay in 0..RELAYS {
        let of_relay = [Begin, Claim, TakeUp, Save, Release];
        steps.extend(of_relay.map(|step| step(relay)));
    }
    steps
}

impl Protocol {
    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// The latest age at which a call is sent.
    fn cut(&self) -> u8 {
        if !self.has(Guard::Margin) {
            return LEASE;
        }
        LEASE - MARGIN + u8::from(!self.has(Guard::WholeMargin))
    }

    /// From this age on, a process may do nothing; older ones are equivalent.
    fn over(&self) -> u8 {
        self.cut() + DRIFT + 1
    }

    pub fn enabled(&self, state: &State, at: usize, step: Step) -> bool {
        let it = &state.processes[at];
        let node = it.standing == Standing::Node;
        let call_ended = |relay| it.call.relay() != Some(relay) || !self.has(Guard::EndsCallsFirst);
        let nothing_late = || state.processes.iter().all(|it| it.late == Late::None);
        match step {
            Step::Join => !node,
            Step::SendRenewal => node && it.renewal == Renewal::None,
            Step::ExecuteRenewal => matches!(it.renewal, Renewal::Asked(_)),
            Step::ReceiveAnswer => matches!(it.renewal, Renewal::Answered(_)),
            Step::LoseRenewal => it.renewal != Renewal::None,
            Step::RemoveNode => self.may_be_removed(it),
            Step::Leave => node && (0..RELAYS).all(call_ended),
            Step::Begin(relay) => it.drives[relay] && it.call == Call::None && within(it, HALF),
            Step::ReadClock | Step::Send => self.may_send(it, step),
            Step::EndCall => it.call != Call::None,
            Step::Claim(relay) => node && it.row.is_some() && state.owner(relay).is_none(),
            Step::TakeUp(relay) => node && self.may_take_up(it, relay),
            Step::Save(relay) => it.drives[relay] && nothing_late(),
            Step::Release(relay) => it.drives[relay] && call_ended(relay) && nothing_late(),
            Step::ExecuteLate | Step::LoseLate => it.late != Late::None,
        }
    }

    fn may_be_removed(&self, it: &Process) -> bool {
        let dead = |left| left == 0 || !self.has(Guard::RemovesOnlyExpired);
        it.row.is_some_and(dead)
    }

    fn may_send(&self, it: &Process, step: Step) -> bool {
        let in_time = within(it, self.cut()) || !self.has(Guard::CutByLease);
        match it.call {
            Call::Begun(_) if self.has(Guard::ReadsClockAsItSends) => step == Step::Send && in_time,
            Call::Begun(_) => step == Step::ReadClock && in_time,
            Call::ClockRead(_) => step == Step::Send,
            Call::None | Call::Sent(..) => false,
        }
    }

    /// A process takes up a relay that it owns and does not drive: an answer of the database was lost.
    fn may_take_up(&self, it: &Process, relay: usize) -> bool {
        let released = it.late == Late::Release { relay } && self.has(Guard::WaitsForReleases);
        it.bears[relay] && !it.drives[relay] && !released
    }
}

/// Whether the age is within the limit by the process's clock, which may be slow.
pub fn within(it: &Process, limit: u8) -> bool {
    it.age.saturating_sub(DRIFT) <= limit
}

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
            Step::ReceiveAnswer => self.receive_answer(it),
            Step::LoseRenewal => it.renewal = Renewal::None,
            Step::RemoveNode => it.row = None,
            Step::Leave => {
                it.row = None;
                self.drop_out(it, Standing::Away);
            }
            Step::Begin(relay) => it.call = Call::Begun(relay),
            Step::ReadClock => it.call = it.call.relay().map_or(Call::None, Call::ClockRead),
            Step::Send => {
                let sent = |relay| Call::Sent(relay, LATE + 1);
                it.call = it.call.relay().map_or(Call::None, sent);
            }
            Step::EndCall => it.call = Call::None,
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
            return self.drop_out(it, Standing::Removed);
        }
        it.row = Some(FULL);
        it.renewal = Renewal::Answered(age);
    }

    fn receive_answer(&self, it: &mut Process) {
        if let Renewal::Answered(age) = it.renewal {
            let counts = self.has(Guard::CountsFromSending);
            it.age = if counts { age } else { 0 };
            it.renewal = Renewal::None;
        }
    }

    /// Requests that were sent stay on their way.
    fn drop_out(&self, it: &mut Process, standing: Standing) {
        it.standing = standing;
        it.age = self.over();
        it.renewal = Renewal::None;
        if self.has(Guard::DropsRelays) {
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

    /// Notes an accepted save that is not the owner's.
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

    /// Forgets ages that make no difference: past the age at which a call begins, while none is begun.
    fn forget_age(&self, it: &mut Process) {
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
        state
            .processes
            .iter_mut()
            .for_each(|it| self.forget_age(it));
        Some(state.representative())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }
}
