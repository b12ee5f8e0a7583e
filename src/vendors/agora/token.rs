//! AccessToken2 ("007"), with which the recorder page joins a channel as audience (`agora.md §9`).

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use secrecy::{ExposeSecret as _, SecretString};

use super::signature::mac;

const VERSION: &str = "007";
const SERVICE_RTC: u16 = 1;
const PRIVILEGE_JOIN: u16 = 1;

/// The largest salt that Agora's own builders draw; the smallest is 1.
pub const MAX_SALT: u32 = 99_999_998;

/// The longest life of a token, in seconds (`agora.md §9.3`).
pub const MAX_LIFE_SECONDS: u32 = 86_400;

/// The content of a token.
#[derive(Debug, Clone, Copy)]
pub struct Subscriber<'a> {
    /// The project's App ID.
    pub app_id: &'a str,
    /// The channel's name.
    pub channel: &'a str,
    /// The only uid that may join; 0 would allow any.
    pub uid: u32,
    /// The issue time, in seconds since 1970.
    pub issued_at: u32,
    /// The life in seconds, at most [`MAX_LIFE_SECONDS`].
    pub expires_in_seconds: u32,
    /// Random for each token: 1 to [`MAX_SALT`].
    pub salt: u32,
}

/// A part of a token is longer than 65,535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too long for a token")]
pub struct TooLong;

