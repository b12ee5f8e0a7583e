//! The link to the recorder page, which Agora's cloud browser opens in web mode (`agora.md §3.9`).
//!
//! It is signed and holds no token: the page fetches one with the signature. So the query is a credential and must not
//! be logged.

use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use subtle::ConstantTimeEq as _;
use url::Url;
use url::form_urlencoded;
use uuid::Uuid;

use super::encode;
use super::signature::mac;
use crate::config;

/// Binds the key to this use.
const CONTEXT: &[u8] = b"relaykeeper recorder page link v1";

const MAX_QUERY: usize = 4096;

/// The page's policy. The SDK connects to Agora on any port (`agora.md §3.10`) and starts workers from blobs.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    script-src 'self' https://download.agora.io; \
    style-src 'sha256-miJqV0wCvH1yyauLaD8+rqLrv85Qo24YH0E8aUFzmEI='; \
    worker-src blob:; media-src blob:; img-src data:; \
    connect-src 'self' https://*.agora.io:* wss://*.agora.io:* https://*.sd-rtn.com:* wss://*.sd-rtn.com:* \
    https://*.rtnsvc.com:* wss://*.rtnsvc.com:*";

/// When the page reports that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// At the seller's first frame.
    FirstFrame,
    /// When it has joined the channel.
    Joined,
}

impl Ready {
    const fn word(self) -> &'static str {
        match self {
            Self::FirstFrame => "frame",
            Self::Joined => "joined",
        }
    }
}

/// The signed content of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageClaims {
    /// The relay's id.
    pub relay: Uuid,
    /// The channel to join.
    pub channel: String,
    /// The user to show.
    pub seller_uid: u32,
    /// The egress attempt of the relay.
    pub attempt: u32,
}

/// Why links cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The page's address is missing or invalid.
    #[error(
        "the recorder's page has no address: set agora.cloud_recording.page_url or server.public_url"
    )]
    Address,
    /// There is no secret to sign with.
    #[error(
        "links to the recorder's page need agora.app_certificate or agora.customer_secret to sign with"
    )]
    Key,
}

/// Makes and verifies links.
#[derive(Debug, Clone)]
pub struct Links {
    page: Url,
    key: SecretSlice<u8>,
}

impl Links {
    /// Links to the configured page, else to `/recorder` under `public_url`. The key derives from the app
    /// certificate, else from the customer secret; changing it invalidates all links.
    pub fn new(settings: &config::AgoraSettings, public_url: &str) -> Result<Self, LinkError> {
        let address = match settings.cloud_recording.page_url.trim() {
            "" => format!("{}/recorder", public_url.trim().trim_end_matches('/')),
            page => page.to_owned(),
        };
        let page = Url::parse(&address).map_err(|_| LinkError::Address)?;
        if !matches!(page.scheme(), "http" | "https") {
            return Err(LinkError::Address);
        }
        let secret = [&settings.app_certificate, &settings.customer_secret]
            .into_iter()
            .map(|secret| secret.expose_secret())
            .find(|secret| !secret.is_empty())
            .ok_or(LinkError::Key)?;
        Ok(Self {
            page,
            key: mac(secret.as_bytes(), CONTEXT).to_vec().into(),
        })
    }

    /// The same links to another page: an egress keeps the page it was started with.
    pub fn on(&self, page: &str) -> Result<Self, LinkError> {
        let page = Url::parse(page).map_err(|_| LinkError::Address)?;
        Ok(Self {
            page,
            key: self.key.clone(),
        })
    }

    /// A link, the same for the same arguments and settings.
    #[must_use]
    pub fn link(&self, claims: &PageClaims, ready: Ready) -> SecretString {
        let mut query = match self.page.query() {
            Some(own) if !own.is_empty() => format!("{own}&"),
            Some(_) | None => String::new(),
        };
        query.push_str(&format!(
            "channel={}&relay={}&seller_uid={}&attempt={}&ready={}",
            encode(&claims.channel),
            claims.relay,
            claims.seller_uid,
            claims.attempt,
            ready.word()
        ));
        let signature = self.sign(&query);
        let mut link = self.page.clone();
        link.set_query(Some(&format!("{query}&sig={signature}")));
        String::from(link).into()
    }

