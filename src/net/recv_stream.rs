//! What a socket receives, as a stream of chunks.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::stream::FusedStream;

use super::chunks::Chunks;
use super::sock_addr::sender;
use crate::op::{Batch, ProvidedBuf, RecvFromMulti, RecvMulti, SharedFd};

/// The chunks that a socket receives; see [`TcpStream::recv_stream`](super::TcpStream::recv_stream).
#[must_use = "a stream does nothing until it is polled"]
pub struct RecvStream(Source);

enum Source {
    Stream(Chunks<RecvMulti>),
    /// With senders, so that a datagram that is left to the next receive keeps its own.
    Datagrams(Chunks<RecvFromMulti>),
}

impl RecvStream {
    pub(super) fn new(fd: &SharedFd) -> Self {
        RecvStream(if fd.is_datagram() {
            Source::Datagrams(Chunks::new(fd))
        } else {
            Source::Stream(Chunks::new(fd))
        })
    }

    fn next_queued(&mut self) -> Option<ProvidedBuf> {
        match &mut self.0 {
            Source::Stream(chunks) => chunks.next_queued(),
            Source::Datagrams(chunks) => Some(chunks.next_queued()?.0),
        }
    }

    /// All that has arrived, at least one chunk and at most 64; `None` at the end of the stream.
    ///
    /// The way to answer with what came where messages may be larger than a buffer: the batch is sent by one request
    /// (`write_all_vectored`), not by one for each chunk. An echo of four buffers takes 0.4 of the time then (1 KiB in
    /// buffers of 256 bytes: 13 µs against 34). Where every message fits into a buffer, the stream itself is faster, by
    /// 1 to 2 %.
    ///
    /// Of a datagram socket each buffer is a datagram.
    ///
    /// # Errors
    ///
    /// Those of recv(2), after what arrived before. The stream has ended then.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: a batch is taken out and returned at once.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::net::UnixStream;
    ///
    /// let (client, server) = UnixStream::pair()?;
    /// saferring::spawn(async move {
    ///     let mut chunks = server.recv_stream();
    ///     while let Some(Ok(batch)) = chunks.next_batch().await {
    ///         if server.write_all_vectored(batch).await.0.is_err() {
    ///             break;
    ///         }
    ///     }
    /// });
    /// client.write_all(vec![7; 100_000]).await.0?;
    /// assert_eq!(client.read_exact(vec![0; 100_000]).await.1, vec![7; 100_000]);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn next_batch(&mut self) -> Option<io::Result<Batch>> {
        let first = match poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let mut batch = Batch::new(first);
        while !batch.is_full() {
            let Some(chunk) = self.next_queued() else {
                break;
            };
            batch.push(chunk);
        }
        Some(Ok(batch))
    }
}

impl Stream for RecvStream {
    type Item = io::Result<ProvidedBuf>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Source::Stream(chunks) => chunks.poll_next(cx),
            Source::Datagrams(chunks) => {
                let next = chunks.poll_next(cx);
                next.map(|item| item.map(|received| received.map(|(chunk, _)| chunk)))
            }
        }
    }
}

impl FusedStream for RecvStream {
    fn is_terminated(&self) -> bool {
        match &self.0 {
            Source::Stream(chunks) => chunks.is_ended(),
            Source::Datagrams(chunks) => chunks.is_ended(),
        }
    }
}

impl fmt::Debug for RecvStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks: &dyn fmt::Debug = match &self.0 {
            Source::Stream(chunks) => chunks,
            Source::Datagrams(chunks) => chunks,
        };
        write!(f, "RecvStream({chunks:?})")
    }
}

/// The datagrams that a socket receives, and who sent them; see
/// [`UdpSocket::recv_from_stream`](super::UdpSocket::recv_from_stream).
#[must_use = "a stream does nothing until it is polled"]
pub struct RecvFromStream {
    chunks: Chunks<RecvFromMulti>,
}

impl RecvFromStream {
    pub(super) fn new(fd: &SharedFd) -> Self {
        RecvFromStream {
            chunks: Chunks::new(fd),
        }
    }
}

impl Stream for RecvFromStream {
    type Item = io::Result<(ProvidedBuf, SocketAddr)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let received = ready!(self.chunks.poll_next(cx));
        Poll::Ready(received.map(|received| {
            let (chunk, from) = received?;
            Ok((chunk, sender(from)?))
        }))
    }
}

impl FusedStream for RecvFromStream {
    fn is_terminated(&self) -> bool {
        self.chunks.is_ended()
    }
}

impl fmt::Debug for RecvFromStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvFromStream({:?})", self.chunks)
    }
}
