//! The protocol by which nodes own relays, searched exhaustively: whatever happens, and in whatever order, no two nodes act
//! on one relay, and no save but the owner's is accepted.
//!
//! # What is modelled
//!
//! Processes join under fresh epochs, renew their leases, bury nodes whose lease is over, claim free relays, call the
//! vendor, save, release, take up what they miss, and leave. The answer to a renewal may take any time or never come. A
//! request that is lost is one that was not sent.
//!
//! Nothing has to happen. A process that takes no step for a while is paused or dead, and its clock runs on. It may stop so
//! between any two steps, and for any time.
//!
//! Time is counted in ticks, and only what is left or has passed is known of it. So states recur, and the search ends with
//! no horizon. The database's clock is the measure. A process's clock is as slow as it may be from each lease's start.
//!
//! A call is begun in the first half of the lease. Later, at any time until the margin before the lease's end, it is sent:
//! connections are made, turns are waited for. It may take effect in the tick in which it is sent and in `LATE` more. Its
//! end follows the last renewal of which the process knows. The service's calls end no later, for they keep the end that
//! they were begun with.
//!
//! # What is assumed
//!
//! * At most `LATE` passes between a process's last look at its clock and the request's effect at the vendor. That is the
//!   network, and also a pause between the poll and the write to the socket. No code can exclude such a pause. The margin
//!   has to be longer than the pauses that are to be survived; [`Guard::PollsAsItSends`] shows what a longer one does.
//! * A process's clock runs while the process is paused, and falls behind the database's by at most `DRIFT` in one lease. A
//!   virtual machine that is suspended with its clock breaks this; [`Guard::ClockRuns`] shows what happens then.
//! * The database's clock does not jump forward, not even when another server takes over.
//!
//! # What is left out
//!
//! * Of three processes, all that is sent reaches the database at once; of two, it may take any time. With
//!   `RELAYKEEPER_WHOLE_MODEL` set that is tried with three: 36 million states, five minutes in release mode. Of slow
//!   renewals there is one for each process, and of slow saves and releases one in all. A renewal that nobody waits for any
//!   more only makes the database's lease longer.
//! * A process has one call at a time. Calls have nothing in common but their lease.
//! * Revisions: they put the saves of one owner in order. A node that was buried may save until its relay is claimed; who
//!   claims it reads the row then.
//! * A process that gives its epoch up before it is buried is one that is paused for good, and another that joins.

mod properties;
mod protocol;
mod state;

use std::time::Instant;

use properties::{ALONE, FENCED};
use protocol::{Guard, Protocol, Slow};
use stateright::{Checker, HasDiscoveries, Model};

/// Searches all there is, which is more than `floor` states.
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

/// Whether two processes break a property without one of the guards. A process's number in a step is its place just before.
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
