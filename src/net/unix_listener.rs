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
use super::shared_port::BACKLOG;
use super::sock_addr::{unix, unix_path};
use super::socket::Socket;
use super::socket_methods::socket_methods;
use super::unix_stream::UnixStream;

/// A socket that accepts Unix connections.
pub struct UnixListener {
    socket: Socket,
}

impl UnixListener {
    /// Binds to `path`, which must not exist, and listens. The file stays when the listener is gone.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path exists, `InvalidInput` if it is too long for an address, and those of bind(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let addr = unix_path(path)?;
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
        UnixIncoming(Connections::new(self.socket.fd()))
    }
}

socket_methods!(UnixListener = std::os::unix::net::UnixListener, unix -> SocketAddr);

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
        next.map(|item| item.map(|accepted| accepted.map(UnixStream::accepted)))
    }
}
