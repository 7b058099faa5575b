//! Zero-copy sends.
//!
//! The kernel answers twice: with the number of bytes, and when it has let go of the memory, which is when the peer has
//! acknowledged them, or the connection is gone. So there are two futures. [`ZcSend`] ends with the first answer, and the
//! turn on the descriptor and the hold on it end there, too: the next write does not wait for the peer, nor does a
//! close. The operation, with the buffer, stays in its cell until the second; [`ZcBuf`] waits for that.
//!
//! What the kernel refuses to send this way (not this socket, not so much memory) is sent the plain way, in the same
//! turn: the operation goes to the kernel once more as soon as the refusal is reaped, whether or not somebody polls.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::bound::Bound;
use super::flight::Flight;
use super::operation::{Multishot, Operation};
use super::stored::Stored;
use super::vtable::Table;
use super::zc_buf::ZcBuf;
use crate::buf::BufResult;
use crate::driver::Owner;
use crate::feature::Feature;
use crate::op::context::{current_or_panic, may_use};
use crate::op::resource::{Hold, SharedFd, Side, Usage};
use crate::sys::{Completion, Entry, RingId, Target};
use crate::task::{WakeRef, is_active};

/// What a zero-copy operation sends: all of it but the hold on its socket, which is the same for each.
///
/// # Safety
///
/// As for [`Operation`]; and the kernel only reads what the entry points to.
pub(crate) unsafe trait ZeroCopy: 'static {
    /// The operation's number.
    const CODE: u8;
    /// What the kernel calls it.
    const FEATURE: Feature;
    /// Its name in the list of operations in flight.
    const NAME: &'static str;

    /// What it sends, and gives back.
    type Buf;

    /// What sends the same with a copy.
    type Plain: Operation<Output = BufResult<usize, Self::Buf>>;

    /// Fills the submission entry: as a plain send if it was refused as a zero-copy one.
    fn prepare(&mut self, fd: Target, plain: bool) -> Entry;

    /// How many bytes it is to send.
    fn total_len(&self) -> usize;

    /// What it was to send.
    fn into_buf(self) -> Self::Buf;

    /// The same as a plain send.
    fn into_plain(self, fd: SharedFd) -> Self::Plain;
}

/// A zero-copy send and its hold on the socket: in turn with other sends, up to the first answer.
pub(super) struct Held<S> {
    pub(super) hold: Hold,
    send: S,
}

// SAFETY: the entry points to what `send` may point to; the descriptor is counted until the first completion, after which the
// kernel uses none.
unsafe impl<S: ZeroCopy> Operation for Held<S> {
    const CODE: u8 = S::CODE;
    const NAME: &'static str = S::NAME;
    type Output = S::Buf;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.send.prepare(self.hold.target(), self.hold.is_plain())
    }

    fn complete(self, _cqe: Completion) -> S::Buf {
        self.send.into_buf()
    }

    fn file(&self) -> Option<&SharedFd> {
        self.hold.file()
    }

    fn turn(&self) -> Option<Side> {
        Some(Side::Write)
    }

    fn early(&mut self) -> Option<i32> {
        self.hold.early()
    }
}

// SAFETY: as above; the kernel only reads, and `next` reads nothing but the hold.
unsafe impl<S: ZeroCopy> Multishot for Held<S> {
    /// There are two.
    const QUEUED_MAX: u16 = u16::MAX;
    const NOTIFIES: bool = true;
    type Item = ();

    fn refused(&self, cqe: Completion) -> bool {
        self.hold.refused(cqe)
    }

    fn next(&self, cqe: Completion) {
        self.hold.next(cqe);
    }

    fn abandon_next(&self, cqe: Completion) {
        self.hold.abandon(cqe);
    }
}

/// The first future of a zero-copy send: how many bytes were sent, and the second future, for the buffer.
pub(crate) struct ZcSend<S: ZeroCopy> {
    state: State<S>,
    bound: Bound,
}

enum State<S: ZeroCopy> {
    /// Not submitted.
    Idle(Held<S>),
    /// The driver has it.
    Sending(Stored<Held<S>>),
    /// The plain way from the beginning.
    Plain(Flight<S::Plain>),
    /// There is to be no other way than one that is not to be had.
    Failed(io::Error, S),
    Done,
}

/// The operation itself lies still in the driver; the future is a handle.
impl<S: ZeroCopy> Unpin for ZcSend<S> {}

/// What a zero-copy send ends with.
type Sent<S> = BufResult<usize, ZcBuf<<S as ZeroCopy>::Buf>>;

