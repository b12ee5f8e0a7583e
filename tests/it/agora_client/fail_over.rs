//! Which calls are retried at the next domain.

use super::*;

#[tokio::test]
async fn a_read_moves_to_the_next_domain_which_is_then_called_first() {
    let primary = hangs_up().await;
    let fallback = always(404, json!({ "reason": "not found" })).await;
    let agora = build(&settings(&primary, &[fallback.uri()]));
    for count in 1..=2 {
        assert_eq!(
            query_egress(&agora).await.unwrap(),
            RecordingQueryAnswer::NotFound { failed_over: true },
            "a 404 of another domain can be printed"
        );
        assert_eq!(calls(&fallback).await, count);
    }
}

/// A gateway may echo the request.
#[tokio::test]
async fn an_echoed_authorization_is_redacted() {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(|request: &wiremock::Request| {
            let sent = request.headers["authorization"].to_str().unwrap();
            ResponseTemplate::new(400)
                .set_body_json(json!({ "reason": format!("Authorization: {sent}; {sent}") }))
        })
        .mount(&server)
        .await;
    let agora = agora(&server);
    let error = query_egress(&agora).await.unwrap_err();
    let sent = &server.received_requests().await.unwrap()[0];
    let sent = sent.headers["authorization"].to_str().unwrap();
    let credential = sent.strip_prefix("Basic ").unwrap();
    let core = credential.trim_end_matches('=');
    let printed = format!("{error} {error:?} {:?}", agora.last_error());
    assert!(
        printed.contains("Authorization: Basic [redacted]"),
        "{printed}"
    );
    assert!(!printed.contains(core), "{printed}");
}

#[tokio::test]
async fn a_read_is_tried_twice_at_the_first_domain() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let primary = hangs_up_counting(Arc::clone(&attempts)).await;
    let fallback = always(
        404,
        json!({ "code": 404, "reason": "failed to find worker" }),
    )
    .await;
    query_egress(&build(&settings(&primary, &[fallback.uri()])))
        .await
        .unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    assert_eq!(calls(&fallback).await, 1);
}

#[tokio::test]
async fn a_start_that_surely_did_not_arrive_goes_to_the_next_domain() {
    let fallback = always(200, json!({ "sid": "s" })).await;
    let agora = build(&settings(&unused_address().await, &[fallback.uri()]));
    let answer = start_egress(&agora).await.unwrap();
    assert_eq!(answer, RecordingStartAnswer::Started { sid: "s".into() });
    assert_eq!(calls(&fallback).await, 1);
}

#[tokio::test]
async fn calls_that_may_have_arrived_and_must_not_happen_twice_are_left_to_the_caller() {
    let fallback = always(200, json!({ "sid": "s", "converter": { "id": "c" } })).await;
    let agora = || async { build(&settings(&hangs_up().await, &[fallback.uri()])) };
    let started = start_egress(&agora().await).await;
    let updated = agora()
        .await
        .cloud_recording()
        .update(permit(), &task(), &rtmp_url())
        .await;
    let created = create_converter(&agora().await).await;
    for error in [
        started.unwrap_err(),
        updated.unwrap_err(),
        created.unwrap_err(),
    ] {
        assert_eq!(
            class_of(&error),
            (Class::Unavailable, Done::Unknown),
            "{error}"
        );
    }
    assert_eq!(calls(&fallback).await, 0);
}

#[tokio::test]
async fn a_start_that_is_repeated_after_a_lost_answer_goes_to_the_next_domain() {
    let fallback = always(201, json!({ "code": 7 })).await;
    let agora = build(&settings(&hangs_up().await, &[fallback.uri()]));
    let recording = agora.cloud_recording();
    recording
        .start(permit(), &start_request())
        .await
        .unwrap_err();
    assert_eq!(
        recording.start(permit(), &start_request()).await.unwrap(),
        RecordingStartAnswer::AlreadyStarted { sid: None }
    );
}

#[tokio::test]
async fn a_stop_and_a_delete_are_repeated_at_the_next_domain_and_their_404_says_so() {
    let fallback = always(404, json!({ "reason": "gone" })).await;
    let agora = build(&settings(&hangs_up().await, &[fallback.uri()]));
    assert_eq!(
        stop_egress(&agora).await.unwrap(),
        RecordingStopAnswer::NotFound { failed_over: true }
    );
    assert_eq!(
        agora
            .media_push()
            .delete(permit(), "na", "id")
            .await
            .unwrap(),
        DeleteAnswer::NotFound { failed_over: true }
    );
}

#[tokio::test]
async fn a_503_is_an_answer_and_no_other_domain_is_called() {
    let primary = always(503, json!({ "message": "busy" })).await;
    let fallback = always(
        404,
        json!({ "code": 404, "reason": "failed to find worker" }),
    )
    .await;
    let agora = build(&settings(&primary.uri(), &[fallback.uri()]));
    let error = query_egress(&agora).await.unwrap_err();
    assert_eq!(class_of(&error), (Class::Unavailable, Done::No));
    assert_eq!((calls(&primary).await, calls(&fallback).await), (1, 0));
}

#[tokio::test]
async fn when_no_domain_answers_the_outcome_is_as_sure_as_the_least_sure_attempt() {
    let refused = build(&settings(
        &unused_address().await,
        &[unused_address().await],
    ));
    let error = start_egress(&refused).await.unwrap_err();
    assert_eq!(class_of(&error), (Class::Unavailable, Done::No));

    let cut_then_refused = build(&settings(&hangs_up().await, &[unused_address().await]));
    let error = stop_egress(&cut_then_refused).await.unwrap_err();
    assert_eq!(class_of(&error), (Class::Unavailable, Done::Unknown));
}

#[tokio::test]
async fn a_start_that_is_not_answered_times_out_with_an_unknown_outcome() {
    let server = answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vendors = config::VendorsSettings {
        write_timeout: Duration::from_millis(50),
        ..vendors()
    };
    let settings = settings(&server.uri(), &[]);
    let agora = Agora::new(&settings, &vendors, &Lease::for_good()).unwrap();
    let error = start_egress(&agora).await.unwrap_err();
    assert_eq!(class_of(&error), (Class::Timeout, Done::Unknown));
}

#[test]
fn an_invalid_base_url_is_refused_at_once() {
    let error = Agora::new(
        &settings("api.agora.io", &[]),
        &vendors(),
        &Lease::for_good(),
    )
    .unwrap_err();
    assert!(matches!(error, AgoraSetupError::BaseUrl(_)));
}
