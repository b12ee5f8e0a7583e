//! Secrets are not printed; the last success and failure are recorded.

use super::*;

#[tokio::test]
async fn no_secret_is_printed_or_quoted_in_an_error() {
    let echo = format!(
        "bad: rtmps://live.cloudflare.com:443/live/{KEY} ({KEY}) keys access-k3y storage-s3cret of customer-s3cret, \
         page https://r.example/recorder?channel=show&sig=51gnature"
    );
    for status in [400, 401, 500] {
        let server = always(status, json!({ "code": 2, "reason": echo })).await;
        let agora = agora(&server);
        let (start, new) = (start_request(), converter());
        let started = agora.cloud_recording().start(permit(), &start).await;
        let created = agora.media_push().create(permit(), &new).await;
        for error in [started.unwrap_err(), created.unwrap_err()] {
            assert!(error.message.contains("live.cloudflare.com:443/[redacted]"));
            let shown = format!("{error} {error:?} {agora:?} {start:?} {new:?}");
            for secret in [
                KEY,
                "access-k3y",
                "storage-s3cret",
                "customer-s3cret",
                "51gnature",
            ] {
                assert!(!shown.contains(secret), "{secret} in {shown}");
            }
        }
    }
}

#[tokio::test]
async fn the_last_success_error_and_refusal_are_kept_for_health() {
    let server = MockServer::start().await;
    let agora = agora(&server);
    assert!(agora.last_success().is_none() && agora.last_error().is_none());

    Mock::given(any())
        .respond_with(
            ResponseTemplate::new(401)
                .set_body_json(json!({ "message": "Invalid authentication credentials" })),
        )
        .up_to_n_times(1)
        .mount(&server)
        .await;
    agora.channel().hosts(permit(), "c").await.unwrap_err();
    assert!(agora.last_success().is_none());
    let last = agora.last_error().unwrap();
    assert_eq!(last.error.class, Class::Unauthorized);

    // A proxy's answers prove no credentials.
    for (status, body) in [
        (404, json!({ "error": "blocked" })),
        (200, json!({ "ok": true })),
    ] {
        Mock::given(any())
            .respond_with(ResponseTemplate::new(status).set_body_json(body))
            .up_to_n_times(1)
            .mount(&server)
            .await;
        agora.channel().hosts(permit(), "c").await.unwrap_err();
    }
    assert!(agora.last_success().is_none());
    let refusal = agora.refusal().unwrap();
    assert_eq!(refusal.error.class, Class::Unauthorized);

    // Agora's 404 for one object does.
    Mock::given(any())
        .respond_with(ResponseTemplate::new(404).set_body_json(json!({ "reason": "gone" })))
        .mount(&server)
        .await;
    agora.media_push().get(permit(), "na", "c").await.unwrap();
    assert!(agora.last_success().unwrap() >= last.at);
    assert!(agora.refusal().is_none());
}
