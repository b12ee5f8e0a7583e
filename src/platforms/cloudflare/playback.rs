//! Playback URLs: the answer's own, else the documented template on the customer host (`cloudflare-stream.md §3.1`).

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::wire::lenient;
use crate::platforms::wire::is_id;

/// The playback URLs of a video, or of a live input, which has them before any broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybackUrls {
    /// The HLS manifest.
    pub hls_url: String,
    /// The DASH manifest.
    pub dash_url: String,
}

/// Absent from older APIs.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WirePlayback {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) hls: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) dash: Option<String>,
}

/// Its URL is a viewer's credential: only the host is used.
#[derive(Debug, Deserialize)]
pub(super) struct WireUrl {
    #[serde(default)]
    pub(super) url: SecretString,
}

impl WireUrl {
    pub(super) fn host(&self) -> Option<String> {
        customer_host(self.url.expose_secret())
    }
}

impl PlaybackUrls {
    /// URLs on other hosts than `base` are ignored: buyers are sent there.
    pub(super) fn read(wire: Option<&WirePlayback>, base: Option<&str>, uid: &str) -> Option<Self> {
        let base = base?;
        let hls = wire.and_then(|wire| on(base, wire.hls.as_deref()));
        let dash = wire.and_then(|wire| on(base, wire.dash.as_deref()));
        Some(Self {
            hls_url: hls.unwrap_or_else(|| manifest(base, uid, "video.m3u8")),
            dash_url: dash.unwrap_or_else(|| manifest(base, uid, "video.mpd")),
        })
    }
}

pub(super) fn manifest(base: &str, uid: &str, file: &str) -> String {
    format!("{base}/{uid}/manifest/{file}")
}

pub(super) fn thumbnail(base: &str, uid: &str) -> String {
    format!("{base}/{uid}/thumbnails/thumbnail.jpg")
}

pub(super) fn on(base: &str, text: Option<&str>) -> Option<String> {
    let path = text?.strip_prefix(base)?;
    path.starts_with('/').then(|| format!("{base}{path}"))
}

/// Trusts only `https://customer-<code>.cloudflarestream.com`, on the default port and without credentials.
pub(super) fn customer_host(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let Some(Host::Domain(host)) = url.host().filter(|_| plain) else {
        return None;
    };
    let code = host
        .strip_prefix("customer-")?
        .strip_suffix(".cloudflarestream.com")?;
    let is_code = code
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (is_code && is_id(code)).then(|| format!("https://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_customer_host_is_trusted() {
        let good = "https://customer-f33zs165nr7gyfy4.cloudflarestream.com";
        for path in ["", "/", "/abc/manifest/video.m3u8?x=1"] {
            assert_eq!(
                customer_host(&format!("{good}{path}")).as_deref(),
                Some(good)
            );
        }
        assert_eq!(
            customer_host("https://Customer-ABC.cloudflarestream.com/x").as_deref(),
            Some("https://customer-abc.cloudflarestream.com"),
            "host names have no case"
        );
        for bad in [
            "http://customer-abc.cloudflarestream.com/x",
            "https://customer-abc.cloudflarestream.com:8443/x",
            "https://user@customer-abc.cloudflarestream.com/x",
            "https://customer-abc.cloudflarestream.com.evil.example/x",
            "https://evil.example/customer-abc.cloudflarestream.com",
            "https://customer-.cloudflarestream.com/x",
            "https://customer-a.b.cloudflarestream.com/x",
            "https://customer-a-b.cloudflarestream.com/x",
            "https://videodelivery.net/x",
            "https://127.0.0.1/x",
            "customer-abc.cloudflarestream.com",
            "",
        ] {
            assert_eq!(customer_host(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_answers_own_urls_come_before_the_template_when_they_are_on_the_customer_host() {
        let base = "https://customer-abc.cloudflarestream.com";
        let wire = WirePlayback {
            hls: Some(format!("{base}/u/manifest/video.m3u8?own")),
            dash: Some("https://evil.example/u/manifest/video.mpd".into()),
        };
        let playback = PlaybackUrls::read(Some(&wire), Some(base), "u").unwrap();
        assert!(playback.hls_url.ends_with("?own"));
        assert_eq!(playback.dash_url, format!("{base}/u/manifest/video.mpd"));
        let configured = PlaybackUrls::read(Some(&wire), Some("http://127.0.0.1:9"), "u").unwrap();
        assert_eq!(
            configured.hls_url,
            "http://127.0.0.1:9/u/manifest/video.m3u8"
        );
        assert_eq!(PlaybackUrls::read(Some(&wire), None, "u"), None);
    }

    #[test]
    fn a_host_that_only_begins_like_the_customer_host_is_another_one() {
        let base = "https://customer-abc.cloudflarestream.com";
        assert_eq!(
            on(
                base,
                Some("https://customer-abc.cloudflarestream.com.evil.example/u")
            ),
            None
        );
    }
}
