//! Verifies an AccessToken2 (`agora.md §9.1`), independently of the code that builds them.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Privilege to join a channel.
const JOIN: u16 = 1;
/// Service type of channel tokens.
const RTC: u16 = 1;

struct TokenReader<'a>(&'a [u8]);

impl<'a> TokenReader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or("the token is cut short")?;
        self.0 = tail;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16, &'static str> {
        let bytes = self.take(2)?;
        bytes
            .try_into()
            .map(u16::from_le_bytes)
            .map_err(|_| "the token is cut short")
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        let bytes = self.take(4)?;
        bytes
            .try_into()
            .map(u32::from_le_bytes)
            .map_err(|_| "the token is cut short")
    }

    fn text(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| "no key")?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// `now`: in seconds since 1970.
pub(in crate::sandbox) fn verify(
    token: &str,
    app_id: &str,
    certificate: &str,
    channel: &str,
    uid: &str,
    now: u64,
) -> Result<(), &'static str> {
    let packed = STANDARD
        .decode(token.strip_prefix("007").ok_or("not version 007")?)
        .map_err(|_| "not base64")?;
    let mut plain = Vec::new();
    flate2::read::ZlibDecoder::new(packed.as_slice())
        .take(65_536)
        .read_to_end(&mut plain)
        .map_err(|_| "not zlib")?;
    let mut reader = TokenReader(&plain);
    let signature = reader.text()?;
    let body = reader.0;
    let app = reader.text()?;
    let issued = reader.u32()?;
    let expire = reader.u32()?;
    let salt = reader.u32()?;
    let key = hmac(&issued.to_le_bytes(), certificate.as_bytes())?;
    let key = hmac(&salt.to_le_bytes(), &key)?;
    if app != app_id.as_bytes() {
        return Err("another app's token");
    }
    if hmac(&key, body)? != signature {
        return Err("wrong signature");
    }
    if expire == 0 || expire > 24 * 3600 {
        return Err("a life of more than 24 h");
    }
    let (issued, expire) = (u64::from(issued), u64::from(expire));
    if now < issued.saturating_sub(300) {
        return Err("issued in the future");
    }
    if now >= issued + expire {
        return Err("expired");
    }
    if reader.u16()? == 0 {
        return Err("no service");
    }
    if reader.u16()? != RTC {
        return Err("the first service is not RTC");
    }
    let mut joins = false;
    for _ in 0..reader.u16()? {
        let (privilege, lasts) = (reader.u16()?, reader.u32()?);
        joins |= privilege == JOIN && now < issued + u64::from(lasts);
    }
    let (named, user) = (reader.text()?, reader.text()?);
    if named != channel.as_bytes() {
        return Err("another channel's token");
    }
    if !user.is_empty() && user != uid.as_bytes() {
        return Err("another user's token");
    }
    if joins {
        Ok(())
    } else {
        Err("no privilege to join")
    }
}

#[cfg(test)]
mod tests {
    use super::verify;

    const APP: &str = "970CA35de60c44645bbae8a215061b33";
    const CERTIFICATE: &str = "5CFd2fd1755d40ecb72977518be15d3b";
    const CHANNEL: &str = "7d72365eb983485397e3e3f9d460bdda";
    const TOKEN: &str = "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcwMk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDCaiTj";

    #[test]
    fn the_vendors_own_token_is_accepted_and_nothing_that_differs_from_it() {
        let check =
            |certificate, channel, uid, now| verify(TOKEN, APP, certificate, channel, uid, now);
        assert_eq!(check(CERTIFICATE, CHANNEL, "2882341273", 1_111_200), Ok(()));
        assert_eq!(
            check(CERTIFICATE, CHANNEL, "2882341273", 1_111_711),
            Err("expired")
        );
        assert_eq!(
            check(CERTIFICATE, CHANNEL, "1", 1_111_200),
            Err("another user's token")
        );
        assert_eq!(
            check(CERTIFICATE, "show", "2882341273", 1_111_200),
            Err("another channel's token")
        );
        assert_eq!(
            check(APP, CHANNEL, "2882341273", 1_111_200),
            Err("wrong signature")
        );
        assert_eq!(
            verify("006abc", APP, CERTIFICATE, CHANNEL, "1", 0),
            Err("not version 007")
        );
    }
}
