//! Encoders that publish by RTMP and RTMPS, without a relay.

use std::time::Duration;

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::support::{Encoder, Ingest, Ingests, Player, beside, fetch, segments};
use crate::support::service::{until, violations};

async fn is_published(ingests: &Ingests, ingest: &Ingest) -> bool {
    let inputs = ingests.vendors().state().live_inputs;
    let input = inputs.into_iter().find(|input| input.uid == ingest.id);
    !input.unwrap().encoders.is_empty()
}

async fn until_published(ingests: &Ingests, ingest: &Ingest) {
    until("published", async || is_published(ingests, ingest).await).await;
}

#[rstest]
#[tokio::test]
async fn what_an_encoder_sends_is_played_and_its_playlist_advances(
    #[values("cloudflare", "mux", "ivs")] platform: &'static str,
) {
    let ingests = Ingests::start();
    let ingest = ingests.create(platform).await;
    let player = Player::of(&ingest.manifest);
    assert!(!player.is_playable().await, "before an encoder has come");
    let encoder = Encoder::push(&ingest.publish_url);
    player.waits().await;
    let mut newest = player.newest().await;
    for _ in 0..2 {
        let before = newest;
        until("a newer segment", async || player.newest().await > before).await;
        newest = player.newest().await;
    }
    let playlist = player.playlist().await;
    assert!(player.fetches_all_of(&playlist).await >= 4, "{playlist}");
    assert_eq!(player.streams(), ["aac", "h264,640,360"]);
    drop(encoder);
    until("disconnected", async || {
        !is_published(&ingests, &ingest).await
    })
    .await;
}

/// Over RTMP without TLS, too.
#[tokio::test]
async fn a_low_latency_player_waits_for_the_part_that_comes_next() {
    let ingests = Ingests::start();
    let ingest = ingests.create_with("cloudflare", true).await;
    let url = ingests.vendors().plain_rtmp_url(&ingest.publish_url);
    let _encoder = Encoder::push(&url.unwrap());
    let player = Player::low_latency(&ingest.manifest);
    player.waits().await;
    let media = player.media().await;
    let playlist = player.playlist().await;
    assert!(player.fetches_all_of(&playlist).await >= 4, "{playlist}");
    let (_, hint) = playlist.rsplit_once("URI=\"seg_").unwrap();
    let (next, _) = hint.split_once(".m4s\"").unwrap();
    let (segment, part) = next.split_once('.').unwrap();
    let reload = format!("{media}&_HLS_msn={segment}&_HLS_part={part}");
    let (status, answer) = fetch(&reload).await;
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, 200);
    let awaited = format!("URI=\"seg_{segment}.{part}.m4s\"");
    let has_it = |line: &str| line.starts_with("#EXT-X-PART:") && line.contains(&awaited);
    assert!(answer.lines().any(has_it), "{awaited}: {answer}");
    let hinted = answer.lines().find(|line| line.contains("PRELOAD-HINT"));
    let hinted = hinted.unwrap().split('"').nth(1).unwrap();
    let (status, content) = fetch(&beside(&media, hinted)).await;
    assert_eq!((status, content.is_empty()), (200, false), "{hinted}");

    let normal = json!({"preferLowLatency": false});
    ingests
        .cloudflare(Method::PUT, &format!("/{}", ingest.id), normal)
        .await;
    let playlist = Player::low_latency(&ingest.manifest).playlist().await;
    assert!(!playlist.contains("#EXT-X-PART"), "{playlist}");
}

#[rstest]
#[case::cloudflare("cloudflare", [false, false, false, true])]
#[case::mux("mux", [false, false, true, true])]
#[case::ivs("ivs", [false, false, false, false])]
#[tokio::test]
async fn low_latency_hls_is_where_the_platform_has_it(
    #[case] platform: &'static str,
    #[case] expected: [bool; 4],
) {
    let ingests = Ingests::start();
    let mut found = Vec::new();
    for has_low_latency in [false, true] {
        let ingest = ingests.create_with(platform, has_low_latency).await;
        let _encoder = Encoder::push(&ingest.publish_url);
        let player = Player::of(&ingest.manifest);
        player.waits().await;
        for player in [player, Player::low_latency(&ingest.manifest)] {
            found.push(player.playlist().await.contains("#EXT-X-PART:"));
        }
    }
    assert_eq!(found, expected);
}

