//! Receiving chunk by chunk: one request to the kernel for many chunks, made again whenever the kernel ends it.
//!
//! When all provided buffers are out, and on kernels that do not know such requests, each chunk is received by a
//! request of its own, into memory of its own.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::{FutureExt, Stream};
use socket2::SockAddr;

use crate::Error;
use crate::feature::Feature;
use crate::op::{
    Asked, Message, Multi, Multishot, Op, Pool, ProvidedBuf, Ready, Received, RecvFromMulti,
    RecvMsg, RecvMulti, SharedFd, ask,
};
use crate::runtime::with_driver;
use crate::task::{poll_proceed, spend};

type Arrival<C> = io::Result<Received<C>>;

/// A multishot receive.
pub(super) trait Receive: Multishot<Item = Arrival<Self::Chunk>> + Sized {
    /// What it yields.
    type Chunk;

    /// Whether a receive of nothing is the end.
    const ENDS: bool;
    /// What the kernel calls it.
    const FEATURE: Feature;

    fn many(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self;

    /// What came into memory of its own.
    fn chunk(bytes: Vec<u8>, message: Message) -> Self::Chunk;
}

impl Receive for RecvMulti {
    type Chunk = ProvidedBuf;
    const ENDS: bool = true;
    const FEATURE: Feature = Feature::MultishotRecv;

    fn many(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        RecvMulti::new(fd, pool, group)
    }

    fn chunk(bytes: Vec<u8>, message: Message) -> ProvidedBuf {
        datagram(bytes, &message)
    }
}

impl Receive for RecvFromMulti {
    type Chunk = (ProvidedBuf, Option<SockAddr>);
    const ENDS: bool = false;
    const FEATURE: Feature = Feature::MultishotRecvmsg;

    fn many(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        RecvFromMulti::new(fd, pool, group)
    }

