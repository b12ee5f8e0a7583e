//! The marketplace's webhook receiver; tests set its answers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::Value;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Message {
    pub headers: HeaderMap,
    /// `webhook-id`
    pub id: String,
    pub body: String,
    pub at: Instant,
    pub answered: u16,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn sequence(&self) -> i64 {
        let sequence = self.json()["data"]["sequence"].as_i64();
        sequence.expect("a sequence")
    }

    pub fn channel(&self) -> i64 {
        let channel = self.json()["data"]["relay"]["channel_id"].as_i64();
        channel.expect("a channel")
    }
}

type Answers = Box<dyn FnMut(&Message) -> (u16, Duration) + Send>;

struct Inner {
    answers: Answers,
    messages: Vec<Message>,
}

pub struct Marketplace {
    server: MockServer,
    inner: Arc<Mutex<Inner>>,
}

impl Marketplace {
    /// A receiver that accepts everything.
    pub async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            answers: Box::new(|_| (200, Duration::ZERO)),
            messages: Vec::new(),
        }));
        let server = MockServer::start().await;
        let heard = inner.clone();
        Mock::given(any())
            .respond_with(move |request: &Request| answer(&heard, request))
            .mount(&server)
            .await;
        Self { server, inner }
    }

    pub fn url(&self) -> String {
        format!("{}/relaykeeper", self.server.uri())
    }

    pub fn answers(&self, answers: impl FnMut(&Message) -> (u16, Duration) + Send + 'static) {
        self.inner.lock().expect("no panic").answers = Box::new(answers);
    }

    pub fn answers_with(&self, status: u16) {
        self.answers(move |_| (status, Duration::ZERO));
    }

    pub fn messages(&self) -> Vec<Message> {
        self.inner.lock().expect("no panic").messages.clone()
    }

    pub fn taken(&self, channel: i64) -> Vec<Message> {
        let mut messages = self.messages();
        messages.retain(|message| message.answered == 200 && message.channel() == channel);
        messages
    }

    pub async fn when(&self, what: &str, wanted: impl Fn(&[Message]) -> bool) -> Vec<Message> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let messages = self.messages();
            if wanted(&messages) {
                return messages;
            }
            assert!(Instant::now() < deadline, "never {what}: {messages:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn answer(inner: &Mutex<Inner>, request: &Request) -> ResponseTemplate {
    let header = request.headers.get("webhook-id").expect("an id");
    let mut message = Message {
        headers: request.headers.clone(),
        id: header.to_str().expect("text").to_owned(),
        body: String::from_utf8(request.body.clone()).expect("text"),
        at: Instant::now(),
        answered: 0,
    };
    let mut inner = inner.lock().expect("no panic");
    let (status, delay) = (inner.answers)(&message);
    message.answered = status;
    inner.messages.push(message);
    let answer = ResponseTemplate::new(status).set_delay(delay);
    if (300..400).contains(&status) {
        return answer.insert_header("location", "/elsewhere");
    }
    answer.set_body_string("heard")
}
