//! `/v1`: what the marketplace calls.

mod channels;
mod costs;
mod events;
mod relays;
mod start;
pub(super) mod stop;

use actix_web::web::ServiceConfig;

use super::{health, reads, writes};

/// The routes, inside their scope.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(writes("/channels/{channel_id}/start", start::start))
        .service(writes("/channels/{channel_id}/stop", stop::stop))
        .service(reads("/channels/{channel_id}", channels::channel))
        .service(reads("/channels/{channel_id}/playback", channels::playback))
        .service(reads("/channels/{channel_id}/relays", channels::history))
        .service(reads("/relays", relays::relays))
        .service(reads("/relays/{relay_id}", relays::relay))
        .service(reads("/relays/{relay_id}/events", relays::events))
        .service(reads("/relays/{relay_id}/recordings", relays::recordings))
        .service(reads("/costs", costs::costs))
        .service(reads("/events", events::events))
        .service(reads("/health", health::health));
}
