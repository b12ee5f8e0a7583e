//! A port that forwards to another one, or refuses connections.

use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

pub struct Gate {
    port: u16,
    /// Bound without listening: refuses, and keeps the port from other programs.
    closed: Option<Socket>,
    passage: Arc<Passage>,
    porter: Option<JoinHandle<()>>,
}

struct Passage {
    target: AtomicU16,
    shut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// A second socket can have the port as well.
fn bound(port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.bind(&address.into()).unwrap();
    socket
}

fn listening(socket: Socket) -> TcpListener {
    socket.listen(128).unwrap();
    socket.into()
}

impl Gate {
    pub fn to(url: &str) -> Self {
        let listener = listening(bound(0));
        let mut gate = Self {
            port: listener.local_addr().unwrap().port(),
            closed: None,
            passage: Arc::new(Passage {
                target: AtomicU16::new(0),
                shut: AtomicBool::new(false),
                open: Mutex::default(),
            }),
            porter: None,
        };
        gate.lead_to(url);
        gate.admit(listener);
        gate
    }

    /// This URL with the gate's port.
    pub fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.as_str().trim_end_matches('/').to_owned()
    }

    pub fn lead_to(&self, url: &str) {
        let port = url::Url::parse(url).unwrap().port().unwrap();
        self.passage.target.store(port, Ordering::Release);
    }

    /// Refuses new connections and breaks open ones.
    pub fn shut(&mut self) {
        self.closed = Some(bound(self.port));
        self.passage.shut.store(true, Ordering::Release);
        if let Some(porter) = self.porter.take() {
            porter.join().unwrap();
        }
        for stream in self.passage.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn reopen(&mut self) {
        self.passage.shut.store(false, Ordering::Release);
        let closed = self.closed.take().expect("a gate that is shut");
        self.admit(listening(closed));
    }

    fn admit(&mut self, listener: TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let passage = self.passage.clone();
        self.porter = Some(std::thread::spawn(move || {
            while !passage.shut.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((stream, _)) => passage.lead(stream),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        }));
    }
}

impl Passage {
    fn lead(&self, from: TcpStream) {
        from.set_nonblocking(false).unwrap();
        let target = (Ipv4Addr::LOCALHOST, self.target.load(Ordering::Acquire));
        let Ok(to) = TcpStream::connect(target) else {
            return;
        };
        for (mut from, mut to) in [
            (from.try_clone().unwrap(), to.try_clone().unwrap()),
            (to.try_clone().unwrap(), from.try_clone().unwrap()),
        ] {
            std::thread::spawn(move || {
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
        self.open.lock().unwrap().extend([from, to]);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}
