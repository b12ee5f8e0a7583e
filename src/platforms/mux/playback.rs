//! The public playback host (`mux.md §3`). It needs no token and no API budget.

use anyhow::Context as _;
use url::Url;

use super::VENDOR;
use crate::config::{MuxSettings, VendorsSettings};
use crate::platforms::PlaybackLinks;
use crate::platforms::public_host::PublicHost;
use crate::platforms::wire::is_id;
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::http::{self, USER_AGENT, failure};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, VendorError};

/// Polls of the host a second. Mux names no limit.
const RATE: u32 = 100;
const OWN_HOST: &str = "https://stream.mux.com";
const PICTURES: &str = "https://image.mux.com";

/// The answer for an HLS manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MuxManifest {
    /// 200 with a manifest. It stays during the reconnect window.
    Playable,
    /// 412: no broadcast.
    Idle,
    /// Another status, or 200 without a manifest: ask the API.
    Other,
}

/// Where a playback id is watched.
#[derive(Debug, Clone)]
pub(super) struct MuxPlaybackUrls {
    base: String,
}

impl MuxPlaybackUrls {
    pub(super) fn new(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    pub(super) fn hls(&self, playback_id: &str) -> String {
        format!("{}/{playback_id}.m3u8", self.base)
    }

    pub(super) fn links(&self, playback_id: &str) -> PlaybackLinks {
        PlaybackLinks {
            hls_url: self.hls(playback_id),
            dash_url: None,
        }
    }

    /// Pictures have a host of their own.
    pub(super) fn thumbnail(&self, playback_id: &str) -> Option<String> {
        let own = self.base == OWN_HOST;
        own.then(|| format!("{PICTURES}/{playback_id}/thumbnail.jpg"))
    }

    /// As a content security policy names them.
    pub(super) fn hosts(&self) -> Vec<String> {
        let configured = Url::parse(&self.base).ok();
        let configured = configured.map(|url| url.origin().ascii_serialization());
        // A manifest names segments on other hosts of Mux's.
        let mux = "https://*.mux.com".to_owned();
        let is_own = self.base == OWN_HOST;
        [mux]
            .into_iter()
            .chain(configured.filter(|_| !is_own))
            .collect()
    }
}

#[derive(Debug)]
pub(super) struct PlaybackHost {
    host: PublicHost,
    urls: MuxPlaybackUrls,
}

impl PlaybackHost {
    pub(super) fn new(
        settings: &MuxSettings,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> anyhow::Result<Self> {
        Url::parse(&settings.playback_base_url).context("mux.playback_base_url is not a URL")?;
        let governor = Governor::polls_per_second("mux_playback_host", RATE);
        Ok(Self {
            host: PublicHost::new(VENDOR, USER_AGENT, governor, vendors, lease)?,
            urls: MuxPlaybackUrls::new(&settings.playback_base_url),
        })
    }

    pub(super) fn urls(&self) -> &MuxPlaybackUrls {
        &self.urls
    }

    pub(super) fn governor(&self) -> &Governor {
        self.host.governor()
    }

    /// Whether a playback id is playable (`mux.md §3.2`).
    pub(super) async fn manifest(
        &self,
        permit: PermitRequest,
        playback_id: &str,
    ) -> Result<MuxManifest, VendorError> {
        const NAME: &str = "playback.manifest";
        let url = self.urls.hls(playback_id);
        let answer = self.host.get(permit, NAME, url).await?;
        let manifest = match answer.status {
            200 if answer.body.starts_with(b"#EXTM3U") => Ok(MuxManifest::Playable),
            412 => Ok(MuxManifest::Idle),
            500.. => {
                let message = "the host failed".to_owned();
                Err(VendorError {
                    status: Some(answer.status),
                    ..failure(VENDOR, NAME, Class::Unavailable, Done::No, message)
                })
            }
            _ => Ok(MuxManifest::Other),
        };
        let class = manifest.as_ref().err().map(|error| error.class);
        http::count(VENDOR, NAME, class);
        manifest
    }
}

/// The playback id in the URL that buyers got.
pub(super) fn playback_id(hls_url: &str) -> Option<String> {
    let path = hls_url.split(['?', '#']).next()?;
    let file = path.rsplit('/').next()?;
    let id = file.strip_suffix(".m3u8").filter(|id| is_id(id))?;
    Some(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playback_id_is_read_from_the_url_that_buyers_got() {
        for (url, id) in [
            ("https://stream.mux.com/abc.m3u8", Some("abc")),
            ("http://127.0.0.1:9/abc.m3u8?token=x/y", Some("abc")),
            ("https://stream.mux.com/abc", None),
            ("https://stream.mux.com/.m3u8", None),
        ] {
            assert_eq!(playback_id(url).as_deref(), id, "{url}");
        }
    }

    #[test]
    fn pictures_come_from_muxs_own_host_only() {
        let own = MuxPlaybackUrls::new("https://stream.mux.com/");
        assert!(own.thumbnail("a").is_some());
        assert_eq!(own.hosts(), ["https://*.mux.com"]);
        let other = MuxPlaybackUrls::new("http://127.0.0.1:9");
        assert!(other.thumbnail("a").is_none());
        assert_eq!(other.hosts(), ["https://*.mux.com", "http://127.0.0.1:9"]);
    }
}
