//! Which call goes wrong how, in which life of a relay, and what must come of it.

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, VendorCall, VendorFault};
use strum::IntoEnumIterator;

/// What a relay lives through, so that a call is made at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Live, then stopped.
    Plain,
    /// The egress dies for good while live, and another takes its place.
    Replaced,
    /// The service restarts while live; then somebody disables the ingest and enables it again.
    Meddled,
    /// No recording is wanted.
    Unrecorded,
}

/// What the service has to do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Made in the life of a relay on either backend.
    Both(Life),
    /// Made in the life of a relay on this backend.
    On(AgoraBackend, Life),
    /// Never made by a service that drives relays; the reason.
    Never(&'static str),
}

/// Every call has its place here: a new one does not compile until somebody has said where.
pub fn usage(call: VendorCall) -> Use {
    use AgoraBackend::{CloudRecording, MediaPush};
    match call {
        VendorCall::LiveInputCreate
        | VendorCall::LiveInputUpdate
        | VendorCall::LiveInputDelete
        | VendorCall::LiveInputList
        | VendorCall::VideoList
        | VendorCall::Lifecycle
        | VendorCall::Manifest
        | VendorCall::Views => Use::Both(Life::Plain),
        VendorCall::LiveInputRotateKeys | VendorCall::LiveInputVideos => Use::Both(Life::Replaced),
        VendorCall::VideoDelete => Use::Both(Life::Unrecorded),
        VendorCall::Acquire | VendorCall::Start | VendorCall::Query | VendorCall::Stop => {
            Use::On(CloudRecording, Life::Plain)
        }
        VendorCall::LiveInputGet | VendorCall::Update => Use::On(CloudRecording, Life::Meddled),
        VendorCall::ConverterCreate
        | VendorCall::ConverterGet
        | VendorCall::ConverterDelete
        | VendorCall::ConverterList
        // With Cloud Recording the page speaks for the seller, and may be the first to.
        | VendorCall::Hosts => Use::On(MediaPush, Life::Plain),
        VendorCall::ConverterUpdate => Use::Never("a converter that pushes nowhere is replaced"),
        VendorCall::ConverterListChannel => {
            Use::Never("only when a 409 names no converter, and the sandbox's always does")
        }
        VendorCall::VideoGet => Use::Never("recordings are looked for in lists"),
        VendorCall::Thumbnail => Use::Never("buyers' players ask for it"),
        VendorCall::StorageUsage => {
            Use::Never("asked by `check`, and for health when no call has succeeded for a minute")
        }
        VendorCall::UserTokenVerify | VendorCall::AccountTokenVerify => Use::Never("asked by `check`"),
        VendorCall::WebhookPut
        | VendorCall::WebhookGet
        | VendorCall::WebhookDelete
        | VendorCall::DestinationCreate
        | VendorCall::DestinationList
        | VendorCall::DestinationDelete
        | VendorCall::PolicyCreate
        | VendorCall::PolicyList
        | VendorCall::PolicyDelete => Use::Never("a matter of set-up, not of relays"),
    }
}

/// Whether a call of a relay's life changes something at a vendor.
fn changes(call: VendorCall) -> bool {
    [
        VendorCall::LiveInputCreate,
        VendorCall::LiveInputUpdate,
        VendorCall::LiveInputDelete,
        VendorCall::LiveInputRotateKeys,
        VendorCall::VideoDelete,
        VendorCall::Acquire,
        VendorCall::Start,
        VendorCall::Update,
        VendorCall::Stop,
        VendorCall::ConverterCreate,
        VendorCall::ConverterDelete,
    ]
    .contains(&call)
}

/// The ways to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum Wrong {
    InternalError,
    Unavailable,
    TooMany,
    CutBefore,
    CutAfter,
    Hang,
    NotJson,
    /// A page of HTML that says 200, and nothing is done.
    Page,
    /// A page of HTML that says 403, as a bot challenge in front of the vendor does.
    Blocked,
    /// A 403 of the vendor's own: reported with good credentials, too.
    Refused,
}

