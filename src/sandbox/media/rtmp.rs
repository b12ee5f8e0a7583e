//! Encoders publish by RTMP and RTMPS. The simulated platforms' state decides which are accepted, and when they are dropped. The
//! only file that knows `shiguredo_rtmp`.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use shiguredo_rtmp::{
    AudioFormat, AudioFrame, AvcPacketType, AvcSequenceHeader, RtmpConnectionEvent,
    RtmpConnectionState, RtmpServerConnection, VideoCodec, VideoFrame,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::super::world::World;
use super::segmenter::{Frame, MediaError, Segmenter};

const BUFFER: usize = 64 * 1024;
/// How often a silent socket asks whether it may be read again.
const SILENT_PAUSE: Duration = Duration::from_millis(50);
/// An encoder without a frame for this long shows viewers no moving picture.
const STALLED_AFTER: Duration = Duration::from_secs(4);

/// The sockets where all platforms take feeds.
pub(in crate::sandbox) struct IngestSockets {
    secure: TcpListener,
    plain: TcpListener,
    tls: TlsAcceptor,
}

impl IngestSockets {
    /// On free ports of 127.0.0.1, with a certificate of its own.
    pub(in crate::sandbox) fn bind() -> io::Result<Self> {
        let names = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
            .map_err(io::Error::other)?;
        let bind = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(listener)
        };
        Ok(Self {
            secure: bind()?,
            plain: bind()?,
            tls: TlsAcceptor::from(Arc::new(tls)),
        })
    }

    /// Of RTMPS, and of RTMP.
    pub(in crate::sandbox) fn ports(&self) -> io::Result<(u16, u16)> {
        let port = |listener: &TcpListener| Ok::<_, io::Error>(listener.local_addr()?.port());
        Ok((port(&self.secure)?, port(&self.plain)?))
    }
}

/// Serves encoders until dropped.
pub(in crate::sandbox) async fn serve(world: Arc<World>, ingest: IngestSockets) -> io::Result<()> {
    let (secure_port, plain_port) = ingest.ports()?;
    let secure = tokio::net::TcpListener::from_std(ingest.secure)?;
    let plain = tokio::net::TcpListener::from_std(ingest.plain)?;
    let mut encoders = JoinSet::new();
    loop {
        tokio::select! {
            accepted = secure.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let (world, tls) = (Arc::clone(&world), ingest.tls.clone());
                encoders.spawn_local(async move {
                    match tls.accept(socket).await {
                        Ok(socket) => {
                            let server = format!("rtmps://127.0.0.1:{secure_port}");
                            Encoder::run(world, server, socket).await;
                        }
                        Err(error) => tracing::debug!(%error, "sandbox: RTMPS without TLS"),
                    }
                });
            }
            accepted = plain.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let world = Arc::clone(&world);
                let server = format!("rtmp://127.0.0.1:{plain_port}");
                encoders.spawn_local(Encoder::<TcpStream>::run(world, server, socket));
            }
            _ = encoders.join_next(), if !encoders.is_empty() => {}
        }
    }
}

/// One socket.
struct Encoder<S> {
    world: Arc<World>,
    /// The URL's scheme, host and port.
    server: String,
    socket: S,
    rtmp: RtmpServerConnection,
    segmenter: Segmenter,
    publishing: Option<Publishing>,
}

struct Publishing {
    connection: u64,
    wake: watch::Receiver<u64>,
    heard_at: Instant,
    has_stalled: bool,
}

