//! What must always hold, and what must happen in some state.

use stateright::Property;

use super::protocol::{FULL, HALF, Protocol, Step, within};
use super::state::{Process, RELAYS, Renewal, Standing, State};

pub const ALONE: &str = "no call takes effect on a relay that another process owns";
pub const FENCED: &str = "no save is accepted on a relay that another process owns";
const OWNED_AGAIN: &str = "any process can own every relay once all leases expired";
const TAKEN_OVER: &str = "a new owner acts while the old one still drives the relay";
const FOUND_REMOVED: &str = "a process finds that its node was removed";
const UNANSWERED: &str = "a node acts though the answer to its last renewal was lost";

pub fn properties() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ALONE, |_, state| alone(state)),
        Property::always(FENCED, |_, state: &State| !state.overwritten),
        Property::always(OWNED_AGAIN, can_be_owned_again),
        Property::sometimes(TAKEN_OVER, |_, state| taken_over(state)),
        Property::sometimes(FOUND_REMOVED, |_, state| found_removed(state)),
        Property::sometimes(UNANSWERED, |_, state| acts_unanswered(state)),
    ]
}

fn alone(state: &State) -> bool {
    state.processes.iter().enumerate().all(|(at, it)| {
        let owner = it.call.acts_on().and_then(|relay| state.owner(relay));
        owner.is_none_or(|owner| owner == at)
    })
}

fn can_be_owned_again(model: &Protocol, state: &State) -> bool {
    let mut silent = state.clone();
    for _ in 0..FULL {
        model.tick(&mut silent, None);
    }
    for at in 0..model.processes {
        try_step(model, &mut silent, at, Step::RemoveNode);
    }
    (0..model.processes).all(|at| can_own_everything(model, silent.clone(), at))
}

fn can_own_everything(model: &Protocol, mut state: State, at: usize) -> bool {
    use Step::{Claim, ExecuteRenewal, Join, LoseRenewal, SendRenewal};
    for step in [LoseRenewal, SendRenewal, ExecuteRenewal, Join] {
        try_step(model, &mut state, at, step);
    }
    (0..RELAYS).all(|relay| {
        try_step(model, &mut state, at, Claim(relay));
        state.owner(relay) == Some(at)
    })
}

fn try_step(model: &Protocol, state: &mut State, at: usize, step: Step) {
    if model.enabled(state, at, step) {
        model.step(state, at, step);
    }
}

fn taken_over(state: &State) -> bool {
    (0..RELAYS).any(|relay| {
        let driven_by = state.processes.iter().filter(|it| it.drives[relay]).count();
        let owner = state.owner(relay).map(|at| &state.processes[at]);
        driven_by > 1 && owner.is_some_and(|it| it.call.acts_on() == Some(relay))
    })
}

fn found_removed(state: &State) -> bool {
    let removed = |it: &Process| it.standing == Standing::Removed;
    state.processes.iter().any(removed)
}

/// The database has a later renewal than the process knows of, and no answer is on its way.
fn acts_unanswered(state: &State) -> bool {
    state.processes.iter().any(|it| {
        let renewed_since = it.row.is_some_and(|left| FULL - left < it.age);
        let lost = renewed_since && it.renewal == Renewal::None;
        lost && within(it, HALF) && it.call.acts_on().is_some()
    })
}
