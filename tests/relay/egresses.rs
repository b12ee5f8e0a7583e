//! Backends of egresses by their capabilities.

use std::time::Duration;

use relaykeeper::relay::{Backend, EgressCapabilities, EgressHandle, EgressSpec, Prepare};

/// A start needs a preparation, and a cut output can get its target again.
pub fn two_steps() -> EgressSpec {
    EgressSpec {
        backend: Backend::new("two_steps", &()),
        capabilities: EgressCapabilities {
            prepare: Some(Prepare {
                fresh: Duration::from_millis(1500),
                life: Duration::from_secs(270),
                starts: 3,
            }),
            updates: true,
            max_hours: Some(1),
        },
    }
}

/// A start is repeated by its name, and nothing else can be done.
pub fn by_name() -> EgressSpec {
    EgressSpec {
        backend: Backend::new("by_name", &()),
        capabilities: EgressCapabilities {
            prepare: None,
            updates: false,
            max_hours: None,
        },
    }
}

pub fn handle(id: impl Into<String>) -> EgressHandle {
    EgressHandle::of_id("id", id)
}

pub fn id(handle: &EgressHandle) -> &str {
    handle.member("id").and_then(|id| id.as_str()).unwrap()
}
