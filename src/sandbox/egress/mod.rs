//! What Agora does without calls once it has accepted a task or a converter.

mod converter;
mod page;
mod task;

pub(super) use converter::run as run_converter;
pub(super) use task::run as run_task;

use std::time::Duration;

use tokio::sync::watch;

use super::world::World;

enum NextStep {
    /// Wait until this time, or until woken.
    Until(Duration),
    Over,
    /// The egress was killed, and comes back at this time.
    FailOver(Duration),
}

async fn wait(world: &World, until: Duration, woken: &mut watch::Receiver<u64>) {
    let pause = world.clock.real(until.saturating_sub(world.clock.now()));
    tokio::select! {
        () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
        // The sender lives as long as the sandbox.
        _ = woken.changed() => {}
    }
}
