//! The public playback host (`ivs.md §3.3`). It needs no token and no API budget.

use url::Url;

use super::VENDOR;
use crate::config::{IvsSettings, VendorsSettings};
use crate::platforms::PlaybackLinks;
use crate::platforms::public_host::PublicHost;
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::http::{self, USER_AGENT, failure};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, VendorError};

/// Polls of the host a second. IVS names no limit.
const RATE: u32 = 100;
const MANIFEST: &str = "playback.manifest";

/// Where channels are watched.
#[derive(Debug)]
pub(super) struct IvsPlaybackHost {
    host: PublicHost,
    /// Takes the place of scheme and host; empty: the channel's own.
    base: String,
}

impl IvsPlaybackHost {
    pub(super) fn new(
        settings: &IvsSettings,
        vendors: &VendorsSettings,
        lease: &Lease,
    ) -> anyhow::Result<Self> {
        let governor = Governor::polls_per_second("ivs_playback_host", RATE);
        Ok(Self {
            host: PublicHost::new(VENDOR, USER_AGENT, governor, vendors, lease)?,
            base: settings.playback_base_url.clone(),
        })
    }

    pub(super) fn governor(&self) -> &Governor {
        self.host.governor()
    }

    /// `None`: it is not a URL.
    pub(super) fn links(&self, playback_url: &str) -> Option<PlaybackLinks> {
        Some(PlaybackLinks {
            hls_url: told(&self.base, playback_url)?,
            dash_url: None,
        })
    }

    /// Whether the broadcast of a channel that is live can be watched. Each probe may count as a view, so it is asked only until
    /// the relay is live.
    pub(super) async fn is_playable(
        &self,
        permit: PermitRequest,
        hls_url: &str,
    ) -> Result<bool, VendorError> {
        let answer = match self.host.get(permit, MANIFEST, hls_url.to_owned()).await {
            // As many watch as the account may have viewers (`ivs.md §3.3`).
            Err(error) if error.status == Some(429) => return Ok(true),
            answer => answer?,
        };
        let result = match answer.status {
            200 => Ok(answer.body.starts_with(b"#EXTM3U")),
            500.. => {
                let message = "the host failed".to_owned();
                Err(VendorError {
                    status: Some(answer.status),
                    ..failure(VENDOR, MANIFEST, Class::Unavailable, Done::No, message)
                })
            }
            _ => Ok(false),
        };
        let class = result.as_ref().err().map(|error| error.class);
        http::count(VENDOR, MANIFEST, class);
        result
    }

    /// As a content security policy names them; `vod`: where recordings are played.
    pub(super) fn hosts(&self, vod: &str) -> Vec<String> {
        let configured = [self.base.as_str(), vod].into_iter().filter_map(|url| {
            let url = Url::parse(url).ok()?;
            Some(url.origin().ascii_serialization())
        });
        ["https://*.live-video.net".to_owned()]
            .into_iter()
            .chain(configured)
            .collect()
    }
}

fn told(base: &str, playback_url: &str) -> Option<String> {
    let url = Url::parse(playback_url).ok().filter(Url::has_host)?;
    match base {
        "" => Some(playback_url.to_owned()),
        base => Some(format!("{base}{}", &url[url::Position::BeforePath..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_takes_the_place_of_scheme_and_host() {
        let own = "https://a1.eu-west-1.playback.live-video.net/api/video/v1/x.m3u8";
        assert_eq!(told("", own).as_deref(), Some(own));
        assert_eq!(
            told("http://127.0.0.1:9", own).as_deref(),
            Some("http://127.0.0.1:9/api/video/v1/x.m3u8")
        );
        assert_eq!(told("", "x.m3u8"), None);
    }
}