/// How a wait ends.
enum Heard {
    Bytes(usize),
    /// The encoder has left, or the platform has dropped it.
    End,
    Nothing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Encoder<S> {
    async fn run(world: Arc<World>, server: String, socket: S) {
        let Ok(segmenter) = Segmenter::new() else {
            return;
        };
        let mut encoder = Self {
            world,
            server,
            socket,
            rtmp: RtmpServerConnection::new(),
            segmenter,
            publishing: None,
        };
        if let Err(error) = encoder.talk().await {
            tracing::debug!(%error, "sandbox: the encoder is disconnected");
        }
        encoder.leave();
        let _ = encoder.socket.shutdown().await;
    }

    async fn talk(&mut self) -> Result<(), MediaError> {
        let mut buffer = vec![0; BUFFER];
        loop {
            while let Some(event) = self.rtmp.next_event() {
                self.handle(event)?;
            }
            let is_gone = self.answer().await.is_err();
            if is_gone || self.rtmp.state() == RtmpConnectionState::Disconnecting {
                return Ok(());
            }
            match self.hear(&mut buffer).await {
                Heard::Bytes(count) => {
                    let read = buffer.get(..count).unwrap_or_default();
                    self.rtmp.feed_recv_buf(read).map_err(MediaError::new)?;
                }
                Heard::Nothing => {}
                Heard::End => return Ok(()),
            }
        }
    }

    async fn answer(&mut self) -> io::Result<()> {
        while !self.rtmp.send_buf().is_empty() {
            let sent = self.socket.write(self.rtmp.send_buf()).await?;
            self.rtmp.advance_send_buf(sent);
        }
        self.socket.flush().await
    }

    async fn hear(&mut self, buffer: &mut [u8]) -> Heard {
        let Some(publishing) = &mut self.publishing else {
            return heard(self.socket.read(buffer).await);
        };
        let connection = publishing.connection;
        let is_silent = self.world.with(|state, _| state.silences(connection));
        if publishing.heard_at.elapsed() >= STALLED_AFTER && !publishing.has_stalled {
            publishing.has_stalled = true;
            self.world.stall(connection);
        }
        let stalls_at = publishing.heard_at + STALLED_AFTER;
        tokio::select! {
            () = self.world.until_closed(connection, &mut publishing.wake) => Heard::End,
            () = tokio::time::sleep_until(stalls_at), if !publishing.has_stalled => Heard::Nothing,
            () = tokio::time::sleep(SILENT_PAUSE), if is_silent => Heard::Nothing,
            read = self.socket.read(buffer), if !is_silent => heard(read),
        }
    }

    fn handle(&mut self, event: RtmpConnectionEvent) -> Result<(), MediaError> {
        match event {
            RtmpConnectionEvent::PublishRequested {
                app, stream_name, ..
            } => {
                let app = app.trim_matches('/');
                let url = format!("{}/{app}/{stream_name}", self.server);
                match self.world.publish_by_rtmp(&url) {
                    Ok((connection, wake)) => {
                        self.publishing = Some(Publishing {
                            connection,
                            wake,
                            heard_at: Instant::now(),
                            has_stalled: false,
                        });
                        self.rtmp.accept().map_err(MediaError::new)
                    }
                    Err(reason) => {
                        tracing::debug!(reason, "sandbox: the platform refused the encoder");
                        self.rtmp.reject(reason).map_err(MediaError::new)
                    }
                }
            }
            RtmpConnectionEvent::PlayRequested { .. } => {
                let reason = "viewers play HLS";
                self.rtmp.reject(reason).map_err(MediaError::new)
            }
            RtmpConnectionEvent::VideoReceived(frame) => match of_video(frame)? {
                Some(frame) => self.take(frame),
                None => Ok(()),
            },
            RtmpConnectionEvent::AudioReceived(frame) => self.take(of_audio(frame)?),
            RtmpConnectionEvent::StateChanged(_)
            | RtmpConnectionEvent::DisconnectedByPeer { .. }
            | RtmpConnectionEvent::CommandIgnored { .. }
            | RtmpConnectionEvent::MessageIgnored { .. }
            | RtmpConnectionEvent::UserControlEventIgnored { .. } => Ok(()),
        }
    }

    fn take(&mut self, frame: Frame) -> Result<(), MediaError> {
        let Some(publishing) = &mut self.publishing else {
            return Ok(());
        };
        (publishing.heard_at, publishing.has_stalled) = (Instant::now(), false);
        if let Some(part) = self.segmenter.take(frame)? {
            self.world.receive(publishing.connection, part);
        }
        Ok(())
    }

    fn leave(&mut self) {
        let Some(publishing) = self.publishing.take() else {
            return;
        };
        if let Ok(Some(part)) = self.segmenter.finish() {
            self.world.receive(publishing.connection, part);
        }
        self.world.unpublish(publishing.connection);
    }
}

fn heard(read: io::Result<usize>) -> Heard {
    match read {
        // An encoder that leaves may close before it has read all answers.
        Ok(0) | Err(_) => Heard::End,
        Ok(count) => Heard::Bytes(count),
    }
}

fn of_video(frame: VideoFrame) -> Result<Option<Frame>, MediaError> {
    if frame.codec != VideoCodec::Avc {
        return Err(MediaError::new("only H.264 is taken"));
    }
    let is_key = frame.is_keyframe();
    Ok(match frame.avc_packet_type {
        Some(AvcPacketType::SequenceHeader) => {
            let header = AvcSequenceHeader::from_bytes(&frame.data).map_err(MediaError::new)?;
            Some(Frame::VideoSetup {
                sps: header.sps_list,
                pps: header.pps_list,
                length_size: header.length_size_minus_one,
            })
        }
        Some(AvcPacketType::NalUnit) => Some(Frame::Video {
            at: frame.timestamp.as_millis(),
            offset: frame.composition_timestamp_offset.as_millis(),
            is_key,
            data: frame.data,
        }),
        Some(AvcPacketType::EndOfSequence) | None => None,
    })
}

fn of_audio(frame: AudioFrame) -> Result<Frame, MediaError> {
    if frame.format != AudioFormat::Aac {
        return Err(MediaError::new("only AAC is taken"));
    }
    Ok(match frame.is_aac_sequence_header {
        true => Frame::AudioSetup(frame.data),
        false => Frame::Audio {
            at: frame.timestamp.as_millis(),
            data: frame.data,
        },
    })
}
