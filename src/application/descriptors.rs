//! The limit of open files and sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors reserved for vendor calls, the database and the log.
const RESERVE: u64 = 256;

/// Raises the limit of open files as far as allowed, and returns it. `None`: unlimited.
pub fn raise() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => now.maximum,
        Err(_) => now.current,
    }
}

/// The incoming connections to allow. `wanted`: the setting.
#[must_use]
pub fn connections(wanted: u32, limit: Option<u64>) -> u32 {
    let left = limit.map(|limit| limit - RESERVE.min(limit / 2));
    let left = left.map(|left| u32::try_from(left).unwrap_or(u32::MAX).max(1));
    left.map_or(wanted, |left| wanted.min(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_get_what_the_reserve_leaves() {
        assert_eq!(connections(20_000, None), 20_000);
        assert_eq!(connections(20_000, Some(1 << 20)), 20_000);
        assert_eq!(connections(20_000, Some(1024)), 768);
        assert_eq!(connections(20_000, Some(256)), 128);
        assert_eq!(connections(20_000, Some(0)), 1);
        assert_eq!(connections(100, Some(1024)), 100);
    }
}
