//! A client of the event stream.

use std::time::Duration;

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: i64,
    pub kind: String,
    pub data: String,
}

impl Event {
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON")
    }
}

pub struct Listener {
    answer: reqwest::Response,
    buffer: String,
    /// The last `id`, with an event or alone: a browser's `Last-Event-ID`.
    pub last_event_id: Option<i64>,
}

impl Listener {
    #[track_caller]
    pub fn of(answer: reqwest::Response) -> Self {
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            answer,
            buffer: String::new(),
            last_event_id: None,
        }
    }

    /// `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.buffer = rest;
                if let Some(event) = self.read(&frame) {
                    return Some(event);
                }
                continue;
            }
            let piece = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let piece = piece.expect("an event, or the end").ok().flatten()?;
            self.buffer
                .push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }

    pub async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.expect("another event"));
        }
        events
    }

    /// Waits for the first `id`: from then on no event is missed.
    pub async fn stands(&mut self) {
        while self.last_event_id.is_none() {
            let piece = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let piece = piece
                .expect("an opening")
                .expect("a stream")
                .expect("not its end");
            self.buffer
                .push_str(std::str::from_utf8(&piece).expect("text"));
            while let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.buffer = rest;
                assert!(self.read(&frame).is_none(), "an event before its time");
            }
        }
    }

    fn read(&mut self, frame: &str) -> Option<Event> {
        let field = |name: &str| {
            let line = frame.lines().find(|line| line.starts_with(name))?;
            Some(line[name.len()..].to_owned())
        };
        if let Some(id) = field("id: ") {
            self.last_event_id = Some(id.parse().expect("a number"));
        }
        Some(Event {
            kind: field("event: ")?,
            data: field("data: ").expect("an event has data"),
            id: self.last_event_id.expect("an event has an id"),
        })
    }
}
