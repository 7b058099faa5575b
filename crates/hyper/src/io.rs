//! Streams as hyper has them here.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::upgrade::{Parts, Upgraded};
use saferring::io::{AsyncRead, AsyncWrite};
use saferring::net::{TcpStream, UnixStream};
use saferring_compat::{Compat, CompatHalves};
use send_wrapper::SendWrapper;

/// What HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream under hyper. It stays on its core: hyper wants it `Send` for upgrades, and so every use checks the thread.
///
/// # Panics
///
/// If it is used or dropped on another thread.
pub struct Io<S> {
    stream: SendWrapper<S>,
    /// The first bytes, which have been looked at.
    head: [u8; PREFACE.len()],
    /// Of those, what has been read, and of that, what has been given on.
    len: usize,
    given: usize,
    #[cfg(feature = "client")]
    is_http2: bool,
}

/// What can be served or sent over: the streams of saferring, and whatever has hyper's traits already.
pub trait IntoIo {
    /// Under hyper's traits.
    type Stream: Read + Write + Unpin + 'static;

    /// Puts it under hyper's traits.
    fn into_io(self) -> Io<Self::Stream>;
}

impl IntoIo for TcpStream {
    type Stream = Compat<TcpStream>;

    fn into_io(self) -> Io<Self::Stream> {
        Io::new(Compat::new(self))
    }
}

impl IntoIo for UnixStream {
    type Stream = Compat<UnixStream>;

    fn into_io(self) -> Io<Self::Stream> {
        Io::new(Compat::new(self))
    }
}

#[cfg(feature = "tls")]
impl<S: saferring_compat::Socket + Unpin> IntoIo for saferring_tls::TlsStream<S> {
    type Stream = saferring_compat::CompatTls<S>;

    fn into_io(self) -> Io<Self::Stream> {
        Io::new(saferring_compat::CompatTls::new(self))
    }
}

/// A reading and a writing half, such as those of a pipe.
impl<R: AsyncRead + 'static, W: AsyncWrite + 'static> IntoIo for (R, W) {
    type Stream = CompatHalves<R, W>;

    fn into_io(self) -> Io<Self::Stream> {
        Io::new(CompatHalves::new(self.0, self.1))
    }
}

impl<S: Read + Write + Unpin + 'static> IntoIo for Io<S> {
    type Stream = S;

    fn into_io(self) -> Io<S> {
        self
    }
}

impl<S> Io<S> {
    /// Anything with hyper's traits.
    pub fn new(stream: S) -> Self {
        Io {
            stream: SendWrapper::new(stream),
            head: [0; PREFACE.len()],
            len: 0,
            given: 0,
            #[cfg(feature = "client")]
            is_http2: false,
        }
    }

    /// Tells a [`Client`](crate::Client) that the other side speaks HTTP/2: TLS has agreed upon that, or it is known.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::net::UnixStream;
    /// use saferring_hyper::{IntoIo, connect_fn};
    ///
    /// let connector = connect_fn(async |_uri| {
    ///     let stream = UnixStream::connect("/run/containerd/containerd.sock").await?;
    ///     Ok(stream.into_io().negotiated_h2())
    /// });
    /// # drop(connector);
    /// ```
    #[cfg(feature = "client")]
    pub fn negotiated_h2(mut self) -> Self {
        self.is_http2 = true;
        self
    }

    /// The stream. What hyper has read ahead is not in it.
    pub fn into_inner(self) -> S {
        self.stream.take()
    }
}

impl<S: Read + Unpin> Io<S> {
    /// Whether what comes begins as HTTP/2 does: looks at as many bytes as it takes to know.
    #[cfg(feature = "server")]
    pub(crate) fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.head[..self.len] != PREFACE[..self.len] {
                return Poll::Ready(Ok(false));
            }
            if self.len == PREFACE.len() {
                return Poll::Ready(Ok(true));
            }
            let mut buf = hyper::rt::ReadBuf::new(&mut self.head[self.len..]);
            std::task::ready!(Pin::new(&mut *self.stream).poll_read(cx, buf.unfilled()))?;
            match buf.filled().len() {
                0 => return Poll::Ready(Ok(false)),
                n => self.len += n,
            }
        }
    }
}

impl<S: Read + Unpin> Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given < self.len {
            let n = buf.remaining().min(self.len - self.given);
            buf.put_slice(&self.head[self.given..][..n]);
            self.given += n;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut *self.stream).poll_read(cx, buf)
    }
}

impl<S: Write + Unpin> Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(feature = "client")]
impl<S> hyper_util::client::legacy::connect::Connection for Io<S> {
    fn connected(&self) -> hyper_util::client::legacy::connect::Connected {
        let connected = hyper_util::client::legacy::connect::Connected::new();
        if self.is_http2 {
            return connected.negotiated_h2();
        }
        connected
    }
}

impl<S> fmt::Debug for Io<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").finish_non_exhaustive()
    }
}

/// The stream of an upgraded connection, with what hyper had read of it already, which comes first.
///
/// # Errors
///
/// The connection, if its stream is of another type.
///
/// # Panics
///
/// On another thread than that of the connection.
pub fn downcast<S: IntoIo>(upgraded: Upgraded) -> Result<(S::Stream, Vec<u8>), Upgraded>
where
    Io<S::Stream>: Send,
{
    let Parts {
        mut io, read_buf, ..
    } = upgraded.downcast::<Io<S::Stream>>()?;
    let mut first = io.head[io.given..io.len].to_vec();
    io.given = io.len;
    first.extend_from_slice(&read_buf);
    Ok((io.into_inner(), first))
}
