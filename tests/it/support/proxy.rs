//! A TCP proxy that a test can cut, as a network failure does: connections stay open but transfer nothing.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    port: u16,
    passes: Arc<watch::Sender<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn to(target: (&str, u16)) -> Self {
        Self::with(target, false).await
    }

    /// For PostgreSQL: drops the notifications of NOTIFY.
    pub async fn deaf_to(target: (&str, u16)) -> Self {
        Self::with(target, true).await
    }

    async fn with(target: (&str, u16), deaf: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let passes = Arc::new(watch::Sender::new(true));
        let target = format!("{}:{}", target.0, target.1);
        let gate = passes.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                client.set_nodelay(true).expect("a socket");
                server.set_nodelay(true).expect("a socket");
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, gate.subscribe()));
                if deaf {
                    tokio::spawn(pass_but_notices(from_server, to_client));
                } else {
                    tokio::spawn(pass(from_server, to_client, gate.subscribe()));
                }
            }
        });
        Self { port, passes, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn cut(&self) {
        self.passes.send_replace(false);
    }

    /// Also forwards what waited.
    pub fn mend(&self) {
        self.passes.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        if gate.wait_for(|passes| *passes).await.is_err() {
            return;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// A message of PostgreSQL is a type byte (`A`: a notification), a length and a body; the answer to the TLS request is one byte.
async fn pass_but_notices(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut first = true;
    loop {
        let Ok(kind) = from.read_u8().await else {
            return;
        };
        if std::mem::take(&mut first) && kind == b'N' && to.write_u8(kind).await.is_ok() {
            continue;
        }
        let Ok(length) = from.read_u32().await else {
            return;
        };
        let mut body = vec![0; usize::try_from(length).unwrap_or(0).saturating_sub(4)];
        if from.read_exact(&mut body).await.is_err() {
            return;
        }
        if kind == b'A' {
            continue;
        }
        let mut message = vec![kind];
        message.extend(length.to_be_bytes());
        message.extend(body);
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}
