//! The pure life cycle of a relay.
