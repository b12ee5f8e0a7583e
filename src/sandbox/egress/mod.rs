//! The egresses at work: what Agora's machines do by themselves once a task or a converter was accepted.

mod converter;
mod page;
mod task;

pub(super) use converter::run as run_converter;
pub(super) use task::run as run_task;

use std::time::Duration;

use tokio::sync::watch;

use super::world::World;

/// What comes next for an egress.
enum NextStep {
    /// Nothing until this moment, or until it is woken.
    Until(Duration),
    /// It is over.
    Over,
    /// It died, and comes back at this moment.
    FailOver(Duration),
}

/// Waits until a simulated moment, or until the egress is woken.
async fn wait(world: &World, until: Duration, woken: &mut watch::Receiver<u64>) {
    let pause = world.clock.real(until.saturating_sub(world.clock.now()));
    tokio::select! {
        () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
        // The sender is in the state for as long as the sandbox runs.
        _ = woken.changed() => {}
    }
}
