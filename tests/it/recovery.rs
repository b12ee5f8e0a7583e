//! The service survives a SIGKILL. Runs without a crash find every [`CrashPoint`] that a relay reaches; each case kills the program
//! at one of them. `RELAYKEEPER_CRASH_MATRIX=full`: every test kills at every point.
//!
//! The relay goes live, its egress dies and is replaced, it is stopped, and its cleanup jobs finish.
//!
//! [`CrashPoint`]: relaykeeper::actors::crash::CrashPoint
#![cfg(feature = "sandbox")]

mod invariants;
mod life;
mod matrix;

use life::Scene;
use matrix::{every_point, is_full, killed_at_each, only, these_of};
use relaykeeper::actors::crash::CrashOperation;
use relaykeeper::config::AgoraBackend::{self, CloudRecording, MediaPush};
use rstest::rstest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_survives_a_kill_at_any_point_and_leaves_nothing_behind() {
    let scene = Scene::sqlite(CloudRecording);
    let points = every_point(scene).await;
    killed_at_each(scene, points, 1).await;
}

/// The next test kills at the other points.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_of_media_push_survives_a_kill_at_a_poll() {
    let scene = Scene::sqlite(MediaPush);
    let points = only(every_point(scene).await, CrashOperation::is_a_poll);
    killed_at_each(scene, points, 1).await;
}

/// A poll changes nothing, so a second kill there adds nothing.
#[rstest]
#[case::cloud_recording(Scene::sqlite(CloudRecording).with_webhooks())]
#[case::media_push(Scene::sqlite(MediaPush))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_survives_two_kills_at_the_same_point(#[case] scene: Scene) {
    let points = only(every_point(scene).await, |operation| !operation.is_a_poll());
    killed_at_each(scene, points, 2).await;
}

/// A lost answer to a creation is looked up, not repeated. Other points are as on the first platform.
#[rstest]
#[case::mux_cloud_recording(Scene::sqlite(CloudRecording).on_mux().with_webhooks())]
#[case::mux_media_push(Scene::sqlite(MediaPush).on_mux())]
#[case::ivs_cloud_recording(Scene::sqlite(CloudRecording).on_ivs())]
#[case::ivs_media_push(Scene::sqlite(MediaPush).on_ivs().with_webhooks())]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_on_another_platform_survives_a_kill_around_the_calls_on_its_ingest(
    #[case] scene: Scene,
) {
    let of_ingest = |operation| {
        matches!(
            operation,
            CrashOperation::CreateIngest
                | CrashOperation::FindIngest
                | CrashOperation::RenewIngestKey
                | CrashOperation::CloseIngest
                | CrashOperation::RemoveIngest
                | CrashOperation::PollRecordings
        )
    };
    let points = only(every_point(scene).await, of_ingest);
    killed_at_each(scene, points, 1).await;
}

/// What a kill is around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Ingest,
    Egress,
    Store,
    Save,
    Poll,
}

impl Part {
    fn of(operation: CrashOperation) -> Self {
        match operation {
            CrashOperation::ClaimIngest
            | CrashOperation::CreateIngest
            | CrashOperation::RenewIngestKey
            | CrashOperation::EndBroadcast
            | CrashOperation::CloseIngest
            | CrashOperation::RemoveIngest => Self::Ingest,
            CrashOperation::PrepareEgress
            | CrashOperation::StartEgress
            | CrashOperation::UpdateEgress
            | CrashOperation::StopEgress => Self::Egress,
            CrashOperation::StoreRelay | CrashOperation::RunCleanup => Self::Store,
            CrashOperation::Save => Self::Save,
            CrashOperation::FindIngest
            | CrashOperation::PollFeed
            | CrashOperation::PollEgress
            | CrashOperation::PollHosts
            | CrashOperation::PollRecordings => Self::Poll,
        }
    }
}

async fn killed_with_a_kept_ingest(scene: Scene, part: Part) {
    if !is_full() {
        return;
    }
    let points = every_point(scene).await;
    let points = these_of(points, |operation| Part::of(operation) == part);
    killed_at_each(scene, points, 1).await;
}

/// Where a kept ingest differs: made, claimed, its broadcast ended, its key renewed at a stop and by the cleanup. The next tests
/// kill at all points.
#[rstest]
#[case::cloudflare(Scene::sqlite(MediaPush), &[
    "after_create_ingest:1",
    "before_renew_ingest_key:1",
    "after_renew_ingest_key:1",
    "after_claim_ingest:2",
    "before_end_broadcast:1",
    "after_end_broadcast:1",
    "before_renew_ingest_key:3",
    "after_renew_ingest_key:3",
])]
// Time alone tells whose a recording is.
#[case::ivs(Scene::sqlite(MediaPush).on_ivs(), &[
    "after_create_ingest:1",
    "before_renew_ingest_key:1",
    "after_renew_ingest_key:1",
    "after_claim_ingest:2",
])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_keeps_its_ingest_survives_a_kill_around_the_calls_on_it(
    #[case] scene: Scene,
    #[case] points: &[&str],
) {
    let points = points.iter().map(|&point| point.to_owned()).collect();
    killed_at_each(scene.keeps_ingest(), points, 1).await;
}

/// Only for the full matrix.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_keeps_its_ingest_survives_a_kill_at_any_point(
    #[values(
        Scene::sqlite(CloudRecording),
        Scene::sqlite(MediaPush),
        Scene::sqlite(CloudRecording).with_webhooks(),
        Scene::sqlite(CloudRecording).on_mux(),
        Scene::sqlite(MediaPush).on_mux(),
        Scene::sqlite(CloudRecording).on_ivs(),
        Scene::sqlite(MediaPush).on_ivs(),
    )]
    scene: Scene,
    #[values(Part::Ingest, Part::Egress, Part::Store, Part::Save, Part::Poll)] part: Part,
) {
    killed_with_a_kept_ingest(scene.keeps_ingest(), part).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn on_postgresql_a_channel_that_keeps_its_ingest_survives_a_kill_at_any_point(
    #[values(CloudRecording, MediaPush)] backend: AgoraBackend,
    #[values(Part::Ingest, Part::Egress, Part::Store, Part::Save, Part::Poll)] part: Part,
) {
    killed_with_a_kept_ingest(Scene::postgres(backend).keeps_ingest(), part).await;
}

/// The database matters only for points around saves.
#[rstest]
#[case::cloud_recording(Scene::postgres(CloudRecording))]
#[case::media_push(Scene::postgres(MediaPush))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn a_relay_on_postgresql_survives_a_kill_around_a_save(#[case] scene: Scene) {
    let stored = |operation| {
        matches!(
            operation,
            CrashOperation::StoreRelay | CrashOperation::Save | CrashOperation::RunCleanup
        )
    };
    let points = only(every_point(scene).await, stored);
    killed_at_each(scene, points, 1).await;
}
