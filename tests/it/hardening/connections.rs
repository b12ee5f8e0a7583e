use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{stage, write_certificate};
use crate::support::database::TestDatabase;
use crate::support::service::{API_TOKEN, Answer, Service, options, settings};

const ARRIVES_WITHIN: Duration = Duration::from_millis(500);
/// The timeout, actix's second of lingering, and a busy machine's delays.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

fn connect(service: &str) -> TcpStream {
    let address = service.split("://").nth(1).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(CLOSED_WITHIN)).unwrap();
    stream
}

fn read_to_end(stream: &mut impl Read) -> std::io::Result<String> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A reset closes the connection too, and TLS may end without `close_notify`.
        Err(error)
            if !matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            Err(error)
        }
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Sends only a head, and returns the response once the connection is closed.
fn without_its_body(stream: &mut (impl Read + Write), head: &str) -> String {
    stream.write_all(head.as_bytes()).unwrap();
    stream.flush().unwrap();
    read_to_end(stream).unwrap_or_else(|error| panic!("never closed: {head}: {error}"))
}

/// Heads that announce a body.
fn heads() -> Vec<String> {
    let token = format!("authorization: Bearer {API_TOKEN}\r\n");
    let mut heads = Vec::new();
    for (method, path, token) in [
        ("GET", "/livez", ""),
        ("HEAD", "/livez", ""),
        ("OPTIONS", "/livez", ""),
        ("PUT", "/livez", ""),
        ("GET", "/nowhere", ""),
        ("GET", "/v1/relays", ""),
        ("GET", "/v1/relays", token.as_str()),
        ("POST", "/v1/channels/42/start", ""),
        ("POST", "/v1/channels/42/start", token.as_str()),
        ("POST", "/webhooks/agora", ""),
        ("BREW", "/openapi.json", ""),
    ] {
        for announced in [
            "transfer-encoding: chunked",
            "content-length: 100",
            "content-length: 100000000",
        ] {
            heads.push(format!(
                "{method} {path} HTTP/1.1\r\nhost: here\r\n{token}{announced}\r\n\r\n"
            ));
        }
    }
    heads
}

fn assert_closed_in_time(open: impl Fn() -> Box<dyn ReadWrite> + Sync) {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for head in heads() {
            let open = &open;
            scope.spawn(move || {
                let answer = without_its_body(&mut open(), &head);
                let lower = answer.to_ascii_lowercase();
                assert!(lower.starts_with("http/1.1 "), "{head}\n{answer}");
                assert!(
                    lower.contains("\r\nconnection: close\r\n"),
                    "{head}\n{answer}"
                );
            });
        }
    });
    assert!(began.elapsed() < CLOSED_WITHIN, "{:?}", began.elapsed());
}

trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

#[tokio::test]
async fn a_connection_whose_body_never_comes_is_answered_and_closed_whatever_the_method_and_the_answer()
 {
    let stage = stage(|settings| settings.server.request_timeout = ARRIVES_WITHIN).await;
    assert_closed_in_time(|| Box::new(connect(&stage.service.url)));
}

