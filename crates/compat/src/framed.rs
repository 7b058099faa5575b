//! Frames of a codec over a socket, without buffers in between.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_core::Stream;
use futures_util::Sink;
use saferring::buf::{IoBuf, Slice};
use saferring::net::RecvStream;
use saferring::op::{Send, Submitted};
use tokio_util::codec::{Decoder, Encoder};

use crate::socket::Socket;

/// How much is encoded before it is sent, even if nobody flushes.
const HIGH_WATER: usize = 8 * 1024;

/// A socket as a stream and a sink of frames, by the codecs of `tokio-util`: what comes is copied once, out of the kernel's
/// chunk to the codec, and what the codec has encoded is sent as it is.
///
/// As with `tokio_util::codec::Framed`, frames that were fed are sent by a flush, or when there are many; `send` does both.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use futures_util::{SinkExt, StreamExt};
/// use saferring::net::UnixStream;
/// use saferring_compat::Framed;
/// use tokio_util::codec::LinesCodec;
///
/// let (one, other) = UnixStream::pair().unwrap();
/// let mut one = Framed::new(one, LinesCodec::new());
/// one.send("hello").await.unwrap();
/// drop(one);
/// let mut other = Framed::new(other, LinesCodec::new());
/// assert_eq!(other.next().await.unwrap().unwrap(), "hello");
/// assert!(other.next().await.is_none());
/// # });
/// # Ok::<_, saferring::Error>(())
/// ```
pub struct Framed<S: Socket, C> {
    /// Before the stream, so that it ends first.
    chunks: Option<RecvStream>,
    sending: Option<Submitted<Send<Slice<BytesMut>>>>,
    stream: S,
    codec: C,
    /// Received, and no whole frame.
    read: BytesMut,
    /// There may be a frame in it.
    is_readable: bool,
    is_ended: bool,
    /// There are no frames any more.
    is_over: bool,
    /// Encoded, and not under way.
    write: BytesMut,
}

/// Nothing is pinned in it.
impl<S: Socket, C> Unpin for Framed<S, C> {}

impl<S: Socket, C> Framed<S, C> {
    /// Puts a codec upon a socket.
    pub fn new(stream: S, codec: C) -> Self {
        Framed {
            chunks: None,
            sending: None,
            stream,
            codec,
            read: BytesMut::new(),
            is_readable: false,
            is_ended: false,
            is_over: false,
            write: BytesMut::new(),
        }
    }

    /// The socket. Reads of it wait: what comes in belongs to the codec, from the first frame on.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// The codec.
    pub fn codec_mut(&mut self) -> &mut C {
        &mut self.codec
    }

    /// What was received and is no whole frame yet.
    pub fn read_buffer(&self) -> &BytesMut {
        &self.read
    }

    /// What was encoded and is not under way yet.
    pub fn write_buffer(&self) -> &BytesMut {
        &self.write
    }

    /// The socket, the codec, and what was received and is no whole frame. What is not flushed is lost.
    pub fn into_parts(self) -> (S, C, BytesMut) {
        (self.stream, self.codec, self.read)
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(sending) = &mut self.sending {
                let (sent, buf) = ready!(Pin::new(sending).poll(cx));
                self.sending = None;
                let end = match sent? {
                    0 if !buf.is_empty() => {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    n => buf.begin() + n,
                };
                let mut buf = buf.into_inner();
                if end < buf.len() {
                    self.sending = Some(self.stream.send_bytes(buf.slice(end..)).submit());
                } else if self.write.is_empty() {
                    // For its memory.
                    buf.clear();
                    self.write = buf;
                }
            } else if self.write.is_empty() {
                return Poll::Ready(Ok(()));
            } else {
                let buf = std::mem::take(&mut self.write);
                self.sending = Some(self.stream.send_bytes(buf.slice(..)).submit());
            }
        }
    }
}

impl<S: Socket, C: Decoder> Framed<S, C> {
    /// The next frame of what is there, if it is whole.
    fn decode(&mut self) -> Result<Option<C::Item>, C::Error> {
        let frame = match self.is_ended {
            true => self.codec.decode_eof(&mut self.read)?,
            false => self.codec.decode(&mut self.read)?,
        };
        self.is_readable = frame.is_some();
        Ok(frame)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<C::Item, C::Error>>> {
        loop {
            if self.is_readable || self.is_ended {
                match self.decode()? {
                    Some(frame) => return Poll::Ready(Some(Ok(frame))),
                    None if self.is_ended => return Poll::Ready(None),
                    None => {}
                }
            }
            let stream = &self.stream;
            let chunks = self.chunks.get_or_insert_with(|| stream.chunks());
            match ready!(Pin::new(chunks).poll_next(cx)).transpose()? {
                Some(chunk) => self.read.extend_from_slice(&chunk),
                None => self.is_ended = true,
            }
            self.is_readable = true;
        }
    }
}

/// After an error there are no frames any more.
impl<S: Socket, C: Decoder> Stream for Framed<S, C> {
    type Item = Result<C::Item, C::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = self.poll_frame(cx);
        if let Poll::Ready(Some(Err(_)) | None) = frame {
            self.is_over = true;
        }
        frame
    }
}

impl<S: Socket, I, C: Encoder<I>> Sink<I> for Framed<S, C> {
    type Error = C::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        if self.write.len() < HIGH_WATER {
            return Poll::Ready(Ok(()));
        }
        self.poll_flushed(cx).map_err(Into::into)
    }

    fn start_send(mut self: Pin<&mut Self>, item: I) -> Result<(), C::Error> {
        let this = &mut *self;
        this.codec.encode(item, &mut this.write)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.poll_flushed(cx).map_err(Into::into)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        ready!(self.poll_flushed(cx))?;
        self.stream.end_writing()?;
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket + fmt::Debug, C: fmt::Debug> fmt::Debug for Framed<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed")
            .field("stream", &self.stream)
            .field("codec", &self.codec)
            .field("read", &self.read.len())
            .field("write", &self.write.len())
            .finish_non_exhaustive()
    }
}
