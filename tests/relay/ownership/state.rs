//! What there is: processes, each with what the database has of it, and what is under way between them.

/// How many relays there are.
pub const RELAYS: usize = 2;

/// What a process takes itself for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It never joined, or it left.
    Away,
    /// It learned that its node was buried.
    Buried,
    /// It has an epoch. Its row may be gone all the same.
    Node,
}

/// The renewal under way, with the ticks since it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Renewal {
    /// Nothing is under way.
    None,
    /// The database has not seen it yet.
    Asked(u8),
    /// The database has done it; the process does not know yet.
    Answered(u8),
}

/// The vendor call of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// There is none.
    None,
    /// It was begun, and nothing was sent yet.
    Begun(usize),
    /// The clock was looked at, and what follows is the sending. Only where the two are apart.
    Polled(usize),
    /// It was sent; it may take effect in this tick and in so many more, less one.
    Sent(usize, u8),
}

/// A statement that reaches the database late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Late {
    /// There is none.
    None,
    /// A save, under the process's epoch or under one that it had before.
    Save { relay: usize, past: bool },
    /// A relay is given up. Of a past epoch it would do nothing, and is left out.
    Release { relay: usize },
}

/// A process, and its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    pub standing: Standing,
    /// In the database: the ticks until its lease is over, if there is a row of its epoch.
    pub row: Option<u8>,
    /// In the database: the relays that bear its epoch.
    pub bears: [bool; RELAYS],
    /// In the process: the relays that it takes for its own.
    pub drives: [bool; RELAYS],
    /// In the process: the ticks since the last renewal of which it knows was sent.
    pub age: u8,
    pub renewal: Renewal,
    pub call: Call,
    pub late: Late,
}

/// The whole fleet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    pub processes: Vec<Process>,
    /// A save was accepted on a relay that bore another epoch.
    pub overwritten: bool,
}

impl Call {
    /// The relay it is for.
    pub fn relay(self) -> Option<usize> {
        match self {
            Call::None => None,
            Call::Begun(relay) | Call::Polled(relay) | Call::Sent(relay, _) => Some(relay),
        }
    }

    /// The relay on which it may take effect now.
    pub fn acts_on(self) -> Option<usize> {
        match self {
            Call::Sent(relay, _) => Some(relay),
            Call::None | Call::Begun(_) | Call::Polled(_) => None,
        }
    }

    fn of_the_other_relay(self) -> Self {
        match self {
            Call::None => Call::None,
            Call::Begun(relay) => Call::Begun(RELAYS - 1 - relay),
            Call::Polled(relay) => Call::Polled(RELAYS - 1 - relay),
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
    /// One that never joined.
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
    /// Whose a relay is by the database. Nobody's is a relay whose epoch has no row.
    pub fn owner(&self, relay: usize) -> Option<usize> {
        let owns = |it: &Process| it.bears[relay] && it.row.is_some();
        self.processes.iter().position(owns)
    }

    /// Processes differ by nothing but their state, and so do relays: one order stands for all.
    pub fn representative(mut self) -> Self {
        self.processes.sort_unstable();
        let mut swapped = self.clone();
        swapped.processes.iter_mut().for_each(Process::swap_relays);
        swapped.processes.sort_unstable();
        self.min(swapped)
    }
}
