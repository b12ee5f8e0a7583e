//! The HTTP API: thin handlers.
