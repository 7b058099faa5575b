//! A connection that speaks TLS.

use std::fmt;
use std::io;

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind, ProtocolVersion, SupportedCipherSuite};
use saferring::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use saferring::io::{AsyncBufRead, AsyncRead, AsyncWrite};

use crate::drive;
use crate::engine::Engine;
use crate::session::Session;
use crate::split::{OwnedReadHalf, OwnedWriteHalf, split};

/// A connection that speaks TLS over `S`, after its handshake: what [`TlsConnector::connect`](crate::TlsConnector::connect) and
/// [`TlsAcceptor::accept`](crate::TlsAcceptor::accept) give.
///
/// # Reading
///
/// rustls decrypts a record where it was received, and copies it once into memory of its own; from there a read copies it into its
/// buffer. A read gives what one record holds, or the rest of it. After the peer's close_notify it gives 0, and
/// [`shutdown`](AsyncWrite::shutdown) may still be far. An end of the transport without it is
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), after all that came before: somebody may have cut the connection off.
///
/// # Writing
///
/// A write takes up to 64 KiB, encrypts them and waits until the transport has taken them, so there is nothing to flush unless the
/// transport holds something back. [`shutdown`](AsyncWrite::shutdown) sends close_notify and ends the writing direction; reads go
/// on. What rustls answers by itself, to a change of keys or to a client of TLS 1.2 that asks for another handshake (there is none),
/// goes out with the next write, flush or shutdown, and not by a read, which could not be dropped then.
/// **Dropping the stream sends no close_notify**: there is nobody to wait for it. A client of a TLS 1.3 server that has read nothing
/// has its session tickets unread; if it is dropped then, the kernel resets the connection, and the server may be told of that
/// instead of the end. So read to the end first, where that matters.
///
/// # Errors
///
/// Those of the transport as they are. What rustls refuses is [`InvalidData`](io::ErrorKind::InvalidData), with the
/// [`rustls::Error`] inside ([`io::Error::get_ref`]); the peer is told by an alert before, if that can be sent. The connection is
/// over then: every later read and write gives this error again.
///
/// # Cancel safety
///
/// **A dropped read loses nothing.** What was received stays in the stream, and the transport's read is cancel safe.
///
/// **A dropped write breaks the writing direction**, if the transport had bytes of it: nobody knows how many were sent, and a gap in
/// the records would look like an attack to the peer. Every later write, flush and shutdown then fails with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe) and says so; shutdown also ends the transport's direction, which the peer sees as an
/// end without close_notify. Reads go on. To bound the time of a write use [`deadline`](saferring::time::deadline) or a cancel
/// scope, which end the transport's write in order: what was encrypted is then kept, and goes out first with the next write or flush.
///
/// # Panics
///
/// Where rustls is built with debug assertions, which is in the profiles `dev` and `test`, a read panics if what cannot be decrypted comes
/// after this side's own shutdown (rustls's issue 959). Otherwise it is an error as it is before.
///
/// # Memory
///
/// While it waits for the peer, a quiet connection has a buffer of 4 KiB with the transport's read, and rustls's state. A busy one reads
/// 64 KiB at a time. Buffers are freed as soon as they are empty. The peer cannot make it hold more than 128 KiB, and what was
/// decrypted of them.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
/// use saferring::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
/// use saferring::net::TcpStream;
/// use saferring_tls::TlsConnector;
///
/// # async fn get(config: rustls::ClientConfig) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
/// let connector = TlsConnector::from(Arc::new(config));
/// let stream = TcpStream::connect("example.com:443").await?;
/// let mut stream = connector.connect("example.com".try_into()?, stream).await?;
/// stream.write_all("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n").await.0?;
/// let (read, page) = stream.read_to_end(Vec::new()).await;
/// read?; // not cut off, or it would be an error
/// stream.shutdown().await?;
/// # Ok(page)
/// # }
/// ```
pub struct TlsStream<S> {
    io: S,
    session: Session,
}

impl<S: AsyncRead + AsyncWrite> TlsStream<S> {
    /// Makes the handshake.
    pub(crate) async fn begin(engine: Engine, io: S) -> io::Result<Self> {
        let (mut io, mut session) = (io, Session::new(engine));
        drive::handshake(&mut io, &mut session).await?;
        Ok(TlsStream { io, session })
    }
}

