//! Every figure there is.

use super::{Kind, Metric};

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
        buckets: &[],
    }
}

macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal $(in $buckets:ident)?;)*) => {
        $(
            #[doc = $help]
            pub(crate) const $id: Metric = Metric {
                $(buckets: $buckets,)?
                ..metric($name, Kind::$kind, &[$($label),*], $help)
            };
        )*
        /// All of them, in the order of the documents.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

/// Seconds of a relay's way on air.
const ON_AIR: &[f64] = &[
    0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 240.0,
];
/// Seconds until an answer, a vendor's or ours.
const ANSWER: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0,
];
/// Seconds of a wait for a permit.
const PERMIT: &[f64] = &[0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];
/// Seconds of a commit.
const COMMIT: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];
/// Writes that share a commit.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

metrics! {
    BUILD: Gauge "relaykeeper_build_info" ["version"] "1, with the program's version.";
    READY: Gauge "relaykeeper_ready" [] "1 while this process takes starts and stops, else 0.";
    DATABASE_UP: Gauge "relaykeeper_database_up" [] "1 while the database answers reads and takes writes; while it is 0, cleanup jobs and alarms are the last known.";

    RELAYS: Gauge "relaykeeper_relays" ["phase"] "Relays in work.";
    STARTS: Counter "relaykeeper_starts_total" [] "Relays that were begun.";
    TRANSITIONS: Counter "relaykeeper_transitions_total" ["from", "to"] "Changes of phase that were stored.";
    OUTCOMES: Counter "relaykeeper_outcomes_total" ["outcome"] "Relays whose end was decided.";
    START_DURATION: Histogram "relaykeeper_start_duration_seconds" [] "From a start to the egress's acceptance." in ON_AIR;
    TIME_TO_LIVE: Histogram "relaykeeper_time_to_live_seconds" [] "From a start until a buyer could first press play." in ON_AIR;
    REPLACEMENTS: Counter "relaykeeper_egress_replacements_total" [] "Egresses that took another's place.";
    EVENTS_IGNORED: Counter "relaykeeper_events_ignored_total" ["reason"] "Events that meant nothing to their relay.";
    RESTARTS: Counter "relaykeeper_actor_restarts_total" [] "Deaths of relays' actors.";
    RELAYS_CLAIMED: Counter "relaykeeper_relays_claimed_total" [] "Relays this process took over from nodes that had gone or had too many.";
    FORCED_ENDS: Counter "relaykeeper_forced_ends_total" [] "Relays that could not be driven, and were ended without being asked.";

    VENDOR_CALLS: Counter "relaykeeper_vendor_calls_total" ["vendor", "call", "class"] "Requests sent to vendors, and what came of them: ok, or the class of the failure.";
    VENDOR_CALL_DURATION: Histogram "relaykeeper_vendor_call_duration_seconds" ["vendor", "call"] "From sending a request to a vendor to the end of its answer." in ANSWER;
    GOVERNOR_QUOTA: Gauge "relaykeeper_governor_quota" ["governor"] "The most calls this process makes in a budget's window.";
    GOVERNOR_LEFT: Gauge "relaykeeper_governor_permits_left" ["governor"] "Calls a budget allows at once; 0 while the vendor blocks.";
    GOVERNOR_WAITING: Gauge "relaykeeper_governor_waiting" ["governor"] "Calls that wait for a permit.";
    GOVERNOR_PAUSED: Gauge "relaykeeper_governor_paused_seconds" ["governor"] "How much longer nobody calls, after the vendor said so.";
    GOVERNOR_WAIT: Histogram "relaykeeper_governor_wait_seconds" ["governor", "priority"] "How long calls waited for their permit." in PERMIT;
    GOVERNOR_DENIED: Counter "relaykeeper_governor_denied_total" ["governor", "priority"] "Calls that were not made, because no permit came in time.";

    CLEANUP_JOBS: Gauge "relaykeeper_cleanup_jobs" ["kind"] "What finished relays still owe the vendors.";
    OLDEST_CLEANUP_JOB: Gauge "relaykeeper_oldest_cleanup_job_age_seconds" [] "The age of the oldest open cleanup job; 0 without one.";
    CLEANUP_JOBS_SETTLED: Counter "relaykeeper_cleanup_jobs_settled_total" ["kind"] "Cleanup jobs that were settled.";
    ALARMS: Gauge "relaykeeper_alarms" ["code"] "What needs a person.";
    JANITOR_PASSES: Counter "relaykeeper_janitor_passes_total" ["result"] "Passes of the janitor: done, or failed.";
    ORPHANS_FOUND: Counter "relaykeeper_orphans_found_total" ["kind"] "Objects at vendors that bore our tag and belonged to nobody.";
    ORPHANS_REMOVED: Counter "relaykeeper_orphans_removed_total" ["kind"] "Those of them that were removed.";

    JOURNAL_ENTRIES: Counter "relaykeeper_journal_entries_total" [] "Facts that were stored.";
    COMMIT_DURATION: Histogram "relaykeeper_commit_duration_seconds" [] "How long a commit took, with all writes that shared it." in COMMIT;
    COMMIT_BATCH: Histogram "relaykeeper_commit_batch_size" [] "Writes that shared a commit." in BATCH;
    COMMITS_FAILED: Counter "relaykeeper_commits_failed_total" [] "Commits that failed, or whose end is not known.";

    DELIVERIES: Counter "relaykeeper_webhook_deliveries_total" ["result"] "Attempts to deliver a message to the marketplace: delivered, failed (to be tried again), or given_up.";
    DELIVERY_DURATION: Histogram "relaykeeper_webhook_delivery_duration_seconds" [] "From sending a message to the marketplace to its answer, or to giving up on one." in ANSWER;
    LISTENERS: Gauge "relaykeeper_event_stream_listeners" [] "Who listens to the event stream, and has caught up.";

    REQUESTS: Counter "relaykeeper_http_requests_total" ["method", "route", "status"] "Requests that were answered.";
    REQUEST_DURATION: Histogram "relaykeeper_http_request_duration_seconds" ["route"] "From a request's arrival to the head of its answer." in ANSWER;
}
