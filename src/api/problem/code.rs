//! The closed list of codes: what each means, its status, and when a repeat may help.

use actix_web::http::StatusCode;

use crate::relay::OutcomeCode;

/// What went wrong, for machines.
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
    /// The request cannot be read (400), or says something it may not (422).
    InvalidRequest,
    /// No token or signature, or a wrong one.
    Unauthorized,
    /// The token does not reach this far.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The channel has nothing to play.
    NoPlayback,
    /// The route knows other methods.
    MethodNotAllowed,
    /// The channel's relay has another name or seller.
    Conflict,
    /// The key was used for another request.
    IdempotencyMismatch,
    /// The body is longer than we read.
    TooLarge,
    /// Too many requests to us.
    RateLimited,
    /// A vendor refused our credentials.
    VendorUnauthorized,
    /// A vendor refused a request as wrong.
    VendorRejected,
    /// A vendor's rate limit left no room.
    VendorRateLimited,
    /// A vendor's quota is used up.
    VendorQuota,
    /// A vendor could not be reached or failed.
    VendorUnavailable,
    /// A vendor did not get ready in time.
    VendorTimeout,
    /// Not ready yet.
    Starting,
    /// Going down.
    ShuttingDown,
    /// The database does not answer.
    Database,
    /// A fault of our own.
    Internal,
}

impl Code {
    /// The HTTP status it comes with, unless a problem says otherwise.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoPlayback => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
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

    /// The same in words, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::Unauthorized => "Who is calling is not known",
            Self::Forbidden => "This caller may not do that",
            Self::NotFound => "There is no such thing",
            Self::NoPlayback => "There is nothing to play",
            Self::MethodNotAllowed => "This method is not known here",
            Self::Conflict => "The channel has another relay",
            Self::IdempotencyMismatch => "The idempotency key was used for another request",
            Self::TooLarge => "The request is too large",
            Self::RateLimited => "Too many requests",
            Self::VendorUnauthorized => "A vendor refused our credentials",
            Self::VendorRejected => "A vendor refused the request",
            Self::VendorRateLimited => "A vendor's rate limit is reached",
            Self::VendorQuota => "A vendor's quota is used up",
            Self::VendorUnavailable => "A vendor is not available",
            Self::VendorTimeout => "A vendor did not get ready in time",
            Self::Starting => "The service is starting",
            Self::ShuttingDown => "The service is shutting down",
            Self::Database => "The database is not available",
            Self::Internal => "Something went wrong on our side",
        }
    }

    /// The code of a status somebody else chose: the framework's own refusals.
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

    /// What a start answers whose relay ended so while it waited.
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

    /// Seconds after which a repeat may help.
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
        assert_eq!((names.len(), titles.len()), (20, 20));
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
