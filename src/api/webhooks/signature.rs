//! Verifies notifications in constant time, over the raw body.

use secrecy::SecretString;
use subtle::Choice;

use crate::vendors::{hmac_hex, same};

/// `Agora-Signature-V2`, made with one of the products' secrets (`agora.md §6.3`).
pub(super) fn is_signed_by_agora(header: &str, body: &[u8], secrets: &[SecretString]) -> bool {
    let one = |secret| same(&hmac_hex(secret, &[body]), header);
    secrets
        .iter()
        .map(one)
        .fold(Choice::from(0), |any, one| any | one)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agoras_signature_holds_with_any_of_the_secrets() {
        // The vector of `agora.md §6.3`.
        let body = br#"{"eventMs":1560408533119,"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}"#;
        let sha256 = "6d3320c60b11101395b7fc8f9068748808a0aa1bfa064438e39d1bc2c7d74d99";
        let sha1 = "033c62f40f687675f17f0f41f91a40c71c0f134c";
        let secrets: [SecretString; 2] = ["another".into(), "secret".into()];
        assert!(is_signed_by_agora(sha256, body, &secrets));
        assert!(!is_signed_by_agora(sha256, body, &secrets[..1]));
        assert!(!is_signed_by_agora(sha1, body, &secrets));
        assert!(!is_signed_by_agora(sha256, b"{}", &secrets));
        assert!(!is_signed_by_agora("", body, &secrets));
        assert!(!is_signed_by_agora(sha256, body, &[]));
    }
}
