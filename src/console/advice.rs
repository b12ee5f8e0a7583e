//! What an outcome means, and what an operator can do about it.

use crate::relay::OutcomeCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) means: &'static str,
    pub(super) try_this: &'static str,
}

pub(super) fn advice(code: OutcomeCode) -> Advice {
    let (means, try_this) = match code {
        OutcomeCode::StoppedByRequest => (
            "The marketplace or an operator stopped the show while it was on.",
            "Nothing. If the stop was a mistake, look for its request in the log.",
        ),
        OutcomeCode::Cancelled => (
            "The stop came before a buyer could press play, so there is most likely no recording.",
            "Nothing. If the start took too long, compare it with the time to live on the history page.",
        ),
        OutcomeCode::SellerLeft => (
            "The seller was away for longer than relay.reconnect_window.",
            "Start the channel again when the seller is back. If it happens often, lengthen the window.",
        ),
        OutcomeCode::MaxDuration => (
            "The show reached its max_duration_seconds, or relay.max_duration.",
            "If the seller goes on, start the channel again with a longer max_duration_seconds.",
        ),
        OutcomeCode::LiveTimeout => (
            "The egress ran, but no feed reached the platform within relay.live_timeout. The last states of seller, egress \
             and feed are below.",
            "Check that the seller is in the channel under the seller_uid of the start, with the camera on. If so, check \
             that Agora's cloud reaches this service (server.public_url). Then start again.",
        ),
        OutcomeCode::EgressLost => (
            "Agora's egress failed, and so did its replacements.",
            "Check Agora's status page and the egress's last state below, then start again. If it happens to one channel \
             only, check that channel's seller.",
        ),
        OutcomeCode::IngestGone => (
            "The ingest was deleted at the platform while the relay used it.",
            "Find out who deleted it, in the audit log of the platform account. Then start again.",
        ),
        OutcomeCode::IngestErrored => (
            "The platform accepted the connection but refused the feed: its codec, bit rate or resolution.",
            "Read the platform's message below, and check the video settings of the Agora backend against its limits.",
        ),
        OutcomeCode::VendorRejected => (
            "The vendor refused the request as invalid. A repeat does not help.",
            "Read the vendor's message below. Most often a setting does not fit the account, or a product is not enabled: \
             run relaykeeper check.",
        ),
        OutcomeCode::VendorUnauthorized => (
            "The credentials are wrong, expired or lack a permission. Every start fails until they are replaced.",
            "Run relaykeeper check, and replace the token or the customer secret that it names. Then start again.",
        ),
        OutcomeCode::VendorQuota => (
            "The account has reached its limit of egresses, converters or ingests, its storage is full, or a product is \
             not enabled for it.",
            "Read the vendor's message below. Wait until other shows end, ask the vendor for a higher quota, buy storage \
             or delete recordings. A sweep (dry run first) shows whether there are orphans.",
        ),
        OutcomeCode::VendorRateLimited => (
            "The calls of this start did not fit into the vendor's rate limit in time.",
            "Start again in a minute. Check the rate budgets on the first page: others may use the same account.",
        ),
        OutcomeCode::VendorUnavailable => (
            "The vendor was unreachable or answered with errors for as long as the relay could wait.",
            "Check the vendor's status page and its health on the first page, then start again.",
        ),
        OutcomeCode::ProvisioningTimeout => (
            "Agora did not accept the egress within relay.provisioning_timeout.",
            "Check Agora's health on the first page, then start again. If it is often slow, lengthen the timeout.",
        ),
        OutcomeCode::Internal => (
            "This is a fault of relaykeeper. Cleanup jobs remove what the relay had at the vendors.",
            "Start again. Keep the log around this time and the journal below (relaykeeper replay), and report them.",
        ),
    };
    Advice { means, try_this }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn every_outcome_has_advice_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for code in OutcomeCode::iter() {
            assert!(seen.insert(advice(code).means), "{code}");
        }
    }
}
