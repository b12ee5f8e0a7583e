//! A marketplace's server: the buyers' page of `examples/marketplace/watch`, fed by the service's event stream. The browser gets no token.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

const PAGE: &str = include_str!("../../examples/marketplace/watch/index.html");
const SCRIPT: &str = include_str!("../../examples/marketplace/watch/watch.js");
const STYLE: &str = include_str!("../../examples/marketplace/watch/watch.css");
const PLAYER: &str = include_str!("../../examples/marketplace/watch/hls.light.min.js");
/// The simulated platforms are at other ports; hls.js plays from blobs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' http://127.0.0.1:*; \
    media-src blob: http://127.0.0.1:*; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEARTBEAT: Duration = Duration::from_secs(15);
const RECONNECT: Duration = Duration::from_millis(500);

/// What the page is told of a channel's newest relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Show {
    #[serde(skip)]
    relay: String,
    title: Option<String>,
    phase: Option<String>,
    hls_url: Option<String>,
    recording_url: Option<String>,
}

/// A message of the event stream, as far as the page needs it.
#[derive(Deserialize)]
struct Message {
    data: MessageData,
}

#[derive(Deserialize)]
struct MessageData {
    relay: MessageRelay,
}

#[derive(Deserialize)]
struct MessageRelay {
    id: String,
    channel_id: i64,
    channel_name: String,
    platform: String,
    latency: String,
    phase: String,
    hls_playback_url: Option<String>,
    recording_url: Option<String>,
}

#[derive(Default)]
struct Shows(Mutex<HashMap<i64, watch::Sender<Show>>>);

impl Shows {
    fn of(&self, channel: i64) -> watch::Receiver<Show> {
        self.0.lock().entry(channel).or_default().subscribe()
    }

    /// A relay's messages come in order; an earlier relay's may come after a later one has started.
    fn take(&self, message: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Message>(message) else {
            return;
        };
        let relay = message.data.relay;
        // `ll_hls_url` of the channel's playback.
        let low_latency = match (relay.platform.as_str(), relay.latency.as_str()) {
            ("cloudflare", "low") => "?protocol=llhls",
            _ => "",
        };
        let show = Show {
            relay: relay.id,
            title: Some(relay.channel_name),
            phase: Some(relay.phase),
            hls_url: relay.hls_playback_url.map(|url| url + low_latency),
            recording_url: relay.recording_url,
        };
        let mut shows = self.0.lock();
        let known = shows.entry(relay.channel_id).or_default();
        // Ids are in the order of time.
        known.send_if_modified(|known| {
            let newer = show.relay >= known.relay;
            if newer {
                *known = show;
            }
            newer
        });
    }
}