impl<S> TlsStream<S> {
    /// Makes a stream of a transport and the session over it.
    pub fn from_parts(io: S, session: Session) -> Self {
        TlsStream { io, session }
    }

    /// The transport, and the session over it with all that was received and not yet read: for an adapter that moves the bytes itself.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// use saferring_tls::TlsStream;
    ///
    /// let (transport, session) = stream.into_parts();
    /// let stream = TlsStream::from_parts(transport, session);
    /// # }
    /// ```
    pub fn into_parts(self) -> (S, Session) {
        (self.io, self.session)
    }

    /// The protocol that both sides agreed on by ALPN, if they did.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// let is_http2 = stream.alpn_protocol() == Some(b"h2");
    /// # }
    /// ```
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// The version of TLS that both sides agreed on.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// use saferring_tls::rustls::ProtocolVersion;
    ///
    /// let is_new = stream.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    /// # }
    /// ```
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.session.protocol_version()
    }

    /// The cipher suite that both sides agreed on.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// println!("{:?}", stream.negotiated_cipher_suite());
    /// # }
    /// ```
    pub fn negotiated_cipher_suite(&self) -> Option<SupportedCipherSuite> {
        self.session.negotiated_cipher_suite()
    }

    /// The peer's certificate, and those that it gave to prove it. `None` if it gave none, as clients most often do.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// let is_known = stream.peer_certificates().is_some_and(|chain| !chain.is_empty());
    /// # }
    /// ```
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.session.peer_certificates()
    }

    /// Whether the handshake was a full one, or resumed an earlier connection.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// use saferring_tls::rustls::HandshakeKind;
    ///
    /// let was_short = stream.handshake_kind() == Some(HandshakeKind::Resumed);
    /// # }
    /// ```
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.session.handshake_kind()
    }

    /// All that rustls tells of the connection.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// println!("{:?}", stream.state().negotiated_key_exchange_group());
    /// # }
    /// ```
    pub fn state(&self) -> &CommonState {
        &self.session
    }

    /// The transport.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) -> std::io::Result<()> {
    /// println!("{}", stream.get_ref().peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// The transport. To read or write it directly spoils the connection.
    ///
    /// ```no_run
    /// # fn example(mut stream: saferring_tls::TlsStream<saferring::net::TcpStream>) -> std::io::Result<()> {
    /// stream.get_mut().set_nodelay(true)
    /// # }
    /// ```
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.io
    }

    /// Gives the transport back. What was received and not yet read is lost, and the peer is told nothing.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// let plain = stream.into_inner();
    /// # }
    /// ```
    pub fn into_inner(self) -> S {
        self.io
    }

    /// Splits the stream into two halves that different tasks of this thread can own.
    ///
    /// The transport must be usable through a reference, as the streams of [`saferring::net`] are.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// let (mut reader, mut writer) = stream.into_split();
    /// saferring::spawn(async move { saferring::io::copy(&mut reader, &mut writer).await });
    /// # }
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>)
    where
        for<'a> &'a S: AsyncRead + AsyncWrite,
    {
        split(self.io, self.session)
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncRead for TlsStream<S> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let (result, [buf]) = self.read_vectored([buf]).await;
        (result, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        drive::read(&mut self.io, &mut self.session, bufs).await
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncBufRead for TlsStream<S> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        drive::read_by(&mut self.io, &mut self.session, |_| 0).await?;
        Ok(self.session.plain())
    }

    fn consume(&mut self, n: usize) {
        self.session.consume(n);
    }
}

impl<S: AsyncWrite> AsyncWrite for TlsStream<S> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let (result, [buf]) = self.write_vectored([buf]).await;
        (result, buf)
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        drive::write(&mut self.io, &mut self.session, bufs).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        drive::flush(&mut self.io, &mut &mut self.session).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        drive::shutdown(&mut self.io, &mut self.session).await
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("io", &self.io)
            .field("protocol_version", &self.protocol_version())
            .finish_non_exhaustive()
    }
}
