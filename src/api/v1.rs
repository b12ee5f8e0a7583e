//! `/v1`: the endpoints for the marketplace.

pub(super) mod channels;
pub(super) mod costs;
pub(super) mod deliveries;
pub(super) mod events;
pub(super) mod ingests;
pub(super) mod relays;
pub(super) mod start;
pub(super) mod stop;

use super::health;
use super::routes::Routes;

pub(super) fn routes(routes: &mut Routes<'_>) {
    routes
        .writes("/channels/{channel_id}/start", start::start)
        .writes("/channels/{channel_id}/stop", stop::stop)
        .reads("/channels/{channel_id}", channels::channel)
        .reads("/channels/{channel_id}/playback", channels::playback)
        .reads("/channels/{channel_id}/relays", channels::history)
        .deletes("/channels/{channel_id}/ingest", ingests::give_up)
        .reads("/ingests", ingests::ingests)
        .reads("/relays", relays::relays)
        .reads("/relays/{relay_id}", relays::relay)
        .reads("/relays/{relay_id}/events", relays::events)
        .reads("/relays/{relay_id}/recordings", relays::recordings)
        .reads("/costs", costs::costs)
        .reads("/events", events::events)
        .reads("/webhooks/deliveries", deliveries::deliveries)
        .writes("/webhooks/deliveries/{id}/redeliver", deliveries::redeliver)
        .reads("/health", health::health);
}
