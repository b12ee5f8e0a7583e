//! Stands in for `download.agora.io`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Answers each request with one file, over TLS with a certificate of its own.
pub(super) struct Cdn {
    pub(super) port: u16,
    file: Arc<Mutex<Vec<u8>>>,
}

impl Cdn {
    pub(super) fn serving(file: Vec<u8>) -> Self {
        let named = vec!["download.agora.io".to_owned()];
        let fresh = rcgen::generate_simple_self_signed(named).unwrap();
        let key = PrivateKeyDer::Pkcs8(fresh.signing_key.serialize_der().into());
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![fresh.cert.der().clone()], key);
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let file = Arc::new(Mutex::new(file));
        let served = file.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, served) = (config.clone(), served.clone());
                // A browser opens connections that it does not use.
                std::thread::spawn(move || answer(stream, config, &served));
            }
        });
        Self { port, file }
    }

    pub(super) fn serve(&self, file: Vec<u8>) {
        *self.file.lock().unwrap() = file;
    }
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>, file: &Mutex<Vec<u8>>) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
    }
    let file = file.lock().unwrap().clone();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/javascript\r\naccess-control-allow-origin: *\r\n\
         cache-control: no-store\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        file.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&file).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}
