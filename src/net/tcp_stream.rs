//! A TCP connection.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};

use super::addr::{Addrs, ToSocketAddrs};
use super::recv_stream::RecvStream;
use super::sock_addr::inet;
use super::socket::Socket;
use super::socket_methods::socket_methods;
use super::split::{OwnedReadHalf, OwnedWriteHalf, SplitStream, split};
use super::stream::{read_and_write, stream_methods};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use crate::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use crate::op::{self, CURRENT, Op, SharedFd, SpliceEnd, ZcBuf};

/// A TCP connection; see tcp(7).
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, _peer) = listener.accept().await?;
///
/// let (sent, _) = client.write_all("hello").await;
/// sent?;
/// let (received, data) = server.read(Vec::with_capacity(64)).await;
/// received?;
/// assert_eq!(data, b"hello");
/// # Ok(())
/// # })
/// # }
/// ```
pub struct TcpStream {
    pub(super) socket: Socket,
}

impl TcpStream {
    /// Connects to `addr`. Of several addresses the first that answers is taken.
    ///
    /// # Errors
    ///
    /// Those of the look-up and of connect(2), for the last address tried; see [`AddrError`](super::AddrError).
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the connection, if it was made.
    pub async fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let addrs = Addrs::look_up(addr).await?;
        let connect = async |addr| Self::connect_to(addr, None).await;
        addrs.first(connect).await
    }

    /// Connects to `addr` within `timeout`.
    ///
    /// # Errors
    ///
    /// `TimedOut` if the time is over, `InvalidInput` if there was none to begin with, and those of connect(2).
    ///
    /// # Cancel safety
    ///
    /// As for [`connect`](TcpStream::connect).
    pub async fn connect_timeout(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot connect within no time",
            ));
        }
        Self::connect_to(addr, Some(timeout)).await
    }

    async fn connect_to(addr: SocketAddr, timeout: Option<Duration>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        let mut connect = op::Connect::new(socket.fd(), addr.into());
        if let Some(timeout) = timeout {
            connect = connect.timeout(timeout);
        }
        connect.await?;
        Ok(TcpStream { socket })
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        inet(&self.socket.options().peer_addr()?)
    }

    /// Whether small writes are sent at once instead of being gathered (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.options().tcp_nodelay()
    }

    /// Sets `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.options().set_tcp_nodelay(nodelay)
    }

    /// How long [`close`](TcpStream::close) waits for the peer to acknowledge what it was sent (`SO_LINGER`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.options().linger()
    }

    /// Sets `SO_LINGER`: how long [`close`](TcpStream::close) waits for the peer to acknowledge what it was sent. A
    /// drop does not wait; the kernel goes on sending either way. With a time of zero the end is a reset, and what is
    /// unsent is lost.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.socket.options().set_linger(linger)
    }

    /// The time to live of packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.options().ttl_v4()
    }

    /// Sets `IP_TTL`.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.options().set_ttl_v4(ttl)
    }
}

stream_methods!(TcpStream);
socket_methods!(TcpStream = std::net::TcpStream, inet -> SocketAddr);
