//! Verifies AWS's Signature Version 4 (`ivs.md §1.1`).

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

const MOST_SKEW: TimeDelta = TimeDelta::minutes(5);

/// What is signed.
pub(super) struct SignedCall<'a> {
    pub(super) method: &'a str,
    /// As sent.
    pub(super) path: &'a str,
    /// As sent.
    pub(super) query: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a [u8],
}

/// Whose signature is valid, and for what.
pub(super) struct Signer<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret_access_key: &'a str,
    pub(super) session_token: Option<&'a str>,
    pub(super) region: &'a str,
    /// S3 encodes paths once, and says the hash of the body in a header.
    pub(super) service: &'a str,
}

/// Why a signature is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Missing,
    Malformed(&'static str),
    UnknownKey,
    WrongToken,
    WrongRegion,
    WrongService,
    WrongDate,
    Skewed,
    /// A header that must be signed.
    Unsigned(String),
    NoBodyHash,
    UnknownBodyHash,
    WrongBodyHash,
    Mismatch,
}

struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

pub(super) fn verify(
    call: &SignedCall<'_>,
    signer: &Signer<'_>,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let header = call.header("authorization").ok_or(Refusal::Missing)?;
    let said = read(&header)?;
    if said.access_key_id != signer.access_key_id {
        return Err(Refusal::UnknownKey);
    }
    if call.header("x-amz-security-token").as_deref() != signer.session_token {
        return Err(Refusal::WrongToken);
    }
    let time = call
        .header("x-amz-date")
        .ok_or(Refusal::Malformed("there is no X-Amz-Date"))?;
    let at = NaiveDateTime::parse_from_str(&time, "%Y%m%dT%H%M%SZ")
        .map_err(|_| Refusal::Malformed("X-Amz-Date is not YYYYMMDD'T'HHMMSS'Z'"))?
        .and_utc();
    if !time.starts_with(said.date) || said.date.len() != 8 {
        return Err(Refusal::WrongDate);
    }
    if said.region != signer.region {
        return Err(Refusal::WrongRegion);
    }
    if said.service != signer.service {
        return Err(Refusal::WrongService);
    }
    if (now - at).abs() > MOST_SKEW {
        return Err(Refusal::Skewed);
    }
    let is_s3 = signer.service == "s3";
    // S3 requires every `x-amz-*` header to be signed, others what authenticates.
    let required = call.headers.iter().map(|(name, _)| name.to_lowercase());
    let required = required.filter(|name| {
        ["host", "x-amz-date", "x-amz-security-token"].contains(&name.as_str())
            || (is_s3 && name.starts_with("x-amz-"))
    });
    if let Some(unsigned) = required
        .chain(["host".to_owned()])
        .find(|name| !said.signed.contains(&name.as_str()))
    {
        return Err(Refusal::Unsigned(unsigned));
    }
    let body_hash = body_hash(call, is_s3)?;
    let request = canonical_request(call, &said.signed, &body_hash, is_s3);
    let scope = format!(
        "{}/{}/{}/aws4_request",
        said.date, said.region, said.service
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex_hash(request.as_bytes())
    );
    let mut key = hmac(
        format!("AWS4{}", signer.secret_access_key).as_bytes(),
        said.date,
    );
    for part in [said.region, said.service, "aws4_request"] {
        key = hmac(&key, part);
    }
    match hex::encode(hmac(&key, &text)) == said.signature {
        true => Ok(()),
        false => Err(Refusal::Mismatch),
    }
}

fn read(header: &str) -> Result<Authorization<'_>, Refusal> {
    let rest = header
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or(Refusal::Malformed("the algorithm is not AWS4-HMAC-SHA256"))?;
    let part = |name: &str| {
        let mut parts = rest.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let credential =
        part("Credential").ok_or(Refusal::Malformed("Authorization has no Credential"))?;
    let signed =
        part("SignedHeaders").ok_or(Refusal::Malformed("Authorization has no SignedHeaders"))?;
    let signature =
        part("Signature").ok_or(Refusal::Malformed("Authorization has no Signature"))?;
    let signed: Vec<&str> = signed.split(';').collect();
    if !signed.is_sorted() || signed.iter().any(|name| *name != name.to_lowercase()) {
        return Err(Refusal::Malformed(
            "SignedHeaders are not sorted lower-case names",
        ));
    }
    match credential.split('/').collect::<Vec<_>>().as_slice() {
        &[access_key_id, date, region, service, "aws4_request"] => Ok(Authorization {
            access_key_id,
            date,
            region,
            service,
            signed,
            signature,
        }),
        _ => Err(Refusal::Malformed(
            "Credential is not KEY/DATE/REGION/SERVICE/aws4_request",
        )),
    }
}

