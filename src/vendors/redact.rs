//! Removes secrets from vendors' texts before they become part of an error.

const REDACTED: &str = "[redacted]";

/// Shorter secrets are not replaced: that would garble the text.
const MIN_SECRET_LENGTH: usize = 4;

/// Removes the secrets, all after the host of an `rtmp(s)://` URL (it ends in a stream key), and the query of any other
/// URL (the recorder page's is a credential).
pub(crate) fn redact(text: &str, secrets: &[&str]) -> String {
    let mut text = text.replace("\\/", "/");
    for secret in secrets {
        if secret.len() >= MIN_SECRET_LENGTH {
            text = text.replace(secret, REDACTED);
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("://") {
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`'))
            .unwrap_or(after.len());
        let (url, next) = after.split_at(end);
        let lower = before.to_ascii_lowercase();
        out.push_str(before);
        out.push_str("://");
        if lower.ends_with("rtmp") || lower.ends_with("rtmps") {
            let authority = url.split('/').next().unwrap_or_default();
            out.push_str(authority.rsplit('@').next().unwrap_or_default());
            out.push('/');
            out.push_str(REDACTED);
        } else if let Some((path, _)) = url
            .split_once('?')
            .filter(|(path, _)| !path.contains("://"))
        {
            out.push_str(path);
            out.push('?');
            out.push_str(REDACTED);
        } else if url.contains("://") {
            // Another URL begins inside this one.
            rest = after;
            continue;
        } else {
            out.push_str(url);
        }
        rest = next;
    }
    out.push_str(rest);
    out
}

/// The last segment of an RTMP URL: its stream key.
pub(crate) fn secret_part(rtmp_url: &str) -> &str {
    rtmp_url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .and_then(|(_, path)| path.rsplit_once('/'))
        .map_or(rtmp_url, |(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::{redact, secret_part};

    #[test]
    fn an_rtmp_url_keeps_its_host_only() {
        for message in [
            "rtmpUrl rtmps://live.example.com:443/live/k3y is bad",
            "rtmpUrl RTMPS://user:pw@live.example.com:443/live/k3y?a=b/c is bad",
            r"rtmpUrl rtmps:\/\/live.example.com:443\/live\/k3y is bad",
        ] {
            let text = redact(message, &[]);
            assert_eq!(
                text.to_ascii_lowercase(),
                "rtmpurl rtmps://live.example.com:443/[redacted] is bad"
            );
        }
    }

    #[test]
    fn the_query_of_a_page_and_known_secrets_go_too() {
        let text = redact(
            r#"cannot open "https://r.example/recorder?channel=a&sig=ff" with sk-1234"#,
            &["sk-1234", ""],
        );
        assert_eq!(
            text,
            r#"cannot open "https://r.example/recorder?[redacted]" with [redacted]"#
        );
    }

    #[test]
    fn the_secret_of_an_rtmp_url_is_its_stream_key() {
        assert_eq!(secret_part("rtmps://live.example.com:443/live/k3y"), "k3y");
        assert_eq!(secret_part("nonsense"), "nonsense");
    }

    proptest::proptest! {
        #[test]
        fn no_stream_key_survives(key in "[A-Za-z0-9]{8,64}", before in ".{0,40}", after in "( .{0,20})?") {
            let url = format!("rtmps://live.example.com:443/live/{key}");
            let text = redact(&format!("{before}{url}{after}"), &[]);
            proptest::prop_assert!(!text.contains(&key) || before.contains(&key) || after.contains(&key));
        }
    }
}
