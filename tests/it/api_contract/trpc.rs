//! `/trpc` as a stock client uses it.

use reqwest::Response;
use serde_json::{Value, json};

use super::seed;
use super::service::{Service, header, service};

const URL: &str = "streaming.getPlaybackUrl";
const STATUS: &str = "streaming.getStreamStatus";
const HEALTH: &str = "streaming.healthCheck";

async fn ask(service: &Service, calls: &str, input: Option<Value>, batch: bool) -> Response {
    let mut query = Vec::new();
    if batch {
        query.push(("batch", "1".to_owned()));
    }
    query.extend(input.map(|input| ("input", input.to_string())));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    let request = service.request("GET", &format!("/trpc/{calls}?{query}"));
    request.send().await.unwrap()
}

async fn one(service: &Service, call: &str, input: Option<Value>) -> (u16, Value) {
    body(ask(service, call, input, false).await).await
}

async fn batch(service: &Service, calls: &str, input: Value) -> (u16, Value) {
    body(ask(service, calls, Some(input), true).await).await
}

async fn body(answer: Response) -> (u16, Value) {
    assert_eq!(header(&answer, "content-type"), "application/json");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn error(code: i32, name: &str, status: u16, path: &str) -> Value {
    json!({"code": code, "data": {"code": name, "httpStatus": status, "path": path}})
}

fn plain(envelope: &Value) -> Value {
    let error = &envelope["error"];
    assert!(error["message"].is_string(), "{envelope}");
    json!({"code": error["code"], "data": error["data"]})
}

#[tokio::test]
async fn a_channel_that_was_never_seen_has_no_url_and_an_empty_status() {
    let service = service().await;
    let input = json!({"channelId": 42});
    let (status, answer) = one(&service, URL, Some(input.clone())).await;
    assert_eq!(
        (status, plain(&answer)),
        (404, error(-32004, "NOT_FOUND", 404, URL))
    );
    let nothing =
        json!({"isLive": false, "hlsUrl": null, "durationSeconds": 0, "recordingAvailable": false});
    assert_eq!(
        one(&service, STATUS, Some(input)).await,
        (200, json!({"result": {"data": nothing}}))
    );
}

#[tokio::test]
async fn a_channel_reads_as_in_v1() {
    let service = service().await;
    seed::two_relays(&service.store).await;
    let input = Some(json!({"channelId": 42}));
    let (_, url) = one(&service, URL, input.clone()).await;
    assert_eq!(
        url["result"]["data"],
        json!({"hlsUrl": "https://host/late.m3u8"})
    );
    seed::next_is_live(&service.store).await;
    let (_, url) = one(&service, URL, input.clone()).await;
    assert_eq!(
        url["result"]["data"],
        json!({"hlsUrl": "https://host/input.m3u8"})
    );
    let (_, status) = one(&service, STATUS, input).await;
    let status = &status["result"]["data"];
    assert_eq!(
        (&status["isLive"], &status["recordingAvailable"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(status["hlsUrl"], "https://host/input.m3u8");
    assert!(status["durationSeconds"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn health_takes_no_input() {
    let service = service().await;
    let well = (200, json!({"result": {"data": {"healthy": true}}}));
    assert_eq!(one(&service, HEALTH, None).await, well);
    assert_eq!(one(&service, HEALTH, Some(json!({"a": 1}))).await, well);
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_with_207_if_a_part_fails() {
    let service = service().await;
    let calls = format!("{STATUS},{HEALTH}");
    let (status, answers) = batch(&service, &calls, json!({"0": {"channelId": 1}})).await;
    assert_eq!(
        (status, answers[1].clone()),
        (200, json!({"result": {"data": {"healthy": true}}}))
    );
    assert_eq!(answers[0]["result"]["data"]["isLive"], false);
    let calls = format!("{HEALTH},{URL},nothing,{STATUS}");
    let inputs = json!({"1": {"channelId": 42}, "3": {"channelId": "42"}});
    let (status, answers) = batch(&service, &calls, inputs).await;
    assert_eq!(status, 207);
    assert_eq!(answers[0]["result"]["data"]["healthy"], true);
    assert_eq!(plain(&answers[1]), error(-32004, "NOT_FOUND", 404, URL));
    assert_eq!(
        plain(&answers[2]),
        error(-32004, "NOT_FOUND", 404, "nothing")
    );
    assert_eq!(
        plain(&answers[3]),
        error(-32600, "BAD_REQUEST", 400, STATUS)
    );
    let (status, answers) = batch(&service, URL, json!({"0": {"channelId": 42}})).await;
    assert_eq!((status, answers.as_array().unwrap().len()), (404, 1));
}

#[tokio::test]
async fn an_invalid_query_is_refused_in_trpcs_envelope() {
    let service = service().await;
    for (call, input, expected) in [
        (
            "streaming.nothing",
            None,
            error(-32004, "NOT_FOUND", 404, "streaming.nothing"),
        ),
        ("a/b", None, error(-32004, "NOT_FOUND", 404, "a/b")),
        (STATUS, None, error(-32600, "BAD_REQUEST", 400, STATUS)),
        (
            STATUS,
            Some(json!({})),
            error(-32600, "BAD_REQUEST", 400, STATUS),
        ),
        (
            URL,
            Some(json!({"channelId": 0})),
            error(-32600, "BAD_REQUEST", 400, URL),
        ),
    ] {
        let status = expected["data"]["httpStatus"].as_u64().unwrap();
        let (answered, answer) = one(&service, call, input).await;
        assert_eq!((u64::from(answered), plain(&answer)), (status, expected));
    }
    let broken = service.request("GET", &format!("/trpc/{URL}?input=%7B"));
    assert_eq!(body(broken.send().await.unwrap()).await.0, 400);
}

#[tokio::test]
async fn a_query_by_another_method_is_refused_with_the_allowed_ones() {
    let service = service().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = service
            .request(method, &format!("/trpc/{HEALTH}"))
            .send()
            .await
            .unwrap();
        assert_eq!(header(&answer, "allow"), "GET, HEAD");
        let (status, answer) = body(answer).await;
        let expected = error(-32005, "METHOD_NOT_SUPPORTED", 405, HEALTH);
        assert_eq!((status, plain(&answer)), (405, expected), "{method}");
    }
}

#[tokio::test]
async fn an_unauthenticated_call_is_refused_in_trpcs_envelope() {
    let service = service().await;
    for token in [None, Some("wrong")] {
        let mut request = service.anonymous("GET", &format!("/trpc/{HEALTH}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert!(header(&answer, "www-authenticate").starts_with("Bearer"));
        let (status, answer) = body(answer).await;
        assert_eq!(
            (status, plain(&answer)),
            (401, error(-32001, "UNAUTHORIZED", 401, HEALTH))
        );
    }
    let path = format!("/trpc/{HEALTH},{HEALTH}?batch=1");
    let (status, answer) = body(service.anonymous("GET", &path).send().await.unwrap()).await;
    assert_eq!((status, answer.as_array().unwrap().len()), (401, 2));
    // A client that expects JSON lines reads an error as a single object.
    let lines = service
        .anonymous("GET", &path)
        .header("trpc-accept", "application/jsonl");
    let (status, answer) = body(lines.send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!(-32001)));
}

#[tokio::test]
async fn json_lines_carry_each_answer_of_a_batch() {
    let service = service().await;
    let lines = |path: String| {
        let request = service.request("GET", &path);
        request.header("trpc-accept", "application/jsonl")
    };
    let answer = lines(format!("/trpc/{HEALTH},nothing?batch=1"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-type"), "application/json");
    let text = answer.text().await.unwrap();
    let mut lines_of: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines_of.remove(0),
        json!({"0": [[0], [null, 0, 0]], "1": [[0], [null, 0, 1]]})
    );
    lines_of.sort_by_key(|line| line[0].as_u64());
    assert_eq!(
        lines_of[0],
        json!([0, 0, [[{"result": {"data": {"healthy": true}}}]]])
    );
    assert_eq!(
        plain(&lines_of[1][2][0][0]),
        error(-32004, "NOT_FOUND", 404, "nothing")
    );
    let (status, answer) = body(lines(format!("/trpc/{HEALTH}")).send().await.unwrap()).await;
    assert_eq!(
        (status, &answer["error"]["data"]["code"]),
        (400, &json!("BAD_REQUEST"))
    );
}
