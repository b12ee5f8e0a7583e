//! Where a test kills the process: before and after everything that must not be torn from what belongs to it.
//!
//! With [`AT`] in the environment each point that is reached is told on standard error, `crash point before_save:3` for the
//! third save about to be made. At the point that [`AT`] names, `crash here before_save:3` is told instead, and the thread
//! that reached it goes no further: whoever reads that kills the process. Only SIGKILL from outside is as sudden as a machine
//! that loses power, and the point is exact, because nothing behind it is done. Without the variable nothing is told.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use parking_lot::Mutex;
use strum::IntoEnumIterator;

use crate::relay::Call;

/// The environment variable: a point and which time it is reached, as `after_start_egress:1`; empty: only tell.
pub const AT: &str = "RELAYKEEPER_CRASH_AT";
/// What a line begins with that tells of a point that was reached.
pub const REACHED: &str = "crash point ";
/// What the last line begins with: the process is to be killed.
pub const HERE: &str = "crash here ";

/// What the process may be killed before or after.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumIter, strum::EnumString,
)]
#[strum(serialize_all = "snake_case")]
pub enum CrashOperation {
    /// A new relay is stored.
    StoreRelay,
    /// A step of a relay is stored.
    Save,
    /// A cleanup job is tried; after: before it is stored what came of it.
    RunCleanup,
    /// [`Call::CreateIngest`], its answer not yet told to the relay when it is over; and so on below.
    CreateIngest,
    /// [`Call::FindIngest`].
    FindIngest,
    /// [`Call::Acquire`].
    Acquire,
    /// [`Call::StartEgress`].
    StartEgress,
    /// [`Call::CreateConverter`].
    CreateConverter,
    /// [`Call::RotateKeys`].
    RotateKeys,
    /// [`Call::PollFeed`].
    PollFeed,
    /// [`Call::PollEgress`].
    PollEgress,
    /// [`Call::PollHosts`].
    PollHosts,
    /// [`Call::UpdateEgress`].
    UpdateEgress,
    /// [`Call::StopEgress`].
    StopEgress,
    /// [`Call::DisableIngest`].
    DisableIngest,
    /// [`Call::PollRecordings`].
    PollRecordings,
    /// [`Call::DeleteIngest`].
    DeleteIngest,
}

impl CrashOperation {
    /// The operation a vendor call is.
    pub(super) fn of(call: &Call) -> Self {
        match call {
            Call::CreateIngest { .. } => Self::CreateIngest,
            Call::FindIngest { .. } => Self::FindIngest,
            Call::Acquire { .. } => Self::Acquire,
            Call::StartEgress { .. } => Self::StartEgress,
            Call::CreateConverter { .. } => Self::CreateConverter,
            Call::RotateKeys { .. } => Self::RotateKeys,
            Call::PollFeed { .. } => Self::PollFeed,
            Call::PollEgress(_) => Self::PollEgress,
            Call::PollHosts => Self::PollHosts,
            Call::UpdateEgress { .. } => Self::UpdateEgress,
            Call::StopEgress(_) => Self::StopEgress,
            Call::DisableIngest { .. } => Self::DisableIngest,
            Call::PollRecordings { .. } => Self::PollRecordings,
            Call::DeleteIngest { .. } => Self::DeleteIngest,
        }
    }

    /// Whether the clock repeats it, as often as there is time for: how many times it happens says nothing.
    #[must_use]
    pub fn is_a_poll(self) -> bool {
        matches!(
            self,
            Self::PollFeed
                | Self::PollEgress
                | Self::PollHosts
                | Self::PollRecordings
                | Self::FindIngest
        )
    }
}

/// A place where the process may be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrashPoint {
    /// Nothing of it is done.
    Before(CrashOperation),
    /// It is done, and nothing has come of it yet.
    After(CrashOperation),
}

impl CrashPoint {
    /// Every one there is.
    pub fn all() -> impl Iterator<Item = Self> {
        CrashOperation::iter()
            .flat_map(|operation| [Self::Before(operation), Self::After(operation)])
    }

    /// What it is before or after.
    #[must_use]
    pub fn operation(self) -> CrashOperation {
        match self {
            Self::Before(operation) | Self::After(operation) => operation,
        }
    }
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(operation) => write!(formatter, "before_{operation}"),
            Self::After(operation) => write!(formatter, "after_{operation}"),
        }
    }
}

impl FromStr for CrashPoint {
    type Err = strum::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (when, operation) = text
            .split_once('_')
            .ok_or(strum::ParseError::VariantNotFound)?;
        let operation = operation.parse()?;
        match when {
            "before" => Ok(Self::Before(operation)),
            "after" => Ok(Self::After(operation)),
            _ => Err(strum::ParseError::VariantNotFound),
        }
    }
}

/// The point at which to stop and how often each was reached; none: this is no such test.
static PLAN: LazyLock<Option<CrashPlan>> = LazyLock::new(|| {
    let at = std::env::var(AT).ok()?;
    Some(CrashPlan {
        at,
        reached: Mutex::default(),
    })
});

struct CrashPlan {
    at: String,
    reached: Mutex<HashMap<CrashPoint, u32>>,
}

/// The process is at this point.
pub(super) fn point(point: CrashPoint) {
    let Some(plan) = &*PLAN else { return };
    let times = {
        let mut reached = plan.reached.lock();
        let times = reached.entry(point).or_default();
        *times += 1;
        *times
    };
    let here = format!("{point}:{times}");
    if here == plan.at {
        eprintln!("{HERE}{here}");
        loop {
            std::thread::park();
        }
    }
    eprintln!("{REACHED}{here}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_named_as_it_is_read() {
        for point in CrashPoint::all() {
            assert_eq!(point.to_string().parse(), Ok(point));
        }
        assert_eq!(
            CrashPoint::all().count(),
            CrashOperation::iter().count() * 2
        );
    }
}
