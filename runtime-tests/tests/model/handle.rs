//! Handles: operations that have begun, in all the forms that they have.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::Stream;
use saferring::JoinHandle;
use saferring::net::{ProvidedBuf, RecvFromStream, RecvStream, ZcBuf};
use saferring::op::{Op, Operation, RegisteredFd, Submitted};
use saferring_tests::Tracked;

use super::step::{How, Limit};

/// What an operation has ended with, or a stream has brought.
pub(crate) enum Outcome {
    /// Bytes of a stream, in a buffer of this capacity; all of it is full if `exact`.
    Read {
        result: io::Result<usize>,
        bytes: Vec<u8>,
        peek: bool,
    },
    Exact {
        result: io::Result<()>,
        bytes: Vec<u8>,
    },
    /// Chunks of a stream, or its end.
    Chunks(Option<io::Result<Vec<ProvidedBuf>>>),
    /// A datagram, in a buffer of this capacity.
    Datagram {
        result: io::Result<(usize, Option<SocketAddr>)>,
        bytes: Vec<u8>,
        capacity: usize,
    },
    DatagramChunk(Option<io::Result<(ProvidedBuf, Option<SocketAddr>)>>),
    Wrote(io::Result<usize>),
    /// All, or an unknown part.
    WroteAll(io::Result<()>),
    WroteZc(io::Result<usize>, ZcBuf<Tracked>),
    WroteAllZc(io::Result<()>, ZcBuf<Tracked>),
    /// The buffer of a zero-copy send.
    Buffer,
    Accepted(Option<io::Result<OwnedFd>>),
    FileRead {
        result: io::Result<usize>,
        bytes: Vec<u8>,
        at: u64,
        capacity: usize,
    },
    FileWrote(io::Result<usize>),
    Opened(io::Result<RegisteredFd>),
    /// The task that it was in is gone.
    Lost,
}

/// An operation in some form.
pub(crate) trait Pending {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome>;

    /// Cancels it, if it has a cancel.
    fn cancel(&mut self) -> bool {
        false
    }

    /// There is more after an outcome.
    fn is_stream(&self) -> bool {
        false
    }

    /// An `async fn`, which cannot be polled any more after a panic.
    fn is_async_fn(&self) -> bool {
        false
    }

    fn is_task(&self) -> bool {
        false
    }

    /// Gives up; an outcome that was there already.
    fn give_up(self: Box<Self>) -> Option<Outcome> {
        None
    }
}

enum State<T: Operation> {
    Lazy(Pin<Box<Op<T>>>),
    Submitted(Submitted<T>),
    Gone,
}

struct OpHandle<T: Operation, F> {
    state: State<T>,
    map: F,
}

/// A handle of an operation that has all forms. In a runtime, if it is to be submitted.
pub(crate) fn op<T: Operation>(
    op: Op<T>,
    how: How,
    limit: Limit,
    map: impl FnMut(T::Output) -> Outcome + 'static,
) -> Box<dyn Pending> {
    let op = match limit.duration() {
        Some(limit) => op.timeout(limit),
        None => op,
    };
    let state = match how {
        How::Submitted => State::Submitted(op.submit()),
        _ => State::Lazy(Box::pin(op)),
    };
    Box::new(OpHandle { state, map })
}

impl<T: Operation, F: FnMut(T::Output) -> Outcome> Pending for OpHandle<T, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let output = match &mut self.state {
            State::Lazy(op) => op.as_mut().poll(cx),
            State::Submitted(op) => Pin::new(op).poll(cx),
            State::Gone => return Poll::Pending,
        };
        output.map(&mut self.map)
    }

    fn cancel(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Submitted(op) => {
                self.state = State::Submitted(op.cancel());
                true
            }
            other => {
                self.state = other;
                false
            }
        }
    }
}

struct Future_(Pin<Box<dyn Future<Output = Outcome>>>);

/// A handle of any future.
pub(crate) fn future(future: impl Future<Output = Outcome> + 'static) -> Box<dyn Pending> {
    Box::new(Future_(Box::pin(future)))
}

impl Pending for Future_ {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.0.as_mut().poll(cx)
    }

    fn is_async_fn(&self) -> bool {
        true
    }
}

pub(crate) struct Chunks {
    pub(crate) stream: RecvStream,
    pub(crate) batches: bool,
}

