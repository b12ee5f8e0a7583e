//! What is tried: calls and the ways in which they fail.

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, VendorCall, VendorFault};
use strum::IntoEnumIterator;

use super::usage::{Life, Use, changes, only_of_kept, usage};
use crate::support::platform::TestPlatform;
use crate::support::service::BACKENDS;

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum Wrong {
    InternalError,
    Unavailable,
    TooMany,
    CutBefore,
    CutAfter,
    Hang,
    NotJson,
    /// It is executed, and the answer says 500.
    ErrorAfter,
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
            Self::ErrorAfter => FaultKind::StatusAfter(500),
            Self::Page => FaultKind::Page(200),
            Self::Blocked => FaultKind::Page(403),
            Self::Refused => FaultKind::Status(403, None),
        }
    }

    /// Whether the call is executed.
    pub fn is_done(self) -> bool {
        matches!(self, Self::CutAfter | Self::NotJson | Self::ErrorAfter)
    }

    /// Whether it is tried only with calls that change something: reads treat it like [`Self::NotJson`] or
    /// [`Self::InternalError`].
    fn is_for_changes(self) -> bool {
        matches!(
            self,
            Self::ErrorAfter | Self::Page | Self::Blocked | Self::Refused
        )
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
            | Self::ErrorAfter
            | Self::Page
            | Self::Blocked => ("vendor_unavailable", "vendor-unavailable"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub platform: TestPlatform,
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
        if TestPlatform::of(self.call).is_none() {
            write!(f, ", {:?}", self.platform)?;
        }
        if self.keeps {
            write!(f, ", kept, {:?}", self.life)?;
        }
        Ok(())
    }
}

/// The platform's calls and Agora's, failing in this way. Calls that both backends make are tried on one of them in turn. Agora's are as
/// on the first platform: left out on the others unless all is tried.
pub fn cases(platform: TestPlatform, wrong: Wrong) -> Vec<Case> {
    let turn = Wrong::iter().position(|other| other == wrong).unwrap();
    let mut cases = Vec::new();
    for (place, call) in VendorCall::iter().enumerate() {
        let is_tried_here = match TestPlatform::of(call) {
            Some(of) => of == platform,
            None => platform == TestPlatform::Cloudflare || everything(),
        };
        if !is_tried_here || wrong.is_for_changes() && !changes(call) && !everything() {
            continue;
        }
        let one = &BACKENDS[(place + turn) % 2..][..1];
        let (on, life, keeps): (&[AgoraBackend], _, _) = match usage(call) {
            Use::Both(life) if everything() => (&BACKENDS, life, false),
            Use::Both(life) => (one, life, false),
            Use::On(_, Life::Meddled) if platform != TestPlatform::Cloudflare => continue,
            Use::On(AgoraBackend::CloudRecording, life) => (&BACKENDS[..1], life, false),
            Use::On(AgoraBackend::MediaPush, life) => (&BACKENDS[1..], life, false),
            Use::Kept(life) => (one, life, true),
            Use::Untried(_) | Use::Never(_) => continue,
        };
        cases.extend(on.iter().map(|backend| Case {
            platform,
            call,
            wrong,
            backend: *backend,
            life,
            keeps,
        }));
    }
    cases
}

/// The same with an ingest that the channel keeps, and what only such an ingest needs.
pub fn kept_cases(platform: TestPlatform, wrong: Wrong) -> Vec<Case> {
    let kept = |case: Case| Case {
        keeps: true,
        ..case
    };
    // No show closes or removes it, and it has recordings of many shows: they are searched for in a list since the show began.
    let not_made = [
        VendorCall::LiveInputUpdate,
        VendorCall::LiveInputVideos,
        VendorCall::MuxStreamDisable,
        VendorCall::IvsKeyList,
        VendorCall::IvsKeyDelete,
        VendorCall::IvsStreamStop,
    ];
    let mut cases: Vec<_> = cases(platform, wrong).into_iter().map(kept).collect();
    cases.retain(|case| !not_made.contains(&case.call));
    cases.extend(only_kept(platform, wrong));
    cases
}

fn only_kept(platform: TestPlatform, wrong: Wrong) -> Vec<Case> {
    let turn = Wrong::iter().position(|other| other == wrong).unwrap();
    let calls = only_of_kept(platform);
    let most = calls.len();
    let calls = calls.into_iter().enumerate();
    let all = calls.map(|(place, (call, life))| Case {
        platform,
        call,
        wrong,
        backend: BACKENDS[(place + turn) / most % 2],
        life,
        keeps: true,
    });
    all.collect()
}

/// Every call in three ways or so, and each way with calls of every kind; on another platform than the first in one way.
pub fn representative(platform: TestPlatform) -> Vec<Case> {
    let is_chosen = |place: usize| match platform {
        TestPlatform::Cloudflare => [0, 2, 4].contains(&(place % 7)),
        TestPlatform::Mux | TestPlatform::Ivs => place.is_multiple_of(Wrong::iter().count()),
    };
    let mut chosen = Vec::new();
    for (turn, wrong) in Wrong::iter().enumerate() {
        let cases = cases(platform, wrong).into_iter().enumerate();
        let picked = cases.filter(|(place, _)| everything() || is_chosen(place + turn));
        chosen.extend(picked.map(|(_, case)| case));
    }
    chosen
}

/// Every call that changes something in every way, every other one in every other way.
pub fn changes_and_some_others(platform: TestPlatform) -> Vec<Case> {
    let all = Wrong::iter().flat_map(|wrong| cases(platform, wrong));
    let (changing, others): (Vec<_>, Vec<_>) = all.partition(|case| changes(case.call));
    let every = if everything() { 1 } else { 2 };
    changing
        .into_iter()
        .chain(others.into_iter().step_by(every))
        .collect()
}

/// Every such call in two ways, each way with one call.
pub fn representative_of_kept(platform: TestPlatform) -> Vec<Case> {
    let mut chosen = Vec::new();
    for (turn, wrong) in Wrong::iter().enumerate() {
        let cases = only_kept(platform, wrong);
        let most = cases.len();
        let cases = cases.into_iter().enumerate();
        let picked = cases.filter(|(place, _)| (place + turn).is_multiple_of(most));
        chosen.extend(picked.map(|(_, case)| case));
    }
    chosen
}

pub fn everything() -> bool {
    std::env::var("RELAYKEEPER_TEST_FAULTS").is_ok_and(|what| what == "all")
}
