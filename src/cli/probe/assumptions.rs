use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::client::ProbeResponse;

/// Names and statements, in the order tested; every name must occur in `docs/vendors/README.md`.
pub(super) const ASSUMPTIONS: &[(&str, &str)] = &[
    ("cf-token", "the token is active"),
    ("cf-bad-token", "a wrong token is refused with 401 or 403"),
    (
        "cf-not-found",
        "a live input that is not there: 404 with errors",
    ),
    (
        "cf-retention",
        "deleteRecordingAfterDays of 1 is refused: 400, code 10060",
    ),
    (
        "cf-create",
        "a live input is created with any 2xx, and has uid and RTMPS key",
    ),
    ("cf-echo", "its settings come back as sent"),
    ("cf-meta", "its meta comes back as sent"),
    (
        "cf-playback",
        "its playback URLs are in the answer, on a customer host",
    ),
    ("cf-ratelimit", "Ratelimit headers say what is left"),
    (
        "cf-key-replay",
        "the same Idempotency-Key answers the same live input",
    ),
    (
        "cf-list",
        "the list is an array or {liveInputs}, and shows it with its meta",
    ),
    (
        "cf-lifecycle",
        "/lifecycle answers {\"live\": false} without a token",
    ),
    (
        "cf-manifest",
        "a live input without a broadcast has no manifest",
    ),
    (
        "cf-rotate",
        "rotate_keys gives a new key, same uid, same playback",
    ),
    (
        "cf-disable",
        "PUT {enabled: false} alone disables, and leaves recording as it was",
    ),
    ("cf-videos", "live_inputs/{uid}/videos is a list"),
    (
        "cf-video-filter",
        "GET /stream?live_input_id= is a list of its videos only",
    ),
    (
        "cf-bulk-filter",
        "GET /stream?type=live&status=ready&after= lists such videos only",
    ),
    ("cf-delete", "DELETE answers any 2xx"),
    ("cf-delete-again", "DELETE of what is gone: 404"),
    (
        "cf-deleted-videos",
        "the videos of a deleted live input: 404, or none",
    ),
    ("cf-key-deleted", "the key of a deleted live input: 409"),
    ("mx-token", "token id and secret are taken"),
    ("mx-bad-token", "a wrong secret is refused with 401"),
    (
        "mx-not-found",
        "a live stream that is not there: 404 with error.messages",
    ),
    (
        "mx-create",
        "a live stream is created, and has id, stream key and playback id",
    ),
    ("mx-echo", "its settings and passthrough come back as sent"),
    ("mx-get", "it is read back with its stream key"),
    ("mx-list", "the list shows it with its passthrough"),
    (
        "mx-manifest",
        "the manifest of a live stream without a broadcast: 412",
    ),
    ("mx-assets", "GET /assets?live_stream_id= lists none before"),
    (
        "mx-reset",
        "reset-stream-key gives a new key, same playback",
    ),
    ("mx-update", "PATCH changes reconnect_window alone"),
    ("mx-disable", "PUT disable makes its status disabled"),
    ("mx-enable", "PUT enable makes its status idle"),
    ("mx-delete", "DELETE answers any 2xx"),
    ("mx-delete-again", "DELETE of what is gone: 404"),
    ("iv-credentials", "the access key is taken"),
    (
        "iv-bad-credentials",
        "a wrong signature is refused with 403",
    ),
    (
        "iv-recording",
        "the recording configuration of the settings is ACTIVE",
    ),
    (
        "iv-create",
        "a channel is created, and has ARN, endpoint, playback URL and key",
    ),
    ("iv-echo", "its name, tags and type come back as sent"),
    (
        "iv-find",
        "ListChannels finds it by its name, with its tags",
    ),
    ("iv-get", "GetChannel names endpoint and playback URL again"),
    (
        "iv-not-found",
        "a channel that is not there: 404 ResourceNotFoundException",
    ),
    ("iv-streams", "ListStreams answers a list"),
    (
        "iv-offline",
        "GetStream without a broadcast: 404 ChannelNotBroadcasting",
    ),
    (
        "iv-stop-offline",
        "StopStream without a broadcast: the same",
    ),
    ("iv-manifest", "the playback URL without a broadcast: 404"),
    ("iv-key", "GetStreamKey returns the key of the creation"),
    ("iv-second-key", "a second key is refused with 402"),
    (
        "iv-new-key",
        "after DeleteStreamKey, CreateStreamKey gives another key",
    ),
    ("iv-delete", "DeleteChannel answers any 2xx"),
    ("iv-delete-again", "DeleteChannel of what is gone: 404"),
    ("ag-credentials", "customer id and secret are taken"),
    ("ag-bad-credentials", "a wrong secret is refused with 401"),
    (
        "ag-hosts",
        "hosts_only of an empty channel: channel_exist is false",
    ),
    (
        "cr-acquire",
        "acquire answers a resourceId, and does so again for the same cname and uid",
    ),
    (
        "cr-query",
        "a query of a session that is not there: 404, or 400/1003",
    ),
    (
        "cr-stop",
        "a stop of a session that is not there: 404, or 400/1003",
    ),
    (
        "mp-create",
        "a converter is created, and has an id and a state",
    ),
    (
        "mp-name",
        "its name is taken: 409 with its id in X-Resource-ID",
    ),
    ("mp-get", "it is read back with idleTimeout and rtmpUrl"),
    ("mp-list", "the list shows it by its name"),
    ("mp-delete", "it is deleted with any 2xx, and is 404 then"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeVerdict {
    Holds,
    Differs,
    /// The responses do not decide it.
    Unclear,
}

#[derive(Debug, Default)]
pub(super) struct ProbeFindings(BTreeMap<&'static str, (ProbeVerdict, String)>);

impl ProbeFindings {
    pub(super) fn judge(&mut self, name: &'static str, holds: bool, saw: impl Into<String>) {
        let verdict = if holds {
            ProbeVerdict::Holds
        } else {
            ProbeVerdict::Differs
        };
        self.0.insert(name, (verdict, saw.into()));
    }

    pub(super) fn unclear(&mut self, name: &'static str, why: impl Into<String>) {
        self.0.insert(name, (ProbeVerdict::Unclear, why.into()));
    }

    /// Without an answer it stays unclear. Returns whether it holds.
    pub(super) fn judge_answer(
        &mut self,
        name: &'static str,
        answer: Result<ProbeResponse, String>,
        holds: impl FnOnce(&ProbeResponse) -> bool,
    ) -> bool {
        match answer {
            Ok(answer) => {
                let holds = holds(&answer);
                self.judge(name, holds, answer.summary());
                holds
            }
            Err(why) => {
                self.unclear(name, why);
                false
            }
        }
    }

    pub(super) fn differing(&self) -> usize {
        let differ = |(verdict, _): &&(ProbeVerdict, String)| *verdict == ProbeVerdict::Differs;
        self.0.values().filter(differ).count()
    }

    pub(super) fn table(&self) -> String {
        let untried = (ProbeVerdict::Unclear, "not tried".to_owned());
        let mut table = String::new();
        let mut held = 0;
        for (name, sentence) in ASSUMPTIONS {
            let (verdict, saw) = self.0.get(name).unwrap_or(&untried);
            held += usize::from(*verdict == ProbeVerdict::Holds);
            let word = match verdict {
                ProbeVerdict::Holds => "holds",
                ProbeVerdict::Differs => "DIFFERS",
                ProbeVerdict::Unclear => "unclear",
            };
            // Writing to a `String` cannot fail.
            let _ = writeln!(table, "{word:<8} {name:<19} {sentence}\n{:29}{saw}", "");
        }
        let differ = self.differing();
        let unclear = ASSUMPTIONS.len() - held - differ;
        let _ = writeln!(table, "\n{held} hold, {differ} differ, {unclear} unclear");
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untested_assumptions_are_reported_as_unclear() {
        let mut findings = ProbeFindings::default();
        findings.judge("cf-token", true, "active");
        findings.judge("cf-echo", false, "mode: off");
        let table = findings.table();
        assert!(table.contains("holds    cf-token"), "{table}");
        assert!(table.contains("DIFFERS  cf-echo"), "{table}");
        assert!(table.contains("unclear  mp-list"), "{table}");
        let rest = ASSUMPTIONS.len() - 2;
        assert!(
            table.ends_with(&format!("\n1 hold, 1 differ, {rest} unclear\n")),
            "{table}"
        );
    }
}
