//! The ARN of a channel: its id, of which the place of its recordings is made.

/// The parts of a channel's ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChannelArn<'a> {
    account: &'a str,
    channel: &'a str,
}

impl<'a> ChannelArn<'a> {
    /// `arn:aws:ivs:us-west-2:123456789012:channel/abcdABCDefgh`.
    pub(super) fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        if parts.next() != Some("arn") || parts.nth(1) != Some("ivs") {
            return None;
        }
        let account = parts.nth(1).filter(|part| is_plain(part))?;
        let channel = parts.next()?.strip_prefix("channel/");
        let channel = channel.filter(|part| is_plain(part))?;
        Some(Self { account, channel })
    }

    /// Where its recordings are in the bucket (`ivs.md §4.2`).
    pub(super) fn recordings(self) -> String {
        format!("ivs/v1/{}/{}", self.account, self.channel)
    }
}

pub(super) fn is_channel(arn: &str) -> bool {
    ChannelArn::parse(arn).is_some()
}

/// Whether it can be a part of a key without changing the others.
pub(super) fn is_plain(part: &str) -> bool {
    crate::platforms::wire::is_id(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_below_the_account_and_the_channel() {
        let arn = "arn:aws:ivs:us-west-2:123456789012:channel/abcdABCDefgh";
        let parsed = ChannelArn::parse(arn).unwrap();
        assert_eq!(parsed.recordings(), "ivs/v1/123456789012/abcdABCDefgh");
        for other in [
            "",
            "arn:aws:ivs:us-west-2:123456789012:stream-key/abcd",
            "arn:aws:s3:us-west-2:123456789012:channel/abcd",
            "arn:aws:ivs:us-west-2:123456789012:channel/",
            "arn:aws:ivs:us-west-2:123456789012:channel/../other",
            "arn:aws:ivs:us-west-2::channel/abcd",
        ] {
            assert!(!is_channel(other), "{other}");
        }
    }
}