    fn chunk(bytes: Vec<u8>, message: Message) -> Self::Chunk {
        (datagram(bytes, &message), message.from)
    }
}

type One<C> = Pin<Box<dyn Future<Output = Arrival<C>>>>;

/// One receive of at most `size` bytes, into memory of its own: before kernel 6.0, and where all buffers are out.
fn one<R: Receive>(fd: &SharedFd, size: usize) -> One<R::Chunk> {
    let receive = RecvMsg::new(fd, [Vec::with_capacity(size)]).submit();
    // No async block: that could not go on after a poll outside of a runtime, which may panic.
    Box::pin(receive.map(|(received, [bytes])| {
        let message = received?;
        Ok(match message.len {
            0 if R::ENDS => Received::End,
            _ => Received::Chunk(R::chunk(fitting(bytes), message)),
        })
    }))
}

/// What was received, with a note of what is missing of a datagram.
fn datagram(bytes: Vec<u8>, message: &Message) -> ProvidedBuf {
    let missing = message.full_len.saturating_sub(bytes.len());
    let mut chunk = ProvidedBuf::from(bytes);
    chunk.set_missing(missing);
    chunk
}

/// A few bytes do not hold the memory that was there for many.
fn fitting(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < bytes.capacity() / 2 {
        bytes.shrink_to_fit();
    }
    bytes
}

/// What a socket receives, chunk by chunk.
pub(super) struct Chunks<R: Receive> {
    fd: SharedFd,
    state: State<R>,
    asked: Asked,
}

enum State<R: Receive> {
    /// To be armed.
    Idle,
    /// One request for many chunks.
    Many(Multi<R>),
    /// Without a buffer: waits until there is something to put into memory of its own.
    Waiting(Pin<Box<Op<Ready>>>),
    /// There is something, to be received.
    Able,
    /// One request for one chunk.
    One(One<R::Chunk>),
    /// To be told, after what came before it.
    Failed(io::Error),
    /// The end was seen, or an error.
    Ended,
}

impl<R: Receive> Chunks<R> {
    pub(super) fn new(fd: &SharedFd) -> Self {
        Chunks {
            fd: fd.clone(),
            state: State::Idle,
            asked: Asked::default(),
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// What arrived for an earlier read, which was dropped. It comes before all that is armed.
    #[inline]
    fn stashed(&self) -> Option<io::Result<R::Chunk>> {
        let told_first = matches!(self.state, State::One(_) | State::Failed(_) | State::Ended);
        if !self.fd.has_stashed() || told_first {
            return None;
        }
        self.take_stashed()
    }

    #[cold]
    fn take_stashed(&self) -> Option<io::Result<R::Chunk>> {
        Some(match self.fd.stashed_chunk()? {
            Ok((bytes, message)) => Ok(R::chunk(bytes, message)),
            Err(error) => Err(io::Error::from_raw_os_error(error)),
        })
    }

    /// The next chunk, if it has arrived already. Leaves no waker.
    pub(super) fn next_queued(&mut self) -> Option<R::Chunk> {
        if self.fd.has_stashed() {
            return None;
        }
        while let State::Many(many) = &mut self.state {
            match many.next_queued()? {
                Ok(Received::Chunk(chunk)) => return Some(chunk),
                Ok(Received::End) => self.state = State::Ended,
                Err(error) => self.state = State::Failed(error),
                // Armed anew when the stream is asked again.
                Ok(Received::OutOfBuffers | Received::Stopped) => {}
            }
        }
        None
    }

    /// Asks the kernel for what comes.
    fn arm(&mut self) {
        let armed = with_driver("a stream of chunks", |driver| {
            let pool = driver.pool();
            let features = driver.features();
            if !(features.may_use(R::FEATURE)? && features.may_use(Feature::BufferRings)?) {
                return Ok(State::One(one::<R>(&self.fd, pool.buffer_size())));
            }
            let group = match pool.pick() {
                None if driver.grow_pool() => pool.pick(),
                picked => picked,
            };
            Ok(match group {
                Some(group) => State::Many(Multi::new(R::many(&self.fd, pool, group))),
                None => {
                    pool.count_exhausted();
                    State::Waiting(Box::pin(Ready::read(&self.fd)))
                }
            })
        });
        self.state = armed.unwrap_or_else(|error: Error| State::Failed(error.into()));
    }

    #[inline]
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<R::Chunk>>> {
        ask(self, cx, |chunks| &mut chunks.asked, Self::poll_received)
    }

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<R::Chunk>>> {
        ready!(poll_proceed(cx));
        loop {
            if let Some(stashed) = self.stashed() {
                spend();
                if stashed.is_err() {
                    self.state = State::Ended;
                }
                return Poll::Ready(Some(stashed));
            }
            let received = match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Failed(error) => {
                    let error = mem::replace(error, io::ErrorKind::Other.into());
                    self.state = State::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
                State::Idle => {
                    self.arm();
                    continue;
                }
                State::Waiting(ready) => {
                    self.state = match ready!(ready.as_mut().poll(cx)) {
                        Ok(()) => State::Able,
                        Err(error) => State::Failed(error),
                    };
                    continue;
                }
                State::Able => {
                    let size =
                        with_driver("a stream of chunks", |driver| driver.pool().buffer_size());
                    self.state = State::One(one::<R>(&self.fd, size));
                    continue;
                }
                State::Many(many) => ready!(Pin::new(many).poll_next(cx)),
                State::One(one) => {
                    let received = ready!(one.as_mut().poll(cx));
                    self.state = State::Idle;
                    Some(received)
                }
            };
            match received {
                Some(Ok(Received::Chunk(chunk))) => {
                    spend();
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Some(Ok(Received::End)) => self.state = State::Ended,
                Some(Err(error)) => {
                    self.state = State::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
                // The operation ends with its last completion; then it is armed anew.
                Some(Ok(Received::OutOfBuffers | Received::Stopped)) => {}
                None => self.state = State::Idle,
            }
        }
    }
}

impl<R: Receive> Drop for Chunks<R> {
    fn drop(&mut self) {
        if let State::Failed(error) = &self.state {
            self.fd.leave_error(error);
        }
    }
}

impl<R: Receive> fmt::Debug for Chunks<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle => "idle",
            State::Many(_) | State::Waiting(_) | State::Able | State::One(_) => "armed",
            State::Failed(_) | State::Ended => "ended",
        };
        write!(f, "{:?}, {state}", self.fd)
    }
}