impl Subscriber<'_> {
    /// The signed token: one uid may join one channel. It grants no right to publish, but Agora enforces that only with
    /// co-host authentication on.
    pub fn token(&self, app_certificate: &SecretString) -> Result<SecretString, TooLong> {
        let body = self.body()?;
        let issued = mac(
            &self.issued_at.to_le_bytes(),
            app_certificate.expose_secret().as_bytes(),
        );
        let key = mac(&self.salt.to_le_bytes(), &issued);
        let mut plain = Vec::with_capacity(body.len() + 34);
        text(&mut plain, &mac(&key, &body))?;
        plain.extend_from_slice(&body);
        let packed = compress(&plain).map_err(|_| TooLong)?;
        Ok(format!("{VERSION}{}", STANDARD.encode(packed)).into())
    }

    fn body(&self) -> Result<Vec<u8>, TooLong> {
        let life = self.expires_in_seconds.min(MAX_LIFE_SECONDS).to_le_bytes();
        let uid = match self.uid {
            0 => String::new(),
            uid => uid.to_string(),
        };
        let mut body = Vec::with_capacity(160);
        text(&mut body, self.app_id.as_bytes())?;
        body.extend_from_slice(&self.issued_at.to_le_bytes());
        body.extend_from_slice(&life);
        body.extend_from_slice(&self.salt.to_le_bytes());
        // One service with one privilege.
        body.extend_from_slice(&1_u16.to_le_bytes());
        body.extend_from_slice(&SERVICE_RTC.to_le_bytes());
        body.extend_from_slice(&1_u16.to_le_bytes());
        body.extend_from_slice(&PRIVILEGE_JOIN.to_le_bytes());
        body.extend_from_slice(&life);
        text(&mut body, self.channel.as_bytes())?;
        text(&mut body, uid.as_bytes())?;
        Ok(body)
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TooLong> {
    let length = u16::try_from(bytes.len()).map_err(|_| TooLong)?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn compress(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::ZlibDecoder;
    use proptest::prelude::*;

    use super::*;

    const APP_ID: &str = "970CA35de60c44645bbae8a215061b33";
    const CERTIFICATE: &str = "5CFd2fd1755d40ecb72977518be15d3b";
    const CHANNEL: &str = "7d72365eb983485397e3e3f9d460bdda";

    fn unpack(token: &str) -> Vec<u8> {
        let packed = STANDARD
            .decode(token.strip_prefix(VERSION).unwrap())
            .unwrap();
        let mut plain = Vec::new();
        ZlibDecoder::new(packed.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    #[test]
    fn the_token_has_the_content_of_agoras_own_builders() {
        let token = Subscriber {
            app_id: APP_ID,
            channel: CHANNEL,
            uid: 2_882_341_273,
            issued_at: 1_111_111,
            expires_in_seconds: 600,
            salt: 1,
        }
        .token(&CERTIFICATE.into())
        .unwrap();
        let ours = unpack(token.expose_secret());
        // `agora.md §9.2`: Agora's Python and Rust builders deflate the same content differently.
        for theirs in [
            "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcwMk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDCaiTj",
            "007eJwBigB1/yAAFqC4TFpegsv3T7gT0J9ZxUvaycBhIFgFOayXV46VixogADk3MENBMzVkZTYwYzQ0NjQ1YmJhZThhMjE1MDYxYjMzR/QQAFgCAAABAAAAAQABAAEAAQBYAgAAIAA3ZDcyMzY1ZWI5ODM0ODUzOTdlM2UzZjlkNDYwYmRkYQoAMjg4MjM0MTI3M8JqJOM=",
        ] {
            assert_eq!(hex::encode(&ours), hex::encode(unpack(theirs)));
        }
        assert_eq!(ours.len(), 138);
    }

    #[test]
    fn the_signing_keys_are_those_of_the_document() {
        let issued = mac(&1_111_111_u32.to_le_bytes(), CERTIFICATE.as_bytes());
        assert_eq!(
            hex::encode(issued),
            "e0f6141e54329d72102500478ec18e0020a5eeef53bbcccc442c6c2f7f178251"
        );
        assert_eq!(
            hex::encode(mac(&1_u32.to_le_bytes(), &issued)),
            "cee2fa8dcbe868c30ca8c959d97fad4a5049c634da48449f1b8f59c14fa61073"
        );
    }

    #[test]
    fn a_channel_name_too_long_for_the_format_is_refused() {
        let long = "a".repeat(70_000);
        let subscriber = Subscriber {
            app_id: APP_ID,
            channel: &long,
            uid: 1,
            issued_at: 1,
            expires_in_seconds: 1,
            salt: 1,
        };
        assert!(subscriber.token(&CERTIFICATE.into()).is_err());
    }

    fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
        let (length, after) = rest.split_at(2);
        let (bytes, after) = after.split_at(u16::from_le_bytes(length.try_into().unwrap()).into());
        *rest = after;
        bytes
    }

    fn take_u32(rest: &mut &[u8]) -> u32 {
        let (bytes, after) = rest.split_at(4);
        *rest = after;
        u32::from_le_bytes(bytes.try_into().unwrap())
    }

    proptest! {
        #[test]
        fn a_token_holds_what_was_asked_for_and_is_signed_by_the_certificate(
            channel in "[ -~]{1,64}",
            uid in 1_u32..,
            issued_at: u32,
            life in 1_u32..=MAX_LIFE_SECONDS,
            salt in 1_u32..=MAX_SALT,
        ) {
            let token = Subscriber {
                app_id: APP_ID,
                channel: &channel,
                uid,
                issued_at,
                expires_in_seconds: life,
                salt,
            }
            .token(&CERTIFICATE.into())
            .unwrap();
            let plain = unpack(token.expose_secret());
            let mut rest = plain.as_slice();
            let signature = take(&mut rest);
            let key = mac(&salt.to_le_bytes(), &mac(&issued_at.to_le_bytes(), CERTIFICATE.as_bytes()));
            prop_assert_eq!(signature, mac(&key, rest));
            prop_assert_eq!(take(&mut rest), APP_ID.as_bytes());
            prop_assert_eq!(take_u32(&mut rest), issued_at);
            prop_assert_eq!(take_u32(&mut rest), life);
            prop_assert_eq!(take_u32(&mut rest), salt);
            // One service of type 1 with one privilege, 1.
            prop_assert_eq!(&rest[..8], &[1, 0, 1, 0, 1, 0, 1, 0]);
            rest = &rest[8..];
            prop_assert_eq!(take_u32(&mut rest), life);
            prop_assert_eq!(take(&mut rest), channel.as_bytes());
            let uid = uid.to_string();
            prop_assert_eq!(take(&mut rest), uid.as_bytes());
            prop_assert!(rest.is_empty());
        }
    }
}
