//! Restarts relays whose actor died, and ends those whose actor dies too often.

use std::time::{Duration, Instant};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::{Registry, SpawnArgs};
use crate::actors::context::NodeContext;
use crate::actors::forced_end;
use crate::actors::relay_actor::StartMode;
use crate::relay::{Backoff, Durable, OutcomeCode, Relay};
use crate::store::{StoredRelay, Unreadable, until_done};
use crate::telemetry::metrics;

/// After more deaths than this within [`DEATHS_WITHIN`], the relay is ended by force.
const DEATHS: usize = 5;
const DEATHS_WITHIN: Duration = Duration::from_secs(60);
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(50),
    cap: Duration::from_secs(5),
};

impl Registry {
    pub(super) fn restart(&mut self, relay_id: Uuid, reason: String, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(&relay_id) else {
            return;
        };
        child.actor = None;
        child.restarts += 1;
        let now = Instant::now();
        child.deaths.push_back(now);
        while child
            .deaths
            .front()
            .is_some_and(|death| now.duration_since(*death) > DEATHS_WITHIN)
        {
            child.deaths.pop_front();
        }
        let deaths = child.deaths.len();
        metrics::RESTARTS.add(1, []);
        tracing::error!(%relay_id, channel_id = child.channel_id, reason, deaths, "relay actor died");
        let wait = BACKOFF.after(u32::try_from(deaths.saturating_sub(1)).unwrap_or(u32::MAX));
        let in_flight = child.calls.in_flight().clone();
        let context = self.context.clone();
        let load = async move {
            in_flight.close();
            in_flight.wait().await;
            tokio::time::sleep(wait).await;
            load(&context, relay_id).await
        };
        let span = tracing::error_span!("relay", %relay_id, channel_id = child.channel_id);
        let load = load.instrument(span);
        let over = deaths > DEATHS;
        let (epoch, generation) = (child.epoch, child.generation);
        ctx.spawn(
            load.into_actor(self)
                .map(move |loaded, registry, ctx| match loaded {
                    // The relay moved to another process meanwhile, and may have come back.
                    _ if !registry.is_latest(relay_id, generation) => {}
                    None => registry.forget(relay_id),
                    Some((stored, _)) if stored.epoch != epoch => registry.forget(relay_id),
                    Some((stored, Err(unreadable))) => {
                        registry.end_by_force(stored, unreadable.to_string(), ctx);
                    }
                    Some((stored, Ok(_))) if over => registry.end_by_force(stored, reason, ctx),
                    Some((stored, Ok(durable))) => registry.revive(stored, durable, reason, ctx),
                }),
        );
    }

    fn revive(
        &mut self,
        stored: StoredRelay,
        durable: Durable,
        reason: String,
        ctx: &mut Context<Self>,
    ) {
        let relay_id = *stored.id;
        let Some(mut child) = self.children.remove(&relay_id) else {
            return;
        };
        let platform = durable.spec.platform.clone();
        child.calls = self.calls(platform);
        let incarnation = child.restarts.saturating_add(1);
        let relay = Box::new(Relay::load(durable, incarnation));
        let args = SpawnArgs {
            relay,
            revision: stored.revision,
            mode: StartMode::Recovered,
            last_error: Some(reason),
            parent: Span::none(),
        };
        self.spawn(&mut child, args, ctx);
        self.children.insert(relay_id, child);
    }

    pub(super) fn end_by_force(
        &mut self,
        stored: StoredRelay,
        reason: String,
        ctx: &mut Context<Self>,
    ) {
        let relay_id = *stored.id;
        metrics::FORCED_ENDS.add(1, []);
        if stored.outcome.is_none() {
            metrics::OUTCOMES.add(1, [&OutcomeCode::Internal.to_string()]);
        }
        tracing::error!(%relay_id, channel_id = stored.channel_id, reason, "relay cannot be run; ending it and creating cleanup jobs");
        let context = self.context.clone();
        let end = async move { forced_end::end(&context, &stored, &reason).await };
        ctx.spawn(end.into_actor(self).map(move |(), registry, _| {
            registry.forget(relay_id);
            registry.mailboxes.new_cleanup_jobs.notify_one();
        }));
    }
}

async fn load(
    context: &NodeContext,
    relay_id: Uuid,
) -> Option<(StoredRelay, Result<Durable, Unreadable>)> {
    let stored = until_done("load a relay", || async {
        // The dead actor's last save may still be queued: landing after this read, it would fence the new actor.
        context.store.ping_writer().await?;
        context.store.relay(relay_id).await
    })
    .await?;
    let durable = stored.durable();
    Some((stored, durable))
}
