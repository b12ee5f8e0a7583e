//! Deaths on purpose, for tests of what outlives them. Compiled with the `sandbox` feature only, and does nothing until a
//! test calls [`sabotage`]; no setting and no request leads here.

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::relay::{Event, Spec};

/// What happens to a relay's actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SabotageAction {
    /// Its handler panics.
    Panic,
    /// The thread it lives on ends, and with it every actor there.
    EndThread,
}

/// What an actor was about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SabotageMoment {
    /// To hear of anything at all, its own recovery among it.
    Anything,
    /// To hear the answer to a call.
    Answer,
    /// To hear that somebody wants it stopped.
    Stop,
    /// To act on what it has just stored.
    Acting,
}

/// A plan: it is carried out whenever an actor it is about comes to its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SabotagePlan {
    /// Relays of channels whose names begin so.
    pub channels: String,
    /// When.
    pub moment: SabotageMoment,
    /// What.
    pub action: SabotageAction,
    /// How often for each relay; none: every time.
    pub times: Option<u32>,
}

static PLANS: Mutex<Vec<(SabotagePlan, HashMap<Uuid, u32>)>> = Mutex::new(Vec::new());

/// Adds a plan, for every service of this process.
pub fn sabotage(plan: SabotagePlan) {
    let mut plans = PLANS.lock();
    plans.push((plan, HashMap::new()));
}

/// The moment an event is.
pub(super) fn before_event(spec: &Spec, event: &Event) {
    trigger(spec, SabotageMoment::Anything);
    match event {
        Event::Answered { .. } => trigger(spec, SabotageMoment::Answer),
        Event::Stop => trigger(spec, SabotageMoment::Stop),
        Event::Tick
        | Event::Recovered { .. }
        | Event::Failed { .. }
        | Event::PredecessorDown
        | Event::Page { .. }
        | Event::Hint(_)
        | Event::LateRecordings(_) => {}
    }
}

/// Carries out what is planned for this moment.
#[allow(clippy::panic, reason = "that is what it is for")]
pub(super) fn trigger(spec: &Spec, moment: SabotageMoment) {
    match due(spec, moment) {
        None => {}
        Some(SabotageAction::Panic) => panic!("sabotage"),
        Some(SabotageAction::EndThread) => {
            if let Some(arbiter) = actix_rt::Arbiter::try_current() {
                arbiter.stop();
            }
        }
    }
}

fn due(spec: &Spec, moment: SabotageMoment) -> Option<SabotageAction> {
    let mut plans = PLANS.lock();
    let (plan, done) = plans.iter_mut().find(|(plan, done)| {
        let done = done.get(&spec.relay_id).copied().unwrap_or(0);
        plan.moment == moment
            && spec.channel_name.starts_with(&plan.channels)
            && plan.times.is_none_or(|times| done < times)
    })?;
    *done.entry(spec.relay_id).or_default() += 1;
    Some(plan.action)
}
