//! A port that forwards to another one, or refuses connections.

use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub struct Gate {
    port: u16,
    passage: Arc<Passage>,
    porter: Option<JoinHandle<()>>,
}

struct Passage {
    target: AtomicU16,
    shut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Gate {
    pub fn to(url: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut gate = Self {
            port: listener.local_addr().unwrap().port(),
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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        self.admit(listener);
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
