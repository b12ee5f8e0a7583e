//! A reverse proxy that records every exchange.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle};
use serde_json::Value;

const MAX_BODY: usize = 4 * 1024 * 1024;
/// Hop-by-hop headers.
const HOP: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    /// Percent-encoded.
    pub path: String,
    pub query: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub request: Bytes,
    pub status: u16,
    pub answer: Bytes,
}

impl Exchange {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn sent(&self) -> Option<Value> {
        json(&self.request)
    }

    pub fn answered(&self) -> Option<Value> {
        json(&self.answer)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|(key, _)| key == name);
    header.map(|(_, value)| value.as_str())
}

fn json(body: &Bytes) -> Option<Value> {
    (!body.is_empty()).then(|| serde_json::from_slice(body).expect("JSON"))
}

/// Stops when dropped.
pub struct Tap {
    url: String,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    server: ServerHandle,
}

struct Wire {
    target: String,
    http: reqwest::Client,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Tap {
    /// `target`: a URL without a path.
    pub fn on(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let exchanges = Arc::default();
        let wire = Data::new(Wire {
            target: target.to_owned(),
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            exchanges: Arc::clone(&exchanges),
        });
        let (started, handle) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(wire.clone())
                        .app_data(web::PayloadConfig::new(MAX_BODY))
                        .default_service(web::to(pass))
                })
                .workers(1)
                .disable_signals()
                .listen(listener)
                .expect("it listens")
                .run();
                started.send(server.handle()).expect("the test waits");
                server.await.expect("it runs");
            });
        });
        Self {
            url,
            exchanges,
            server: handle.recv().expect("it runs"),
        }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().expect("no panic").clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn pass(request: HttpRequest, body: Bytes, wire: Data<Wire>) -> HttpResponse {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
        .collect();
    let url = format!("{}{}", wire.target, request.uri());
    let method = request.method().as_str().parse().expect("a method");
    let mut onward = wire.http.request(method, url).body(body.clone());
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !HOP.contains(&name.as_str()))
    {
        onward = onward.header(name, value);
    }
    let Ok(answer) = onward.send().await else {
        return HttpResponse::BadGateway().finish();
    };
    let status = answer.status().as_u16();
    let answer_headers: Vec<(String, String)> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
        .collect();
    let Ok(answer) = answer.bytes().await else {
        return HttpResponse::BadGateway().finish();
    };
    let mut back = HttpResponse::build(status.try_into().expect("a status"));
    for (name, value) in answer_headers
        .iter()
        .filter(|(name, _)| !HOP.contains(&name.as_str()))
    {
        back.append_header((name.as_str(), value.as_str()));
    }
    wire.exchanges.lock().expect("no panic").push(Exchange {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.query_string().to_owned(),
        headers,
        request: body,
        status,
        answer: answer.clone(),
    });
    back.body(answer)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
