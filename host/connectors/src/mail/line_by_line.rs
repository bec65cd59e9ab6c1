//! The way to a server as long as it may not be protected: bounded, and handed on line by line.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes that a server may say over one connection, certificates included. A usual conversation has less than 10 KiB.
pub(super) const MAX_SERVER_BYTES: usize = 256 * 1024;

/// Bytes that are looked at in one go.
const PIECE: usize = 1024;

/// A connection of which no read reaches beyond the end of a line.
///
/// So whoever buffers what it reads holds nothing back when a connection turns into a protected one. What somebody on the way has put behind the
/// answer to STARTTLS is not taken for an answer of the server: it is where TLS begins, and breaks it.
#[derive(Debug)]
pub(super) struct LineByLine {
    tcp: TcpStream,
    left: usize,
}

impl LineByLine {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, left: MAX_SERVER_BYTES }
    }
}

impl AsyncRead for LineByLine {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut bytes = [0; PIECE];
        let mut seen = ReadBuf::new(&mut bytes);
        let mut seen = seen.take(buffer.remaining());
        ready!(this.tcp.poll_peek(context, &mut seen))?;
        let seen = seen.filled();
        let line = seen.iter().position(|byte| *byte == b'\n').map_or(seen.len(), |at| at + 1);
        let Some(left) = this.left.checked_sub(line) else {
            return Poll::Ready(Err(io::Error::other(format!("the server says more than {MAX_SERVER_BYTES} bytes"))));
        };
        let mut whole = ReadBuf::new(&mut bytes);
        let mut part = whole.take(line);
        // What was seen is there, so this does not wait; at the end nothing was seen, and nothing comes.
        ready!(Pin::new(&mut this.tcp).poll_read(context, &mut part))?;
        this.left = left;
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineByLine {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}

impl AsyncTokioStream for LineByLine {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}
