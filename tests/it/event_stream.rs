//! `GET /v1/events`.
#![cfg(feature = "sandbox")]

use std::time::{Duration, Instant};

use crate::support::listener::{Event, Listener};
use crate::support::messages;
use crate::support::service::{Answer, Service, Stage, settings, show};
use chrono::Utc;
use futures_util::future::join_all;
use relaykeeper::config::AgoraBackend;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

async fn stage() -> Stage {
    Stage::new(AgoraBackend::CloudRecording).await
}

async fn listen(service: &Service, query: &str) -> Listener {
    let path = format!("/v1/events{query}");
    let answer = service.request(Method::GET, &path).send().await.unwrap();
    Listener::of(answer)
}

async fn come_back(service: &Service, query: &str, last_event_id: i64) -> Listener {
    let path = format!("/v1/events{query}");
    let request = service.request(Method::GET, &path);
    let request = request.header("Last-Event-ID", last_event_id);
    Listener::of(request.send().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_a_relays_whole_life_in_its_order() {
    let stage = stage().await;
    let service = &stage.service;
    let mut listener = listen(service, "").await;
    listener.stands().await;
    let relay = service.go_live(42, &show("show68")).await;
    service.come_down(42).await;
    let mut events = Vec::new();
    while events
        .last()
        .is_none_or(|last: &Event| last.kind != "relay.ended")
    {
        events.push(listener.next().await.unwrap());
    }
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "relay.starting",
            "relay.live",
            "relay.stopped",
            "recording.ready",
            "relay.ended"
        ]
    );
    let stored = stage
        .database
        .raw()
        .await
        .texts("SELECT body FROM outbox ORDER BY id")
        .await;
    for (place, (event, stored)) in events.iter().zip(stored).enumerate() {
        let body = event.body();
        assert_eq!(event.id, i64::try_from(place).unwrap() + 1);
        assert_eq!(body["data"]["sequence"], event.id);
        assert_eq!(body["type"], event.kind.as_str());
        assert_eq!(body["data"]["relay"]["id"], relay["id"]);
        assert_eq!(
            Some(&event.data),
            stored.as_ref(),
            "what the webhook carries"
        );
    }
    let ended = events[4].body();
    assert!(ended["data"]["relay"]["cost"]["cost_micros"].is_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_resumes_after_its_last_event_and_the_header_wins() {
    let stage = stage().await;
    let store = stage.database.open().await;
    messages::write(&store, 1, 450, Utc::now()).await;
    let ids = |events: Vec<Event>| -> Vec<i64> { events.iter().map(|event| event.id).collect() };
    let service = &stage.service;
    let mut from_the_first = listen(service, "?last_event_id=0").await;
    assert_eq!(
        ids(from_the_first.take(450).await),
        (1..=450).collect::<Vec<_>>()
    );
    let mut later = come_back(service, "?last_event_id=3", 447).await;
    assert_eq!(ids(later.take(3).await), [448, 449, 450]);
    // Without an id the stream begins now, and tells the id.
    let mut now = listen(service, "").await;
    now.stands().await;
    assert_eq!(now.last_event_id, Some(450));
    messages::write(&store, 2, 2, Utc::now()).await;
    for listener in [&mut from_the_first, &mut later, &mut now] {
        assert_eq!(ids(listener.take(2).await), [451, 452]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_reconnect_under_load_miss_nothing_and_receive_nothing_twice() {
    let stage = stage().await;
    let store = stage.database.open().await;
    let writing = tokio::spawn(async move {
        for channel in 0..40 {
            messages::write(&store, channel, 25, Utc::now()).await;
        }
    });
    let listening = (0..8_usize).map(|number| {
        let service = &stage.service;
        async move {
            let (mut last, mut received) = (0, Vec::new());
            while received.len() < 1000 {
                let mut listener = come_back(service, "", last).await;
                for _ in 0..(37 + number * 50) {
                    if received.len() == 1000 {
                        break;
                    }
                    let event = listener.next().await.unwrap();
                    last = event.id;
                    received.push(event.id);
                }
            }
            received
        }
    });
    for received in join_all(listening).await {
        assert_eq!(received, (1..=1000).collect::<Vec<_>>());
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_to_one_channel_hears_of_no_other_old_or_new() {
    let stage = stage().await;
    let store = stage.database.open().await;
    for channel in [7, 8, 7] {
        messages::write(&store, channel, 2, Utc::now()).await;
    }
    let mut listener = listen(&stage.service, "?channel_id=7&last_event_id=0").await;
    let old = listener.take(4).await;
    for channel in [8, 7] {
        messages::write(&store, channel, 1, Utc::now()).await;
    }
    let new = listener.take(1).await;
    let ids: Vec<i64> = old.iter().chain(&new).map(|event| event.id).collect();
    assert_eq!(ids, [1, 2, 5, 6, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn resuming_before_the_oldest_kept_event_reports_the_gap_and_continues_with_the_oldest() {
    let stage = stage().await;
    let store = stage.database.open().await;
    messages::write(&store, 1, 10, Utc::now()).await;
    stage
        .database
        .raw()
        .await
        .execute("DELETE FROM outbox WHERE id <= 6")
        .await;
    let service = &stage.service;
    // Event 6 is no longer kept, but all later ones are.
    let mut whole = come_back(service, "", 6).await;
    assert_eq!(whole.next().await.unwrap().id, 7);
    let mut late = come_back(service, "", 5).await;
    let missed = late.next().await.unwrap();
    assert_eq!((missed.id, missed.kind.as_str()), (6, "events.missed"));
    assert_eq!(missed.body()["data"]["last_event_id"], 5);
    assert_eq!(missed.body()["data"]["continues_after"], 6);
    assert_eq!(late.next().await.unwrap().id, 7);
    // An id that this database has not assigned.
    let mut stranger = come_back(service, "", 11).await;
    let missed = stranger.next().await.unwrap();
    assert_eq!((missed.id, missed.kind.as_str()), (10, "events.missed"));
    messages::write(&store, 2, 1, Utc::now()).await;
    assert_eq!(stranger.next().await.unwrap().id, 11);
    stage
        .database
        .raw()
        .await
        .execute("DELETE FROM outbox")
        .await;
    let missed = come_back(service, "", 9).await.next().await.unwrap();
    assert_eq!((missed.id, missed.kind.as_str()), (11, "events.missed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_needs_a_token_and_a_valid_event_id() {
    let stage = stage().await;
    let service = &stage.service;
    let url = format!("{}/v1/events", service.url);
    let answer = Answer::to(reqwest::Client::new().get(&url)).await;
    answer.is_problem(401, "unauthorized");
    for query in [
        "last_event_id=x",
        "last_event_id=-1",
        "channel_id=0",
        "channel=1",
    ] {
        let request = service.request(Method::GET, &format!("/v1/events?{query}"));
        Answer::to(request).await.is_problem(400, "invalid-request");
    }
    let head = Answer::to(service.request(Method::HEAD, "/v1/events")).await;
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, "text/event-stream")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_does_not_read_is_disconnected_and_delays_no_other() {
    let stage = stage().await;
    let store = stage.database.open().await;
    let address = stage
        .service
        .url
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(128 * 1024).unwrap();
    let mut slow = socket.connect(address).await.unwrap();
    let token = crate::support::service::API_TOKEN;
    let request =
        format!("GET /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut good = listen(&stage.service, "").await;
    good.stands().await;
    // After this event both listeners have caught up.
    messages::write(&store, 1, 1, Utc::now()).await;
    good.take(1).await;
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("id: 1\nevent") {
        assert!(slow.read_buf(&mut got).await.unwrap() > 0);
    }
    // More than the connection's buffers and the allowed lag hold.
    const EVENTS: i64 = 12_000;
    for channel in 2..(2 + EVENTS / 2000) {
        messages::write(&store, channel, 2000, Utc::now()).await;
        assert_eq!(good.take(2000).await.len(), 2000);
    }
    // Buffered events arrive, then the stream ends.
    let reading = slow.read_to_end(&mut got);
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("the end")
        .unwrap();
    let got = String::from_utf8_lossy(&got);
    assert!(got.contains("id: 2\nevent"), "it received more");
    let last = format!("id: {}\nevent", EVENTS + 1);
    assert!(!got.contains(&last), "it was let go");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_listeners_hear_everything_and_a_relay_is_as_fast_as_without_them() {
    let stage = stage().await;
    let service = &stage.service;
    let alone = lives(service, 1..=3).await;
    let mut listeners = Vec::new();
    for _ in 0..10 {
        listeners.extend(join_all((0..100).map(|_| listen(service, ""))).await);
    }
    join_all(listeners.iter_mut().map(Listener::stands)).await;
    let begun = Instant::now();
    let with_listeners = lives(service, 4..=6).await;
    let from = listeners
        .iter()
        .filter_map(|listener| listener.last_event_id)
        .max()
        .unwrap();
    let until = stage.count("SELECT max(id) FROM outbox").await;
    let received = join_all(listeners.iter_mut().map(async |listener| {
        let mut received = Vec::new();
        while received.last().is_none_or(|last: &Event| last.id < until) {
            received.push(listener.next().await.unwrap());
        }
        received.retain(|event| event.id > from);
        received
    }))
    .await;
    println!(
        "slowest of three starts: alone {alone:?}, with 1,000 listeners {with_listeners:?}; {} events at each after {:?}",
        until - from,
        begun.elapsed()
    );
    let all: Vec<i64> = received[0].iter().map(|event| event.id).collect();
    assert_eq!(all, (from + 1..=until).collect::<Vec<_>>());
    assert!(received.iter().all(|events| *events == received[0]));
    assert!(
        with_listeners < alone + Duration::from_secs(2),
        "alone {alone:?}, with listeners {with_listeners:?}"
    );
}

async fn lives(service: &Service, channels: std::ops::RangeInclusive<i64>) -> Duration {
    let mut slowest = Duration::ZERO;
    for channel in channels {
        let begun = Instant::now();
        let (status, _) = service.start_channel(channel, &show("show")).await;
        assert_eq!(status, 201);
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_service_goes_down() {
    let Stage {
        vendors,
        service,
        database,
    } = stage().await;
    let mut listener = listen(&service, "").await;
    listener.stands().await;
    let down = tokio::task::spawn_blocking(move || service.shut_down());
    assert_eq!(listener.next().await, None);
    down.await.unwrap();
    drop((vendors, database));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_for_the_database_serves_the_stream_too() {
    let stage = stage().await;
    let settings = settings(
        &stage.vendors,
        AgoraBackend::CloudRecording,
        &stage.database.url,
    );
    let waiting = Service::start_unready(settings);
    let mut listener = listen(&waiting, "").await;
    listener.stands().await;
    stage.service.start_channel(42, &show("show68")).await;
    assert_eq!(listener.next().await.unwrap().kind, "relay.starting");
    let ready = waiting
        .request(Method::GET, "/readyz")
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503, "it waits");
}
