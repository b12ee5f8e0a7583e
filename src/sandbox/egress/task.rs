//! A Cloud Recording task at work: the page in one hand, the push in the other.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::agora::{Output, Phase};
use super::super::world::{State, World};
use super::{Next, page, wait};

/// With nothing due, a task looks after itself this often.
const IDLE: Duration = Duration::from_secs(600);

/// Plays a task until it is over, fail-overs included.
pub(in crate::sandbox) async fn run(world: Arc<World>, sid: String) {
    while let Next::FailOver(at) = on_one_machine(&world, &sid).await {
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

/// The task comes back elsewhere, under a random uid (`agora.md §8.1`).
fn revive(state: &mut State, world: &World, now: Duration, sid: &str) -> bool {
    let uid = (state.dice.below(1_000_000_000) + 1_000_000_000).to_string();
    let Some(task) = state
        .tasks
        .get_mut(sid)
        .filter(|task| task.phase == Phase::FailingOver)
    else {
        return false;
    };
    task.uid.clone_from(&uid);
    task.phase = Phase::Starting;
    task.output = Output::Connecting;
    task.push_at = now + world.options.push_after;
    state.task_notice(
        sid,
        12,
        0,
        json!({"newUid": uid.parse::<u32>().unwrap_or(1)}),
    );
    true
}

async fn on_one_machine(world: &Arc<World>, sid: &str) -> Next {
    let Some(mut woken) =
        world.with(|state, _| state.tasks.get(sid).map(|task| task.wake.subscribe()))
    else {
        return Next::Over;
    };
    let push = async {
        loop {
            match world.with(|state, now| step(state, world, now, sid)) {
                Next::Until(at) => wait(world, at, &mut woken).await,
                next @ (Next::Over | Next::FailOver(_)) => return next,
            }
        }
    };
    // The page ends the task when it cannot be opened; the push sees that. It never ends by itself otherwise.
    let page = async {
        page::show(world, sid).await;
        std::future::pending::<Next>().await
    };
    tokio::select! {
        next = push => next,
        next = page => next,
    }
}

/// Does what is due for the push.
fn step(state: &mut State, world: &World, now: Duration, sid: &str) -> Next {
    let Some(task) = state.tasks.get_mut(sid) else {
        return Next::Over;
    };
    if task.phase == Phase::Ended {
        return Next::Over;
    }
    if let Some(back) = task.crash.take() {
        task.phase = Phase::FailingOver;
        task.joined = None;
        let connection = task.connection.take();
        if back.is_none() {
            state.tasks.end(sid);
        }
        if let Some(connection) = connection {
            state.disconnect(world, now, connection);
        }
        return back.map_or(Next::Over, |after| Next::FailOver(now + after));
    }
    if now >= task.ends_at {
        state.end_task(world, now, sid, 1);
        return Next::Over;
    }
    let ends_at = task.ends_at;
    let Some(url) = task.rtmp_url.clone() else {
        return Next::Until(ends_at.min(now + IDLE));
    };
    let (connection, onhold, ready, push_at, output) = (
        task.connection,
        task.onhold,
        task.phase == Phase::Running,
        task.push_at,
        task.output,
    );
    let drop_until = task.drop_until.filter(|until| *until > now);
    let wake = task.wake.clone();
    let attached = connection.is_some_and(|connection| state.connected(connection));
    if connection.is_some() && !attached {
        detach(state, sid);
        state.set_output(sid, Output::Disconnected);
        return Next::Until(now + Duration::from_secs(1));
    }
    if onhold || drop_until.is_some() {
        if let Some(connection) = connection {
            detach(state, sid);
            state.disconnect(world, now, connection);
        }
        if output != Output::Disconnected {
            state.set_output(
                sid,
                if onhold {
                    Output::Onhold
                } else {
                    Output::Connecting
                },
            );
        }
        return Next::Until(drop_until.unwrap_or(now + IDLE).min(ends_at));
    }
    if output == Output::Onhold {
        state.set_output(sid, Output::Connecting);
    }
    if attached || output == Output::Disconnected || !ready {
        return Next::Until(ends_at.min(now + IDLE));
    }
    if now < push_at {
        return Next::Until(push_at);
    }
    match state.connect(world, now, &url, sid, &wake) {
        Ok(connection) => {
            if let Some(task) = state.tasks.get_mut(sid) {
                task.connection = Some(connection);
            }
            state.set_output(sid, Output::Publishing);
        }
        Err(reason) => {
            tracing::debug!(sid, reason, "sandbox: Cloudflare refused the encoder");
            state.set_output(sid, Output::Disconnected);
        }
    }
    Next::Until(ends_at.min(now + IDLE))
}

fn detach(state: &mut State, sid: &str) {
    if let Some(task) = state.tasks.get_mut(sid) {
        task.connection = None;
    }
}
