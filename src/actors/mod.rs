//! The actors: registry, relays, janitor.
