//! The simulated Amazon S3, of which only the bucket of recordings exists: path-style addresses, XML
//! (`ivs.md §4.2`).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{SecondsFormat, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::calls::VendorCall;
use super::host::{Handler, Host};
use super::http::{CallContext, SimRequest, SimResponse};
use super::sigv4::{Refusal, verify};
use super::world::SimObject;

pub(super) const API: Host = Host {
    route: |ask| handler(ask).map(|(call, _)| call),
    dispatch,
    no_route: || {
        error(
            405,
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
        )
    },
    fault: |call, status| match (call, status) {
        // The answer to HEAD has no body.
        (VendorCall::S3Head, status) => SimResponse::empty(status),
        (_, 403) => error(403, "AccessDenied", "Access Denied"),
        (_, 404) => error(404, "NoSuchKey", "The specified key does not exist."),
        (_, 500) => error(
            500,
            "InternalError",
            "We encountered an internal error. Please try again.",
        ),
        (_, 503) => error(503, "SlowDown", "Please reduce your request rate."),
        (_, status) => error(status, "SimulatedFault", "Simulated fault"),
    },
    coded: |status, code| error(status, &code.to_string(), "Simulated fault"),
};

const MOST_KEYS: usize = 1000;
const KEPT_IN_KEYS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

fn handler(ask: &SimRequest) -> Option<(VendorCall, Handler)> {
    let parts = ask.parts();
    let is_bucket = matches!(parts.as_slice(), [_] | [_, ""]);
    let found: (VendorCall, Handler) = match (ask.method.as_str(), is_bucket) {
        ("GET", true) if ask.query("list-type") == Some("2") => (VendorCall::S3List, list),
        ("POST", true) if ask.query("delete").is_some() => (VendorCall::S3DeleteMany, delete_many),
        ("GET", false) => (VendorCall::S3Get, get),
        ("HEAD", false) => (VendorCall::S3Head, get),
        ("DELETE", false) => (VendorCall::S3Delete, delete),
        _ => return None,
    };
    Some(found)
}

fn dispatch(call: VendorCall, cx: &mut CallContext<'_>) -> SimResponse {
    let mut answer = authenticate(cx).unwrap_or_else(|| {
        if cx.ask.part(0) != cx.world.keys.ivs.bucket {
            return error(404, "NoSuchBucket", "The specified bucket does not exist");
        }
        match handler(cx.ask) {
            Some((_, handle)) => handle(cx),
            None => (API.no_route)(),
        }
    });
    if call == VendorCall::S3Head && answer.status >= 300 {
        answer = SimResponse::empty(answer.status);
    }
    answer.with("x-amz-request-id", cx.state.dice.hex(16).to_uppercase())
}

