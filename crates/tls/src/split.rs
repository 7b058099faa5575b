//! A connection as two halves with owners of their own.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;

use rustls::CommonState;
use saferring::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use saferring::io::{AsyncBufRead, AsyncRead, AsyncWrite};

use crate::buffers::Plain;
use crate::drive;
use crate::error;
use crate::session::Session;
use crate::stream::TlsStream;

struct Shared<S> {
    io: S,
    session: RefCell<Session>,
}

/// The reading half of a [`TlsStream`]; it reads as the stream does.
///
/// It answers the peer by itself only with an alert, when the connection has failed. What else TLS has to say goes out with what the
/// writing half writes next.
///
/// # Examples
///
/// ```no_run
/// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
/// use saferring::io::{AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
///
/// let (reader, mut writer) = stream.into_split();
/// saferring::spawn(async move {
///     let mut lines = reader.lines();
///     while let Some(line) = lines.next_line().await? {
///         println!("{line}");
///     }
///     std::io::Result::Ok(())
/// });
/// saferring::spawn(async move {
///     writer.write_all("hello\n").await.0?;
///     writer.shutdown().await
/// });
/// # }
/// ```
pub struct OwnedReadHalf<S> {
    shared: Rc<Shared<S>>,
    /// What was decrypted and taken from the session, to be looked at.
    plain: Plain,
}

/// The writing half of a [`TlsStream`]; it writes as the stream does.
///
/// Dropping it ends nothing: [`shutdown`](AsyncWrite::shutdown) tells the peer that nothing more will come.
pub struct OwnedWriteHalf<S> {
    shared: Rc<Shared<S>>,
}

pub(crate) fn split<S>(io: S, session: Session) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let session = RefCell::new(session);
    let shared = Rc::new(Shared { io, session });
    let reader = OwnedReadHalf {
        shared: Rc::clone(&shared),
        plain: Plain::default(),
    };
    (reader, OwnedWriteHalf { shared })
}

impl<S> OwnedReadHalf<S> {
    /// The transport.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// let (reader, writer) = stream.into_split();
    /// assert!(std::ptr::eq(reader.get_ref(), writer.get_ref()));
    /// # }
    /// ```
    pub fn get_ref(&self) -> &S {
        &self.shared.io
    }

    /// Lets `look` see all that rustls tells of the connection.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// let (reader, writer) = stream.into_split();
    /// let is_http2 = reader.with_state(|state| state.alpn_protocol() == Some(b"h2"));
    /// # }
    /// ```
    pub fn with_state<T>(&self, look: impl FnOnce(&CommonState) -> T) -> T {
        look(&self.shared.session.borrow())
    }

    /// Makes the stream whole again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are not of one stream.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) {
    /// let (reader, writer) = stream.into_split();
    /// let stream = reader.reunite(writer).expect("they are of one stream");
    /// # }
    /// ```
    pub fn reunite(self, writer: OwnedWriteHalf<S>) -> Result<TlsStream<S>, ReuniteError<S>> {
        if !Rc::ptr_eq(&self.shared, &writer.shared) {
            return Err(ReuniteError(self, writer));
        }
        drop(writer);
        let Some(shared) = Rc::into_inner(self.shared) else {
            unreachable!("a stream has two halves, and both were given")
        };
        let mut session = shared.session.into_inner();
        session.unread(self.plain.bytes());
        Ok(TlsStream::from_parts(shared.io, session))
    }
}

impl<S> OwnedWriteHalf<S> {
    /// The transport.
    ///
    /// ```no_run
    /// # fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) -> std::io::Result<()> {
    /// let (_reader, writer) = stream.into_split();
    /// writer.get_ref().set_nodelay(true)
    /// # }
    /// ```
    pub fn get_ref(&self) -> &S {
        &self.shared.io
    }
}

impl<S> AsyncRead for OwnedReadHalf<S>
where
    for<'a> &'a S: AsyncRead + AsyncWrite,
{
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let (result, [buf]) = self.read_vectored([buf]).await;
        (result, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut bufs: V) -> BufResult<usize, V> {
        if self.plain.is_empty() {
            return drive::read(&mut &self.shared.io, &self.shared.session, bufs).await;
        }
        if bufs.total_capacity() == 0 {
            return (Err(error::no_room()), bufs);
        }
        let n = bufs.fill_from(self.plain.bytes());
        self.plain.consume(n);
        (Ok(n), bufs)
    }
}

impl<S> AsyncBufRead for OwnedReadHalf<S>
where
    for<'a> &'a S: AsyncRead + AsyncWrite,
{
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.plain.is_empty() {
            let plain = &mut self.plain;
            let take = |bytes: &[u8]| {
                plain.push(bytes);
                bytes.len()
            };
            drive::read_by(&mut &self.shared.io, &self.shared.session, take).await?;
        }
        Ok(self.plain.bytes())
    }

    fn consume(&mut self, n: usize) {
        self.plain.consume(n);
    }
}

impl<S> AsyncWrite for OwnedWriteHalf<S>
where
    for<'a> &'a S: AsyncWrite,
{
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let (result, [buf]) = self.write_vectored([buf]).await;
        (result, buf)
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        drive::write(&mut &self.shared.io, &self.shared.session, bufs).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        drive::flush(&mut &self.shared.io, &mut &self.shared.session).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        drive::shutdown(&mut &self.shared.io, &self.shared.session).await
    }
}

impl<S: fmt::Debug> fmt::Debug for OwnedReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadHalf")
            .field("io", &self.shared.io)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for OwnedWriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf")
            .field("io", &self.shared.io)
            .finish_non_exhaustive()
    }
}

/// The two halves are not of one stream.
///
/// ```no_run
/// # fn example(a: saferring_tls::TlsStream<saferring::net::TcpStream>, b: saferring_tls::TlsStream<saferring::net::TcpStream>) {
/// use saferring_tls::ReuniteError;
///
/// let ((reader, _), (_, writer)) = (a.into_split(), b.into_split());
/// let Err(ReuniteError(reader, writer)) = reader.reunite(writer) else { return };
/// # }
/// ```
#[derive(Debug)]
pub struct ReuniteError<S>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same stream")
    }
}

impl<S: fmt::Debug> Error for ReuniteError<S> {}
