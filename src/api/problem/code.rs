use actix_web::http::StatusCode;

use crate::relay::OutcomeCode;

/// The code of an error.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::Display,
    strum::IntoStaticStr,
    strum::EnumIter,
    strum::EnumString,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "kebab-case")]
#[schema(rename_all = "kebab-case")]
pub enum Code {
    /// The request cannot be parsed (400), or a value is not allowed (422).
    InvalidRequest,
    /// The token or signature is missing or wrong.
    Unauthorized,
    /// The token's scope is too small.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The channel has nothing to play.
    NoPlayback,
    /// The route does not support the method.
    MethodNotAllowed,
    /// The channel's relay has another channel name or seller.
    Conflict,
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
    /// The platform does not have what the request needs.
    Unsupported,
    /// The body exceeds the limit.
    TooLarge,
    /// The caller's rate limit is exhausted.
    RateLimited,
    /// A vendor rejected the credentials.
    VendorUnauthorized,
    /// A vendor rejected a request as invalid.
    VendorRejected,
    /// A vendor's rate limit is exhausted.
    VendorRateLimited,
    /// A vendor's quota is exhausted.
    VendorQuota,
    /// A vendor could not be reached, or failed.
    VendorUnavailable,
    /// A vendor was not ready in time.
    VendorTimeout,
    /// The service is starting.
    Starting,
    /// The service is shutting down.
    ShuttingDown,
    /// The database does not answer.
    Database,
    /// A fault of this service.
    Internal,
}

impl Code {
    /// The default HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoPlayback => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::IdempotencyMismatch | Self::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::VendorUnauthorized | Self::VendorRejected => StatusCode::BAD_GATEWAY,
            Self::VendorRateLimited
            | Self::VendorQuota
            | Self::VendorUnavailable
            | Self::Starting
            | Self::ShuttingDown
            | Self::Database => StatusCode::SERVICE_UNAVAILABLE,
            Self::VendorTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The problem's title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::Unauthorized => "The caller is not authenticated",
            Self::Forbidden => "The caller is not allowed to do this",
            Self::NotFound => "The resource does not exist",
            Self::NoPlayback => "There is nothing to play",
            Self::MethodNotAllowed => "The method is not allowed",
            Self::Conflict => "The channel has another relay",
            Self::IdempotencyMismatch => "The idempotency key was used for another request",
            Self::Unsupported => "The platform does not support this",
            Self::TooLarge => "The request is too large",
            Self::RateLimited => "Too many requests",
            Self::VendorUnauthorized => "A vendor rejected the service's credentials",
            Self::VendorRejected => "A vendor rejected the request",
            Self::VendorRateLimited => "A vendor's rate limit is exhausted",
            Self::VendorQuota => "A vendor's quota is exhausted",
            Self::VendorUnavailable => "A vendor is not available",
            Self::VendorTimeout => "A vendor was not ready in time",
            Self::Starting => "The service is starting",
            Self::ShuttingDown => "The service is shutting down",
            Self::Database => "The database is not available",
            Self::Internal => "The service failed",
        }
    }

    pub(in crate::api) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            status if status.is_client_error() => Self::InvalidRequest,
            _ => Self::Internal,
        }
    }

    /// For a start whose relay ended before the response.
    pub(super) fn of_outcome(outcome: OutcomeCode) -> Self {
        match outcome {
            OutcomeCode::VendorUnauthorized => Self::VendorUnauthorized,
            OutcomeCode::VendorRejected | OutcomeCode::IngestGone | OutcomeCode::IngestErrored => {
                Self::VendorRejected
            }
            OutcomeCode::VendorQuota => Self::VendorQuota,
            OutcomeCode::VendorRateLimited => Self::VendorRateLimited,
            OutcomeCode::VendorUnavailable | OutcomeCode::EgressLost => Self::VendorUnavailable,
            OutcomeCode::ProvisioningTimeout | OutcomeCode::LiveTimeout => Self::VendorTimeout,
            OutcomeCode::Internal
            | OutcomeCode::StoppedByRequest
            | OutcomeCode::Cancelled
            | OutcomeCode::SellerLeft
            | OutcomeCode::MaxDuration => Self::Internal,
        }
    }

    /// Seconds until a retry may succeed.
    pub(in crate::api) fn retry_after(self) -> Option<u64> {
        match self {
            Self::Starting | Self::ShuttingDown | Self::Database | Self::RateLimited => Some(2),
            Self::VendorUnavailable | Self::VendorTimeout => Some(5),
            Self::VendorRateLimited | Self::VendorQuota => Some(30),
            Self::InvalidRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::NoPlayback
            | Self::Unsupported
            | Self::MethodNotAllowed
            | Self::Conflict
            | Self::IdempotencyMismatch
            | Self::TooLarge
            | Self::VendorUnauthorized
            | Self::VendorRejected
            | Self::Internal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn every_code_has_a_name_a_status_and_a_title_of_its_own() {
        let names: HashSet<String> = Code::iter().map(|code| code.to_string()).collect();
        let titles: HashSet<&str> = Code::iter().map(Code::title).collect();
        assert_eq!((names.len(), titles.len()), (21, 21));
        assert!(Code::iter().all(|code| code.status().as_u16() >= 400));
        assert!(names.contains("vendor-rate-limited") && names.contains("no-playback"));
    }

    #[test]
    fn a_failed_start_answers_with_the_class_of_its_vendor_error() {
        let answers = [
            (OutcomeCode::VendorUnauthorized, 502, "vendor-unauthorized"),
            (OutcomeCode::VendorRejected, 502, "vendor-rejected"),
            (OutcomeCode::VendorRateLimited, 503, "vendor-rate-limited"),
            (OutcomeCode::VendorQuota, 503, "vendor-quota"),
            (OutcomeCode::VendorUnavailable, 503, "vendor-unavailable"),
            (OutcomeCode::ProvisioningTimeout, 504, "vendor-timeout"),
            (OutcomeCode::Internal, 500, "internal"),
        ];
        for (outcome, status, code) in answers {
            let answer = Code::of_outcome(outcome);
            assert_eq!(
                (answer.status().as_u16(), answer.to_string()),
                (status, code.to_owned())
            );
        }
    }
}
