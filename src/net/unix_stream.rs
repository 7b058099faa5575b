//! A Unix stream connection.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Type};

use super::recv_stream::RecvStream;
use super::sock_addr::{unix, unix_path};
use super::socket::Socket;
use super::socket_methods::socket_methods;
use super::split::{OwnedReadHalf, OwnedWriteHalf, SplitStream, split};
use super::stream::{read_and_write, stream_methods};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use crate::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use crate::op::{self, CURRENT, Op, Pause, SharedFd, SpliceEnd, ZcBuf, checkpoint};

/// A connection between processes of one machine; see unix(7).
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::net::UnixStream;
///
/// let (a, b) = UnixStream::pair()?;
/// let (sent, _) = a.write_all("hello").await;
/// sent?;
/// let (received, data) = b.read([0; 16]).await;
/// assert_eq!(&data[..received?], b"hello");
/// # Ok(())
/// # })
/// # }
/// ```
pub struct UnixStream {
    pub(super) socket: Socket,
}

impl UnixStream {
    /// Connects to the socket at `path`. If that has as many connections waiting as it may, it tries again until there
    /// is room.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is too long for an address, and those of connect(2).
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the connection, if it was made.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let addr = unix_path(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A direct call, which does not block then: through the ring it would wait in a thread of the kernel, and a
        // thousand of them in a thousand.
        socket.options().set_nonblocking(true)?;
        let mut pause = Duration::from_millis(1);
        checkpoint()?;
        while let Err(error) = socket.options().connect(&addr) {
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => {
                    Pause::new(pause).await;
                    checkpoint()?;
                    pause = (pause * 2).min(Duration::from_millis(32));
                }
                _ => return Err(error),
            }
        }
        socket.options().set_nonblocking(false)?;
        Ok(UnixStream { socket })
    }

    /// Two streams, connected with each other.
    ///
    /// # Errors
    ///
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = std::os::unix::net::UnixStream::pair()?;
        Ok((Self::from_std(a), Self::from_std(b)))
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        unix(&self.socket.options().peer_addr()?)
    }
}

stream_methods!(UnixStream);
socket_methods!(UnixStream = std::os::unix::net::UnixStream, unix -> SocketAddr);
