//! The proxy of vendor calls, from `HTTPS_PROXY` and `NO_PROXY`. Calls to the database and the marketplace do not use
//! it.

use url::Url;

const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// `HTTPS_PROXY` is invalid. The text omits the URL, which may contain a password.
#[derive(Debug, thiserror::Error)]
#[error("HTTPS_PROXY must be a URL such as http://proxy.example:3128")]
pub struct BadProxy;

/// A proxy for calls over https.
pub struct Proxy {
    url: Url,
    exceptions: String,
}

/// Omits the user name and the password.
impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}://{}",
            self.url.scheme(),
            self.url.host_str().unwrap_or_default()
        )?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        write!(f, " (HTTPS_PROXY), but not to {}", self.exceptions)
    }
}

impl Proxy {
    pub(super) fn of_environment() -> Result<Option<Self>, BadProxy> {
        let of = |names: [&str; 2]| {
            let set = names
                .into_iter()
                .filter_map(|name| std::env::var(name).ok());
            set.map(|text| text.trim().to_owned())
                .find(|text| !text.is_empty())
        };
        let Some(text) = of(["HTTPS_PROXY", "https_proxy"]) else {
            return Ok(None);
        };
        let url = match text.contains("://") {
            true => Url::parse(&text),
            false => Url::parse(&format!("http://{text}")),
        };
        let url = url.map_err(|_| BadProxy)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(BadProxy);
        }
        let exceptions = match of(["NO_PROXY", "no_proxy"]) {
            Some(more) => format!("{LOOPBACK},{more}"),
            None => LOOPBACK.to_owned(),
        };
        Ok(Some(Self { url, exceptions }))
    }

    /// The proxy as a rule for an HTTP client.
    pub fn rule(&self) -> reqwest::Result<reqwest::Proxy> {
        let exceptions = reqwest::NoProxy::from_string(&self.exceptions);
        Ok(reqwest::Proxy::https(self.url.clone())?.no_proxy(exceptions))
    }
}

/// The configured proxy, if any.
pub fn proxy() -> Result<Option<Proxy>, BadProxy> {
    Proxy::of_environment()
}
