//! A Unix datagram socket.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

use socket2::{Domain, SockAddr, Type};

use super::recv_meta::RecvMeta;
use super::sock_addr::{unix, unix_path};
use super::socket::Socket;
use super::socket_methods::socket_methods;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::op::{self, Op};

/// A datagram socket between processes of one machine; see unix(7). Datagrams are neither lost nor reordered.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::net::UnixDatagram;
///
/// let (a, b) = UnixDatagram::pair()?;
/// a.send("ping").await.0?;
/// let (received, data) = b.recv(Vec::with_capacity(64)).await;
/// received?;
/// assert_eq!(data, b"ping");
/// # Ok(())
/// # })
/// # }
/// ```
pub struct UnixDatagram {
    socket: Socket,
}

impl UnixDatagram {
    /// A socket without an address.
    ///
    /// # Errors
    ///
    /// Those of socket(2).
    pub fn unbound() -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        Ok(UnixDatagram { socket })
    }

    /// A socket with the address `path`, which must not exist.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path exists, `InvalidInput` if it is too long for an address, and those of bind(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let bound = Self::unbound()?;
        bound.socket.options().bind(&unix_path(path)?)?;
        Ok(bound)
    }

    /// Two sockets, connected with each other.
    ///
    /// # Errors
    ///
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = std::os::unix::net::UnixDatagram::pair()?;
        Ok((Self::from_std(a), Self::from_std(b)))
    }

    /// Fixes the peer, for [`send`](UnixDatagram::send).
    ///
    /// # Errors
    ///
    /// Those of connect(2).
    pub async fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        op::Connect::new(self.socket.fd(), unix_path(path)?).await
    }

    /// Sends one datagram to the connected peer; returns the number of bytes.
    ///
    /// # Errors
    ///
    /// Those of send(2).
    pub fn send<B>(&self, buf: B) -> Op<op::Send<B>>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        op::Send::new(self.socket.fd(), buf)
    }

    /// Receives one datagram; returns the number of bytes. What does not fit into the buffer is lost.
    ///
    /// # Errors
    ///
    /// Those of recv(2); `InvalidInput` if the buffer has no room.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no datagram: one that arrives nevertheless is kept for the next receive.
    pub fn recv<B: IoBufMut>(&self, buf: B) -> Op<op::RecvDatagram<B>> {
        op::RecvDatagram::new(self.socket.fd(), buf)
    }

    /// Sends one datagram to the socket at `path`; returns the number of bytes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is too long for an address, and those of sendmsg(2).
    pub async fn send_to<B>(&self, buf: B, path: impl AsRef<Path>) -> BufResult<usize, B>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        match unix_path(path) {
            Ok(addr) => self.socket.send_to(buf, addr).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// Receives one datagram; returns the number of bytes and the sender, if that has an address. What does not fit
    /// into the buffer is lost; [`recv_meta`](UnixDatagram::recv_meta) tells whether something was.
    ///
    /// # Errors
    ///
    /// Those of recvmsg(2); `InvalidInput` if the buffer has no room.
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](UnixDatagram::recv).
    pub async fn recv_from<B: IoBufMut>(
        &self,
        buf: B,
    ) -> BufResult<(usize, Option<SocketAddr>), B> {
        let (received, buf) = self.recv_meta(buf).await;
        (received.map(|meta| (meta.len, meta.addr)), buf)
    }

    /// As [`recv_from`](UnixDatagram::recv_from), and tells how long the datagram was: whether it fit.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](UnixDatagram::recv_from).
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](UnixDatagram::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::net::UnixDatagram;
    ///
    /// let (a, b) = UnixDatagram::pair()?;
    /// a.send("too much").await.0?;
    /// let (meta, data) = b.recv_meta([0; 3]).await;
    /// assert_eq!(meta?.full_len, 8);
    /// assert_eq!(&data, b"too");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn recv_meta<B: IoBufMut>(
        &self,
        buf: B,
    ) -> BufResult<RecvMeta<Option<SocketAddr>>, B> {
        let (received, buf) = self.socket.recv_from(buf).await;
        let unix = |from: Option<SockAddr>| Ok(from.and_then(|from| unix(&from).ok()));
        (
            received.and_then(|message| RecvMeta::new(message, unix)),
            buf,
        )
    }

    /// The address it is connected to.
    ///
    /// # Errors
    ///
    /// Those of getpeername(2); `NotConnected` before [`connect`](UnixDatagram::connect).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        unix(&self.socket.options().peer_addr()?)
    }

    /// Ends one direction of the socket, or both; see shutdown(2).
    ///
    /// # Errors
    ///
    /// Those of shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

socket_methods!(UnixDatagram = std::os::unix::net::UnixDatagram, unix -> SocketAddr);
