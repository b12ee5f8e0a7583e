//! The page's RTC token is verified.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::support::*;

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn text(text: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(text.len()).unwrap().to_le_bytes().to_vec();
    out.extend(text);
    out
}

/// A token that is valid for ten minutes (`agora.md §9.1`).
fn token(app: &str, certificate: &str, channel: &str, uid: &str) -> String {
    let issued = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let issued = u32::try_from(issued).unwrap().to_le_bytes();
    let (salt, expire) = (7_u32.to_le_bytes(), 600_u32.to_le_bytes());
    let mut body = text(app.as_bytes());
    for part in [issued, expire, salt] {
        body.extend(part);
    }
    for number in [1_u16, 1, 1, 1] {
        body.extend(number.to_le_bytes());
    }
    body.extend(expire);
    body.extend(text(channel.as_bytes()));
    body.extend(text(uid.as_bytes()));
    let key = hmac(&salt, &hmac(&issued, certificate.as_bytes()));
    let mut plain = text(&hmac(&key, &body));
    plain.extend(body);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(&plain).unwrap();
    format!(
        "007{}",
        base64::engine::general_purpose::STANDARD.encode(zlib.finish().unwrap())
    )
}

#[tokio::test]
async fn a_page_joins_with_a_token_of_its_app_channel_and_uid_and_with_no_other() {
    for (channel, uid, joins) in [
        ("show68", "55", true),
        ("show68", "56", false),
        ("other", "55", false),
    ] {
        let sandbox = Sandbox::start(fast());
        let (app, certificate) = (
            sandbox.vendors.agora_app_id(),
            sandbox.vendors.agora_app_certificate(),
        );
        let token = token(app, certificate, channel, uid);
        let page = page_with_token(&sandbox.vendors, false, &token).await;
        let task = sandbox.start_page(&page, "rtmps://x/y", 20).await;
        if joins {
            until("ready", || async {
                sandbox.query(&task).await.1["serverResponse"]["status"] == 5
            })
            .await;
            assert!(sandbox.violations().is_empty());
        } else {
            until("refused", || async {
                sandbox.violations().contains(&"token_refused")
            })
            .await;
            assert!(posts(&page, "/recorder/presence").await.is_empty());
        }
    }
}
