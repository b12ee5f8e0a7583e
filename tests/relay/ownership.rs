//! Searches the protocol by which nodes own relays exhaustively: no two nodes call a vendor for one relay, and only the
//! owner's saves are accepted.
//!
//! # What is modelled
//!
//! Processes join with fresh epochs, renew their leases, remove nodes whose lease expired, claim free relays, call the
//! vendor, save, release, take up relays they miss, and leave. The answer to a renewal may take any time or never come.
//! A lost request is one that was not sent.
//!
//! A process may pause or die between any two steps; its clock runs on.
//!
//! Time is counted in ticks, and a state holds only what is left or has passed of it. So states recur, and the search
//! ends without a horizon. The database's clock is the measure; a process's clock is as slow as it may be from each
//! lease's start.
//!
//! A call begins in the first half of the lease. It is sent at any time until the margin before the lease's end, as it
//! may wait for a connection or a permit. It takes effect in that tick or up to `LATE` ticks later. The end follows
//! from the last renewal that the process knows of. The service's calls end no later: they keep the end they began
//! with.
//!
//! # What is assumed
//!
//! * At most `LATE` passes between a process's last read of its clock and the request's effect at the vendor. That
//!   includes the network and a pause between the read and the write to the socket, which no code can exclude. The margin
//!   must be longer than the pauses to survive; [`Guard::PollsAsItSends`] shows what a longer one does.
//! * A process's clock runs while the process is paused, and falls behind the database's by at most `DRIFT` in one
//!   lease. A virtual machine that is suspended with its clock breaks this; [`Guard::ClockRuns`] shows what happens then.
//! * The database's clock does not jump forward, not even when another server takes over.
//!
//! # What is left out
//!
//! * With three processes, requests reach the database at once; with two, they may take any time.
//!   `RELAYKEEPER_WHOLE_MODEL` tries that with three: 36 million states, five minutes in release mode. Each process has
//!   at most one slow renewal, and the fleet at most one slow save or release. A renewal that is no longer waited for
//!   only lengthens the database's lease.
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
fn nor_do_two_whose_renewals_take_their_time() {
    holds(2, Slow::Renewals, 200_000);
}

#[test]
fn nor_do_two_whose_saves_and_releases_take_their_time() {
    holds(2, Slow::Statements, 200_000);
}

/// Whether two processes break a property without one of the guards. A step names a process by its position before the
/// step.
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
fn without_any_one_of_its_guards_it_breaks() {
    for (guard, slow, property) in [
        (Guard::Fence, Slow::Nothing, FENCED),
        (Guard::Fence, Slow::Statements, FENCED),
        (Guard::Margin, Slow::Nothing, ALONE),
        (Guard::WholeMargin, Slow::Nothing, ALONE),
        (Guard::CountsFromSending, Slow::Nothing, ALONE),
        (Guard::CutByLease, Slow::Nothing, ALONE),
        (Guard::PollsAsItSends, Slow::Nothing, ALONE),
        (Guard::ClockRuns, Slow::Nothing, ALONE),
        (Guard::BuriesOnlyTheDead, Slow::Nothing, ALONE),
        (Guard::RenewalNeedsRow, Slow::Nothing, ALONE),
        (Guard::Abandons, Slow::Nothing, ALONE),
        (Guard::CallsComeHome, Slow::Nothing, ALONE),
        (Guard::HeedsReleases, Slow::Statements, ALONE),
    ] {
        assert!(breaks(guard, slow, property), "{guard:?} is not needed");
    }
}