fn authenticate(cx: &CallContext<'_>) -> Option<SimResponse> {
    let signer = cx.world.aws_signer("s3");
    let refusal = verify(&cx.ask.signed(), &signer, Utc::now()).err()?;
    let malformed = |what: &str| error(400, "AuthorizationHeaderMalformed", what);
    let denied = |what: &str| error(403, "AccessDenied", what);
    Some(match refusal {
        Refusal::Missing => denied("Access Denied"),
        Refusal::Malformed(what) => malformed(what),
        Refusal::UnknownKey => error(
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Refusal::WrongToken => error(
            400,
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        ),
        Refusal::WrongRegion => {
            malformed("The authorization header is malformed; the region is wrong")
        }
        Refusal::WrongService => malformed(
            "The authorization header is malformed; incorrect service. This endpoint belongs to \"s3\".",
        ),
        Refusal::WrongDate => {
            malformed("The authorization header is malformed; the date is not that of x-amz-date")
        }
        Refusal::Skewed => error(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        Refusal::Unsigned(header) => denied(&format!(
            "There were headers present in the request which were not signed: {header}"
        )),
        Refusal::NoBodyHash => error(
            400,
            "MissingSecurityHeader",
            "Your request is missing a required header: x-amz-content-sha256",
        ),
        Refusal::UnknownBodyHash => error(
            400,
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.",
        ),
        Refusal::WrongBodyHash => error(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
        Refusal::Mismatch => error(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        ),
    })
}

fn list(cx: &mut CallContext<'_>) -> SimResponse {
    let ask = cx.ask;
    let size = match ask.query("max-keys").map(str::parse::<usize>) {
        None => MOST_KEYS,
        Some(Ok(size)) => size.min(MOST_KEYS),
        Some(Err(_)) => return invalid("Provided max-keys not an integer or within integer range"),
    };
    let prefix = ask.query("prefix").unwrap_or_default();
    let delimiter = ask.query("delimiter").filter(|text| !text.is_empty());
    let after = match ask.query("continuation-token") {
        Some(token) => {
            let bytes = hex::decode(token).ok();
            match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(after) => after,
                None => return invalid("The continuation token provided is incorrect"),
            }
        }
        None => ask.query("start-after").unwrap_or_default().to_owned(),
    };
    let encoded = match ask.query("encoding-type") {
        None => false,
        Some("url") => true,
        Some(_) => return invalid("Invalid Encoding Method specified in Request"),
    };
    let name = |key: &str| match encoded {
        true => utf8_percent_encode(key, KEPT_IN_KEYS).to_string(),
        false => escape(key),
    };
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (key, object) in cx.state.ivs.bucket.range(prefix.to_owned()..) {
        let Some(rest) = key.strip_prefix(prefix) else {
            break;
        };
        let folder = delimiter.and_then(|delimiter| {
            let end = rest.find(delimiter)? + delimiter.len();
            Some(format!("{prefix}{}", rest.get(..end)?))
        });
        let entry = match folder {
            Some(folder) => Entry::Folder(folder),
            None => Entry::Object(key, object),
        };
        let is_again = entries.last().is_some_and(|last| last.key() == entry.key());
        if entry.key() > after.as_str() && !is_again {
            entries.push(entry);
        }
    }
    let is_truncated = entries.len() > size;
    entries.truncate(size);
    let next = entries.last().filter(|_| is_truncated);
    let mut xml = String::new();
    let bucket = &cx.world.keys.ivs.bucket;
    element(&mut xml, "Name", bucket);
    element(&mut xml, "Prefix", &name(prefix));
    element(&mut xml, "KeyCount", &entries.len().to_string());
    element(&mut xml, "MaxKeys", &size.to_string());
    for (key, value) in [("delimiter", "Delimiter"), ("start-after", "StartAfter")] {
        if let Some(given) = ask.query(key) {
            element(&mut xml, value, &name(given));
        }
    }
    if encoded {
        element(&mut xml, "EncodingType", "url");
    }
    if let Some(token) = ask.query("continuation-token") {
        element(&mut xml, "ContinuationToken", &escape(token));
    }
    element(&mut xml, "IsTruncated", &is_truncated.to_string());
    if let Some(next) = next {
        element(&mut xml, "NextContinuationToken", &hex::encode(next.key()));
    }
    for entry in &entries {
        match entry {
            Entry::Folder(folder) => {
                let _ = write!(
                    xml,
                    "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>",
                    name(folder)
                );
            }
            Entry::Object(key, object) => {
                let modified = object.modified.to_rfc3339_opts(SecondsFormat::Millis, true);
                let _ = write!(
                    xml,
                    "<Contents><Key>{}</Key><LastModified>{modified}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    name(key),
                    object.etag,
                    object.body.len()
                );
            }
        }
    }
    document(200, "ListBucketResult", &xml)
}

enum Entry<'a> {
    Folder(String),
    Object(&'a str, &'a SimObject),
}

impl Entry<'_> {
    fn key(&self) -> &str {
        match self {
            Self::Folder(key) => key,
            Self::Object(key, _) => key,
        }
    }
}

/// The key in the path.
fn key(ask: &SimRequest) -> String {
    ask.path.get(1..).unwrap_or_default().join("/")
}

