//! Failures that tests inject into calls.

use std::str::FromStr;
use std::time::Duration;

use strum::IntoEnumIterator;

use super::calls::VendorCall;

/// How a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Not executed; this status in the vendor's format, with `Retry-After` (wall-clock seconds) if given.
    Status(u16, Option<u32>),
    /// Executed, but answered with this status.
    StatusAfter(u16),
    /// Not executed; the connection is closed.
    Refuse,
    /// Executed; the connection is closed without an answer.
    CutAfter,
    /// Neither executed nor answered.
    Hang,
    /// Executed; answered with 200 and an HTML page.
    NotJson,
    /// Not executed; this status with an HTML page, as a proxy or bot challenge sends it.
    Page(u16),
    /// Not executed; this status and code in the vendor's format.
    Code(u16, u32),
    /// Not executed; 404 in the vendor's format, for this simulated time from the first such call.
    NotFoundFor(Duration),
}

/// As text: `CALL=KIND[,times=N|forever][,after=N][,retry-after=SECONDS]`; `relaykeeper sandbox --help` lists the kinds.
///
/// ```
/// use relaykeeper::sandbox::{FaultKind, VendorCall, VendorFault};
/// let fault: VendorFault = "agora.cloud_recording.start=cut-after,times=2,after=1".parse().unwrap();
/// assert_eq!((fault.call, fault.kind, fault.times, fault.after), (VendorCall::Start, FaultKind::CutAfter, Some(2), 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorFault {
    /// Which call fails.
    pub call: VendorCall,
    /// How it fails.
    pub kind: FaultKind,
    /// How many times; `None`: always. Ignored by `NotFoundFor`.
    pub times: Option<u32>,
    /// How many such calls succeed first.
    pub after: u32,
}

impl VendorFault {
    /// The next such call fails.
    pub fn once(call: VendorCall, kind: FaultKind) -> Self {
        Self {
            call,
            kind,
            times: Some(1),
            after: 0,
        }
    }

    /// Every such call fails until the faults are cleared.
    pub fn forever(call: VendorCall, kind: FaultKind) -> Self {
        Self {
            call,
            kind,
            times: None,
            after: 0,
        }
    }
}

/// The text is not a fault; the message says why.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct FaultError(String);

impl FromStr for VendorFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (call, rest) =
            text.split_once('=').ok_or_else(|| FaultError(format!("`{text}` is not a fault: write CALL=KIND, as in agora.cloud_recording.start=cut-after,times=1")))?;
        let call = VendorCall::from_str(call.trim()).map_err(|_| {
            let known: Vec<&str> = VendorCall::iter().map(VendorCall::name).collect();
            FaultError(format!(
                "`{}` is not a call; known are {}",
                call.trim(),
                known.join(", ")
            ))
        })?;
        let mut parts = rest.split(',').map(str::trim);
        let mut kind = kind(parts.next().unwrap_or_default())?;
        let (mut times, mut after) = (Some(1), 0);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let number = || {
                value
                    .parse::<u32>()
                    .map_err(|_| FaultError(format!("`{part}`: `{value}` is not a whole number")))
            };
            match key {
                "times" if value == "forever" => times = None,
                "times" => times = Some(number()?),
                "after" => after = number()?,
                "retry-after" => {
                    let FaultKind::Status(_, retry_after) = &mut kind else {
                        return Err(FaultError(
                            "`retry-after` goes with a status only".to_owned(),
                        ));
                    };
                    *retry_after = Some(number()?);
                }
                _ => {
                    return Err(FaultError(format!(
                        "`{part}` is unknown; known are times=N, times=forever, after=N, retry-after=SECONDS"
                    )));
                }
            }
        }
        Ok(Self {
            call,
            kind,
            times,
            after,
        })
    }
}

fn kind(text: &str) -> Result<FaultKind, FaultError> {
    let (word, value) = text.split_once(':').unwrap_or((text, ""));
    let status = |value: &str| {
        value
            .parse::<u16>()
            .ok()
            .filter(|status| (200..600).contains(status))
            .ok_or_else(|| FaultError(format!("`{value}` is not an HTTP status")))
    };
    match word {
        "refuse" => Ok(FaultKind::Refuse),
        "cut-after" => Ok(FaultKind::CutAfter),
        "hang" => Ok(FaultKind::Hang),
        "not-json" => Ok(FaultKind::NotJson),
        "page" if value.is_empty() => Ok(FaultKind::Page(200)),
        "page" => Ok(FaultKind::Page(status(value)?)),
        "code" => {
            let (answered, code) = value.split_once(':').unwrap_or((value, ""));
            let code = code
                .parse()
                .map_err(|_| FaultError(format!("`{code}` is not a whole number")))?;
            Ok(FaultKind::Code(status(answered)?, code))
        }
        "not-found-for" => humantime::parse_duration(value)
            .map(FaultKind::NotFoundFor)
            .map_err(|_| FaultError(format!("`{value}` is not a duration such as 30s"))),
        "status" => Ok(FaultKind::Status(status(value)?, None)),
        "status-after" => Ok(FaultKind::StatusAfter(status(value)?)),
        number if number.parse::<u16>().is_ok() => Ok(FaultKind::Status(status(number)?, None)),
        _ => Err(FaultError(format!(
            "`{text}` is not a kind of fault; known are refuse, cut-after, hang, not-json, page, page:403, code:400:65, not-found-for:30s, status:503, status-after:503, 503"
        ))),
    }
}

/// What ails the ingests of all platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestFault {
    /// Sockets stay open, and nothing is read from them.
    Silent,
    /// Encoders are disconnected after this much simulated time, and refused from then on. If none is connected now, the time begins
    /// when one connects.
    RefuseAgain(Duration),
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Vec<PendingFault>,
    happened: u64,
}

#[derive(Debug)]
struct PendingFault {
    fault: VendorFault,
    until: Option<Duration>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: VendorFault) {
        self.waiting.push(PendingFault { fault, until: None });
    }

    pub(super) fn happened(&self) -> u64 {
        self.happened
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How this call fails, if it does; counts the fault.
    pub(super) fn take(&mut self, call: VendorCall, now: Duration) -> Option<FaultKind> {
        self.waiting.retain(|waiting| {
            waiting.until.is_none_or(|until| now < until) && waiting.fault.times != Some(0)
        });
        let waiting = self
            .waiting
            .iter_mut()
            .find(|waiting| waiting.fault.call == call)?;
        if waiting.fault.after > 0 {
            waiting.fault.after -= 1;
            return None;
        }
        if let FaultKind::NotFoundFor(span) = waiting.fault.kind {
            waiting.until.get_or_insert(now + span);
        } else if let Some(times) = &mut waiting.fault.times {
            *times -= 1;
        }
        self.happened += 1;
        Some(waiting.fault.kind.clone())
    }
}
