//! The connections of callers: how many there are, how long each stays, and which of them gives way to a new one.
//!
//! The server library limits the head of a connection's first request, and an idle connection until its first byte. It does not
//! limit the head of a later request, a peer that reads nothing of its answer, or a request body nobody reads. Here a
//! connection has a deadline at every moment, except while a handler works or a stream of events runs; the wrapped socket
//! ([`Guarded`]) ends the connection when the deadline is over.

mod arriving;
mod attend;
mod bodies;
mod guarded;
mod state;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt::net::TcpStream;
use parking_lot::{Mutex, MutexGuard};

use super::KEEP_ALIVE;
use super::origin::{Proxies, network};
pub(super) use attend::attend;
use bodies::Bodies;
pub(super) use guarded::Guarded;
pub(super) use state::Connection;

use crate::config;

/// A peer that reads nothing for this long is cut off: by the kernel, and by the deadline of an answer that does not advance.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// At a limit, one in this many connections gives way at once: to find them all connections are examined, and that must not
/// happen for each new one.
const AT_ONCE: usize = 64;
/// How often the log says that connections give way.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What the settings allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// Connections at once.
    pub(super) total: usize,
    /// Connections at once of one address.
    pub(super) per_address: usize,
    /// How long a request's head, and then its body, may take.
    pub(super) request_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub(super) keep_alive: Duration,
}

impl Allowed {
    pub(super) fn by(settings: &config::ServerSettings) -> Self {
        let of = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            total: of(settings.max_connections),
            per_address: of(settings.connections_per_address),
            request_timeout: settings.request_timeout,
            keep_alive: KEEP_ALIVE,
        }
    }
}

/// All connections of this process.
pub(super) struct Connections {
    allowed: Allowed,
    /// The connections of a proxy are those of many callers.
    proxies: Proxies,
    table: Mutex<Table>,
    bodies: Bodies,
}

#[derive(Default)]
struct Table {
    next_id: u64,
    count: usize,
    by_address: HashMap<IpAddr, HashMap<u64, Arc<Connection>>>,
    warned_at: Option<Instant>,
}

