//! Where the platforms take feeds.

use super::ivs::SimAwsAccount;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum SimPlatform {
    Cloudflare,
    Mux,
    Ivs,
}

#[derive(Debug)]
struct IngestUrl {
    platform: SimPlatform,
    is_secure: bool,
    /// The stream key follows.
    base: String,
}

#[derive(Debug)]
pub(in crate::sandbox) struct IngestUrls(Vec<IngestUrl>);

impl IngestUrls {
    /// The vendors' own.
    pub(in crate::sandbox) fn of_vendors(account: &SimAwsAccount) -> Self {
        let ivs = &account.ingest_endpoint;
        Self::new([
            (
                SimPlatform::Cloudflare,
                true,
                "rtmps://live.cloudflare.com:443/live/".to_owned(),
            ),
            (
                SimPlatform::Mux,
                true,
                "rtmps://global-live.mux.com:443/app/".to_owned(),
            ),
            (SimPlatform::Ivs, true, format!("rtmps://{ivs}:443/app/")),
            (SimPlatform::Ivs, false, format!("rtmp://{ivs}/app/")),
        ])
    }

    /// One server, whose application names tell the platforms apart. Cloudflare's and IVS's are their own; Mux's, which is IVS's too,
    /// is a setting of the service's.
    pub(in crate::sandbox) fn on_loopback(secure: u16, plain: u16) -> Self {
        let of = |platform, app: &str| {
            [
                (platform, true, format!("rtmps://127.0.0.1:{secure}/{app}/")),
                (platform, false, format!("rtmp://127.0.0.1:{plain}/{app}/")),
            ]
        };
        let apps = [
            (SimPlatform::Cloudflare, "live"),
            (SimPlatform::Mux, "mux"),
            (SimPlatform::Ivs, "app"),
        ];
        Self::new(
            apps.into_iter()
                .flat_map(|(platform, app)| of(platform, app)),
        )
    }

    fn new(urls: impl IntoIterator<Item = (SimPlatform, bool, String)>) -> Self {
        let urls = urls
            .into_iter()
            .map(|(platform, is_secure, base)| IngestUrl {
                platform,
                is_secure,
                base,
            });
        Self(urls.collect())
    }

    /// The platform, whether the URL is RTMPS, and the stream key.
    pub(super) fn find<'a>(&self, url: &'a str) -> Option<(SimPlatform, bool, &'a str)> {
        self.0.iter().find_map(|one| {
            let key = url.strip_prefix(&one.base)?;
            Some((one.platform, one.is_secure, key))
        })
    }

    /// The same without TLS.
    pub(in crate::sandbox) fn plain(&self, url: &str) -> Option<String> {
        let (platform, _, key) = self.find(url)?;
        let mut urls = self.0.iter();
        let plain = urls.find(|one| one.platform == platform && !one.is_secure)?;
        Some(format!("{}{key}", plain.base))
    }

    /// RTMPS.
    pub(in crate::sandbox) fn of(&self, platform: SimPlatform) -> &str {
        let mut urls = self.0.iter();
        let found = urls.find(|one| one.platform == platform && one.is_secure);
        found.map_or("", |one| &one.base)
    }
}
