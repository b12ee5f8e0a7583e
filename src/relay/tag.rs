//! The resource tag, by which our objects at the vendors are found again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Deployment and database. Objects of another namespace are never touched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Namespace {
    /// `relay.deployment`: `[a-z0-9-]{1,16}`.
    pub deployment: String,
    /// Drawn once per database: 8 lower-case hexadecimal digits.
    pub database: String,
}

/// `{deployment}_{database}_{relay}_{attempt}`: at most 64 of `[a-z0-9_-]`, the limit of a converter's name
/// (`agora.md §4.2`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct ResourceTag {
    pub namespace: Namespace,
    pub relay: Uuid,
    /// Counts the relay's objects of this type, from 1.
    pub attempt: u32,
}

impl fmt::Display for ResourceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Namespace {
            deployment,
            database,
        } = &self.namespace;
        write!(
            f,
            "{deployment}_{database}_{}_{}",
            self.relay.simple(),
            self.attempt
        )
    }
}

/// The object is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a resource tag of this format")]
pub struct InvalidTag;

impl FromStr for ResourceTag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let mut parts = text.split('_');
        let mut next = || parts.next().ok_or(InvalidTag);
        let (deployment, database, relay, attempt) = (next()?, next()?, next()?, next()?);
        let lower = |c: u8| c.is_ascii_digit() || c.is_ascii_lowercase();
        let hex = |text: &str, digits: usize| {
            text.len() == digits
                && text
                    .bytes()
                    .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
        };
        let sound = parts.next().is_none()
            && (1..=16).contains(&deployment.len())
            && deployment.bytes().all(|c| lower(c) || c == b'-')
            && hex(database, 8)
            && hex(relay, 32)
            && attempt.bytes().all(|c| c.is_ascii_digit())
            && !attempt.starts_with('0');
        if !sound {
            return Err(InvalidTag);
        }
        Ok(ResourceTag {
            namespace: Namespace {
                deployment: deployment.into(),
                database: database.into(),
            },
            relay: Uuid::try_parse(relay).map_err(|_| InvalidTag)?,
            attempt: attempt.parse().map_err(|_| InvalidTag)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tag_is_read_back_as_it_was_written(
            deployment in "[a-z0-9-]{1,16}", database in "[0-9a-f]{8}", relay: u128, attempt in 1u32..100,
        ) {
            let tag = ResourceTag { namespace: Namespace { deployment, database }, relay: Uuid::from_u128(relay), attempt };
            let text = tag.to_string();
            prop_assert!(text.len() <= 64);
            prop_assert_eq!(text.parse::<ResourceTag>(), Ok(tag));
        }

        #[test]
        fn any_text_is_read_without_a_panic_and_only_a_tag_is_one(text in "[a-f0-9_-]{0,70}") {
            if let Ok(tag) = text.parse::<ResourceTag>() {
                prop_assert_eq!(tag.to_string(), text);
            }
        }
    }

    #[test]
    fn a_longer_name_that_begins_like_a_tag_is_invalid() {
        let tag = "shop_0a1b2c3d_0192f0c4000070008000000000000001_1";
        assert!(tag.parse::<ResourceTag>().is_ok());
        for other in [
            format!("{tag}_2"),
            format!("{tag}x"),
            tag.to_uppercase(),
            format!("{tag}-agora-isolate-1"),
        ] {
            assert_eq!(other.parse::<ResourceTag>(), Err(InvalidTag), "{other}");
        }
    }

    #[test]
    fn a_name_that_differs_from_a_tag_in_one_part_is_invalid() {
        let (database, relay) = ("0a1b2c3d", "0192f0c4000070008000000000000001");
        let tag = |deployment: &str, database: &str, relay: &str, attempt: &str| {
            format!("{deployment}_{database}_{relay}_{attempt}").parse::<ResourceTag>()
        };
        assert!(tag("the-longest-name", database, relay, "12").is_ok());
        for deployment in ["", "a-name-too-long-x", "Shop", "sh.op"] {
            assert_eq!(tag(deployment, database, relay, "1"), Err(InvalidTag));
        }
        for database in ["0a1b2c3", "0a1b2c3d4", "0A1B2C3D", "0a1b2c3g"] {
            assert_eq!(tag("shop", database, relay, "1"), Err(InvalidTag));
        }
        for relay in [&relay[1..], &relay.to_uppercase(), &relay.replace('f', "g")] {
            assert_eq!(tag("shop", database, relay, "1"), Err(InvalidTag));
        }
        for attempt in ["", "0", "01", "+1", "x", "4294967296"] {
            assert_eq!(tag("shop", database, relay, attempt), Err(InvalidTag));
        }
    }
}
