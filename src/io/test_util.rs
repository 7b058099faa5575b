//! Streams that do as a test tells them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::Poll;

use futures_util::FutureExt;

use super::{AsyncRead, AsyncWrite};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

/// The output of a future that has nothing to wait for.
#[track_caller]
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match future.now_or_never() {
        Some(output) => output,
        None => panic!("the future waits"),
    }
}

/// Polls a future once, expects it to wait, and drops it.
#[track_caller]
pub(super) fn drop_in_flight<T>(future: impl Future<Output = T>) {
    assert!(future.now_or_never().is_none(), "the future does not wait");
}

/// What one read meets.
#[derive(Debug)]
pub(super) enum Step {
    /// These bytes, or as many of them as there is room for; the rest stays for the next read.
    Data(&'static [u8]),
    /// Bytes of a test that makes them as it goes.
    Owned(Vec<u8>),
    /// The read waits, once.
    Wait,
    Fail(ErrorKind),
}

/// A reader that goes through its steps, and then has ended. As a stream of the crate does, it keeps the bytes that
/// come for a read that was dropped.
#[derive(Debug)]
pub(super) struct Script {
    steps: VecDeque<Step>,
    /// How often it was asked.
    pub(super) reads: usize,
}

impl Script {
    pub(super) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            reads: 0,
        }
    }

    /// Delivers `data` in pieces of `size`.
    pub(super) fn chunks(data: &[u8], size: usize) -> Self {
        Self::new(data.chunks(size).map(|piece| Step::Owned(piece.to_vec())))
    }

    async fn step(&mut self, fill: impl FnOnce(&[u8]) -> usize) -> io::Result<usize> {
        self.reads += 1;
        let steps = &mut self.steps;
        poll_fn(|cx| match steps.front() {
            Some(Step::Wait) => {
                steps.pop_front();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
        .await;
        match self.steps.pop_front() {
            None | Some(Step::Wait) => Ok(fill(b"")),
            Some(Step::Fail(kind)) => Err(kind.into()),
            Some(Step::Data(bytes)) => Ok(self.deliver(bytes, fill)),
            Some(Step::Owned(bytes)) => Ok(self.deliver(&bytes, fill)),
        }
    }

    fn deliver(&mut self, bytes: &[u8], fill: impl FnOnce(&[u8]) -> usize) -> usize {
        let n = fill(bytes);
        if n < bytes.len() {
            self.steps.push_front(Step::Owned(bytes[n..].to_vec()));
        }
        n
    }
}

impl AsyncRead for Script {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        assert!(buf.buf_capacity() > 0);
        (self.step(|bytes| buf.fill_from(bytes)).await, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut bufs: V) -> BufResult<usize, V> {
        assert!(bufs.total_capacity() > 0);
        (self.step(|bytes| bufs.fill_from(bytes)).await, bufs)
    }
}

/// What one write meets.
#[derive(Debug)]
pub(super) enum Limit {
    /// So many bytes are taken.
    Take(usize),
    /// The write waits, once, and nothing is taken if it is dropped.
    Wait,
    Fail(ErrorKind),
}

/// A writer that goes through its limits, and then takes `size` bytes a write.
#[derive(Debug)]
pub(super) struct Trickle {
    limits: VecDeque<Limit>,
    size: usize,
    /// What was written, vectored writes left out.
    pub(super) written: Vec<u8>,
    /// How much each write took.
    pub(super) lengths: Vec<usize>,
    pub(super) flushes: usize,
    pub(super) shutdowns: usize,
    pub(super) shutdown_fails: Option<ErrorKind>,
}

impl Trickle {
    pub(super) fn new(limits: impl IntoIterator<Item = Limit>) -> Self {
        Self {
            limits: limits.into_iter().collect(),
            ..Self::at_most(usize::MAX)
        }
    }

    pub(super) fn at_most(size: usize) -> Self {
        Self {
            limits: VecDeque::new(),
            size,
            written: Vec::new(),
            lengths: Vec::new(),
            flushes: 0,
            shutdowns: 0,
            shutdown_fails: None,
        }
    }

    async fn limit(&mut self, len: usize) -> io::Result<usize> {
        let limits = &mut self.limits;
        poll_fn(|cx| match limits.front() {
            Some(Limit::Wait) => {
                limits.pop_front();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
        .await;
        let n = match self.limits.pop_front() {
            Some(Limit::Fail(kind)) => return Err(kind.into()),
            Some(Limit::Take(n)) => n.min(len),
            Some(Limit::Wait) | None => self.size.min(len),
        };
        self.lengths.push(n);
        Ok(n)
    }
}

impl AsyncWrite for Trickle {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let bytes = buf.slice(..);
        let result = self.limit(bytes.len()).await;
        if let Ok(n) = result {
            self.written.extend_from_slice(&bytes[..n]);
        }
        (result, bytes.into_inner())
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        (self.limit(bufs.total_len()).await, bufs)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.shutdowns += 1;
        self.shutdown_fails.map_or(Ok(()), |kind| Err(kind.into()))
    }
}
