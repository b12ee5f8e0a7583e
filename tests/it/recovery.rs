//! Killed at any moment and started again, the service loses nothing and leaves nothing behind: the real binary over HTTP,
//! killed at every [`CrashPoint`] a relay's life reaches, as often as it is reached. With `RELAYKEEPER_CRASH_MATRIX=full`
//! each test kills at every point.
//!
//! A relay's life here: started, live, its egress dies at the vendor and is replaced, live again, stopped, ended, its cleanup jobs
//! paid. A first run without a crash tells which points there are; each is then a case of its own.
//!
//! [`CrashPoint`]: relaykeeper::actors::crash::CrashPoint
#![cfg(feature = "sandbox")]

mod invariants;
mod life;
mod matrix;

use life::Scene;
use matrix::{every_point, killed_at_each, only};
use relaykeeper::actors::crash::CrashOperation;
use relaykeeper::config::AgoraBackend::{CloudRecording, MediaPush};
use rstest::rstest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_a_relay_goes_on_and_leaves_nothing_behind() {
    let scene = Scene::sqlite(CloudRecording);
    let points = every_point(scene).await;
    killed_at_each(scene, points, 1).await;
}

/// Elsewhere, the process is killed at the same points in the test below, and then once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_a_poll_it_goes_on_with_media_push_too() {
    let scene = Scene::sqlite(MediaPush);
    let points = only(every_point(scene).await, CrashOperation::is_a_poll);
    killed_at_each(scene, points, 1).await;
}

/// A look changes nothing: to be killed there twice is to be killed there once.
#[rstest]
#[case::cloud_recording(Scene::sqlite(CloudRecording).with_webhooks())]
#[case::media_push(Scene::sqlite(MediaPush))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_the_same_point_again_it_goes_on_all_the_same(#[case] scene: Scene) {
    let points = only(every_point(scene).await, |operation| !operation.is_a_poll());
    killed_at_each(scene, points, 2).await;
}

/// The database matters where something is stored: what is done at the vendors is the same.
#[rstest]
#[case::cloud_recording(Scene::postgres(CloudRecording))]
#[case::media_push(Scene::postgres(MediaPush))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./scripts/test runs it"]
async fn so_it_is_on_postgresql(#[case] scene: Scene) {
    let stored = |operation| {
        matches!(
            operation,
            CrashOperation::StoreRelay | CrashOperation::Save | CrashOperation::RunCleanup
        )
    };
    let points = only(every_point(scene).await, stored);
    killed_at_each(scene, points, 1).await;
}
