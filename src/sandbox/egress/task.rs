//! Runs a Cloud Recording task.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::world::{PushState, TaskPhase, World, WorldState};
use super::{NextStep, page, wait};

const MAX_WAIT: Duration = Duration::from_secs(600);

/// Runs until the task ends, across fail-overs.
pub(in crate::sandbox) async fn run(world: Arc<World>, sid: String) {
    while let NextStep::FailOver(at) = run_until_fail_over(&world, &sid).await {
        world
            .clock
            .sleep(at.saturating_sub(world.clock.now()))
            .await;
        let back = world.with(|state, now| revive(state, &world, now, &sid));
        if !back {
            return;
        }
    }
}

/// After a fail-over a task has a random uid (`agora.md §8.1`).
fn revive(state: &mut WorldState, world: &World, now: Duration, sid: &str) -> bool {
    let uid = (state.dice.below(1_000_000_000) + 1_000_000_000).to_string();
    let Some(task) = state
        .tasks
        .get_mut(sid)
        .filter(|task| task.phase == TaskPhase::FailingOver)
    else {
        return false;
    };
    task.uid.clone_from(&uid);
    task.phase = TaskPhase::Starting;
    task.output = PushState::Connecting;
    task.push_at = now + world.options.push_after;
    state.task_notice(
        sid,
        12,
        0,
        json!({"newUid": uid.parse::<u32>().unwrap_or(1)}),
    );
    true
}

async fn run_until_fail_over(world: &Arc<World>, sid: &str) -> NextStep {
    let Some(mut woken) =
        world.with(|state, _| state.tasks.get(sid).map(|task| task.wake.subscribe()))
    else {
        return NextStep::Over;
    };
    let push = async {
        loop {
            match world.with(|state, now| step(state, world, now, sid)) {
                NextStep::Until(at) => wait(world, at, &mut woken).await,
                next @ (NextStep::Over | NextStep::FailOver(_)) => return next,
            }
        }
    };
    // A page that cannot be opened ends the task, and so the push.
    let page = async {
        page::show(world, sid).await;
        std::future::pending::<NextStep>().await
    };
    tokio::select! {
        next = push => next,
        next = page => next,
    }
}

/// Does what is due.
fn step(state: &mut WorldState, world: &World, now: Duration, sid: &str) -> NextStep {
    let Some(task) = state.tasks.get_mut(sid) else {
        return NextStep::Over;
    };
    if task.phase == TaskPhase::Ended {
        return NextStep::Over;
    }
    if let Some(back) = task.crash.take() {
        task.phase = TaskPhase::FailingOver;
        task.joined = None;
        let connection = task.connection.take();
        if back.is_none() {
            state.tasks.end(sid);
        }
        if let Some(connection) = connection {
            state.disconnect(world, now, connection);
        }
        return back.map_or(NextStep::Over, |after| NextStep::FailOver(now + after));
    }
    if now >= task.ends_at {
        state.end_task(world, now, sid, 1);
        return NextStep::Over;
    }
    let ends_at = task.ends_at;
    let Some(url) = task.rtmp_url.clone() else {
        return NextStep::Until(ends_at.min(now + MAX_WAIT));
    };
    let (connection, onhold, ready, push_at, output) = (
        task.connection,
        task.onhold,
        task.phase == TaskPhase::Running,
        task.push_at,
        task.output,
    );
    let drop_until = task.drop_until.filter(|until| *until > now);
    let wake = task.wake.clone();
    let attached = connection.is_some_and(|connection| state.connected(connection));
    if connection.is_some() && !attached {
        detach(state, sid);
        state.set_output(sid, PushState::Disconnected);
        return NextStep::Until(now + Duration::from_secs(1));
    }
    if onhold || drop_until.is_some() {
        if let Some(connection) = connection {
            detach(state, sid);
            state.disconnect(world, now, connection);
        }
        if output != PushState::Disconnected {
            state.set_output(
                sid,
                if onhold {
                    PushState::Onhold
                } else {
                    PushState::Connecting
                },
            );
        }
        return NextStep::Until(drop_until.unwrap_or(now + MAX_WAIT).min(ends_at));
    }
    if output == PushState::Onhold {
        state.set_output(sid, PushState::Connecting);
    }
    if attached || output == PushState::Disconnected || !ready {
        return NextStep::Until(ends_at.min(now + MAX_WAIT));
    }
    if now < push_at {
        return NextStep::Until(push_at);
    }
    match state.push(world, now, &url, sid, &wake) {
        Ok(connection) => {
            if let Some(task) = state.tasks.get_mut(sid) {
                task.connection = Some(connection);
            }
            state.set_output(sid, PushState::Publishing);
        }
        Err(reason) => {
            tracing::debug!(sid, reason, "sandbox: the platform refused the encoder");
            state.set_output(sid, PushState::Disconnected);
        }
    }
    NextStep::Until(ends_at.min(now + MAX_WAIT))
}

fn detach(state: &mut WorldState, sid: &str) {
    if let Some(task) = state.tasks.get_mut(sid) {
        task.connection = None;
    }
}
