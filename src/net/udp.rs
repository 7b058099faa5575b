//! A UDP socket.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, Type};

use super::addr::{Addrs, ToSocketAddrs};
use super::recv_meta::RecvMeta;
use super::recv_stream::{RecvFromStream, RecvStream};
use super::sock_addr::{inet, sender};
use super::socket::Socket;
use super::socket_methods::socket_methods;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::op::{self, Op, ZcBuf};

/// A UDP socket; see udp(7).
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::net::UdpSocket;
///
/// let a = UdpSocket::bind("127.0.0.1:0")?;
/// let b = UdpSocket::bind("127.0.0.1:0")?;
/// let (sent, _) = a.send_to("ping", b.local_addr()?).await;
/// sent?;
/// let (received, data) = b.recv_from(Vec::with_capacity(64)).await;
/// assert_eq!(received?, (4, a.local_addr()?));
/// assert_eq!(data, b"ping");
/// # Ok(())
/// # })
/// # }
/// ```
pub struct UdpSocket {
    socket: Socket,
}

impl UdpSocket {
    /// Binds to `addr`; port 0 lets the system choose.
    ///
    /// A host name is looked up on the calling thread; [`lookup_host`](super::lookup_host) does not block.
    ///
    /// # Errors
    ///
    /// Those of the look-up, and of socket(2) and bind(2) for the last address tried; see
    /// [`AddrError`](super::AddrError).
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Addrs::look_up_blocking(addr)?.first_now(|addr| {
            let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
            socket.options().bind(&addr.into())?;
            Ok(UdpSocket { socket })
        })
    }

    /// Fixes the peer, for [`send`](UdpSocket::send) and [`recv`](UdpSocket::recv).
    ///
    /// # Errors
    ///
    /// Those of the look-up and of connect(2).
    pub async fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        let addrs = Addrs::look_up(addr).await?;
        let connect =
            async |addr: SocketAddr| op::Connect::new(self.socket.fd(), addr.into()).await;
        addrs.first(connect).await
    }

    /// Sends one datagram to the connected peer; returns the number of bytes.
    ///
    /// # Errors
    ///
    /// Those of send(2).
    ///
    /// # Cancel safety
    ///
    /// A dropped send may have been sent.
    pub fn send<B>(&self, buf: B) -> Op<op::Send<B>>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        op::Send::new(self.socket.fd(), buf)
    }

    /// Sends one datagram to the connected peer out of the buffer itself, without a copy; see
    /// [`TcpStream::send_zc`](super::TcpStream::send_zc). The kernel has let go of the buffer when the device has sent
    /// it.
    ///
    /// # Errors
    ///
    /// Those of send(2).
    ///
    /// # Cancel safety
    ///
    /// A dropped send may have been sent. The buffer is freed when the kernel has let go of it, whatever was dropped.
    ///
    /// # Kernel
    ///
    /// `SEND_ZC` since 6.0; before that `SEND`.
    pub fn send_zc<B: IoBuf>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, ZcBuf<B>>> + use<B> {
        self.socket.send_zc(buf)
    }

    /// Sets how many bytes a datagram needs for [`send_zc`](UdpSocket::send_zc) to try to do without the copy; see
    /// [`TcpStream::set_zero_copy_threshold`](super::TcpStream::set_zero_copy_threshold).
    pub fn set_zero_copy_threshold(&self, bytes: usize) {
        self.socket.zero_copy().set_threshold(bytes);
    }

    /// Receives one datagram from the connected peer; returns the number of bytes. What does not fit into the buffer
    /// is lost.
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

    /// The datagrams from the connected peer, one a chunk, in buffers that the kernel takes only when data arrives; see
    /// [`TcpStream::recv_stream`](super::TcpStream::recv_stream). What does not fit into a buffer
    /// ([`Builder::provided_buffers`](crate::runtime::Builder::provided_buffers)) is lost, and
    /// [`ProvidedBuf::missing`](super::ProvidedBuf::missing) tells how much. It ends only with an error, and a new one
    /// goes on.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no datagram: what it had received and not yielded is kept for the next receive.
    ///
    /// # Kernel
    ///
    /// One multishot receive since 6.0; before that one receive after the other.
    pub fn recv_stream(&self) -> RecvStream {
        RecvStream::new(self.socket.fd())
    }

    /// Sends one datagram to `addr`; returns the number of bytes. Of several addresses the first is taken.
    ///
    /// # Errors
    ///
    /// Those of the look-up and of sendmsg(2).
    ///
    /// # Cancel safety
    ///
    /// A dropped send may have been sent.
    pub async fn send_to<B>(&self, buf: B, addr: impl ToSocketAddrs) -> BufResult<usize, B>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        match Addrs::look_up(addr).await {
            Ok(addrs) => self.socket.send_to(buf, addrs.head().into()).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// Receives one datagram; returns the number of bytes and the sender. What does not fit into the buffer is lost;
    /// [`recv_meta`](UdpSocket::recv_meta) tells whether something was.
    ///
    /// # Errors
    ///
    /// Those of recvmsg(2); `InvalidInput` if the buffer has no room.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no datagram: one that arrives nevertheless is kept for the next receive.
    pub async fn recv_from<B: IoBufMut>(&self, buf: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buf) = self.recv_meta(buf).await;
        (received.map(|meta| (meta.len, meta.addr)), buf)
    }

    /// As [`recv_from`](UdpSocket::recv_from), and tells how long the datagram was: whether it fit.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Cancel safety
    ///
    /// As for [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::net::UdpSocket;
    ///
    /// let a = UdpSocket::bind("127.0.0.1:0")?;
    /// let b = UdpSocket::bind("127.0.0.1:0")?;
    /// a.send_to("too much", b.local_addr()?).await.0?;
    /// let (meta, data) = b.recv_meta(Vec::with_capacity(3)).await;
    /// let meta = meta?;
    /// assert!(meta.is_cut());
    /// assert_eq!((meta.len, meta.full_len), (3, 8));
    /// assert_eq!(data, b"too");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn recv_meta<B: IoBufMut>(&self, buf: B) -> BufResult<RecvMeta, B> {
        let (received, buf) = self.socket.recv_from(buf).await;
        (
            received.and_then(|message| RecvMeta::new(message, sender)),
            buf,
        )
    }

    /// All datagrams and who sent them, in buffers that the kernel takes only when data arrives. What does not fit into
    /// a buffer ([`Builder::provided_buffers`](crate::runtime::Builder::provided_buffers)), behind 44 bytes for the
    /// address, is lost, and [`ProvidedBuf::missing`](super::ProvidedBuf::missing) tells how much. It ends only with an
    /// error, and a new one goes on.
    ///
    /// The way for servers: what has arrived is taken together. Answer from a task of its own, so that answers go
    /// together, too: an echo then takes half of the time that it takes by `recv_from` and `send_to`, one after the
    /// other.
    ///
    /// # Errors
    ///
    /// The items': those of recvmsg(2).
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no datagram: what it had received and not yielded is kept for the next receive.
    ///
    /// # Kernel
    ///
    /// One multishot receive since 6.0; before that one receive after the other.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use std::rc::Rc;
    /// use futures_util::TryStreamExt;
    /// use saferring::net::UdpSocket;
    ///
    /// let server = Rc::new(UdpSocket::bind("127.0.0.1:0")?);
    /// let address = server.local_addr()?;
    /// saferring::spawn(async move {
    ///     let mut datagrams = server.recv_from_stream();
    ///     while let Ok(Some((datagram, sender))) = datagrams.try_next().await {
    ///         let server = Rc::clone(&server);
    ///         saferring::spawn(async move { server.send_to(datagram, sender).await.0 });
    ///     }
    /// });
    /// let client = UdpSocket::bind("127.0.0.1:0")?;
    /// client.send_to("ping", address).await.0?;
    /// assert_eq!(client.recv_from(Vec::with_capacity(16)).await.1, b"ping");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn recv_from_stream(&self) -> RecvFromStream {
        RecvFromStream::new(self.socket.fd())
    }

    /// As [`recv_from`](UdpSocket::recv_from), but leaves the datagram in the socket.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](UdpSocket::recv_from).
    pub async fn peek_from<B: IoBufMut>(&self, buf: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buf) = self.socket.peek_from(buf).await;
        let received = received.and_then(|message| RecvMeta::new(message, sender));
        (received.map(|meta| (meta.len, meta.addr)), buf)
    }

    /// The address it is connected to.
    ///
    /// # Errors
    ///
    /// Those of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        inet(&self.socket.options().peer_addr()?)
    }

    /// Whether it may send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.options().broadcast()
    }

    /// Sets `SO_BROADCAST`.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket.options().set_broadcast(broadcast)
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

    /// Joins an IPv4 multicast group on the interface with the address `interface`.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.options().join_multicast_v4(&group, &interface)
    }

    /// Leaves an IPv4 multicast group.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.options().leave_multicast_v4(&group, &interface)
    }

    /// Joins an IPv6 multicast group on the interface with the index `interface`.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.options().join_multicast_v6(group, interface)
    }

    /// Leaves an IPv6 multicast group.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.options().leave_multicast_v6(group, interface)
    }
}

socket_methods!(UdpSocket = std::net::UdpSocket, inet -> SocketAddr);
