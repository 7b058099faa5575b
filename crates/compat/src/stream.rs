//! A socket under the traits of others.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use saferring::buf::{IoBuf, Slice};
use saferring::net::{ProvidedBuf, RecvStream};
use saferring::op::Submitted;
use saferring::runtime::Handle;

use crate::buffers;
use crate::polled::{PollRead, PollWrite};
use crate::socket::{Sent, Socket};

/// A [`TcpStream`](saferring::net::TcpStream) or [`UnixStream`](saferring::net::UnixStream) under the traits of tokio, futures
/// and hyper: see the [crate's page](crate) for what it costs and promises.
///
/// Its runtime is the one in which it is polled first.
pub struct Compat<S: Socket> {
    incoming: Incoming,
    outgoing: Outgoing,
    /// There until it is taken apart.
    stream: Option<S>,
}

/// What comes in.
#[derive(Default)]
struct Incoming {
    /// None before the first read.
    chunks: Option<RecvStream>,
    /// What the last chunk has left.
    chunk: Option<ProvidedBuf>,
}

/// What goes out.
#[derive(Default)]
struct Outgoing {
    /// Under way.
    sending: Option<Submitted<Sent>>,
    /// Who waits for that, other than a reader.
    writer: Option<Waker>,
    /// What became of it, for the next call.
    error: Option<io::Error>,
}

impl<S: Socket> Compat<S> {
    /// Puts a stream under the traits.
    pub fn new(stream: S) -> Self {
        Compat {
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            stream: Some(stream),
        }
    }

    /// The stream.
    ///
    /// Reads of it wait: what comes in belongs to the adapter, from the first read on.
    pub fn get_ref(&self) -> &S {
        match &self.stream {
            Some(stream) => stream,
            None => unreachable!("it goes when the adapter goes"),
        }
    }

    /// Gives the stream back, once what was written has been sent, with what was received and not read.
    ///
    /// # Errors
    ///
    /// Those of the writes before. The stream is closed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the stream; what was written is sent all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "tokio")]
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::net::UnixStream;
    /// use saferring_compat::Compat;
    /// use tokio::io::AsyncReadExt;
    ///
    /// let (one, other) = UnixStream::pair()?;
    /// one.write_all("head body").await.0?;
    /// let mut other = Compat::new(other);
    /// other.read_exact(&mut [0; 5]).await?;
    /// let (stream, left) = other.into_inner().await?;
    /// assert_eq!(&left.unwrap()[..], b"body");
    /// drop(stream);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn into_inner(mut self) -> io::Result<(S, Option<ProvidedBuf>)> {
        poll_fn(|cx| self.poll_flush(cx)).await?;
        let left = self.incoming.chunk.take();
        // What it has received and not shown is for the next read.
        self.incoming.chunks = None;
        match self.stream.take() {
            Some(stream) => Ok((stream, left)),
            None => unreachable!("it goes when the adapter goes"),
        }
    }

    /// Sends what is in a buffer; nothing is under way.
    #[cfg(feature = "tls")]
    pub(crate) fn send(&mut self, buf: Slice<Vec<u8>>) {
        let (outgoing, stream) = self.parts();
        outgoing.send(stream, buf);
    }

    /// Something is under way, or has failed, which who writes next is to be told.
    #[cfg(feature = "tls")]
    pub(crate) fn has_unsettled(&self) -> bool {
        self.outgoing.sending.is_some() || self.outgoing.error.is_some()
    }

    /// Both, to be used together.
    fn parts(&mut self) -> (&mut Outgoing, &S) {
        match &self.stream {
            Some(stream) => (&mut self.outgoing, stream),
            None => unreachable!("it goes when the adapter goes"),
        }
    }

    /// Waits for what is under way, for who writes.
    pub(crate) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (outgoing, stream) = self.parts();
        let sent = outgoing.poll_sent(stream, cx);
        outgoing.writer = match sent {
            Poll::Pending => Some(cx.waker().clone()),
            Poll::Ready(_) => None,
        };
        sent
    }
}

impl Outgoing {
    fn send<S: Socket>(&mut self, stream: &S, buf: Slice<Vec<u8>>) {
        self.sending = Some(stream.send(buf).submit());
    }

    /// Goes on with what is under way. Ready: nothing is.
    fn poll_sent<S: Socket>(&mut self, stream: &S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(sending) = &mut self.sending {
            let (sent, buf) = ready!(Pin::new(sending).poll(cx));
            self.sending = None;
            match sent {
                Ok(0) if !buf.is_empty() => {
                    buffers::give_back(buf.into_inner());
                    self.error = Some(io::ErrorKind::WriteZero.into());
                }
                // What has ended it is told of the rest.
                Ok(n) if n < buf.len() => self.send(stream, buf.slice(n..)),
                sent => {
                    buffers::give_back(buf.into_inner());
                    self.error = sent.err();
                }
            }
        }
        Poll::Ready(match self.error.take() {
            None => Ok(()),
            Some(error) => Err(error),
        })
    }
}

impl<S: Socket> PollRead for Compat<S> {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        // Who waits for an answer may not look after the question any more. A writer that does is not robbed of its waker.
        let writer = self.outgoing.writer.as_ref();
        if self.outgoing.sending.is_some() && writer.is_none_or(|waker| waker.will_wake(cx.waker()))
        {
            let (outgoing, stream) = self.parts();
            if let Poll::Ready(Err(error)) = outgoing.poll_sent(stream, cx) {
                outgoing.error = Some(error);
            }
        }
        if self.incoming.chunk.is_none() {
            if self.incoming.chunks.is_none() {
                self.incoming.chunks = Some(self.get_ref().chunks());
            }
            if let Some(chunks) = &mut self.incoming.chunks {
                self.incoming.chunk =
                    ready!(futures_core::Stream::poll_next(Pin::new(chunks), cx)).transpose()?;
            }
        }
        Poll::Ready(Ok(self.incoming.chunk.as_deref().unwrap_or_default()))
    }

    fn consume(&mut self, n: usize) {
        if let Some(chunk) = &mut self.incoming.chunk {
            if n < chunk.len() {
                chunk.advance(n);
            } else {
                self.incoming.chunk = None;
            }
        }
    }
}

impl<S: Socket> PollWrite for Compat<S> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(cx))?;
        let buf = buffers::filled(slices);
        let len = buf.len();
        match len {
            0 => buffers::give_back(buf),
            _ => {
                let (outgoing, stream) = self.parts();
                outgoing.send(stream, buf.slice(..));
            }
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx))?;
        Poll::Ready(self.get_ref().end_writing())
    }
}

impl<S: Socket> Drop for Compat<S> {
    /// What is under way is sent before the stream is closed.
    fn drop(&mut self) {
        if self.outgoing.sending.is_none() || Handle::try_current().is_none() {
            return;
        }
        let mut outgoing = std::mem::take(&mut self.outgoing);
        // Not as a `Compat`: at the end of the runtime the task is dropped at once.
        if let Some(stream) = self.stream.take() {
            drop(saferring::spawn(async move {
                let _ = poll_fn(|cx| outgoing.poll_sent(&stream, cx)).await;
            }));
        }
    }
}

impl<S: Socket + fmt::Debug> fmt::Debug for Compat<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compat")
            .field("stream", &self.stream)
            .field(
                "unread",
                &self.incoming.chunk.as_ref().map(|chunk| chunk.len()),
            )
            .field("sends", &self.outgoing.sending.is_some())
            .finish_non_exhaustive()
    }
}
