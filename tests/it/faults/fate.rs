//! What becomes of a relay while one of its calls always fails.

use relaykeeper::sandbox::VendorCall;

use super::life::needs_notices;
use super::matrix::{Case, Wrong};
use super::usage::Life;

#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// The relay ends with this outcome before it is live.
    NeverUp(&'static str),
    /// It goes live and ends when it is stopped.
    Lives,
    /// It goes live, then the scenario ends it with this outcome.
    Lost(&'static str),
}

pub fn fate(case: Case) -> Fate {
    let brings_up = [
        VendorCall::LiveInputCreate,
        VendorCall::MuxStreamCreate,
        VendorCall::IvsChannelCreate,
        VendorCall::Acquire,
        VendorCall::Start,
        VendorCall::ConverterCreate,
    ];
    let brings_up_again = [
        VendorCall::LiveInputUpdate,
        VendorCall::LiveInputGet,
        VendorCall::LiveInputRotateKeys,
        VendorCall::MuxStreamDisable,
        VendorCall::MuxStreamEnable,
        VendorCall::MuxStreamGet,
        VendorCall::MuxStreamResetKey,
        VendorCall::IvsStreamGet,
        VendorCall::IvsStreamStop,
        VendorCall::IvsKeyGet,
        VendorCall::IvsKeyCreate,
    ];
    let replaces = [
        VendorCall::LiveInputRotateKeys,
        VendorCall::MuxStreamResetKey,
        VendorCall::MuxStreamEnable,
        VendorCall::IvsChannelGet,
        VendorCall::IvsKeyCreate,
    ];
    let is_needed = brings_up.contains(&case.call) && !needs_notices(case)
        || case.life.shows() > 1 && brings_up_again.contains(&case.call);
    let is_replaced = case.life == Life::Replaced && replaces.contains(&case.call);
    match case.call {
        _ if is_needed => Fate::NeverUp(case.wrong.outcome(case.call).0),
        _ if is_replaced => Fate::Lost("recorder_lost"),
        // The API is polled instead.
        VendorCall::Lifecycle if case.wrong.is_odd_of_the_customer_host() => Fate::Lives,
        // As many watch as the account may have viewers.
        VendorCall::IvsManifest if case.wrong == Wrong::TooMany => Fate::Lives,
        VendorCall::Lifecycle
        | VendorCall::Manifest
        | VendorCall::MuxManifest
        | VendorCall::MuxStreamGet
        | VendorCall::IvsManifest
        | VendorCall::IvsStreamList => Fate::NeverUp("live_timeout"),
        _ => Fate::Lives,
    }
}
