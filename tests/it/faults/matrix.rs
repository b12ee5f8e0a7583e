use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, VendorCall, VendorFault};
use strum::IntoEnumIterator;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Plain,
    /// The egress dies while live and is replaced.
    Replaced,
    /// The service restarts while live; then another client disables and enables the ingest.
    Meddled,
    Unrecorded,
    /// It follows another show while that one's broadcast is open.
    Again,
    /// The same, and the service restarts between them.
    AgainAfterRestart,
    /// The same, and something may still publish with the key.
    AgainWithStaleKey,
    /// Its egress does not stop at once.
    StopsLate,
}

impl Life {
    /// The shows of its channel.
    pub fn shows(self) -> i64 {
        match self {
            Self::Plain | Self::Replaced | Self::Meddled | Self::Unrecorded | Self::StopsLate => 1,
            Self::Again | Self::AgainAfterRestart | Self::AgainWithStaleKey => 2,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Both(Life),
    On(AgoraBackend, Life),
    /// With the reason.
    Never(&'static str),
}

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
        // With Cloud Recording the page may report presence first.
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
        call if is_of_another_platform(call) => {
            Use::Never("another platform's: its own file tries them")
        }
        call => panic!("{call}: how do relays use it?"),
    }
}

/// What only an ingest needs that its channel keeps.
const ONLY_OF_KEPT: [(VendorCall, Life); 5] = [
    (VendorCall::LiveInputUpdate, Life::Again),
    (VendorCall::Lifecycle, Life::Again),
    (VendorCall::LiveInputGet, Life::AgainAfterRestart),
    (VendorCall::LiveInputRotateKeys, Life::AgainWithStaleKey),
    (VendorCall::LiveInputRotateKeys, Life::StopsLate),
];

fn is_of_another_platform(call: VendorCall) -> bool {
    let name = call.name();
    ["mux", "ivs", "s3"].iter().any(|platform| {
        let rest = name.strip_prefix(platform);
        rest.is_some_and(|rest| rest.starts_with(['.', '_']))
    })
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum Wrong {
    InternalError,
    Unavailable,
    TooMany,
    CutBefore,
    CutAfter,
    Hang,
    NotJson,
    /// 200 with an HTML page, not executed.
    Page,
    /// A bot challenge: 403 with an HTML page, not executed.
    Blocked,
    /// The vendor's 403, which also occurs with valid credentials.
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

    /// Whether the call is executed.
    pub fn is_done(self) -> bool {
        matches!(self, Self::CutAfter | Self::NotJson)
    }

    /// Whether it is tried only with calls that change something: reads treat it like [`Self::NotJson`].
    fn is_for_changes(self) -> bool {
        matches!(self, Self::Page | Self::Blocked | Self::Refused)
    }

    /// Whether the customer host's answer is undocumented, so that the service polls the API instead.
    pub fn is_odd_of_the_customer_host(self) -> bool {
        matches!(
            self,
            Self::NotJson | Self::Page | Self::Blocked | Self::Refused
        )
    }

    /// The outcome of a relay that does not go live because of it, and the problem code of its start.
    pub fn outcome(self, call: VendorCall) -> (&'static str, &'static str) {
        match self {
            Self::TooMany => ("vendor_rate_limited", "vendor-rate-limited"),
            Self::Hang => ("provisioning_timeout", "vendor-timeout"),
            // Agora's 500 with code 62 (`agora.md §7.1`): the start timed out.
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

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub call: VendorCall,
    pub wrong: Wrong,
    pub backend: AgoraBackend,
    pub life: Life,
    /// The channel keeps its ingest.
    pub keeps: bool,
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
        write!(f, "{} {:?} on {:?}", self.call, self.wrong, self.backend)?;
        if self.keeps {
            write!(f, ", kept, {:?}", self.life)?;
        }
        Ok(())
    }
}

/// Every call, failing in this way. Calls that both backends make are tried on one of them in turn.
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
            keeps: false,
        }));
    }
    cases
}

/// The same with an ingest that the channel keeps, and what only such an ingest needs.
pub fn kept_cases(wrong: Wrong) -> Vec<Case> {
    let kept = |case: Case| Case {
        keeps: true,
        ..case
    };
    // No show closes it, and it has recordings of many shows: they are searched for in a list since the show began.
    let not_made = [VendorCall::LiveInputUpdate, VendorCall::LiveInputVideos];
    let mut cases: Vec<_> = cases(wrong).into_iter().map(kept).collect();
    cases.retain(|case| !not_made.contains(&case.call));
    cases.extend(only_kept(wrong));
    cases
}

fn only_kept(wrong: Wrong) -> Vec<Case> {
    let backends = [AgoraBackend::CloudRecording, AgoraBackend::MediaPush];
    let turn = Wrong::iter().position(|other| other == wrong).unwrap();
    let calls = ONLY_OF_KEPT.into_iter().enumerate();
    let all = calls.map(|(place, (call, life))| Case {
        call,
        wrong,
        backend: backends[(place + turn) / ONLY_OF_KEPT.len() % 2],
        life,
        keeps: true,
    });
    all.collect()
}

/// Every call in three ways or so, and each way with calls of every kind.
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

/// Every such call in two ways, each way with one call.
pub fn representative_of_kept() -> Vec<Case> {
    let mut chosen = Vec::new();
    for (turn, wrong) in Wrong::iter().enumerate() {
        let cases = only_kept(wrong).into_iter().enumerate();
        let picked = cases.filter(|(place, _)| (place + turn) % ONLY_OF_KEPT.len() == 0);
        chosen.extend(picked.map(|(_, case)| case));
    }
    chosen
}

pub fn everything() -> bool {
    std::env::var("RELAYKEEPER_TEST_FAULTS").is_ok_and(|what| what == "all")
}
