use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::capabilities::PlatformName;
use super::egress::EgressHandle;
use super::event::Hint;
use super::state::Durable;
use super::tag::ResourceTag;

/// A vendor's notification, verified. It may be about no relay of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The relay that it is about.
    pub subject: Subject,
    /// What it says.
    pub hint: Hint,
    /// When that happened, by the vendor's clock, if known.
    pub at: Option<DateTime<Utc>>,
    /// Orders the notices about one seller, if known.
    pub sequence: Option<i64>,
    /// Whether it says that an egress ended.
    pub is_end: bool,
}

impl Notice {
    /// A notice of unknown time and order.
    #[must_use]
    pub fn new(subject: Subject, hint: Hint) -> Self {
        Self {
            subject,
            hint,
            at: None,
            sequence: None,
            is_end: false,
        }
    }
}

/// How a notification names a relay.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// By the tag of one of its objects.
    Tag(ResourceTag),
    /// By its ingest.
    Ingest {
        /// Where the ingest is.
        platform: PlatformName,
        /// The platform's id.
        id: String,
    },
    /// By the text of its egress's handle, in lower case.
    Egress(String),
    /// By its seller. Names only relays that hold their channel's slot.
    Seller {
        /// Agora's name of the channel.
        channel_name: String,
        /// The seller's uid in the channel.
        uid: u32,
    },
}

impl Subject {
    /// An ingest by its id.
    #[must_use]
    pub fn ingest(platform: &str, id: &str) -> Self {
        Self::Ingest {
            platform: PlatformName::new(platform),
            id: id.to_owned(),
        }
    }

    /// All but the tags of a relay.
    #[must_use]
    pub fn all_of(durable: &Durable) -> Vec<Self> {
        let (ingest, egress, holds_slot) = names(durable);
        let seller = holds_slot.then(|| Self::Seller {
            channel_name: durable.spec.channel_name.clone(),
            uid: durable.spec.seller_uid,
        });
        let ingest = ingest.map(|id| Self::ingest(durable.spec.platform.as_str(), id));
        let egress = egress.map(|handle| Self::Egress(handle.to_string().to_ascii_lowercase()));
        ingest.into_iter().chain(egress).chain(seller).collect()
    }

    /// Whether two states of one relay have the same subjects.
    #[must_use]
    pub fn are_same(one: &Durable, other: &Durable) -> bool {
        names(one) == names(other)
    }
}

fn names(durable: &Durable) -> (Option<&str>, Option<&EgressHandle>, bool) {
    let egress = durable.egress.as_ref();
    (
        durable.ingest.id.as_deref(),
        egress.and_then(|egress| egress.handle.as_ref()),
        durable.phase.holds_slot(),
    )
}
