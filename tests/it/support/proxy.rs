//! A TCP proxy that a test can cut, as a network failure does: connections stay open but transfer nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    port: u16,
    passes: Arc<watch::Sender<bool>>,
    executed: Executed,
    task: tokio::task::JoinHandle<()>,
}

/// The SQL of each execution.
type Executed = Arc<Mutex<Vec<String>>>;

enum Kind {
    Plain,
    Deaf,
    Counting,
}

impl Proxy {
    pub async fn to(target: (&str, u16)) -> Self {
        Self::with(target, Kind::Plain).await
    }

    /// For PostgreSQL: drops the notifications of NOTIFY.
    pub async fn deaf_to(target: (&str, u16)) -> Self {
        Self::with(target, Kind::Deaf).await
    }

    /// For PostgreSQL: counts executions of statements.
    pub async fn counting_to(target: (&str, u16)) -> Self {
        Self::with(target, Kind::Counting).await
    }

    async fn with(target: (&str, u16), kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let passes = Arc::new(watch::Sender::new(true));
        let target = format!("{}:{}", target.0, target.1);
        let gate = passes.clone();
        let executed = Executed::default();
        let counter = executed.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                client.set_nodelay(true).expect("a socket");
                server.set_nodelay(true).expect("a socket");
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                if let Kind::Counting = kind {
                    tokio::spawn(pass_and_count(from_client, to_server, counter.clone()));
                } else {
                    tokio::spawn(pass(from_client, to_server, gate.subscribe()));
                }
                if let Kind::Deaf = kind {
                    tokio::spawn(pass_but_notices(from_server, to_client));
                } else {
                    tokio::spawn(pass(from_server, to_client, gate.subscribe()));
                }
            }
        });
        Self {
            port,
            passes,
            executed,
            task,
        }
    }

    /// How often statements with this text were executed.
    pub fn executions(&self, text: &str) -> usize {
        let executed = self.executed.lock().expect("no panic");
        executed.iter().filter(|sql| sql.contains(text)).count()
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
        let Some(body) = body(&mut from).await else {
            return;
        };
        if kind != b'A' && write(&mut to, Some(kind), &body).await.is_err() {
            return;
        }
    }
}

/// `P` prepares a statement under a name, and `B` executes it. The first messages, up to the one with the protocol's version,
/// have no type byte.
async fn pass_and_count(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, executed: Executed) {
    const VERSION: [u8; 4] = [0, 3, 0, 0];
    let mut started = false;
    let mut prepared = HashMap::new();
    loop {
        let kind = match started {
            true => match from.read_u8().await {
                Ok(kind) => Some(kind),
                Err(_) => return,
            },
            false => None,
        };
        let Some(body) = body(&mut from).await else {
            return;
        };
        started |= body.starts_with(&VERSION);
        let mut texts = body.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let texts = texts.next().zip(texts.next());
        match (kind, texts) {
            (Some(b'P'), Some((name, sql))) => {
                prepared.insert(name.into_owned(), sql.into_owned());
            }
            (Some(b'B'), Some((_portal, name))) => {
                let sql = prepared.get(name.as_ref()).cloned();
                executed.lock().expect("no panic").extend(sql);
            }
            _ => {}
        }
        if write(&mut to, kind, &body).await.is_err() {
            return;
        }
    }
}

async fn body(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).ok()?.saturating_sub(4)];
    from.read_exact(&mut body).await.ok()?;
    Some(body)
}

async fn write(to: &mut OwnedWriteHalf, kind: Option<u8>, body: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(body.len() + 4).expect("a message");
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend(length.to_be_bytes());
    message.extend(body);
    to.write_all(&message).await
}
