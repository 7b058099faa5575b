//! A Unix stream server's socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use socket2::{Domain, Type};

use super::incoming::Connections;
use super::socket::Socket;
use super::stream::descriptor;
use super::tcp_listener::BACKLOG;
use super::unix_stream::UnixStream;

/// A socket that accepts Unix connections.
pub struct UnixListener {
    socket: Socket,
}

descriptor!(UnixListener);

impl UnixListener {
    /// Binds to `path`, which must not exist, and listens. The file stays when the listener is gone.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path exists, `InvalidInput` if it is too long for an address, and those of bind(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let addr = super::unix_path(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.options().bind(&addr)?;
        socket.options().listen(BACKLOG)?;
        Ok(UnixListener { socket })
    }

    /// Accepts one connection; returns it with the peer's address, which seldom has a name.
    ///
    /// # Errors
    ///
    /// Those of accept(2).
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no connection: one that is accepted nevertheless is kept for the next call.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, _) = self.socket.accept().await?;
        let stream = UnixStream { socket };
        let addr = stream.peer_addr()?;
        Ok((stream, addr))
    }

    /// The connections as a stream, as [`TcpListener::incoming`](super::TcpListener::incoming).
    pub fn incoming(&self) -> UnixIncoming {
        UnixIncoming(self.socket.incoming())
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        super::unix(&self.socket.options().local_addr()?)
    }

    /// Takes over a listener of std.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> Self {
        OwnedFd::from(listener).into()
    }

    /// Gives the listener to std, in blocking mode.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` while operations are in flight on it.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        OwnedFd::try_from(self).map(Into::into)
    }

    /// Cancels what is in flight on the listener, waits until that has ended, and closes it. Its streams of connections
    /// then yield an error, and end.
    ///
    /// # Errors
    ///
    /// Those of close(2).
    pub async fn close(self) -> io::Result<()> {
        self.socket.close().await
    }
}

impl From<std::os::unix::net::UnixListener> for UnixListener {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self::from_std(listener)
    }
}

/// The connections of [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct UnixIncoming(Connections);

impl UnixIncoming {
    /// Accepts up to so many connections before they are asked for, as
    /// [`Incoming::accept_ahead`](super::Incoming::accept_ahead).
    pub fn accept_ahead(self, connections: usize) -> Self {
        UnixIncoming(self.0.bounded(connections))
    }
}

impl Stream for UnixIncoming {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.0).poll_next(cx);
        next.map(|item| item.map(|accepted| accepted.map(|socket| UnixStream { socket })))
    }
}
