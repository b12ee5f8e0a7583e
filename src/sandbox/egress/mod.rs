//! Runs the egresses: what Agora does without calls once it accepted a task or a converter.

mod converter;
mod page;
mod task;

pub(super) use converter::run as run_converter;
pub(super) use task::run as run_task;

use std::time::Duration;

use tokio::sync::watch;

use super::world::World;

enum NextStep {
    /// Waits until this time or until it is woken.
    Until(Duration),
    Over,
    /// It was killed and comes back at this time.
    FailOver(Duration),
}

async fn wait(world: &World, until: Duration, woken: &mut watch::Receiver<u64>) {
    let pause = world.clock.real(until.saturating_sub(world.clock.now()));
    tokio::select! {
        () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
        // The sender lives in the state as long as the sandbox runs.
        _ = woken.changed() => {}
    }
}