impl Pending for Chunks {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let chunks = if self.batches {
            let next = pin!(self.stream.next_batch()).poll(cx);
            next.map(|next| next.map(|batch| batch.map(Vec::from)))
        } else {
            let next = Pin::new(&mut self.stream).poll_next(cx);
            next.map(|next| next.map(|chunk| chunk.map(|chunk| vec![chunk])))
        };
        chunks.map(Outcome::Chunks)
    }

    fn is_stream(&self) -> bool {
        true
    }
}

pub(crate) struct Datagrams(pub(crate) RecvFromStream);

impl Pending for Datagrams {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let next = Pin::new(&mut self.0).poll_next(cx);
        next.map(|next| {
            Outcome::DatagramChunk(next.map(|next| next.map(|(chunk, from)| (chunk, Some(from)))))
        })
    }

    fn is_stream(&self) -> bool {
        true
    }
}

/// Connections that come in.
pub(crate) struct Connections<S, F>(pub(crate) S, pub(crate) F);

impl<T, S, F> Pending for Connections<S, F>
where
    S: Stream<Item = io::Result<T>> + Unpin,
    F: FnMut(T) -> io::Result<OwnedFd>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let next = Pin::new(&mut self.0).poll_next(cx);
        next.map(|next| Outcome::Accepted(next.map(|accepted| accepted.and_then(&mut self.1))))
    }

    fn is_stream(&self) -> bool {
        true
    }
}

struct Task {
    task: JoinHandle<()>,
    outcome: Rc<RefCell<Option<Outcome>>>,
}

/// The same in a task of the runtime that the caller is in.
pub(crate) fn task(mut pending: Box<dyn Pending>) -> Box<dyn Pending> {
    let outcome = Rc::new(RefCell::new(None));
    let place = Rc::clone(&outcome);
    let task = saferring::spawn(async move {
        let got = std::future::poll_fn(|cx| pending.poll(cx)).await;
        *place.borrow_mut() = Some(got);
    });
    Box::new(Task { task, outcome })
}

impl Pending for Task {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let ended = Pin::new(&mut self.task).poll(cx);
        ended.map(|_| self.outcome.take().unwrap_or(Outcome::Lost))
    }

    fn is_task(&self) -> bool {
        true
    }

    fn give_up(self: Box<Self>) -> Option<Outcome> {
        self.task.abort();
        self.outcome.take()
    }
}

/// A runtime, and which of those that had its place.
pub(crate) type Home = (u8, u32);

/// What a handle does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Receives bytes or datagrams; at least so many are needed.
    Read {
        least: usize,
    },
    Peek,
    /// Receives chunks.
    Chunks,
    /// Sends a message of the stream.
    Write {
        message: usize,
    },
    Datagram,
    Accept,
    FileRead {
        at: usize,
        len: usize,
    },
    /// Writes to one of the places of a file.
    FileWrite {
        place: usize,
    },
    Open,
    /// Waits for the buffer of a zero-copy send.
    Buffer,
}

/// A handle in the table.
pub(crate) struct Handle {
    pub(crate) id: u64,
    pub(crate) pending: Box<dyn Pending>,
    pub(crate) object: usize,
    pub(crate) does: Does,
    pub(crate) epoch: u32,
    pub(crate) limit: Limit,
    pub(crate) cancelled: bool,
    /// The runtimes in which it was polled.
    pub(crate) homes: Vec<Home>,
    /// It is in flight in a runtime that has not given everything back at its end.
    pub(crate) doomed: bool,
    /// How many bytes it takes at the most, if it reads.
    pub(crate) capacity: u64,
    /// How many tracked buffers it has.
    pub(crate) bufs: usize,
    /// The step of the program in which it began.
    pub(crate) began: usize,
}

impl Limit {
    pub(crate) fn duration(self) -> Option<std::time::Duration> {
        use std::time::Duration;
        match self {
            Limit::None => None,
            Limit::Zero => Some(Duration::ZERO),
            Limit::Short => Some(Duration::from_millis(1)),
            Limit::Long => Some(Duration::from_secs(600)),
        }
    }

    /// It ends soon.
    pub(crate) fn is_soon(self) -> bool {
        matches!(self, Limit::Zero | Limit::Short)
    }
}
