//! Finds the crash points and runs a case for each.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;
use relaykeeper::actors::crash::{CrashOperation, CrashPoint};
use relaykeeper::config::AgoraBackend;

use super::life::Scene;
use crate::support::process::Life;

/// Concurrent cases: most of their time is waiting.
const AT_ONCE: usize = 8;
/// Cases per point around a poll: polls repeat as long as there is time.
const POLLS: u32 = 2;
/// How often a case is played until it reaches its point: one life saves more often than another.
const TRIES: u32 = 3;
const MATRIX: &str = "RELAYKEEPER_CRASH_MATRIX";

/// A point and its occurrence, as `before_save:3`.
fn read(reached: &str) -> (CrashPoint, u32) {
    let (point, times) = reached.split_once(':').expect("a point and a number");
    (
        point.parse().expect("a point"),
        times.parse().expect("a number"),
    )
}

/// A live input is searched for in the list only hours later; an egress is updated only if its push hangs.
fn never_reached(scene: Scene) -> Vec<CrashOperation> {
    let mut never = vec![CrashOperation::FindIngest, CrashOperation::UpdateEgress];
    never.extend(match scene.keeps {
        true => [CrashOperation::CloseIngest, CrashOperation::RemoveIngest],
        false => [CrashOperation::ClaimIngest, CrashOperation::EndBroadcast],
    });
    if scene.backend == AgoraBackend::MediaPush {
        never.push(CrashOperation::PrepareEgress);
    }
    if !scene.holds_broadcasts() {
        never.push(CrashOperation::EndBroadcast);
    }
    never
}

/// Runs without a crash.
const PLAIN_LIVES: usize = 4;

/// The points that all these runs reach: the number of the last saves depends on which message comes first.
pub(crate) async fn every_point(scene: Scene) -> Vec<String> {
    let lives = (0..PLAIN_LIVES).map(|_| points_of_a_life(scene));
    let mut lives = futures_util::future::join_all(lives).await.into_iter();
    let first = lives.next().expect("a life");
    let others: Vec<HashSet<String>> = lives.map(HashSet::from_iter).collect();
    let common = |point: &String| others.iter().all(|life| life.contains(point));
    first.into_iter().filter(common).collect()
}

async fn points_of_a_life(scene: Scene) -> Vec<String> {
    let lives = scene
        .play(Vec::new())
        .await
        .unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(lives.len(), 1, "it was not killed");
    let reached: Vec<&String> = lives.iter().flat_map(|life| &life.reached).collect();
    let known: HashSet<CrashPoint> = reached.iter().map(|reached| read(reached).0).collect();
    let never = never_reached(scene);
    for point in CrashPoint::all() {
        let operation = point.operation();
        let reached = known.contains(&point);
        // Whether there is a poll depends on which message comes first.
        assert!(
            reached || never.contains(&operation) || operation.is_a_poll(),
            "{point}"
        );
        assert!(!reached || !never.contains(&operation), "{point}");
    }
    reached
        .into_iter()
        .filter(|reached| {
            let (point, times) = read(reached);
            let operation = point.operation();
            // A claim is repeated until the earlier show is over.
            let is_repeated = operation.is_a_poll() || operation == CrashOperation::ClaimIngest;
            !is_repeated || times <= POLLS
        })
        .cloned()
        .collect()
}

pub(crate) fn is_full() -> bool {
    std::env::var(MATRIX).is_ok_and(|matrix| matrix == "full")
}

/// The points around these operations; all points for the full matrix.
pub(crate) fn only(points: Vec<String>, these: fn(CrashOperation) -> bool) -> Vec<String> {
    if is_full() {
        return points;
    }
    these_of(points, these)
}

/// The points around these operations.
pub(crate) fn these_of(points: Vec<String>, these: impl Fn(CrashOperation) -> bool) -> Vec<String> {
    let wanted = |point: &String| these(read(point).0.operation());
    points.into_iter().filter(wanted).collect()
}

fn kills_of(lives: &[Life]) -> usize {
    lives.iter().filter(|life| life.killed_at.is_some()).count()
}

pub(crate) async fn killed_at_each(scene: Scene, points: Vec<String>, kills: usize) {
    let began = Instant::now();
    let cases = points.into_iter().map(|first| async move {
        let again = format!("{}:1", read(&first).0);
        let mut points = vec![first];
        points.resize(kills, again);
        let mut lives = scene.play(points.clone()).await;
        for _ in 1..TRIES {
            if lives.as_ref().is_ok_and(|lives| kills_of(lives) == 0) {
                lives = scene.play(points.clone()).await;
            }
        }
        (points, lives)
    });
    let played: Vec<_> = stream::iter(cases)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut kills: BTreeMap<usize, usize> = BTreeMap::new();
    let mut missed = Vec::new();
    let mut wrong = Vec::new();
    let cases = played.len();
    for (points, lives) in played {
        match lives {
            Ok(lives) => {
                let killed = kills_of(&lives);
                *kills.entry(killed).or_default() += 1;
                if killed == 0 {
                    missed.extend(points.into_iter().next());
                }
            }
            Err(what) => wrong.push(what),
        }
    }
    println!(
        "{scene:?}: {cases} cases in {:.1?}; cases by kills: {kills:?}; never reached: {missed:?}",
        began.elapsed()
    );
    assert!(missed.len() * 20 <= cases, "most points were not reached");
    assert!(
        wrong.is_empty(),
        "{} of {cases} cases: {}",
        wrong.len(),
        wrong.join("\n\n")
    );
}
