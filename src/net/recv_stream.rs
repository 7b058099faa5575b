//! What a socket receives, as a stream of chunks.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::stream::FusedStream;

use crate::op::{Multi, Pool, ProvidedBuf, Received, Recv, RecvMulti, SharedFd, Submitted};
use crate::runtime::with_driver;
use crate::sys::features;
use crate::task::WakeRef;

/// The chunks that a socket receives; see [`TcpStream::recv_stream`](super::TcpStream::recv_stream).
#[must_use = "a stream does nothing until it is polled"]
pub struct RecvStream {
    fd: SharedFd,
    state: State,
}

enum State {
    /// To be armed.
    Idle,
    /// One request for many chunks.
    Many(Multi<RecvMulti>),
    /// One request for one chunk, into memory of its own: before kernel 6.0.
    One(Submitted<Recv<Vec<u8>>>),
    /// All buffers are out: waits for the next that comes back.
    Dry(Rc<Pool>),
    /// The end was seen, or an error.
    Ended,
}

impl RecvStream {
    pub(super) fn new(fd: &SharedFd) -> Self {
        RecvStream {
            fd: fd.clone(),
            state: State::Idle,
        }
    }

    /// Asks the kernel for what comes.
    fn arm(&mut self) -> io::Result<()> {
        self.state = with_driver("a stream of chunks", |driver| {
            let pool = driver.pool();
            if !features().multishot_recv() {
                let buf = Vec::with_capacity(pool.buffer_size());
                return Ok(State::One(Recv::new(&self.fd, buf).submit()));
            }
            let group = match pool.pick() {
                None if driver.grow_pool()? => pool.pick(),
                picked => picked,
            };
            Ok::<_, io::Error>(match group {
                Some(group) => State::Many(Multi::new(RecvMulti::new(&self.fd, pool, group))),
                None => State::Dry(pool),
            })
        })?;
        Ok(())
    }

    /// The next completion of whatever is armed; `None` if that has ended without one.
    fn poll_armed(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Received>>> {
        match &mut self.state {
            State::Many(many) => Pin::new(many).poll_next(cx),
            State::One(one) => {
                let (received, bytes) = ready!(Pin::new(one).poll(cx));
                self.state = State::Idle;
                let stream = !self.fd.is_datagram();
                Poll::Ready(Some(received.map(|n| match n {
                    0 if stream => Received::End,
                    _ => Received::Chunk(bytes.into()),
                })))
            }
            State::Idle | State::Dry(_) | State::Ended => Poll::Ready(None),
        }
    }
}

impl Stream for RecvStream {
    type Item = io::Result<ProvidedBuf>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &this.state {
                State::Ended => return Poll::Ready(None),
                State::Idle => {
                    if let Err(error) = this.arm() {
                        this.state = State::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                    if let State::Dry(pool) = &this.state {
                        pool.wait(WakeRef::new(cx.waker()));
                        return Poll::Pending;
                    }
                }
                // Woken: by a buffer that came back, or by someone else; then it waits again.
                State::Dry(_) => {
                    this.state = State::Idle;
                    continue;
                }
                State::Many(_) | State::One(_) => {}
            }
            match ready!(this.poll_armed(cx)) {
                Some(Ok(Received::Chunk(chunk))) => return Poll::Ready(Some(Ok(chunk))),
                Some(Ok(Received::End)) => this.state = State::Ended,
                Some(Err(error)) => {
                    this.state = State::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
                // The operation ends with its last completion; then it is armed anew.
                Some(Ok(Received::Dry | Received::Stopped)) => {}
                None => this.state = State::Idle,
            }
        }
    }
}

impl FusedStream for RecvStream {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl fmt::Debug for RecvStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle => "idle",
            State::Many(_) | State::One(_) => "armed",
            State::Dry(_) => "waits for a buffer",
            State::Ended => "ended",
        };
        write!(f, "RecvStream({:?}, {state})", self.fd)
    }
}
