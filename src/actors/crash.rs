//! Crash points for tests: before and after every operation with a lasting effect.
//!
//! With [`AT`] set, each point passed is printed to standard error, as `crash point before_save:3` for the third save. At the
//! point that [`AT`] names the thread prints `crash here before_save:3` and parks; the test kills the process, since only
//! SIGKILL is as sudden as a power loss.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use parking_lot::Mutex;
use strum::IntoEnumIterator;

use crate::relay::Call;

/// A point and its count, such as `after_start_egress:1`; empty to print only.
pub const AT: &str = "RELAYKEEPER_CRASH_AT";
/// Begins the line of a passed point.
pub const REACHED: &str = "crash point ";
/// Begins the line at which the process waits to be killed.
pub const HERE: &str = "crash here ";

/// An operation with a crash point before and after it. One without a doc is the [`Call`] of that name.
#[allow(missing_docs, reason = "they are named like the calls")]
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumIter, strum::EnumString,
)]
#[strum(serialize_all = "snake_case")]
pub enum CrashOperation {
    /// A new relay is stored.
    StoreRelay,
    /// A step is stored.
    Save,
    /// A cleanup job is tried; its result is stored later.
    RunCleanup,
    ClaimIngest,
    CreateIngest,
    FindIngest,
    PrepareEgress,
    StartEgress,
    /// Also the cleanup's, of an ingest that it holds.
    RenewIngestKey,
    EndBroadcast,
    PollFeed,
    PollEgress,
    PollHosts,
    UpdateEgress,
    StopEgress,
    CloseIngest,
    PollRecordings,
    RemoveIngest,
}

impl CrashOperation {
    pub(super) fn of(call: &Call) -> Self {
        match call {
            Call::ClaimIngest => Self::ClaimIngest,
            Call::CreateIngest { .. } => Self::CreateIngest,
            Call::FindIngest { .. } => Self::FindIngest,
            Call::PrepareEgress { .. } => Self::PrepareEgress,
            Call::StartEgress { .. } => Self::StartEgress,
            Call::RenewIngestKey { .. } => Self::RenewIngestKey,
            Call::EndBroadcast { .. } => Self::EndBroadcast,
            Call::PollFeed { .. } => Self::PollFeed,
            Call::PollEgress(_) => Self::PollEgress,
            Call::PollHosts => Self::PollHosts,
            Call::UpdateEgress { .. } => Self::UpdateEgress,
            Call::StopEgress(_) => Self::StopEgress,
            Call::CloseIngest { .. } => Self::CloseIngest,
            Call::PollRecordings { .. } => Self::PollRecordings,
            Call::RemoveIngest { .. } => Self::RemoveIngest,
        }
    }

    /// Whether a timer repeats it, so that its count says nothing.
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

/// Where the process may be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrashPoint {
    /// Before the operation.
    Before(CrashOperation),
    /// After the operation, before its result is used.
    After(CrashOperation),
}

impl CrashPoint {
    /// Every crash point.
    pub fn all() -> impl Iterator<Item = Self> {
        CrashOperation::iter()
            .flat_map(|operation| [Self::Before(operation), Self::After(operation)])
    }

    /// The operation.
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
    fn every_point_is_read_from_its_name() {
        for point in CrashPoint::all() {
            assert_eq!(point.to_string().parse(), Ok(point));
        }
        assert_eq!(
            CrashPoint::all().count(),
            CrashOperation::iter().count() * 2
        );
    }
}