/// For HEAD, the server leaves the body out.
fn get(cx: &mut CallContext<'_>) -> SimResponse {
    match cx.state.ivs.bucket.get(&key(cx.ask)) {
        Some(object) => SimResponse::file(object.kind, object.body.to_vec())
            .with("ETag", format!("\"{}\"", object.etag))
            .with("Accept-Ranges", "bytes")
            .with(
                "Last-Modified",
                object
                    .modified
                    .format("%a, %d %b %Y %H:%M:%S GMT")
                    .to_string(),
            ),
        None => error(404, "NoSuchKey", "The specified key does not exist."),
    }
}

/// Also 204 if there is no such object.
fn delete(cx: &mut CallContext<'_>) -> SimResponse {
    let key = key(cx.ask);
    cx.state.ivs.bucket.remove(&key);
    SimResponse::empty(204)
}

fn delete_many(cx: &mut CallContext<'_>) -> SimResponse {
    if let Some(refusal) = refuse_checksum(cx.ask) {
        return refusal;
    }
    let malformed = || {
        error(
            400,
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    };
    let text = String::from_utf8_lossy(&cx.ask.body).into_owned();
    let Some(objects) = inner(&text, "Delete") else {
        return malformed();
    };
    let is_quiet = inner(objects, "Quiet") == Some("true");
    let (mut keys, mut rest) = (Vec::new(), objects);
    while let Some(object) = inner(rest, "Object") {
        let Some(key) = inner(object, "Key").filter(|key| !key.is_empty()) else {
            return malformed();
        };
        keys.push(unescape(key));
        rest = rest.split_once("</Object>").map_or("", |(_, rest)| rest);
    }
    if keys.is_empty() || keys.len() > MOST_KEYS {
        return malformed();
    }
    let mut xml = String::new();
    for key in keys {
        cx.state.ivs.bucket.remove(&key);
        if !is_quiet {
            let _ = write!(xml, "<Deleted><Key>{}</Key></Deleted>", escape(&key));
        }
    }
    document(200, "DeleteResult", &xml)
}

/// `DeleteObjects` requires a checksum of its body.
fn refuse_checksum(ask: &SimRequest) -> Option<SimResponse> {
    let body = &ask.body;
    let crc = crc32(body).to_be_bytes();
    let known: [(&str, Option<Vec<u8>>, usize); 6] = [
        ("content-md5", None, 16),
        ("x-amz-checksum-crc32", Some(crc.to_vec()), 4),
        ("x-amz-checksum-crc32c", None, 4),
        ("x-amz-checksum-crc64nvme", None, 8),
        ("x-amz-checksum-sha1", Some(Sha1::digest(body).to_vec()), 20),
        (
            "x-amz-checksum-sha256",
            Some(Sha256::digest(body).to_vec()),
            32,
        ),
    ];
    let mut given = known.iter().filter_map(|(name, right, length)| {
        let said = STANDARD.decode(ask.header(name)?).ok();
        let said = said.filter(|said| said.len() == *length);
        Some((said, right))
    });
    match given.next() {
        None => Some(error(
            400,
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )),
        Some((None, _)) => Some(error(
            400,
            "InvalidDigest",
            "The checksum you specified was invalid.",
        )),
        Some((Some(said), Some(right))) if said != *right => Some(error(
            400,
            "BadDigest",
            "The checksum you specified did not match what we received.",
        )),
        Some((Some(_), _)) => None,
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}

/// What is between the first such tags, whose opening one may have attributes.
fn inner<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (opening, closing) = (format!("<{name}"), format!("</{name}>"));
    let mut rest = xml;
    loop {
        rest = rest.split_once(&opening)?.1;
        if rest.starts_with(['>', ' ']) {
            let (_, content) = rest.split_once('>')?;
            return Some(content.split_once(&closing)?.0);
        }
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

fn element(xml: &mut String, name: &str, content: &str) {
    let _ = write!(xml, "<{name}>{content}</{name}>");
}

fn document(status: u16, root: &str, content: &str) -> SimResponse {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</{root}>"
    );
    SimResponse::text(status, "application/xml", text)
}

fn invalid(message: &str) -> SimResponse {
    error(400, "InvalidArgument", message)
}

fn error(status: u16, code: &str, message: &str) -> SimResponse {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message></Error>",
        escape(message)
    );
    SimResponse::text(status, "application/xml", text)
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
