//! Runs a Media Push converter.

use std::sync::Arc;
use std::time::Duration;

use super::super::world::{World, WorldState};
use super::{NextStep, wait};

const MAX_WAIT: Duration = Duration::from_secs(600);

pub(in crate::sandbox) async fn run(world: Arc<World>, id: String) {
    let Some(mut woken) = world.with(|state, _| {
        state
            .converters
            .get(&id)
            .map(|converter| converter.wake.subscribe())
    }) else {
        return;
    };
    loop {
        match world.with(|state, now| step(state, &world, now, &id)) {
            NextStep::Until(at) | NextStep::FailOver(at) => wait(&world, at, &mut woken).await,
            NextStep::Over => return,
        }
    }
}

/// Does what is due.
fn step(state: &mut WorldState, world: &World, now: Duration, id: &str) -> NextStep {
    let Some(converter) = state.converters.get_mut(id) else {
        return NextStep::Over;
    };
    if converter.is_destroyed() {
        return NextStep::Over;
    }
    if let Some(until) = converter.away_until {
        if now < until {
            if let Some(connection) = converter.connection.take() {
                state.disconnect(world, now, connection);
            }
            return NextStep::FailOver(until);
        }
        converter.away_until = None;
        state.set_converter(id, "connecting");
    }
    let Some(converter) = state.converters.get_mut(id) else {
        return NextStep::Over;
    };
    let present = state.sellers.any(&converter.channel, &converter.uids);
    converter.idle_since = if present {
        None
    } else {
        Some(converter.idle_since.unwrap_or(now))
    };
    let idle_until = converter
        .idle_since
        .map(|since| since + world.clock.of_wire(converter.idle_timeout));
    if idle_until.is_some_and(|until| now >= until) {
        state.destroy_converter(world, now, id, "Idle Timeout");
        return NextStep::Over;
    }
    let later = idle_until.unwrap_or(now + MAX_WAIT);
    let (connection, url, wake) = (
        converter.connection,
        converter.rtmp_url.clone(),
        converter.wake.clone(),
    );
    let drop_until = converter.drop_until.filter(|until| *until > now);
    // Without its seller a raw converter pushes nothing; a transcoded one pushes its canvas.
    let silent = (converter.raw && !present) || drop_until.is_some();
    let (failed, push_at) = (converter.state == "failed", converter.push_at);
    match connection {
        Some(connection) if !state.connected(connection) => {
            forget(state, id);
            state.set_converter(id, "failed");
        }
        Some(connection) if silent => {
            forget(state, id);
            state.disconnect(world, now, connection);
        }
        None if !silent && !failed && now >= push_at => {
            match state.push(world, now, &url, id, &wake) {
                Ok(connection) => {
                    if let Some(converter) = state.converters.get_mut(id) {
                        converter.connection = Some(connection);
                    }
                    state.set_converter(id, "running");
                }
                Err(reason) => {
                    tracing::debug!(id, reason, "sandbox: the platform refused the encoder");
                    state.set_converter(id, "failed");
                }
            }
        }
        None if !silent && !failed => return NextStep::Until(push_at.min(later)),
        Some(_) | None => {}
    }
    NextStep::Until(drop_until.unwrap_or(later).min(later))
}

fn forget(state: &mut WorldState, id: &str) {
    if let Some(converter) = state.converters.get_mut(id) {
        converter.connection = None;
    }
}
