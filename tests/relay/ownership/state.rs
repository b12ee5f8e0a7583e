//! The state: processes, their rows in the database, and messages on their way.

pub const RELAYS: usize = 2;

/// What a process knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It never joined, or it left.
    Away,
    /// It learned that its node was removed.
    Removed,
    /// It has an epoch. Its row may be gone.
    Node,
}

/// The renewal on its way, with the ticks since it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Renewal {
    None,
    /// Not yet in the database.
    Asked(u8),
    /// Executed; the answer is on its way.
    Answered(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    None,
    Begun(usize),
    /// The clock was read, and sending comes next: only without `ReadsClockAsItSends`.
    ClockRead(usize),
    /// Sent, with the ticks in which it may take effect, this one included.
    Sent(usize, u8),
}

/// A statement that reaches the database late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Late {
    None,
    /// A save, under the current epoch or an earlier one.
    Save {
        relay: usize,
        past: bool,
    },
    /// A release. Under an earlier epoch it would do nothing.
    Release {
        relay: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    pub standing: Standing,
    /// In the database: the ticks until the lease expires, if the epoch has a row.
    pub row: Option<u8>,
    /// In the database: relays that bear its epoch.
    pub bears: [bool; RELAYS],
    /// In the process: relays it drives.
    pub drives: [bool; RELAYS],
    /// In the process: ticks since the last known renewal was sent.
    pub age: u8,
    pub renewal: Renewal,
    pub call: Call,
    pub late: Late,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    pub processes: Vec<Process>,
    /// A save was accepted on a relay that bore another epoch.
    pub overwritten: bool,
}

impl Call {
    pub fn relay(self) -> Option<usize> {
        match self {
            Call::None => None,
            Call::Begun(relay) | Call::ClockRead(relay) | Call::Sent(relay, _) => Some(relay),
        }
    }

    /// The relay on which it may take effect now.
    pub fn acts_on(self) -> Option<usize> {
        match self {
            Call::Sent(relay, _) => Some(relay),
            Call::None | Call::Begun(_) | Call::ClockRead(_) => None,
        }
    }

    fn of_the_other_relay(self) -> Self {
        match self {
            Call::None => Call::None,
            Call::Begun(relay) => Call::Begun(RELAYS - 1 - relay),
            Call::ClockRead(relay) => Call::ClockRead(RELAYS - 1 - relay),
            Call::Sent(relay, left) => Call::Sent(RELAYS - 1 - relay, left),
        }
    }
}

impl Late {
    fn of_the_other_relay(self) -> Self {
        match self {
            Late::None => Late::None,
            Late::Save { relay, past } => Late::Save {
                relay: RELAYS - 1 - relay,
                past,
            },
            Late::Release { relay } => Late::Release {
                relay: RELAYS - 1 - relay,
            },
        }
    }
}

impl Process {
    pub fn away(age: u8) -> Self {
        Self {
            standing: Standing::Away,
            row: None,
            bears: [false; RELAYS],
            drives: [false; RELAYS],
            age,
            renewal: Renewal::None,
            call: Call::None,
            late: Late::None,
        }
    }

    fn swap_relays(&mut self) {
        self.bears.reverse();
        self.drives.reverse();
        self.call = self.call.of_the_other_relay();
        self.late = self.late.of_the_other_relay();
    }
}

impl State {
    /// The relay's owner by the database, which needs a row.
    pub fn owner(&self, relay: usize) -> Option<usize> {
        let owns = |it: &Process| it.bears[relay] && it.row.is_some();
        self.processes.iter().position(owns)
    }

    /// Processes and relays are interchangeable: one order stands for all.
    pub fn representative(mut self) -> Self {
        self.processes.sort_unstable();
        let mut swapped = self.clone();
        swapped.processes.iter_mut().for_each(Process::swap_relays);
        swapped.processes.sort_unstable();
        self.min(swapped)
    }
}
