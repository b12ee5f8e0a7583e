//! A socket that fails at its connection's deadline, and reads no request while the peer reads no response.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use actix_rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::{ClientConnection, ConnectionGuard};

/// Bytes read before the server library must parse them: it would read on while there is data, and keep the buffer.
const READ_AT_ONCE: usize = 8 * 1024;

pub(in crate::api) struct GuardedSocket<S> {
    stream: S,
    guard: ConnectionGuard,
    is_full: bool,
    /// Bytes read since the library last got to parse.
    read: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> GuardedSocket<S> {
    pub(super) fn new(stream: S, guard: ConnectionGuard) -> Self {
        Self {
            stream,
            guard,
            is_full: false,
            read: 0,
            timer: None,
        }
    }

    pub(in crate::api) fn peer(&self) -> SocketAddr {
        self.guard.peer
    }

    pub(in crate::api) fn connection(&self) -> &Arc<ClientConnection> {
        &self.guard.connection
    }

    /// Also schedules a wake-up for the deadline.
    fn check_deadline(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let Some(deadline) = self.guard.connection.deadline(cx.waker()) else {
                return Ok(());
            };
            if deadline <= Instant::now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let deadline = deadline.into();
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            // A timer that fires early only leads to another check; most deadlines move before they pass.
            if timer.is_elapsed() || timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
        }
    }

    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                self.is_full = true;
                self.check_deadline(cx)?;
            }
            Poll::Ready(Ok(_)) => {
                self.guard.connection.wrote_bytes();
                if std::mem::take(&mut self.is_full) {
                    // Resume the reads that were held back.
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        if self.is_full {
            return Poll::Pending;
        }
        if self.read >= READ_AT_ONCE {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            self.read = 0;
        }
        ready!(read)?;
        let bytes = buf.filled().len() - before;
        self.read += bytes;
        if bytes > 0 && !self.guard.connection.received(bytes) {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The library flushes at the end of each turn, when the deadline may have changed.
        self.check_deadline(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: ActixStream> ActixStream for GuardedSocket<S> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_write_ready(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::timeout;

    use super::*;
    use crate::api::connections::{ConnectionLimits, Connections};
    use crate::api::origin::Proxies;

    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn no_request_is_read_while_the_peer_reads_nothing() {
        let minute = Duration::from_secs(60);
        let limits = ConnectionLimits {
            total: 9,
            per_address: 9,
            request_timeout: minute,
            keep_alive: minute,
        };
        let connections = Connections::new(limits, Proxies::default());
        let peer = "192.0.2.1:1".parse().unwrap();
        let connection = connections.enter(peer).unwrap();
        let guard = ConnectionGuard {
            connections,
            connection,
            peer,
        };
        let (stream, mut caller) = duplex(64);
        let mut guarded = GuardedSocket::new(stream, guard);
        caller.write_all(b"GET").await.unwrap();
        let mut read = [0; 3];
        let written = timeout(SOON, guarded.write_all(&[b'x'; 65])).await;
        assert!(written.is_err(), "one byte has no room");
        let early = timeout(SOON, guarded.read_exact(&mut read)).await;
        assert!(early.is_err(), "{read:?} was read");
        caller.read_exact(&mut [0; 64]).await.unwrap();
        guarded.write_all(b"x").await.unwrap();
        guarded.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"GET");
    }
}