#[rstest]
#[tokio::test]
async fn a_wrong_key_and_a_disabled_ingest_are_refused(
    #[values("cloudflare", "mux", "ivs")] platform: &'static str,
) {
    let ingests = Ingests::start();
    let ingest = ingests.create(platform).await;
    let (app, key) = ingest.publish_url.rsplit_once('/').unwrap();
    for wrong in [format!("{app}/x{key}"), format!("{app}x/{key}")] {
        let said = Encoder::push(&wrong).fails().await;
        assert!(!said.is_empty());
    }
    ingests.disable(&ingest).await;
    Encoder::push(&ingest.publish_url).fails().await;
    assert!(!is_published(&ingests, &ingest).await);
    assert_eq!(ingests.vendors().state().ingest.accepted, 0);
}

#[rstest]
#[case::cloudflare("cloudflare", true)]
#[case::mux("mux", false)]
#[case::ivs("ivs", false)]
#[tokio::test]
async fn a_second_encoder_is_accepted_or_refused_as_the_platform_does(
    #[case] platform: &'static str,
    #[case] is_accepted: bool,
) {
    let ingests = Ingests::start();
    let ingest = ingests.create(platform).await;
    let mut first = Encoder::push(&ingest.publish_url);
    until_published(&ingests, &ingest).await;
    let mut second = Encoder::push(&ingest.publish_url);
    until("noticed", async || {
        !violations(ingests.vendors()).is_empty()
    })
    .await;
    assert_eq!(violations(ingests.vendors()), ["double_publish"]);
    match is_accepted {
        true => {
            let player = Player::of(&ingest.manifest);
            player.waits().await;
            assert!(second.is_running());
            let playlist = player.playlist().await;
            assert!(
                !playlist.contains("DISCONTINUITY\n"),
                "the first is shown: {playlist}"
            );
            drop(first);
            until("the second", async || {
                player.playlist().await.contains("#EXT-X-DISCONTINUITY\n")
            })
            .await;
        }
        false => {
            second.fails().await;
            assert!(first.is_running());
        }
    }
}

#[rstest]
#[case::cloudflare_disable("cloudflare", "disable")]
#[case::cloudflare_rotate("cloudflare", "rotate")]
#[case::cloudflare_delete("cloudflare", "delete")]
#[case::mux_disable("mux", "disable")]
#[case::ivs_stop("ivs", "disable")]
#[tokio::test]
async fn an_encoder_is_disconnected_when_the_platform_does_so(
    #[case] platform: &'static str,
    #[case] by: &str,
) {
    let ingests = Ingests::start();
    let ingest = ingests.create(platform).await;
    let encoder = Encoder::push(&ingest.publish_url);
    Player::of(&ingest.manifest).waits().await;
    let id = &ingest.id;
    match by {
        "rotate" => {
            let path = format!("/{id}/rotate_keys");
            ingests.cloudflare(Method::POST, &path, Value::Null).await;
        }
        "delete" => {
            let path = format!("/{id}");
            ingests.cloudflare(Method::DELETE, &path, json!({})).await;
        }
        _ => ingests.disable(&ingest).await,
    }
    encoder.fails().await;
    if by == "rotate" {
        Encoder::push(&ingest.publish_url).fails().await;
    }
}

#[tokio::test]
async fn another_encoder_continues_after_a_discontinuity() {
    let ingests = Ingests::start();
    let ingest = ingests.create("cloudflare").await;
    let player = Player::of(&ingest.manifest);
    let first = Encoder::push(&ingest.publish_url);
    player.waits().await;
    drop(first);
    until("disconnected", async || {
        !is_published(&ingests, &ingest).await
    })
    .await;
    let before = player.playlist().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(player.playlist().await, before, "the manifest stays");
    let _second = Encoder::push(&ingest.publish_url);
    until("continued", async || {
        player.playlist().await.contains("init_2.mp4")
    })
    .await;
    let playlist = player.playlist().await;
    let lines: Vec<_> = playlist.lines().collect();
    let at = lines
        .iter()
        .position(|line| *line == "#EXT-X-DISCONTINUITY");
    assert_eq!(
        lines[at.unwrap() + 1],
        "#EXT-X-MAP:URI=\"init_2.mp4\"",
        "{playlist}"
    );
    assert!(segments(&playlist).len() >= 2);
    player.fetches_all_of(&playlist).await;
    assert_eq!(player.streams(), ["aac", "h264,640,360"]);
}