impl<S: ZeroCopy> ZcSend<S> {
    /// Sends on `fd`; what does not pay goes the plain way.
    pub(crate) fn new(fd: &SharedFd, usage: &Rc<Usage>, send: S) -> Self {
        let may = match usage.wants(send.total_len()) {
            true => may_use(S::FEATURE),
            false => Ok(false),
        };
        let state = match may {
            Ok(true) => State::Idle(Held {
                hold: Hold::new(fd, usage),
                send,
            }),
            Ok(false) => State::Plain(Flight::new(send.into_plain(fd.clone()))),
            Err(error) => State::Failed(error, send),
        };
        ZcSend {
            state,
            bound: Bound::None,
        }
    }

    /// Submits the operation, or leaves it to wait for its turn.
    fn submit(&mut self, cx: &Context<'_>) -> Poll<Sent<S>> {
        let driver = current_or_panic();
        // Foreign code, before anything is looked at.
        let waiter = WakeRef::new(cx.waker());
        let State::Idle(op) = std::mem::replace(&mut self.state, State::Done) else {
            return Poll::Pending;
        };
        if is_active() {
            if let Some(reason) = self.bound.join_scope() {
                return Self::refused(op, reason);
            }
            self.bound.arm(&driver, Some(&waiter));
        }
        let owner = Owner::Future(Some(waiter));
        match Stored::submit(driver, op, Table::<Held<S>>::MULTI, owner, false) {
            Ok(stored) => {
                self.state = State::Sending(stored);
                Poll::Pending
            }
            Err((op, result)) => Self::refused(op, result),
        }
    }

    /// The answer of an operation that was never submitted.
    fn refused(op: Held<S>, result: i32) -> Poll<Sent<S>> {
        let cqe = Completion::new(0, result, 0);
        let error = cqe.result().map(|n| n as usize);
        Poll::Ready((error, ZcBuf::free(op.complete(cqe))))
    }

    /// The next completion, if the scope that the send was begun in does not end it before.
    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Poll<Completion> {
        let State::Sending(stored) = &self.state else {
            return Poll::Pending;
        };
        let polled = stored.poll_queued(cx);
        if polled.is_ready() || self.bound.is_none() {
            return polled;
        }
        // Foreign code, in which the scope may be cancelled.
        let waiter = WakeRef::new(cx.waker());
        self.bound.arm(stored.driver(), Some(&waiter));
        if !self.bound.expire() {
            return stored.poll_queued(cx);
        }
        stored.cancel();
        stored.poll_queued(cx)
    }

    /// Reads the answer.
    fn answer(&mut self, cqe: Completion) -> Option<Sent<S>> {
        let State::Sending(stored) = std::mem::replace(&mut self.state, State::Done) else {
            return None;
        };
        let hold = &stored.get().hold;
        let mut cqe = hold.answer(cqe);
        let was_cancelled = cqe.raw_result() == -libc::ECANCELED;
        if let (true, Some(verdict)) = (was_cancelled, self.bound.verdict()) {
            cqe = Completion::new(0, verdict, cqe.flags());
        }
        hold.next(cqe);
        let buf = match cqe.has_more() {
            true => ZcBuf::pending(stored),
            false => ZcBuf::free(stored.take().complete(cqe)),
        };
        Some((cqe.result().map(|n| n as usize), buf))
    }
}

impl<S: ZeroCopy> Future for ZcSend<S> {
    type Output = Sent<S>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Idle(_) => return this.submit(cx),
                State::Sending(_) => {
                    let cqe = ready!(this.poll_sending(cx));
                    if let Some(sent) = this.answer(cqe) {
                        return Poll::Ready(sent);
                    }
                }
                State::Plain(flight) => {
                    let (sent, buf) = ready!(flight.poll(cx));
                    this.state = State::Done;
                    return Poll::Ready((sent, ZcBuf::free(buf)));
                }
                State::Failed(..) => {
                    let failed = std::mem::replace(&mut this.state, State::Done);
                    if let State::Failed(error, send) = failed {
                        return Poll::Ready((Err(error), ZcBuf::free(send.into_buf())));
                    }
                }
                State::Done => panic!("a send was polled after it had completed"),
            }
        }
    }
}

impl<S: ZeroCopy> Drop for ZcSend<S> {
    fn drop(&mut self) {
        if let State::Sending(stored) = std::mem::replace(&mut self.state, State::Done) {
            stored.abandon_stream();
        }
    }
}
