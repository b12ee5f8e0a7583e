use relaykeeper::config::AgoraBackend;
use serde_json::{Value, json};

use super::accessibility::{AXE, axe};
use super::browser::Browser;
use crate::support::service::Stage;

/// `all(document)`: every element, including those below shadow roots, where the explorer draws. `shown`: their text.
const BEGIN: &str = "const all = (root) => [...root.querySelectorAll('*')] \
      .flatMap((one) => one.shadowRoot ? [one, ...all(one.shadowRoot)] : [one]); \
    const shown = all(document).map((one) => one.shadowRoot?.textContent ?? '').join(' ');";
const START: &str = "/docs#?route=post-/v1/channels/-channel_id-/start";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and axe-core: ./scripts/test runs it"]
async fn the_documentation_shows_operations_schemas_and_examples_and_asks_no_other_host() {
    let stage = Stage::new(AgoraBackend::CloudRecording).await;
    let document = format!("{}/openapi.json", stage.service.url);
    let document: Value = reqwest::get(document).await.unwrap().json().await.unwrap();
    let browser = Browser::open(&stage.service).await;
    browser.go("/docs").await;
    let shows = async |text: &str| {
        let found = format!(
            "(() => {{ {BEGIN} return shown.includes({}) }})()",
            json!(text)
        );
        browser.wait(&found).await;
    };
    shows("Put a channel on air").await;
    let shown = browser.run(&format!("{BEGIN} return shown")).await;
    let shown = shown.as_str().unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            let summary = operation["summary"].as_str().unwrap();
            assert!(shown.contains(summary), "{path}: {summary}");
        }
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in schemas.keys() {
        assert!(shown.contains(name.as_str()), "{name}");
    }

    for (width, height) in [(1280, 900), (390, 844)] {
        browser.size(width, height).await;
        browser.go("/docs").await;
        shows("Put a channel on air").await;
        browser.go(START).await;
        shows("Idempotency-Key").await;
        browser
            .run(&format!("if (!window.axe) {{ {} }}", axe()))
            .await;
        assert_eq!(browser.run_async(AXE).await, json!([]), "{width} wide");
        browser.screenshot(&format!("docs-{width}"), false).await;
    }
    let example = "all(document).filter((one) => one.localName === 'button' && one.textContent.trim().toLowerCase() === 'example') \
        .forEach((one) => one.click())";
    browser.run(&format!("{BEGIN} {example}")).await;
    shows("play.example.com").await;

    let elsewhere = "return performance.getEntriesByType('resource').map((one) => one.name) \
        .filter((name) => !name.startsWith(location.origin + '/'))";
    assert_eq!(browser.run(elsewhere).await, json!([]));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
