use serde::{Deserialize, Serialize};

use super::failure::{Class, Failure};
use super::phase::Phase;

/// Why a relay ended.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "`sentence` documents the variants")]
pub enum OutcomeCode {
    StoppedByRequest,
    Cancelled,
    SellerLeft,
    MaxDuration,
    LiveTimeout,
    #[serde(rename = "recorder_lost")]
    #[strum(serialize = "recorder_lost")]
    EgressLost,
    #[serde(rename = "live_input_gone")]
    #[strum(serialize = "live_input_gone")]
    IngestGone,
    #[serde(rename = "live_input_errored")]
    #[strum(serialize = "live_input_errored")]
    IngestErrored,
    VendorRejected,
    VendorUnauthorized,
    VendorQuota,
    VendorRateLimited,
    VendorUnavailable,
    ProvisioningTimeout,
    Internal,
}

/// `relay_status`: a summary of phase and outcome.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RelayStatus {
    /// Not live yet.
    #[default]
    Starting,
    /// Live or interrupted.
    Active,
    /// Ended as intended.
    Stopped,
    /// Failed.
    Failed,
}

impl RelayStatus {
    /// From `stopping` on, the outcome decides.
    #[must_use]
    pub fn of(phase: Phase, outcome: Option<OutcomeCode>) -> Self {
        match phase {
            Phase::Provisioning | Phase::AwaitingLive => Self::Starting,
            Phase::Live | Phase::Interrupted => Self::Active,
            Phase::Stopping | Phase::Finalizing | Phase::Ended => {
                match outcome.is_some_and(OutcomeCode::ended_well) {
                    true => Self::Stopped,
                    false => Self::Failed,
                }
            }
        }
    }
}

impl OutcomeCode {
    /// Whether the relay ended as intended.
    #[must_use]
    pub fn ended_well(self) -> bool {
        match self {
            Self::StoppedByRequest | Self::Cancelled | Self::SellerLeft | Self::MaxDuration => true,
            Self::LiveTimeout
            | Self::EgressLost
            | Self::IngestGone
            | Self::IngestErrored
            | Self::VendorRejected
            | Self::VendorUnauthorized
            | Self::VendorQuota
            | Self::VendorRateLimited
            | Self::VendorUnavailable
            | Self::ProvisioningTimeout
            | Self::Internal => false,
        }
    }

    /// A sentence for users.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::StoppedByRequest => "The relay was stopped by request.",
            Self::Cancelled => "The relay was stopped by request before it was live.",
            Self::SellerLeft => "The seller left and did not return within the reconnect window.",
            Self::MaxDuration => "The relay reached its maximum duration.",
            Self::LiveTimeout => "The channel was not playable in time.",
            Self::EgressLost => "The egress was lost and could not be replaced.",
            Self::IngestGone => "The ingest does not exist any more.",
            Self::IngestErrored => "The platform refused the feed.",
            Self::VendorRejected => "A vendor refused the request as invalid.",
            Self::VendorUnauthorized => "A vendor refused our credentials.",
            Self::VendorQuota => "A vendor's quota is used up.",
            Self::VendorRateLimited => "A vendor's rate limit left no room for this start.",
            Self::VendorUnavailable => "A vendor could not be reached or failed.",
            Self::ProvisioningTimeout => "Agora did not accept the egress in time.",
            Self::Internal => "relaykeeper failed: this is a bug.",
        }
    }
}

/// How a relay ended. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The code.
    pub code: OutcomeCode,
    /// Evidence for the code.
    #[serde(default)]
    pub detail: Detail,
}

/// The last readings before the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Detail {
    /// The last failed call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<String>,
    #[serde(default, rename = "recorder", skip_serializing_if = "Option::is_none")]
    pub egress: Option<String>,
    /// The feed, or the platform's message about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// No vendor was asked to create anything: the same start may be repeated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untried: bool,
}

impl Outcome {
    /// An outcome without evidence.
    #[must_use]
    pub fn plain(code: OutcomeCode) -> Self {
        Self {
            code,
            detail: Detail::default(),
        }
    }

    /// The outcome of a permanent failure, or one that lasted until a deadline.
    #[must_use]
    pub fn of(failure: Failure) -> Self {
        let code = match failure.class {
            Class::Unauthorized => OutcomeCode::VendorUnauthorized,
            Class::Rejected | Class::NotFound | Class::Conflict => OutcomeCode::VendorRejected,
            Class::Quota => OutcomeCode::VendorQuota,
            Class::RateLimited => OutcomeCode::VendorRateLimited,
            Class::Unavailable | Class::Unexpected => OutcomeCode::VendorUnavailable,
            Class::Timeout => OutcomeCode::ProvisioningTimeout,
        };
        Self {
            code,
            detail: Detail {
                failure: Some(failure),
                ..Detail::default()
            },
        }
    }

    #[must_use]
    pub(super) fn with_code(self, code: OutcomeCode) -> Self {
        Self { code, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use strum::IntoEnumIterator;

    #[test]
    fn each_outcome_has_a_sentence_of_its_own() {
        let sentences: HashSet<&str> = OutcomeCode::iter().map(OutcomeCode::sentence).collect();
        assert_eq!(sentences.len(), OutcomeCode::iter().count());
        for sentence in sentences {
            assert!(sentence.len() > 20 && sentence.ends_with('.'), "{sentence}");
            assert!(!sentence.contains("Cloudflare"), "{sentence}");
        }
    }
}
