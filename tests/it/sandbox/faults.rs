//! Faults, as text, as values and over HTTP.

use std::time::Duration;

use relaykeeper::sandbox::{FaultKind, VendorCall, VendorFault};
use reqwest::Method;
use serde_json::json;
use strum::IntoEnumIterator;

use super::support::*;

#[tokio::test]
async fn every_kind_of_fault_does_what_it_says() {
    let sandbox = Sandbox::start(fast());
    let create = || {
        sandbox
            .cloudflare(Method::POST, "/live_inputs")
            .json(&json!({}))
            .send()
    };
    let made = || sandbox.vendors.state().live_inputs.len();
    let fault = |kind| {
        sandbox
            .vendors
            .fault(VendorFault::once(VendorCall::LiveInputCreate, kind))
    };

    fault(FaultKind::Status(503, Some(7)));
    let answer = create().await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["retry-after"].to_str().unwrap(),
            made()
        ),
        (503, "7", 0)
    );
    fault(FaultKind::Refuse);
    assert!(create().await.is_err());
    assert_eq!(made(), 0);
    fault(FaultKind::CutAfter);
    assert!(create().await.is_err());
    assert_eq!(made(), 1);
    fault(FaultKind::NotJson);
    let answer = create().await.unwrap();
    assert!(answer.status() == 200 && answer.text().await.unwrap().starts_with("<!doctype"));
    assert_eq!(made(), 2);
    for status in [200, 401, 403] {
        fault(FaultKind::Page(status));
        let answer = create().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["content-type"], "text/html");
        assert_eq!(made(), 2, "nothing is done");
    }
    fault(FaultKind::Code(403, 10005));
    let answer = create().await.unwrap();
    assert_eq!((answer.status().as_u16(), made()), (403, 2));
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["errors"][0]["code"], 10005);
    assert_eq!(
        body["messages"][0]["message"],
        "Cloudflare Stream not enabled"
    );
    fault(FaultKind::StatusAfter(500));
    assert_eq!(
        (create().await.unwrap().status().as_u16(), made()),
        (500, 3)
    );
    fault(FaultKind::Hang);
    let hung = sandbox
        .cloudflare(Method::POST, "/live_inputs")
        .timeout(Duration::from_millis(200))
        .send()
        .await;
    assert!(hung.unwrap_err().is_timeout());
    assert_eq!(made(), 3);
    fault(FaultKind::NotFoundFor(Duration::from_secs(5)));
    assert_eq!(create().await.unwrap().status().as_u16(), 404);
    until("found again", || async {
        create().await.unwrap().status() == 200
    })
    .await;
    let statuses: Vec<Option<u16>> = sandbox
        .vendors
        .state()
        .calls
        .iter()
        .map(|call| call.status)
        .collect();
    assert_eq!(
        statuses[..10],
        [
            Some(503),
            None,
            None,
            Some(200),
            Some(200),
            Some(401),
            Some(403),
            Some(403),
            Some(500),
            Some(404)
        ]
    );
}

#[test]
fn a_fault_is_written_as_text_for_every_call() {
    for call in VendorCall::iter() {
        assert_eq!(
            format!("{call}=503").parse(),
            Ok(VendorFault::once(call, FaultKind::Status(503, None)))
        );
    }
    let fault: VendorFault = "agora.cloud_recording.query=not-found-for:90s,times=forever,after=2"
        .parse()
        .unwrap();
    assert_eq!(
        fault,
        VendorFault {
            call: VendorCall::Query,
            kind: FaultKind::NotFoundFor(Duration::from_secs(90)),
            times: None,
            after: 2
        }
    );
    for (text, kind) in [
        ("page", FaultKind::Page(200)),
        ("page:403", FaultKind::Page(403)),
        ("code:400:65", FaultKind::Code(400, 65)),
    ] {
        assert_eq!(
            format!("agora.cloud_recording.stop={text}").parse(),
            Ok(VendorFault::once(VendorCall::Stop, kind))
        );
    }
    assert_eq!(
        "customer.lifecycle=429,retry-after=3".parse(),
        Ok(VendorFault::once(
            VendorCall::Lifecycle,
            FaultKind::Status(429, Some(3))
        ))
    );
    for (text, part) in [
        (
            "x=503",
            "`x` is not a call; known are cloudflare.live_inputs.create",
        ),
        ("customer.views=melt", "`melt` is not a kind"),
        ("customer.views", "CALL=KIND"),
        ("customer.views=hang,times=x", "is not a whole number"),
        ("customer.views=page:99", "is not an HTTP status"),
        ("customer.views=code:400", "is not a whole number"),
    ] {
        let error = text.parse::<VendorFault>().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn everything_can_be_controlled_over_http() {
    let sandbox = Sandbox::start(fast());
    let control = |method: Method, path: &str| {
        sandbox.http.request(
            method,
            format!("{}/control/{path}", sandbox.vendors.control_url()),
        )
    };
    assert_eq!(
        send(
            control(Method::POST, "faults")
                .json(&json!({"fault": "cloudflare.live_inputs.list=500,times=forever"}))
        )
        .await
        .0,
        200
    );
    assert_eq!(
        send(sandbox.cloudflare(Method::GET, "/live_inputs"))
            .await
            .0,
        500
    );
    assert_eq!(send(control(Method::DELETE, "faults")).await.0, 200);
    assert_eq!(
        send(sandbox.cloudflare(Method::GET, "/live_inputs"))
            .await
            .0,
        200
    );
    assert_eq!(
        send(
            control(Method::POST, "sellers")
                .json(&json!({"channel": "c", "uid": 9, "present": true}))
        )
        .await
        .0,
        200
    );
    assert_eq!(
        send(control(Method::PUT, "quotas").json(&json!({"max_converters": 0})))
            .await
            .0,
        200
    );
    assert_eq!(sandbox.create_converter("n", "rtmps://x/y").await.0, 429);
    assert_eq!(
        send(control(Method::POST, "egresses/none/kill")).await.0,
        400
    );
    let (status, state) = send(control(Method::GET, "state")).await;
    assert_eq!(
        (
            status,
            &state["calls"][0]["call"],
            &state["calls"][0]["status"]
        ),
        (200, &json!("cloudflare.live_inputs.list"), &json!(500))
    );
}