impl Connections {
    pub(super) fn new(allowed: Allowed, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self {
            allowed,
            proxies,
            table: Mutex::default(),
            bodies: Bodies::default(),
        })
    }

    pub(super) fn allowed(&self) -> Allowed {
        self.allowed
    }

    /// Admits a connection. At a limit the one that has been idle longest gives way.
    ///
    /// # Errors
    /// When the peer has gone already, and when none of the others is idle.
    pub(super) fn admit(self: &Arc<Self>, stream: TcpStream) -> io::Result<Guarded<TcpStream>> {
        let peer = stream.peer_addr()?;
        let socket = socket2::SockRef::from(&stream);
        if let Err(error) = socket.set_tcp_user_timeout(Some(STALLED_AFTER)) {
            tracing::debug!(%error, "a connection has no time limit for what it is sent");
        }
        let connection = self.enter(peer)?;
        let entry = Entry {
            connections: Arc::clone(self),
            connection,
            peer,
        };
        Ok(Guarded::new(stream, entry))
    }

    fn enter(&self, peer: SocketAddr) -> io::Result<Arc<Connection>> {
        let peer = peer.ip().to_canonical();
        let address = network(peer);
        let mut table = self.table();
        // Callers with a valid token do not count: many may share the address of a gateway, each with an event stream.
        let unknown = || {
            let theirs = table.by_address.get(&address).into_iter().flatten();
            let theirs = theirs.map(|(_, connection)| connection);
            theirs.filter(|connection| !connection.is_known())
        };
        let of_address = table.by_address.get(&address).map_or(0, HashMap::len);
        if of_address >= self.allowed.per_address
            && unknown().count() >= self.allowed.per_address
            && !self.proxies.is_trusted(peer)
        {
            let idle = longest_idle(unknown(), self.allowed.per_address / AT_ONCE);
            table.make_room(idle, "server.connections_per_address")?;
        }
        if table.count >= self.allowed.total {
            let all = table.by_address.values().flatten();
            let all = all.map(|(_, connection)| connection);
            let idle = longest_idle(all, self.allowed.total / AT_ONCE);
            table.make_room(idle, "server.max_connections")?;
        }
        table.next_id += 1;
        table.count += 1;
        let id = table.next_id;
        let is_shared = self.proxies.is_trusted(peer);
        let connection = Arc::new(Connection::new(id, address, is_shared, self.allowed));
        let theirs = table.by_address.entry(address).or_default();
        theirs.insert(id, Arc::clone(&connection));
        Ok(connection)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

impl Table {
    /// Ends idle connections for new ones.
    fn make_room(&mut self, idle: Vec<Arc<Connection>>, limit: &str) -> io::Result<()> {
        let now = Instant::now();
        if self.warned_at.is_none_or(|at| now - at >= WARN_EVERY) {
            self.warned_at = Some(now);
            tracing::warn!(
                limit,
                "as many connections are open as the settings allow: idle ones are closed for new ones"
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

    /// Forgets a connection. A second call does nothing.
    fn remove(&mut self, connection: &Connection) {
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

/// The connections that give way first: those that never showed a valid token, the longest idle first, `most` at most but one at
/// least. One that showed a token gives way alone, and only if there are no others.
fn longest_idle<'a>(
    all: impl Iterator<Item = &'a Arc<Connection>>,
    most: usize,
) -> Vec<Arc<Connection>> {
    let idle = all.filter_map(|connection| Some((connection.idle()?, connection)));
    let mut idle: Vec<_> = idle.collect();
    idle.sort_unstable_by_key(|(rank, _)| *rank);
    let unknown = idle.iter().take_while(|((is_known, _), _)| !is_known);
    idle.truncate(unknown.count().min(most).max(1));
    let idle = idle.into_iter().map(|(_, connection)| connection);
    idle.map(Arc::clone).collect()
}

/// A connection's place in the table; given up when dropped.
pub(super) struct Entry {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    peer: SocketAddr,
}

impl Drop for Entry {
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
            Allowed {
                total,
                per_address,
                request_timeout: SECOND,
                keep_alive: SECOND,
            },
            Proxies::new(&["10.0.0.0/8".to_owned()]),
        )
    }

    fn from(connections: &Connections, peer: &str) -> io::Result<Arc<Connection>> {
        connections.enter(peer.parse().unwrap())
    }

    #[test]
    fn the_longest_idle_connection_of_the_address_gives_way_and_one_at_work_never_does() {
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
    fn at_a_high_limit_several_give_way_at_once_but_never_several_that_showed_a_token() {
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
            connection.is_of_a_known_caller();
        }
        let _third = from(&connections, "198.51.100.3:1").unwrap();
        assert_eq!(ended(), 3);
    }

    #[test]
    fn one_that_showed_a_token_gives_way_last() {
        let connections = connections(2, 2);
        let known = from(&connections, "192.0.2.1:1").unwrap();
        known.is_of_a_known_caller();
        let unknown = from(&connections, "192.0.2.2:1").unwrap();
        from(&connections, "192.0.2.3:1").unwrap();
        assert!(unknown.is_ended() && !known.is_ended());
        assert_eq!(connections.table().count, 2);
    }

    #[test]
    fn those_that_showed_a_token_do_not_count_against_their_address() {
        let connections = connections(10, 2);
        let known: Vec<_> = (1..4)
            .map(|port| from(&connections, &format!("192.0.2.1:{port}")).unwrap())
            .inspect(|connection| connection.is_of_a_known_caller())
            .collect();
        let unknown = from(&connections, "192.0.2.1:4").unwrap();
        from(&connections, "192.0.2.1:5").unwrap();
        from(&connections, "192.0.2.1:6").unwrap();
        assert!(unknown.is_ended() && !known.iter().any(|known| known.is_ended()));
    }

    #[test]
    fn a_token_on_a_proxys_connection_proves_its_own_request_only() {
        let connections = connections(10, 2);
        let shared = from(&connections, "10.0.0.1:1").unwrap();
        let own = from(&connections, "192.0.2.1:1").unwrap();
        for connection in [&shared, &own] {
            let turn = connection.begin();
            connection.is_of_a_known_caller();
            assert!(connection.is_known());
            drop(turn);
        }
        assert!(own.is_known() && !shared.is_known());
        let _next = (own.begin(), shared.begin());
        assert!(own.is_known() && !shared.is_known());
    }

    #[test]
    fn a_head_has_a_limit_and_a_longer_one_with_a_token() {
        let connections = connections(10, 2);
        let connection = from(&connections, "192.0.2.1:1").unwrap();
        assert!(connection.heard(32 * 1024));
        assert!(!connection.heard(1));
        let turn = connection.begin();
        assert!(connection.heard(60_000), "a body has limits of its own");
        connection.parsed();
        drop(turn);
        assert!(connection.heard(32 * 1024) && !connection.heard(1));
        connection.is_of_a_known_caller();
        assert!(connection.heard(60 * 1024) && !connection.heard(8 * 1024));
        connection.closes();
        assert!(connection.heard(1), "what is dropped is not kept");
    }

    #[test]
    fn a_whole_ipv6_network_is_one_address() {
        let connections = connections(10, 1);
        let first = from(&connections, "[2001:db8::1]:1").unwrap();
        from(&connections, "[2001:db8::2]:1").unwrap();
        assert!(first.is_ended());
    }
}
