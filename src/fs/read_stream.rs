//! A file as a stream of chunks.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::RangeBounds;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::stream::FusedStream;

use super::File;
use super::positional::{bounds, position};
use crate::op::{Asked, FixedBuf, FixedBufPool, Read, SharedFd, Submitted, ask};
use crate::runtime::fixed_buffers;

/// How many reads are on their way at once.
const DEPTH_MAX: usize = 1024;

impl File {
    /// The bytes of `range` as a stream of chunks, in order, with `depth` reads (at least one, at most 1,024) on
    /// their way ahead of the reader.
    ///
    /// The chunks are [registered buffers](FixedBufPool) of the runtime ([`Builder::fixed_buffers`] sets their size, by
    /// default 64 KiB), or where those are out, others of the same size: holding on to chunks stops nothing, but costs
    /// memory. A chunk can be written or sent as it is. The stream ends at the end of the range or of the file, or
    /// after an error.
    ///
    /// [`Builder::fixed_buffers`]: crate::runtime::Builder::fixed_buffers
    ///
    /// # Errors
    ///
    /// The items': what [`read_at`](File::read_at) says, and `OutOfMemory`.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping it, or a future that waits for its next item, loses nothing: the file is as it was.
    ///
    /// # Kernel
    ///
    /// `READ_FIXED`, one a chunk.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use futures_util::TryStreamExt;
    /// use saferring::fs::File;
    ///
    /// let file = File::open("Cargo.toml").await?;
    /// let mut chunks = file.read_stream(10.., 4);
    /// let mut sum = 0;
    /// while let Some(chunk) = chunks.try_next().await? {
    ///     sum += chunk.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    /// }
    /// # assert_eq!(sum, std::fs::read("Cargo.toml")?[10..].iter().map(|&byte| u64::from(byte)).sum::<u64>());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn read_stream(&self, range: impl RangeBounds<u64>, depth: usize) -> ReadStream {
        let (start, end) = bounds(range);
        ReadStream {
            fd: self.fd.clone(),
            pool: None,
            depth: depth.clamp(1, DEPTH_MAX),
            next: start,
            end,
            running: VecDeque::new(),
            ended: false,
            asked: Asked::default(),
        }
    }
}

/// The chunks of a file; see [`File::read_stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct ReadStream {
    fd: SharedFd,
    /// `None` before the first poll.
    pool: Option<FixedBufPool>,
    depth: usize,
    /// Where the next read starts.
    next: u64,
    end: u64,
    /// The reads on their way, in order, without gaps.
    running: VecDeque<Block>,
    ended: bool,
    asked: Asked,
}

struct Block {
    read: Submitted<Read<FixedBuf>>,
    start: u64,
    /// How many bytes of it are wanted.
    len: usize,
}

impl ReadStream {
    /// The runtime's pool of registered buffers, asked for in the first poll.
    fn pool(&mut self) -> io::Result<FixedBufPool> {
        if let Some(pool) = &self.pool {
            return Ok(pool.clone());
        }
        self.fd.register();
        Ok(self.pool.insert(fixed_buffers()?).clone())
    }

    fn block(&mut self, start: u64, len: usize) -> io::Result<Block> {
        let buf = self.pool()?.take_or_make()?;
        let read = Read::new(&self.fd, buf, position(start)).submit();
        Ok(Block { read, start, len })
    }

    /// Submits reads until so many are on their way.
    fn read_ahead(&mut self) -> io::Result<()> {
        let size = self.pool()?.buffer_size() as u64;
        while self.running.len() < self.depth && self.next < self.end {
            let len = size.min(self.end - self.next);
            let block = self.block(self.next, len as usize)?;
            self.running.push_back(block);
            self.next += len;
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<FixedBuf>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let chunk = ready!(self.poll_chunk(cx)).transpose();
        if !matches!(chunk, Some(Ok(_))) {
            self.ended = true;
            // What was read ahead is beyond the end.
            self.running.clear();
        }
        Poll::Ready(chunk)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<FixedBuf>>> {
        loop {
            self.read_ahead()?;
            let Some(first) = self.running.front_mut() else {
                return Poll::Ready(Ok(None));
            };
            let (read, mut chunk) = ready!(Pin::new(&mut first.read).poll(cx));
            let (start, wanted) = (first.start, first.len);
            self.running.pop_front();
            let n = match read {
                Ok(0) => return Poll::Ready(Ok(None)),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if n < wanted {
                let rest = self.block(start + n as u64, wanted - n)?;
                self.running.push_front(rest);
            }
            if n > 0 {
                chunk.truncate(wanted);
                return Poll::Ready(Ok(Some(chunk)));
            }
        }
    }
}

impl Stream for ReadStream {
    type Item = io::Result<FixedBuf>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ask(&mut *self, cx, |stream| &mut stream.asked, Self::poll_read)
    }
}

impl FusedStream for ReadStream {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl fmt::Debug for ReadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadStream")
            .field("file", &self.fd)
            .field("next", &self.next)
            .field("in_flight", &self.running.len())
            .field("ended", &self.ended)
            .finish()
    }
}
