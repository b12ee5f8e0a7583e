use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::http::header::{FORWARDED, HeaderMap, X_FORWARDED_FOR};

use crate::config::Network;

#[derive(Clone, Default)]
pub(crate) struct Proxies(Vec<Network>);

impl Proxies {
    /// `trusted` was validated with the settings.
    pub(super) fn new(trusted: &[String]) -> Self {
        Self(trusted.iter().filter_map(|one| one.parse().ok()).collect())
    }

    /// The client's network: that of the peer, or of the last forwarded address that is not a trusted proxy.
    pub(crate) fn origin(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        network(self.source(peer, headers))
    }

    /// The same; `None` for a trusted proxy that names no client.
    pub(super) fn caller(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let source = self.source(peer, headers);
        (!self.is_trusted(source)).then(|| network(source))
    }

    fn source(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        let mut origin = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
            peer.to_canonical()
        });
        let mut named = forwarded(headers).into_iter().rev();
        while self.is_trusted(origin)
            && let Some(before) = named.next()
        {
            // A proxy that hides the client counts itself.
            let Some(before) = address(&before) else {
                break;
            };
            origin = before;
        }
        origin
    }

    pub(super) fn is_trusted(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// The addresses in `X-Forwarded-For` or `Forwarded` (RFC 7239), nearest last. If the two have different ends, the client
/// forged one of them, and neither counts.
fn forwarded(headers: &HeaderMap) -> Vec<String> {
    let lists = |name| {
        let values = headers.get_all(name);
        let texts = values.filter_map(|value| value.to_str().ok());
        texts.flat_map(|text| text.split(',')).map(str::trim)
    };
    let usual: Vec<String> = lists(X_FORWARDED_FOR).map(str::to_owned).collect();
    let standard: Vec<String> = lists(FORWARDED)
        .map(|element| {
            let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
            let by = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
            by.map_or_else(String::new, |(_, value)| {
                value.trim().trim_matches('"').to_owned()
            })
        })
        .collect();
    let last = |list: &[String]| list.last().and_then(|last| address(last));
    match (usual.is_empty(), standard.is_empty()) {
        (true, _) => standard,
        (false, true) => usual,
        (false, false) if last(&usual) == last(&standard) => usual,
        (false, false) => Vec::new(),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let text = bare.map_or(text, |(address, _)| address);
    let address: Option<IpAddr> = text.parse().ok();
    let with_port = || {
        text.parse()
            .ok()
            .map(|socket: std::net::SocketAddr| socket.ip())
    };
    address
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

/// Cuts an IPv6 address to its /64: one client has all of it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn where_two_headers_disagree_the_peer_counts() {
        let proxies = Proxies::new(&["10.0.0.0/8".to_owned()]);
        let of = |usual: &str, standard: &str| {
            let request = TestRequest::get()
                .insert_header(("x-forwarded-for", usual))
                .insert_header(("forwarded", standard))
                .to_http_request();
            let peer = "10.0.0.1".parse().ok();
            proxies.origin(peer, request.headers()).to_string()
        };
        assert_eq!(of("203.0.113.9", "for=198.51.100.1"), "10.0.0.1");
        assert_eq!(of("203.0.113.9", "for=unknown"), "10.0.0.1");
        let same = of("198.51.100.7, 203.0.113.9:4711", "for=203.0.113.9");
        assert_eq!(same, "203.0.113.9");
    }

    fn origin(trusted: &[&str], peer: &str, header: (&str, &str)) -> String {
        let trusted: Vec<String> = trusted.iter().map(|&one| one.to_owned()).collect();
        let request = TestRequest::get().insert_header(header).to_http_request();
        let peer = peer.parse().ok();
        Proxies::new(&trusted)
            .origin(peer, request.headers())
            .to_string()
    }

    #[test]
    fn a_forwarded_address_counts_only_if_a_trusted_proxy_names_it() {
        let forged = ("x-forwarded-for", "198.51.100.1, 203.0.113.9");
        assert_eq!(origin(&[], "192.0.2.1", forged), "192.0.2.1");
        assert_eq!(origin(&["10.0.0.0/8"], "192.0.2.1", forged), "192.0.2.1");
        assert_eq!(origin(&["192.0.2.1"], "192.0.2.1", forged), "203.0.113.9");
        let chain = ("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.0.0.7:443");
        assert_eq!(origin(&["10.0.0.0/8"], "10.0.0.1", chain), "203.0.113.9");
        let all = ("x-forwarded-for", "10.0.0.9");
        assert_eq!(origin(&["10.0.0.0/8"], "10.0.0.1", all), "10.0.0.9");
        for hidden in ["", "unknown", "_gateway"] {
            let hidden = ("x-forwarded-for", hidden);
            assert_eq!(origin(&["10.0.0.0/8"], "10.0.0.1", hidden), "10.0.0.1");
        }
        let standard = (
            "forwarded",
            "for=198.51.100.1, proto=https;For=\"[2001:db8::7]:4711\"",
        );
        assert_eq!(origin(&["10.0.0.0/8"], "10.0.0.1", standard), "2001:db8::");
    }

    #[test]
    fn a_caller_has_a_whole_ipv6_network() {
        let of = |peer: &str| origin(&[], peer, ("x-nothing", ""));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
