//! Agora.
