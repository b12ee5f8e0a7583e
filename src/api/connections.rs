//! Limits the number of client connections and how long each may stay.
//!
//! The server library sets no time limit on the heads of later requests on a connection, on a peer that does not read its
//! response, or on a body that no handler reads. So each connection has a deadline here, except while a handler works or
//! an event stream runs; [`GuardedSocket`] enforces it.

mod body_quota;
mod guarded;
mod request_body;
mod state;
mod tracking;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt::net::TcpStream;
use parking_lot::{Mutex, MutexGuard};

use super::KEEP_ALIVE;
use super::origin::{Proxies, network};
use body_quota::BodyQuota;
pub(super) use guarded::GuardedSocket;
pub(super) use state::ClientConnection;
pub(super) use tracking::track_request;

use crate::config;

/// After this long without a read by the peer, the kernel (`TCP_USER_TIMEOUT`) or the response's deadline closes the
/// connection.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// At a limit, this fraction of the connections is closed at once, because finding idle ones scans them all.
const EVICTED_SHARE: usize = 64;
const WARN_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) total: usize,
    pub(super) per_address: usize,
    /// For a request's head, and again for its body.
    pub(super) request_timeout: Duration,
    pub(super) keep_alive: Duration,
}

impl ConnectionLimits {
    pub(super) fn new(settings: &config::ServerSettings) -> Self {
        let of = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            total: of(settings.max_connections),
            per_address: of(settings.connections_per_address),
            request_timeout: settings.request_timeout,
            keep_alive: KEEP_ALIVE,
        }
    }
}

pub(super) struct Connections {
    limits: ConnectionLimits,
    proxies: Proxies,
    table: Mutex<Table>,
    body_quota: BodyQuota,
}