fn body_hash(call: &SignedCall<'_>, is_s3: bool) -> Result<String, Refusal> {
    let hash = hex_hash(call.body);
    match call.header("x-amz-content-sha256") {
        None if is_s3 => Err(Refusal::NoBodyHash),
        // Valid for S3 over TLS, which simulated hosts do not have.
        Some(said) if is_s3 && said == "UNSIGNED-PAYLOAD" => Ok(said),
        Some(said) if said.len() != hash.len() => Err(Refusal::UnknownBodyHash),
        Some(said) if said != hash => Err(Refusal::WrongBodyHash),
        Some(_) | None => Ok(hash),
    }
}

impl SignedCall<'_> {
    /// All values of a header.
    fn header(&self, name: &str) -> Option<String> {
        let values = self.headers.iter();
        let values = values.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let values: Vec<String> = values
            .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

fn canonical_request(
    call: &SignedCall<'_>,
    signed: &[&str],
    body_hash: &str,
    is_s3: bool,
) -> String {
    let path = match is_s3 {
        true => encode(&decode(call.path), true),
        // The path is encoded already.
        false => encode(call.path.as_bytes(), true),
    };
    let mut query: Vec<(String, String)> = call
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name), false), encode(&decode(value), false))
        })
        .collect();
    query.sort();
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut headers = String::new();
    for name in signed {
        let value = call.header(name).unwrap_or_default();
        let _ = writeln!(headers, "{name}:{value}");
    }
    format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{body_hash}",
        call.method,
        query.join("&"),
        signed.join(";")
    )
}

fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

fn encode(bytes: &[u8], keeps_slashes: bool) -> String {
    let mut text = String::new();
    for byte in bytes {
        let kept = byte.is_ascii_alphanumeric()
            || b"-._~".contains(byte)
            || (keeps_slashes && *byte == b'/');
        match kept {
            true => text.push(char::from(*byte)),
            false => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

fn hex_hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.chain_update(text.as_bytes())
        .finalize()
        .into_bytes()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        all.iter().map(owned).collect()
    }

    fn at(text: &str) -> DateTime<Utc> {
        let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ");
        time.unwrap().and_utc()
    }

    /// AWS's test suite for Signature Version 4.
    fn suite<'a>() -> Signer<'a> {
        Signer {
            access_key_id: "AKIDEXAMPLE",
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session_token: None,
            region: "us-east-1",
            service: "service",
        }
    }

    fn of_suite(method: &str, query: &str, signature: &str, now: &str) -> Result<(), Refusal> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let headers = headers(&[
            ("Host", "example.amazonaws.com"),
            ("X-Amz-Date", "20150830T123600Z"),
            ("Authorization", &authorization),
        ]);
        let call = SignedCall {
            method,
            path: "/",
            query,
            headers: &headers,
            body: b"",
        };
        verify(&call, &suite(), at(now))
    }

    const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    #[test]
    fn the_signatures_of_the_published_test_suite_are_valid() {
        for (name, method, query, signature) in [
            ("get-vanilla", "GET", "", VANILLA),
            (
                "post-vanilla",
                "POST",
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            let verified = of_suite(method, query, signature, "20150830T124000Z");
            assert_eq!(verified, Ok(()), "{name}");
        }
    }

    /// From S3's documentation of the `Authorization` header.
    #[test]
    fn the_signature_of_the_published_example_of_s3_is_valid() {
        let empty = hex_hash(b"");
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
        let headers = headers(&[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", &empty),
            ("authorization", authorization),
        ]);
        let call = SignedCall {
            method: "GET",
            path: "/",
            query: "lifecycle",
            headers: &headers,
            body: b"",
        };
        let signer = Signer {
            access_key_id: "AKIAIOSFODNN7EXAMPLE",
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            service: "s3",
            ..suite()
        };
        assert_eq!(verify(&call, &signer, at("20130524T000000Z")), Ok(()));
    }

    #[test]
    fn a_signature_holds_for_five_minutes_and_for_what_was_signed() {
        let verified = |method, query, now| of_suite(method, query, VANILLA, now);
        assert_eq!(verified("GET", "", "20150830T124100Z"), Ok(()));
        let late = verified("GET", "", "20150830T124101Z");
        let early = verified("GET", "", "20150830T123059Z");
        assert_eq!((late, early), (Err(Refusal::Skewed), Err(Refusal::Skewed)));
        for (method, query) in [("POST", ""), ("GET", "a=b")] {
            let altered = verified(method, query, "20150830T123600Z");
            assert_eq!(altered, Err(Refusal::Mismatch));
        }
    }
}
