//! How a relay ended.

use serde::{Deserialize, Serialize};

use super::failure::{Class, Failure};
use super::phase::Phase;

/// Why a relay ended: the closed list.
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
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OutcomeCode {
    /// Stopped by request after it was live.
    StoppedByRequest,
    /// Stopped by request before it was live.
    Cancelled,
    /// The seller was away for longer than the reconnect window.
    SellerLeft,
    /// It was live for as long as it may be.
    MaxDuration,
    /// Nobody could press play in time.
    LiveTimeout,
    /// The egress was lost and could not be replaced.
    #[serde(rename = "recorder_lost")]
    #[strum(serialize = "recorder_lost")]
    EgressLost,
    /// The ingest is no longer there.
    #[serde(rename = "live_input_gone")]
    #[strum(serialize = "live_input_gone")]
    IngestGone,
    /// Cloudflare refused the feed.
    #[serde(rename = "live_input_errored")]
    #[strum(serialize = "live_input_errored")]
    IngestErrored,
    /// A vendor refused a request as wrong.
    VendorRejected,
    /// A vendor refused the credentials.
    VendorUnauthorized,
    /// A vendor's quota is used up.
    VendorQuota,
    /// No permit to call a vendor in time.
    VendorRateLimited,
    /// A vendor could not be reached or failed.
    VendorUnavailable,
    /// The egress had not accepted in time.
    ProvisioningTimeout,
    /// A fault of our own.
    Internal,
}

/// A relay's phase in fewer words: `relay_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RelayStatus {
    /// It is being set up, or waits for its feed.
    Starting,
    /// It is live or interrupted.
    Active,
    /// It ended as was asked.
    Stopped,
    /// It failed.
    Failed,
}

impl RelayStatus {
    /// From `stopping` on the outcome decides.
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
    /// Whether the relay ended as somebody wanted (`relay_status` stopped) rather than failed.
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

    /// The sentence for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::StoppedByRequest => "The relay was stopped by request.",
            Self::Cancelled => "The relay was stopped by request before it was live.",
            Self::SellerLeft => {
                "The seller left the channel and did not come back within the reconnect window."
            }
            Self::MaxDuration => "The relay reached its maximum duration.",
            Self::LiveTimeout => "The channel could not be watched within the time allowed.",
            Self::EgressLost => "Agora's egress was lost and could not be replaced.",
            Self::IngestGone => "Cloudflare's ingest is no longer there.",
            Self::IngestErrored => "Cloudflare refused the feed.",
            Self::VendorRejected => "A vendor refused the request as wrong.",
            Self::VendorUnauthorized => "A vendor refused our credentials.",
            Self::VendorQuota => "A vendor's quota is used up.",
            Self::VendorRateLimited => {
                "A vendor's rate limit left no room for the calls this start needed."
            }
            Self::VendorUnavailable => "A vendor could not be reached or failed.",
            Self::ProvisioningTimeout => "Agora's egress had not accepted within the time allowed.",
            Self::Internal => "relaykeeper failed to drive the relay.",
        }
    }
}

/// How a relay ended: decided on entering `stopping`, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// For machines.
    pub code: OutcomeCode,
    /// What is known about the reason.
    #[serde(default)]
    pub detail: Detail,
}

/// What is known about the reason of an outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// The last vendor failure, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What was seen of the seller last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<String>,
    /// What was seen of the egress last.
    #[serde(default, rename = "recorder", skip_serializing_if = "Option::is_none")]
    pub egress: Option<String>,
    /// What was seen of the feed last, or the vendor's own words about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// Whether the relay failed before any vendor was asked to make anything: its start may be repeated as if it had never
    /// been asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untried: bool,
}

impl Outcome {
    /// An outcome that needs no explanation.
    #[must_use]
    pub fn plain(code: OutcomeCode) -> Self {
        Self {
            code,
            detail: Detail::default(),
        }
    }

    /// The outcome of a failure that no repeat can mend, or that time ran out on.
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

    /// The same reason under another code.
    #[must_use]
    pub(super) fn with_code(self, code: OutcomeCode) -> Self {
        Self { code, ..self }
    }
}
