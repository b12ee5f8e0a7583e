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
            "The marketplace, or an operator, asked for the stop while the show was on.",
            "Nothing. If nobody should have stopped it, look for the stop's request in the log.",
        ),
        OutcomeCode::Cancelled => (
            "The stop came before a buyer could press play, so there is most likely no recording.",
            "Nothing. If it took too long to go live, compare the time to live on the history page.",
        ),
        OutcomeCode::SellerLeft => (
            "The seller was gone for longer than relay.reconnect_window.",
            "Start the channel again when the seller is back. If sellers drop out often, lengthen the window.",
        ),
        OutcomeCode::MaxDuration => (
            "The show reached its max_duration_seconds, or relay.max_duration.",
            "Start it again, with a longer max_duration_seconds, if the seller goes on.",
        ),
        OutcomeCode::LiveTimeout => (
            "The egress ran, but no picture reached Cloudflare within relay.live_timeout. Below is what was last seen \
             of seller, egress and feed.",
            "Check that the seller is in the channel under the seller_uid of the start, with the camera on. If the seller \
             was there, check that Agora's cloud reaches this service (server.public_url), then start again.",
        ),
        OutcomeCode::EgressLost => (
            "Agora's egress died, and so did its replacements.",
            "Look at Agora's status page and at the egress's last state below, then start again. If it happens to one \
             channel only, look at that channel's seller.",
        ),
        OutcomeCode::IngestGone => (
            "Somebody deleted the ingest at Cloudflare while the relay used it.",
            "Find out who else works on this Cloudflare account: its audit log names them. Then start again.",
        ),
        OutcomeCode::IngestErrored => (
            "Cloudflare took the connection and refused what came over it: codec, bit rate or resolution.",
            "Read Cloudflare's own words below, and check the video settings of the Agora backend against its limits.",
        ),
        OutcomeCode::VendorRejected => (
            "The vendor answered that the request itself is wrong: no repeat helps.",
            "Read the vendor's words below. Most often a setting does not fit the account, or a product is not enabled: \
             run relaykeeper check.",
        ),
        OutcomeCode::VendorUnauthorized => (
            "The credentials are wrong, expired, or may not do this. Every start will fail until that is mended.",
            "Run relaykeeper check, and renew the token or the customer secret it names. Then start again.",
        ),
        OutcomeCode::VendorQuota => (
            "The account holds as many egresses, converters or ingests as it may, its storage is full, or a product \
             is not enabled for it.",
            "Read the vendor's words below. Wait until other shows end, ask the vendor for more, buy storage or delete \
             recordings. A sweep (dry run first) shows whether something is left over.",
        ),
        OutcomeCode::VendorRateLimited => (
            "The calls this start needed did not fit into the vendor's rate limit in time.",
            "Start again in a minute. Look at the budgets on the first page: others may be using the same account \
             (cloudflare.budget_share).",
        ),
        OutcomeCode::VendorUnavailable => (
            "The vendor was out of reach or answered with errors for as long as the relay could wait.",
            "Look at the vendor's status page and at its health on the first page, then start again.",
        ),
        OutcomeCode::ProvisioningTimeout => (
            "Agora had not accepted the egress within relay.provisioning_timeout.",
            "Look at Agora's health on the first page, then start again. If it is slow often, lengthen the timeout.",
        ),
        OutcomeCode::Internal => (
            "This is a fault of relaykeeper's own. What the relay held at the vendors became cleanup jobs, and is taken down.",
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