/// The running server; dropping it stops it.
#[derive(Debug)]
pub struct Marketplace {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Marketplace {
    /// Serves on loopback, in a thread of its own, what the service tells at `/v1/events`.
    ///
    /// # Errors
    /// No port, or no thread.
    pub fn start(service: &str, api_token: SecretString) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let events = Events {
            // Each read has a limit; the whole stream has none.
            http: reqwest::Client::builder()
                .no_proxy()
                .read_timeout(2 * HEARTBEAT)
                .build()
                .map_err(io::Error::other)?,
            url: format!("{service}/v1/events?last_event_id="),
            token: api_token,
        };
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("marketplace".to_owned())
            .spawn(move || run(listener, &events, stopped, &ready))?;
        started.recv().map_err(io::Error::other)??;
        Ok(Self {
            url,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where buyers watch a channel.
    #[must_use]
    pub fn watch_url(&self, channel: i64) -> String {
        format!("{}/watch/{channel}", self.url)
    }
}

impl Drop for Marketplace {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    listener: TcpListener,
    events: &Events,
    stopped: oneshot::Receiver<()>,
    ready: &mpsc::Sender<io::Result<()>>,
) {
    actix_web::rt::System::new().block_on(async {
        let shows = Arc::new(Shows::default());
        let data = Data::from(Arc::clone(&shows));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route(
                    "/watch/watch.js",
                    web::get().to(async || file("text/javascript", SCRIPT)),
                )
                .route(
                    "/watch/watch.css",
                    web::get().to(async || file("text/css", STYLE)),
                )
                .route(
                    "/watch/hls.light.min.js",
                    web::get().to(async || file("text/javascript", PLAYER)),
                )
                .route(
                    "/watch/{channel:\\d+}",
                    web::get().to(async || file("text/html", PAGE)),
                )
                .route("/watch/{channel:\\d+}/state", web::get().to(state))
        })
        .workers(1)
        .disable_signals()
        .listen(listener);
        let server = match server {
            Ok(server) => server.run(),
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let handle = server.handle();
        let server = actix_web::rt::spawn(server);
        let _ = ready.send(Ok(()));
        tokio::select! {
            _ = stopped => {}
            () = events.follow(&shows) => {}
        }
        handle.stop(false).await;
        let _ = server.await;
    });
}

fn file(kind: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(format!("{kind}; charset=utf-8"))
        .insert_header(("Content-Security-Policy", POLICY))
        .insert_header(("Cache-Control", "no-store"))
        .body(text)
}

/// The show now, and after each change.
async fn state(channel: web::Path<i64>, shows: Data<Shows>) -> HttpResponse {
    let mut show = shows.of(*channel);
    show.mark_changed();
    let events = futures_util::stream::unfold(show, async |mut show| {
        let event = tokio::select! {
            changed = show.changed() => {
                changed.ok()?;
                let show = serde_json::to_string(&*show.borrow_and_update()).ok()?;
                format!("data: {show}\n\n")
            }
            () = tokio::time::sleep(HEARTBEAT) => ":\n\n".to_owned(),
        };
        Some((Ok::<_, Infallible>(Bytes::from(event)), show))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("Cache-Control", "no-store"))
        .streaming(events)
}

/// The service's event stream (docs/events.md).
struct Events {
    http: reqwest::Client,
    /// Without the id of the last event.
    url: String,
    token: SecretString,
}

impl Events {
    /// Never returns.
    async fn follow(&self, shows: &Shows) {
        let mut last = "0".to_owned();
        loop {
            let request = self.http.get(format!("{}{last}", self.url));
            let request = request.bearer_auth(self.token.expose_secret());
            let answer = request.send().await;
            if let Some(mut answer) = answer.ok().filter(|answer| answer.status().is_success()) {
                let mut text = Vec::new();
                while let Ok(Some(piece)) = answer.chunk().await {
                    text.extend_from_slice(&piece);
                    while let Some(end) = text.windows(2).position(|end| end == b"\n\n") {
                        let event: Vec<u8> = text.drain(..end + 2).collect();
                        for line in event.split(|byte| *byte == b'\n') {
                            if let Some(id) = line.strip_prefix(b"id: ") {
                                last = String::from_utf8_lossy(id).into_owned();
                            }
                            if let Some(message) = line.strip_prefix(b"data: ") {
                                shows.take(message);
                            }
                        }
                    }
                }
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_player_is_the_published_one() {
        let about = include_str!("../../examples/marketplace/watch/README.md");
        let digest = hex::encode(Sha256::digest(PLAYER));
        assert!(about.contains(&digest), "{digest}");
    }

    #[test]
    fn a_late_message_of_an_earlier_relay_does_not_hide_the_newest_one() {
        let shows = Shows::default();
        let tell = |id: &str, phase: &str| {
            let relay = json!({"id": id, "channel_id": 42, "channel_name": "show68", "platform": "cloudflare", "latency": "low",
                "phase": phase});
            shows.take(json!({"data": {"relay": relay}}).to_string().as_bytes());
        };
        let phase = || shows.of(42).borrow().phase.clone().unwrap();
        tell("01a", "live");
        tell("01b", "provisioning");
        tell("01a", "ended");
        assert_eq!(phase(), "provisioning");
        tell("01b", "live");
        assert_eq!(phase(), "live");
    }
}