    /// The content of a query (without the `?`) with a valid signature.
    #[must_use]
    pub fn verify(&self, query: &str) -> Option<PageClaims> {
        if query.len() > MAX_QUERY {
            return None;
        }
        let (signed, signature) = query.rsplit_once("&sig=")?;
        let expected = self.sign(signed);
        if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
            return None;
        }
        // The last value of each name is ours: the page's own query comes first.
        let value = |name: &str| {
            form_urlencoded::parse(signed.as_bytes())
                .filter(|(key, _)| key == name)
                .last()
                .map(|(_, value)| value.into_owned())
        };
        Some(PageClaims {
            relay: value("relay")?.parse().ok()?,
            channel: value("channel")?,
            seller_uid: value("seller_uid")?.parse().ok()?,
            attempt: value("attempt")?.parse().ok()?,
        })
    }

    fn sign(&self, query: &str) -> String {
        hex::encode(mac(self.key.expose_secret(), query.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn links(page_url: &str) -> Links {
        let mut settings = config::AgoraSettings {
            customer_secret: "customer-secret".into(),
            ..config::AgoraSettings::default()
        };
        settings.cloud_recording.page_url = page_url.into();
        Links::new(&settings, "https://relay.example/service/").unwrap()
    }

    fn claims(channel: &str) -> PageClaims {
        PageClaims {
            relay: Uuid::from_u128(42),
            channel: channel.into(),
            seller_uid: 12345,
            attempt: 1,
        }
    }

    fn query_of(link: &SecretString) -> String {
        let (_, query) = link.expose_secret().split_once('?').unwrap();
        query.to_owned()
    }

    #[test]
    fn a_link_names_its_parts_in_a_fixed_order_and_is_the_same_each_time() {
        let links = links("");
        let link = links.link(&claims("a&b <c>"), Ready::FirstFrame);
        let again = links.link(&claims("a&b <c>"), Ready::FirstFrame);
        assert_eq!(link.expose_secret(), again.expose_secret());
        let (unsigned, signature) = link.expose_secret().split_once("&sig=").unwrap();
        assert_eq!(
            unsigned,
            "https://relay.example/service/recorder?channel=a%26b%20%3Cc%3E\
             &relay=00000000-0000-0000-0000-00000000002a&seller_uid=12345&attempt=1&ready=frame"
        );
        assert_eq!(signature.len(), 64);
    }

    #[test]
    fn a_configured_page_keeps_its_query() {
        let links = links("https://page.example/show?theme=dark&channel=other");
        let query = query_of(&links.link(&claims("mine"), Ready::Joined));
        assert!(query.starts_with("theme=dark&channel=other&channel=mine&"));
        assert_eq!(links.verify(&query), Some(claims("mine")));
    }

    #[test]
    fn a_query_that_was_changed_or_signed_by_another_is_refused() {
        let links = links("");
        let query = query_of(&links.link(&claims("show"), Ready::Joined));
        assert_eq!(links.verify(&query), Some(claims("show")));
        for bad in [
            query.replace("seller_uid=12345", "seller_uid=12346"),
            query.replace("&sig=", "&x=1&sig="),
            format!("{query}0"),
            query.to_ascii_uppercase(),
            query.split_once("&sig=").unwrap().0.to_owned(),
            String::new(),
        ] {
            assert_eq!(links.verify(&bad), None, "{bad}");
        }
        let other = config::AgoraSettings {
            app_certificate: "certificate".into(),
            customer_secret: "customer-secret".into(),
            ..config::AgoraSettings::default()
        };
        let other = Links::new(&other, "https://relay.example").unwrap();
        assert_eq!(other.verify(&query), None);
    }

    #[test]
    fn without_an_address_or_a_secret_there_are_no_links() {
        let keyless = config::AgoraSettings::default();
        assert_eq!(
            Links::new(&keyless, "https://r.example").unwrap_err(),
            LinkError::Key
        );
        assert_eq!(Links::new(&keyless, "").unwrap_err(), LinkError::Address);
    }

    #[test]
    fn the_key_is_not_printed() {
        assert!(format!("{:?}", links("")).contains("REDACTED"));
    }

    #[test]
    fn the_policy_lets_the_pages_style_and_sdk_through() {
        use base64::Engine as _;
        use sha2::Digest as _;

        let page = include_str!("../../api/recorder/page.html");
        let (_, rest) = page.split_once("<style>").unwrap();
        let (style, _) = rest.split_once("</style>").unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
        assert!(
            CONTENT_SECURITY_POLICY.contains(&format!("'sha256-{hash}'")),
            "the style's hash is {hash}"
        );
        assert!(page.contains(r#"src="https://download.agora.io/sdk/release/AgoraRTC_N-4."#));
        assert!(page.contains(r#"integrity="sha384-"#));
        assert!(!page.contains(" style=") && !page.contains("onload="));
    }

    proptest! {
        #[test]
        fn any_channel_name_comes_back_as_it_was(channel in "\\PC{1,64}", relay: u128, seller_uid: u32, attempt: u32) {
            let links = links("");
            let claims = PageClaims { relay: Uuid::from_u128(relay), channel, seller_uid, attempt };
            let query = query_of(&links.link(&claims, Ready::FirstFrame));
            prop_assert_eq!(links.verify(&query), Some(claims));
        }
    }
}
