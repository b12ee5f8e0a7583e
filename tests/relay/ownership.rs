//! Searches the protocol by which nodes own relays exhaustively: no two nodes call a vendor for one relay, and only the
//! owner's saves are accepted.
//!
//! # What is modelled
//!
//! Processes join with fresh epochs, renew their leases, remove nodes whose lease expired, claim unowned relays, call
//! the vendor, save, release, take up relays they missed, and leave. The answer to a renewal may take any time or never
//! come; a lost request equals one that was not sent. A process may pause or die between any two steps; its clock runs.
//!
//! Time is counted in ticks, and a state holds only remaining and elapsed ticks: states recur, and the search ends
//! without a horizon. The database's clock is the measure; a process's clock is as slow as `DRIFT` allows.
//!
//! A call begins in the first half of the lease. It may wait for a connection or a permit, but is sent before the
//! margin at the lease's end, and takes effect within `LATE` ticks. The lease's end follows from the last renewal that
//! the process knows of. The service's calls are stricter: they keep the end they began with.
//!
//! # What is assumed
//!
//! * At most `LATE` passes from a process's last read of its clock to the request's effect at the vendor, with the
//!   network and a pause before the write to the socket, which no code can exclude. The margin must be longer than the
//!   pauses to survive; [`Guard::ReadsClockAsItSends`] shows what a longer pause does.
//! * A process's clock runs while the process is paused, and falls behind the database's by at most `DRIFT` in one
//!   lease. A virtual machine that is suspended with its clock breaks this; [`Guard::ClockRuns`] shows how.
//! * The database's clock never jumps forward, even when another server takes over.
//!
//! # What is left out
//!
//! * With three processes, requests reach the database at once, unless `RELAYKEEPER_WHOLE_MODEL` is set: 36 million
//!   states, five minutes in release mode.
//! * Each process has at most one slow renewal, and the fleet at most one slow save or release. A renewal that is no
//!   longer waited for only lengthens the database's lease.
//! * A process has one call at a time. Calls share nothing but their lease.
//! * Revisions, which order the saves of one owner. A removed node may save until its relay is claimed; the claim reads
//!   the row.
//! * A process that gives up its epoch before its node is removed equals one that pauses for good and another that
//!   joins.

mod properties;
mod protocol;
mod state;

use std::time::Instant;

use properties::{ALONE, FENCED};
use protocol::{Guard, Protocol, Slow};
use stateright::{Checker, HasDiscoveries, Model};

/// Searches all states, and requires more than `floor` of them.
fn holds(processes: usize, slow: Slow, floor: usize) {
    let began = Instant::now();
    let model = Protocol {
        processes,
        slow,
        without: None,
    };
    let checker = model.checker().threads(2).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!(
        "{processes} processes, slow: {slow:?}: {states} states in {:.1?}",
        began.elapsed()
    );
    checker.assert_properties();
    assert!(checker.is_done(), "the search was not finished");
    assert!(states > floor, "the model has become smaller");
}

#[test]
fn three_processes_never_act_on_one_relay_at_once() {
    holds(3, Slow::Nothing, 700_000);
    if std::env::var_os("RELAYKEEPER_WHOLE_MODEL").is_some() {
        holds(3, Slow::Statements, 10_000_000);
        holds(3, Slow::Renewals, 20_000_000);
    }
}

#[test]
fn two_processes_with_slow_renewals_never_act_on_one_relay_at_once() {
    holds(2, Slow::Renewals, 200_000);
}

#[test]
fn two_processes_with_slow_saves_and_releases_never_act_on_one_relay_at_once() {
    holds(2, Slow::Statements, 200_000);
}

/// Whether two processes break a property without one of the guards. Steps name processes by their positions before
/// the step.
fn breaks(guard: Guard, slow: Slow, property: &'static str) -> bool {
    let model = Protocol {
        processes: 2,
        slow,
        without: Some(guard),
    };
    let found = HasDiscoveries::AnyOf([property].into());
    let checker = model.checker().finish_when(found).spawn_bfs().join();
    let path = checker.discovery(property);
    if let Some(path) = &path {
        let steps = path.clone().into_actions();
        println!("without {guard:?}: {steps:?}");
    }
    path.is_some()
}

#[test]
fn the_protocol_breaks_without_any_one_of_its_guards() {
    for (guard, slow, property) in [
        (Guard::Fence, Slow::Nothing, FENCED),
        (Guard::Fence, Slow::Statements, FENCED),
        (Guard::Margin, Slow::Nothing, ALONE),
        (Guard::WholeMargin, Slow::Nothing, ALONE),
        (Guard::CountsFromSending, Slow::Nothing, ALONE),
        (Guard::CutByLease, Slow::Nothing, ALONE),
        (Guard::ReadsClockAsItSends, Slow::Nothing, ALONE),
        (Guard::ClockRuns, Slow::Nothing, ALONE),
        (Guard::RemovesOnlyExpired, Slow::Nothing, ALONE),
        (Guard::RenewalNeedsRow, Slow::Nothing, ALONE),
        (Guard::DropsRelays, Slow::Nothing, ALONE),
        (Guard::EndsCallsFirst, Slow::Nothing, ALONE),
        (Guard::WaitsForReleases, Slow::Statements, ALONE),
    ] {
        assert!(breaks(guard, slow, property), "{guard:?} is not needed");
    }
}
