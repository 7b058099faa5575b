//! A TCP server's socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use super::addr::{Addrs, ToSocketAddrs};
use super::incoming::Connections;
use super::shared_port::{self, BACKLOG};
use super::sock_addr::inet;
use super::socket::Socket;
use super::socket_methods::socket_methods;
use super::tcp_stream::TcpStream;

/// A socket that accepts TCP connections.
///
/// # Examples
///
/// ```no_run
/// # async fn serve(_: saferring::net::TcpStream) {}
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use futures_util::StreamExt;
/// use saferring::net::TcpListener;
///
/// let listener = TcpListener::bind("127.0.0.1:7000")?;
/// let mut incoming = listener.incoming();
/// while let Some(stream) = incoming.next().await {
///     // Out of descriptors, say: the next waits until one can be had. A server that ends with this serves nobody.
///     let Ok(stream) = stream else { continue };
///     saferring::spawn(serve(stream));
/// }
/// # Ok(())
/// # })
/// # }
/// ```
pub struct TcpListener {
    socket: Socket,
}

impl TcpListener {
    /// Binds to `addr` and listens, with `SO_REUSEADDR` as std and tokio set it. Port 0 lets the system choose
    /// ([`local_addr`](TcpListener::local_addr) tells). Of several addresses the first that can be bound is taken.
    ///
    /// On the cores of [`cores`](crate::cores), which all run the same program, each binds the same port, and the kernel
    /// gives each of them its share of the connections (`SO_REUSEPORT`); so it is with port 0, if they bind in the same
    /// order.
    ///
    /// A host name is looked up on the calling thread; [`lookup_host`](super::lookup_host) does not block.
    ///
    /// # Errors
    ///
    /// Those of the look-up, and of socket(2), bind(2) and listen(2) for the last address tried; see
    /// [`AddrError`](super::AddrError).
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Addrs::look_up_blocking(addr)?.first_now(|addr| {
            let socket = shared_port::bind(addr)?;
            socket.listen(BACKLOG)?;
            let socket = Socket::from_owned(socket.into());
            Ok(TcpListener { socket })
        })
    }

    /// Accepts one connection; returns it with the peer's address.
    ///
    /// # Errors
    ///
    /// Those of accept(2). With `EMFILE` (no descriptor is free) the connection stays in the queue.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no connection: one that is accepted nevertheless is kept for the next call.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let (socket, addr) = self.socket.accept().await?;
            let stream = TcpStream { socket };
            let addr = match addr {
                Some(addr) => inet(&addr),
                None => stream.peer_addr(),
            };
            match addr {
                Ok(addr) => return Ok((stream, addr)),
                // It was reset before anybody accepted it, and nobody knows any more where it came from.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The connections as a stream, by one request to the kernel for all of them. After an error it can be
    /// polled on; it ends when the listener is closed.
    ///
    /// It accepts ahead of whoever polls it: about a thousand connections, each a descriptor, and more if they come at
    /// once, before it stops for a while. [`accept_ahead`](Incoming::accept_ahead) sets a bound, for some of the speed;
    /// [`accept`](TcpListener::accept) takes no connection that nobody has asked for.
    ///
    /// When it is dropped, connections that it had accepted and not yielded are kept for the next accept. An
    /// [`accept`](TcpListener::accept) that is in flight on the same listener goes before it.
    ///
    /// # Kernel
    ///
    /// One multishot accept since 5.19; before that one accept after the other.
    pub fn incoming(&self) -> Incoming {
        Incoming(Connections::new(self.socket.fd()))
    }
}

socket_methods!(TcpListener = std::net::TcpListener, inet -> SocketAddr);

/// The connections of [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct Incoming(Connections);

impl Incoming {
    /// Accepts up to so many connections before they are asked for, at least one and at most 1,024; instead of about a
    /// thousand, and more at once.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use futures_util::StreamExt;
    /// use saferring::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut incoming = listener.incoming().accept_ahead(8);
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let stream = incoming.next().await.unwrap()?;
    /// # drop(stream);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn accept_ahead(self, connections: usize) -> Self {
        Incoming(self.0.bounded(connections))
    }
}

impl Stream for Incoming {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.0).poll_next(cx);
        next.map(|item| item.map(|accepted| accepted.map(TcpStream::accepted)))
    }
}
