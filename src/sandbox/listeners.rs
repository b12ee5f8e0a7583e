//! Where the hosts listen.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use strum::{EnumIter, IntoEnumIterator as _};

use super::options::Options;

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub(super) enum Listener {
    Cloudflare,
    Customer,
    Agora,
    AgoraFallback,
    Mux,
    MuxPlayback,
    Ivs,
    IvsPlayback,
    S3,
    Control,
}

impl Listener {
    fn port(self, options: &Options) -> u16 {
        match self {
            Self::Cloudflare => options.cloudflare_port,
            Self::Customer => options.customer_port,
            Self::Agora => options.agora_port,
            Self::Mux => options.mux_port,
            Self::MuxPlayback => options.mux_playback_port,
            Self::AgoraFallback | Self::Ivs | Self::IvsPlayback | Self::S3 | Self::Control => 0,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Addresses(Vec<(Listener, u16)>);

impl Addresses {
    pub(super) fn bind(options: &Options) -> io::Result<(Self, Vec<TcpListener>)> {
        let (mut ports, mut sockets) = (Vec::new(), Vec::new());
        for listener in Listener::iter() {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, listener.port(options)))?;
            ports.push((listener, socket.local_addr()?.port()));
            sockets.push(socket);
        }
        Ok((Self(ports), sockets))
    }

    pub(super) fn url(&self, listener: Listener) -> String {
        let mut ports = self.0.iter();
        let found = ports.find(|(other, _)| *other == listener);
        format!("http://127.0.0.1:{}", found.map_or(0, |(_, port)| *port))
    }

    pub(super) fn at(&self, port: u16) -> Option<Listener> {
        let found = self.0.iter().find(|(_, other)| *other == port);
        found.map(|(listener, _)| *listener)
    }
}
