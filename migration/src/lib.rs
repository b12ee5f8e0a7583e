//! relaykeeper's schema.
