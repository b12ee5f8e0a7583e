//! Makes actors fail on purpose, for tests of their supervision. Does nothing until a test calls [`sabotage`].

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::relay::{Event, Spec};

/// What happens to a relay's actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SabotageAction {
    /// The handler panics.
    Panic,
    /// The thread ends, with every actor on it.
    EndThread,
}

/// When the action happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SabotageMoment {
    /// Before any event, including its recovery.
    Anything,
    /// Before the answer to a call.
    Answer,
    /// Before a request to stop.
    Stop,
    /// After a step is stored, before its calls.
    Acting,
}

/// Which actors fail, when and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SabotagePlan {
    /// Prefix of the channels' names.
    pub channels: String,
    /// When it happens.
    pub moment: SabotageMoment,
    /// What happens.
    pub action: SabotageAction,
    /// How often for each relay; `None`: always.
    pub times: Option<u32>,
}

static PLANS: Mutex<Vec<(SabotagePlan, HashMap<Uuid, u32>)>> = Mutex::new(Vec::new());

/// Adds a plan for every service in this process.
pub fn sabotage(plan: SabotagePlan) {
    let mut plans = PLANS.lock();
    plans.push((plan, HashMap::new()));
}

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

#[allow(clippy::panic, reason = "the panic is the purpose")]
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