impl Wrong {
    pub fn kind(self) -> FaultKind {
        match self {
            Self::InternalError => FaultKind::Status(500, None),
            Self::Unavailable => FaultKind::Status(503, None),
            Self::TooMany => FaultKind::Status(429, Some(1)),
            Self::CutBefore => FaultKind::Refuse,
            Self::CutAfter => FaultKind::CutAfter,
            Self::Hang => FaultKind::Hang,
            Self::NotJson => FaultKind::NotJson,
            Self::Page => FaultKind::Page(200),
            Self::Blocked => FaultKind::Page(403),
            Self::Refused => FaultKind::Status(403, None),
        }
    }

    /// Whether the call is carried out all the same.
    pub fn is_done(self) -> bool {
        matches!(self, Self::CutAfter | Self::NotJson)
    }

    /// Whether it is of interest most where a call changes something: a read takes it as it takes [`Self::NotJson`].
    fn is_for_changes(self) -> bool {
        matches!(self, Self::Page | Self::Blocked | Self::Refused)
    }

    /// Whether the customer host then answers other than documented, so that its word is no longer taken.
    pub fn is_odd_of_the_customer_host(self) -> bool {
        matches!(
            self,
            Self::NotJson | Self::Page | Self::Blocked | Self::Refused
        )
    }

    /// The outcome of a relay that could not be brought up because of it, and the code of the problem its start is
    /// answered with.
    pub fn outcome(self, call: VendorCall) -> (&'static str, &'static str) {
        match self {
            Self::TooMany => ("vendor_rate_limited", "vendor-rate-limited"),
            Self::Hang => ("provisioning_timeout", "vendor-timeout"),
            // Agora's 500 with code 62 (`agora.md §7.1`): a start that took too long.
            Self::InternalError if call == VendorCall::Start => {
                ("provisioning_timeout", "vendor-timeout")
            }
            Self::Refused => ("vendor_unauthorized", "vendor-unauthorized"),
            Self::InternalError
            | Self::Unavailable
            | Self::CutBefore
            | Self::CutAfter
            | Self::NotJson
            | Self::Page
            | Self::Blocked => ("vendor_unavailable", "vendor-unavailable"),
        }
    }
}

/// One call that goes wrong in one way.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub call: VendorCall,
    pub wrong: Wrong,
    pub backend: AgoraBackend,
    pub life: Life,
}

impl Case {
    pub fn once(self) -> VendorFault {
        VendorFault::once(self.call, self.wrong.kind())
    }

    pub fn forever(self) -> VendorFault {
        VendorFault::forever(self.call, self.wrong.kind())
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} on {:?}", self.call, self.wrong, self.backend)
    }
}

/// Every call of every relay's life, going wrong in this way. Calls of both backends take turns between the two; with
/// `RELAYKEEPER_TEST_FAULTS=all` they are tried on both.
pub fn cases(wrong: Wrong) -> Vec<Case> {
    let backends = [AgoraBackend::CloudRecording, AgoraBackend::MediaPush];
    let turn = Wrong::iter().position(|other| other == wrong).unwrap();
    let mut cases = Vec::new();
    for (place, call) in VendorCall::iter().enumerate() {
        if wrong.is_for_changes() && !changes(call) && !everything() {
            continue;
        }
        let (on, life): (&[AgoraBackend], _) = match usage(call) {
            Use::Both(life) if everything() => (&backends, life),
            Use::Both(life) => (&backends[(place + turn) % 2..][..1], life),
            Use::On(AgoraBackend::CloudRecording, life) => (&backends[..1], life),
            Use::On(AgoraBackend::MediaPush, life) => (&backends[1..], life),
            Use::Never(_) => continue,
        };
        cases.extend(on.iter().map(|backend| Case {
            call,
            wrong,
            backend: *backend,
            life,
        }));
    }
    cases
}

/// Every call with three of the ways to go wrong, so that each way meets some calls of each kind; with
/// `RELAYKEEPER_TEST_FAULTS=all` every call with every way.
pub fn representative() -> Vec<Case> {
    let mut chosen = Vec::new();
    for (turn, wrong) in Wrong::iter().enumerate() {
        let cases = cases(wrong).into_iter().enumerate();
        let picked =
            cases.filter(|(place, _)| everything() || [0, 2, 4].contains(&((place + turn) % 7)));
        chosen.extend(picked.map(|(_, case)| case));
    }
    chosen
}

/// Whether nothing shall be left out.
pub fn everything() -> bool {
    std::env::var("RELAYKEEPER_TEST_FAULTS").is_ok_and(|what| what == "all")
}
