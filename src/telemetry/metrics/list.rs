//! The list of all metrics.

use super::{Metric, MetricKind};

const fn metric(
    name: &'static str,
    kind: MetricKind,
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
                ..metric($name, MetricKind::$kind, &[$($label),*], $help)
            };
        )*
        /// All metrics, in the order of docs/metrics.md.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

// All bounds but those of BATCH are in seconds.
const ON_AIR: &[f64] = &[
    0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 240.0,
];
const ANSWER: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0,
];
const PERMIT: &[f64] = &[0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];
const COMMIT: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

metrics! {
    BUILD: Gauge "relaykeeper_build_info" ["version"] "Always 1; the label has the program's version.";
    READY: Gauge "relaykeeper_ready" [] "1 while this process takes starts and stops, else 0.";
    DATABASE_UP: Gauge "relaykeeper_database_up" [] "1 while the database answers reads and takes writes; while it is 0, cleanup jobs and alarms keep their last values.";

    RELAYS: Gauge "relaykeeper_relays" ["phase"] "Active relays.";
    STARTS: Counter "relaykeeper_starts_total" [] "Relays started.";
    TRANSITIONS: Counter "relaykeeper_transitions_total" ["from", "to"] "Stored phase changes.";
    OUTCOMES: Counter "relaykeeper_outcomes_total" ["outcome"] "Relays with a final outcome.";
    START_DURATION: Histogram "relaykeeper_start_duration_seconds" [] "From the start request to the egress's acceptance." in ON_AIR;
    TIME_TO_LIVE: Histogram "relaykeeper_time_to_live_seconds" [] "From the start request until buyers can press play." in ON_AIR;
    REPLACEMENTS: Counter "relaykeeper_egress_replacements_total" [] "Egresses that replaced another one.";
    EVENTS_IGNORED: Counter "relaykeeper_events_ignored_total" ["reason"] "Events that had no effect on their relay.";
    RESTARTS: Counter "relaykeeper_actor_restarts_total" [] "Crashes of relays' actors.";
    RELAYS_CLAIMED: Counter "relaykeeper_relays_claimed_total" [] "Relays taken over from nodes that failed or had too many.";
    FORCED_ENDS: Counter "relaykeeper_forced_ends_total" [] "Relays that could not be driven and were ended by force.";

    VENDOR_CALLS: Counter "relaykeeper_vendor_calls_total" ["vendor", "call", "class"] "Requests to vendors by result: ok, or the failure's class.";
    VENDOR_CALL_DURATION: Histogram "relaykeeper_vendor_call_duration_seconds" ["vendor", "call"] "From sending a request to the end of the response." in ANSWER;
    GOVERNOR_QUOTA: Gauge "relaykeeper_governor_quota" ["governor"] "The most calls this process makes in a budget's window.";
    GOVERNOR_LEFT: Gauge "relaykeeper_governor_permits_left" ["governor"] "Calls a budget allows at once; 0 while the vendor blocks.";
    GOVERNOR_WAITING: Gauge "relaykeeper_governor_waiting" ["governor"] "Calls waiting for a permit.";
    GOVERNOR_PAUSED: Gauge "relaykeeper_governor_paused_seconds" ["governor"] "Time left until calls resume after a vendor's block.";
    GOVERNOR_WAIT: Histogram "relaykeeper_governor_wait_seconds" ["governor", "priority"] "Time that calls waited for a permit." in PERMIT;
    GOVERNOR_DENIED: Counter "relaykeeper_governor_denied_total" ["governor", "priority"] "Calls not made because no permit came in time.";

    CLEANUP_JOBS: Gauge "relaykeeper_cleanup_jobs" ["kind"] "Open cleanup jobs.";
    KEPT_INGESTS: Gauge "relaykeeper_kept_ingests" [] "Ingests that channels keep.";
    OLDEST_CLEANUP_JOB: Gauge "relaykeeper_oldest_cleanup_job_age_seconds" [] "Age of the oldest open cleanup job; 0 without one.";
    CLEANUP_JOBS_SETTLED: Counter "relaykeeper_cleanup_jobs_settled_total" ["kind"] "Finished cleanup jobs.";
    ALARMS: Gauge "relaykeeper_alarms" ["code"] "Raised alarms.";
    JANITOR_PASSES: Counter "relaykeeper_janitor_passes_total" ["result"] "Janitor passes: done or failed.";
    ORPHANS_FOUND: Counter "relaykeeper_orphans_found_total" ["kind"] "Orphans found: tagged objects at vendors that no relay and no cleanup job knows.";
    ORPHANS_REMOVED: Counter "relaykeeper_orphans_removed_total" ["kind"] "Orphans removed.";

    JOURNAL_ENTRIES: Counter "relaykeeper_journal_entries_total" [] "Stored facts.";
    COMMIT_DURATION: Histogram "relaykeeper_commit_duration_seconds" [] "Duration of a commit with all its writes." in COMMIT;
    COMMIT_BATCH: Histogram "relaykeeper_commit_batch_size" [] "Writes per commit." in BATCH;
    COMMITS_FAILED: Counter "relaykeeper_commits_failed_total" [] "Commits that failed or have an unknown result.";

    DELIVERIES: Counter "relaykeeper_webhook_deliveries_total" ["result"] "Delivery attempts to the marketplace: delivered, failed (to be retried), or given_up.";
    DELIVERY_DURATION: Histogram "relaykeeper_webhook_delivery_duration_seconds" [] "From sending a message to the marketplace to its response or a timeout." in ANSWER;
    LISTENERS: Gauge "relaykeeper_event_stream_listeners" [] "Event stream listeners that have caught up.";

    REQUESTS: Counter "relaykeeper_http_requests_total" ["method", "route", "status"] "Answered requests.";
    REQUEST_DURATION: Histogram "relaykeeper_http_request_duration_seconds" ["route"] "From a request's arrival to the head of its response." in ANSWER;
}