#[tokio::test]
async fn over_tls_a_connection_is_closed_in_time_even_if_it_never_begins() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let vendors = SimulatedVendors::start(options()).unwrap();
    let database = TestDatabase::sqlite();
    let mut settings = settings(&vendors, AgoraBackend::CloudRecording, &database.url);
    settings.server.shutdown_grace = Duration::from_millis(200);
    // Enough for a TLS handshake on a busy machine.
    settings.server.request_timeout = Duration::from_secs(2);
    settings.server.tls_certificate = folder.path().join("chain.pem");
    settings.server.tls_key = folder.path().join("key.pem");
    let service = Service::start_unready(settings);

    let root = CertificateDer::from_pem_file(folder.path().join("chain.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let mut client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = Arc::new(client);
    let mut silent = connect(&service.url);
    assert_closed_in_time(|| {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(client.clone(), name).unwrap();
        Box::new(StreamOwned::new(session, connect(&service.url)))
    });
    read_to_end(&mut silent).expect("who never begins is hung up on");
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn the_head_of_a_later_request_must_come_in_time_as_the_first_one_must() {
    let stage = stage(|settings| settings.server.request_timeout = ARRIVES_WITHIN).await;
    for begun in ["GET /livez HTT", "\r\n", "GET /livez HTTP/1.1\r\nx-slow: "] {
        let mut stream = connect(&stage.service.url);
        stream
            .write_all(b"HEAD /livez HTTP/1.1\r\nhost: here\r\n\r\n")
            .unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
        stream.write_all(begun.as_bytes()).unwrap();
        let rest = read_to_end(&mut stream).expect("it is hung up on");
        assert_eq!(rest, "", "{begun:?}");
    }
}

#[tokio::test]
async fn a_body_that_comes_with_its_request_keeps_the_connection_even_if_unread() {
    let stage = stage(|_| {}).await;
    let mut stream = connect(&stage.service.url);
    for request in [
        "HEAD /livez HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n{}",
        "HEAD /livez HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "HEAD /v1/relays HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n{}",
        "HEAD /nowhere HTTP/1.1\r\nhost: here\r\n\r\n",
    ] {
        stream.write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut stream).to_ascii_lowercase();
        assert!(!head.contains("connection: close"), "{request}\n{head}");
    }
}

#[tokio::test]
async fn an_idle_connection_of_the_same_address_gives_way_to_a_new_one() {
    let stage = stage(|settings| settings.server.connections_per_address = 5).await;
    let mut idle: Vec<TcpStream> = (0..20).map(|_| connect(&stage.service.url)).collect();
    // On a new connection: the readiness check's is closed too.
    let read = reqwest::Client::new().get(format!("{}/v1/relays", stage.service.url));
    let read = Answer::to(read.bearer_auth(API_TOKEN)).await;
    assert_eq!(read.status, 200);
    let mut closed = 0;
    for stream in idle.iter_mut().take(10) {
        // Well below the 10 s in which a first request must come.
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        closed += usize::from(read_to_end(stream).is_ok());
    }
    assert_eq!(closed, 10, "the first ones give way");
    let last = idle.last().unwrap();
    last.shutdown(Shutdown::Both).unwrap();
}

#[tokio::test]
async fn a_request_without_a_token_is_refused_before_its_body_is_read() {
    let stage = stage(|_| {}).await;
    for path in ["/v1/channels/42/start", "/admin/sweep"] {
        let mut stream = connect(&stage.service.url);
        let head = format!("POST {path} HTTP/1.1\r\nhost: here\r\ncontent-length: 60000\r\n\r\n{{");
        stream.write_all(head.as_bytes()).unwrap();
        // Well below the 10 s in which the body must come.
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 401"), "{path}");
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_closes_the_connection_long_before_its_time() {
    let stage = stage(|_| {}).await;
    let padded = |size: usize, token: &str| {
        let pad = "x".repeat(size);
        format!("HEAD /v1/relays HTTP/1.1\r\nhost: here\r\n{token}x-pad: {pad}")
    };
    let token = format!("authorization: Bearer {API_TOKEN}\r\n");
    let open = || {
        let stream = connect(&stage.service.url);
        let patience = Some(Duration::from_secs(5));
        stream.set_read_timeout(patience).unwrap();
        stream
    };
    let mut stranger = open();
    // It may be closed before everything is written.
    let _ = stranger.write_all(padded(60_000, "").as_bytes());
    let rest = read_to_end(&mut stranger).expect("it is closed");
    assert_eq!(rest, "");
    let mut caller = open();
    for size in [20_000, 60_000, 30_000, 60_000] {
        let request = padded(size, &token) + "\r\n\r\n";
        caller.write_all(request.as_bytes()).unwrap();
        assert!(read_head(&mut caller).starts_with("HTTP/1.1 200"), "{size}");
    }
}
