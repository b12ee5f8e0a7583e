//! Decides whether an address is public: vendors must reach ours, and webhooks must not reach private ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::{AgoraBackend, Settings};

impl Settings {
    /// Why Agora's cloud browser cannot open the recorded page, as far as its URL shows.
    #[must_use]
    pub fn page_out_of_reach(&self) -> Option<String> {
        if self.agora.backend != AgoraBackend::CloudRecording {
            return None;
        }
        let (key, text) = match self.agora.cloud_recording.page_url.as_str() {
            "" => ("server.public_url", &self.server.public_url),
            own => ("agora.cloud_recording.page_url", &own.to_owned()),
        };
        let url = Url::parse(text).ok()?;
        let private = match url.host()? {
            Host::Domain(name) => is_local_name(name),
            Host::Ipv4(address) => !is_public(address.into()),
            Host::Ipv6(address) => !is_public(address.into()),
        };
        if private {
            return Some(format!(
                "{key} is {text}, which only this machine or its own network reaches"
            ));
        }
        (url.scheme() != "https").then(|| format!("{key} is {text}, which is not https"))
    }
}

/// Suffixes that public resolvers do not know: reserved (RFC 2606, 6761, 6762, 8375) or customary.
const LOCAL_ENDS: [&str; 13] = [
    ".corp",
    ".example",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".invalid",
    ".lan",
    ".local",
    ".localdomain",
    ".localhost",
    ".private",
    ".test",
];

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.') || LOCAL_ENDS.iter().any(|end| name.ends_with(end))
}

pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        // Carrier-grade NAT (RFC 6598), protocol assignments (RFC 6890), benchmarks (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

/// Global unicast is 2000::/3. Addresses that embed IPv4 are judged by it.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => is_public_v4(v4(g, h)),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => is_public_v4(v4(g, h)),
        (0x2002, _) => is_public_v4(v4(b, c)),
        // Documentation, tunnels, protocol assignments.
        (0x2001, 0x0db8 | 0..=0x01ff) | (0x3fff, 0..=0x0fff) => false,
        _ => (a & 0xe000) == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_a_private_network_knows_is_local_with_and_without_its_last_dot() {
        for name in [
            "localhost",
            "a.localhost",
            "box.localdomain",
            "a.test",
            "relay.example",
            "a.invalid",
            "a.intranet",
            "a.corp",
            "a.home",
            "a.home.arpa",
            "a.local",
        ] {
            assert!(is_local_name(name), "{name}");
            assert!(is_local_name(&format!("{name}.")), "{name}.");
        }
        for name in ["relays.example.com", "latest.net", "test.com."] {
            assert!(!is_local_name(name), "{name}");
        }
    }
}