#[derive(Default)]
struct Table {
    next_id: u64,
    count: usize,
    by_address: HashMap<IpAddr, HashMap<u64, Arc<ClientConnection>>>,
    warned_at: Option<Instant>,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self {
            limits,
            proxies,
            table: Mutex::default(),
            body_quota: BodyQuota::default(),
        })
    }

    pub(super) fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    /// Admits a connection. At a limit it replaces idle ones; if none is idle, it is refused.
    pub(super) fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
    ) -> io::Result<GuardedSocket<TcpStream>> {
        let peer = stream.peer_addr()?;
        let socket = socket2::SockRef::from(&stream);
        if let Err(error) = socket.set_tcp_user_timeout(Some(STALLED_AFTER)) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
        }
        let connection = self.enter(peer)?;
        let guard = ConnectionGuard {
            connections: Arc::clone(self),
            connection,
            peer,
        };
        Ok(GuardedSocket::new(stream, guard))
    }

    fn enter(&self, peer: SocketAddr) -> io::Result<Arc<ClientConnection>> {
        let peer = peer.ip().to_canonical();
        let address = network(peer);
        let mut table = self.table();
        // Authenticated callers do not count: many may share a gateway's address, each with an event stream.
        let unknown = || {
            let theirs = table.by_address.get(&address).into_iter().flatten();
            let theirs = theirs.map(|(_, connection)| connection);
            theirs.filter(|connection| !connection.is_known())
        };
        let of_address = table.by_address.get(&address).map_or(0, HashMap::len);
        if of_address >= self.limits.per_address
            && unknown().count() >= self.limits.per_address
            && !self.proxies.is_trusted(peer)
        {
            let idle = longest_idle(unknown(), self.limits.per_address / EVICTED_SHARE);
            table.make_room(idle, "server.connections_per_address")?;
        }
        if table.count >= self.limits.total {
            let all = table.by_address.values().flatten();
            let all = all.map(|(_, connection)| connection);
            let idle = longest_idle(all, self.limits.total / EVICTED_SHARE);
            table.make_room(idle, "server.max_connections")?;
        }
        table.next_id += 1;
        table.count += 1;
        let id = table.next_id;
        let is_shared = self.proxies.is_trusted(peer);
        let connection = Arc::new(ClientConnection::new(id, address, is_shared, self.limits));
        let theirs = table.by_address.entry(address).or_default();
        theirs.insert(id, Arc::clone(&connection));
        Ok(connection)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

impl Table {
    fn make_room(&mut self, idle: Vec<Arc<ClientConnection>>, limit: &str) -> io::Result<()> {
        let now = Instant::now();
        if self.warned_at.is_none_or(|at| now - at >= WARN_EVERY) {
            self.warned_at = Some(now);
            tracing::warn!(
                limit,
                "connection limit reached; closing idle connections for new ones"
            );
        }
        if idle.is_empty() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        for connection in idle {
            self.remove(&connection);
            connection.end();
        }
        Ok(())
    }

    fn remove(&mut self, connection: &ClientConnection) {
        let address = connection.address();
        let Some(theirs) = self.by_address.get_mut(&address) else {
            return;
        };
        if theirs.remove(&connection.id()).is_some() {
            self.count -= 1;
        }
        if theirs.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

/// At most `most` unauthenticated connections. If there are none, one authenticated connection.
fn longest_idle<'a>(
    all: impl Iterator<Item = &'a Arc<ClientConnection>>,
    most: usize,
) -> Vec<Arc<ClientConnection>> {
    let idle = all.filter_map(|connection| Some((connection.idle()?, connection)));
    let mut idle: Vec<_> = idle.collect();
    idle.sort_unstable_by_key(|(rank, _)| *rank);
    let unknown = idle.iter().take_while(|((is_known, _), _)| !is_known);
    idle.truncate(unknown.count().min(most).max(1));
    let idle = idle.into_iter().map(|(_, connection)| connection);
    idle.map(Arc::clone).collect()
}

pub(super) struct ConnectionGuard {
    connections: Arc<Connections>,
    connection: Arc<ClientConnection>,
    peer: SocketAddr,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.table().remove(&self.connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connections(total: usize, per_address: usize) -> Arc<Connections> {
        Connections::new(
            ConnectionLimits {
                total,
                per_address,
                request_timeout: SECOND,
                keep_alive: SECOND,
            },
            Proxies::new(&["10.0.0.0/8".to_owned()]),
        )
    }

    fn from(connections: &Connections, peer: &str) -> io::Result<Arc<ClientConnection>> {
        connections.enter(peer.parse().unwrap())
    }

    #[test]
    fn the_longest_idle_connection_of_the_address_is_closed_and_a_busy_one_never() {
        let connections = connections(10, 2);
        let other = from(&connections, "192.0.2.9:1").unwrap();
        let first = from(&connections, "192.0.2.1:1").unwrap();
        let second = from(&connections, "192.0.2.1:2").unwrap();
        let _work = first.begin();
        let third = from(&connections, "192.0.2.1:3").unwrap();
        assert!(second.is_ended() && !first.is_ended() && !other.is_ended());
        let _more = third.begin();
        assert!(from(&connections, "192.0.2.1:4").is_err());
        assert!(from(&connections, "192.0.2.2:1").is_ok());
        let of_a_proxy: Vec<_> = (1..4)
            .map(|port| from(&connections, &format!("10.0.0.1:{port}")).unwrap())
            .collect();
        assert!(!of_a_proxy.iter().any(|one| one.is_ended()));
    }

    #[test]
    fn at_a_high_limit_several_connections_are_closed_at_once_but_authenticated_ones_singly() {
        let connections = connections(128, 128);
        let all: Vec<_> = (0..128)
            .map(|host| from(&connections, &format!("192.0.2.{host}:1")).unwrap())
            .collect();
        let ended = || {
            all.iter()
                .filter(|connection| connection.is_ended())
                .count()
        };
        let first = from(&connections, "198.51.100.1:1").unwrap();
        assert!(all[0].is_ended() && all[1].is_ended() && ended() == 2);
        let second = from(&connections, "198.51.100.2:1").unwrap();
        assert_eq!((ended(), connections.table().count), (2, 128));
        for connection in all.iter().chain([&first, &second]) {
            connection.set_known();
        }
        let _third = from(&connections, "198.51.100.3:1").unwrap();
        assert_eq!(ended(), 3);
    }

    #[test]
    fn an_authenticated_connection_is_closed_last() {
        let connections = connections(2, 2);
        let known = from(&connections, "192.0.2.1:1").unwrap();
        known.set_known();
        let unknown = from(&connections, "192.0.2.2:1").unwrap();
        from(&connections, "192.0.2.3:1").unwrap();
        assert!(unknown.is_ended() && !known.is_ended());
        assert_eq!(connections.table().count, 2);
    }

    #[test]
    fn authenticated_connections_do_not_count_against_their_address() {
        let connections = connections(10, 2);
        let known: Vec<_> = (1..4)
            .map(|port| from(&connections, &format!("192.0.2.1:{port}")).unwrap())
            .inspect(|connection| connection.set_known())
            .collect();
        let unknown = from(&connections, "192.0.2.1:4").unwrap();
        from(&connections, "192.0.2.1:5").unwrap();
        from(&connections, "192.0.2.1:6").unwrap();
        assert!(unknown.is_ended() && !known.iter().any(|known| known.is_ended()));
    }

    #[test]
    fn a_token_authenticates_only_one_request_on_a_proxys_connection() {
        let connections = connections(10, 2);
        let shared = from(&connections, "10.0.0.1:1").unwrap();
        let own = from(&connections, "192.0.2.1:1").unwrap();
        for connection in [&shared, &own] {
            let active = connection.begin();
            connection.set_known();
            assert!(connection.is_known());
            drop(active);
        }
        assert!(own.is_known() && !shared.is_known());
        let _next = (own.begin(), shared.begin());
        assert!(own.is_known() && !shared.is_known());
    }

    #[test]
    fn a_head_has_a_limit_and_a_longer_one_with_a_token() {
        let connections = connections(10, 2);
        let connection = from(&connections, "192.0.2.1:1").unwrap();
        assert!(connection.received(32 * 1024));
        assert!(!connection.received(1));
        let active = connection.begin();
        assert!(connection.received(60_000), "a body has limits of its own");
        connection.parsed();
        drop(active);
        assert!(connection.received(32 * 1024) && !connection.received(1));
        connection.set_known();
        assert!(connection.received(60 * 1024) && !connection.received(8 * 1024));
        connection.set_closing();
        assert!(connection.received(1), "what is dropped is not kept");
    }

    #[test]
    fn a_whole_ipv6_network_is_one_address() {
        let connections = connections(10, 1);
        let first = from(&connections, "[2001:db8::1]:1").unwrap();
        from(&connections, "[2001:db8::2]:1").unwrap();
        assert!(first.is_ended());
    }
}
