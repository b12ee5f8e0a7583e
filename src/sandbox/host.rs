//! What the server needs of a vendor's host.

use super::calls::VendorCall;
use super::http::{CallContext, SimRequest, SimResponse};

pub(super) type Handler = fn(&mut CallContext<'_>) -> SimResponse;

/// One host of a vendor.
pub(super) struct Host {
    pub(super) route: fn(&SimRequest) -> Option<VendorCall>,
    /// Authenticates, counts and handles a call.
    pub(super) dispatch: fn(VendorCall, &mut CallContext<'_>) -> SimResponse,
    pub(super) no_route: fn() -> SimResponse,
    /// The refusal with this status.
    pub(super) fault: fn(VendorCall, u16) -> SimResponse,
    /// The refusal with this status and code.
    pub(super) coded: fn(u16, u32) -> SimResponse,
}

/// A host that serves players, without authentication.
pub(super) const fn public_host(
    route: fn(&SimRequest) -> Option<VendorCall>,
    dispatch: fn(VendorCall, &mut CallContext<'_>) -> SimResponse,
) -> Host {
    Host {
        route,
        dispatch,
        no_route: || SimResponse::text(404, "text/plain", "Not Found"),
        fault: |_, status| SimResponse::text(status, "text/plain", format!("error code: {status}")),
        coded: |status, code| {
            SimResponse::text(status, "text/plain", format!("error code: {code}"))
        },
    }
}
