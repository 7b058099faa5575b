//! Zero-copy sends: what they have in common.
//!
//! The kernel answers twice: with the number of bytes, and when it has let go of the memory, which is when the peer has
//! acknowledged them, or the connection is gone. So there are two futures. [`ZcSend`] ends with the first answer, and the
//! turn on the descriptor and the hold on it end there, too: the next write does not wait for the peer, nor does a
//! close. The operation, with the buffer, stays in its cell until the second; [`ZcBuf`] waits for that.
//!
//! What the kernel refuses to send this way (not this socket, not so much memory) is sent the plain way, in the same
//! turn: the operation goes to the kernel once more as soon as the refusal is reaped, whether or not somebody polls.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use super::context::current_or_panic;
use super::flight::Flight;
use super::store::Stored;
use super::vtable::Table;
use super::zc_buf::ZcBuf;
use super::zc_usage::Usage;
use super::{Completion, Multishot, Operation, SharedFd, current};
use crate::buf::BufResult;
use crate::driver::{Orphaned, Owner};
use crate::foreign::{self, Scope};
use crate::sys::{Target, features, types};
use crate::task::WakeRef;

/// `IORING_SEND_ZC_REPORT_USAGE`, an `ioprio` flag.
const REPORT_USAGE: u16 = 1 << 3;
/// `IORING_NOTIF_USAGE_ZC_COPIED`, in the result of a notification.
const COPIED: u32 = 1 << 31;

/// Whether the kernel tells if it copied: before 6.2 it refuses to, with `EINVAL`.
static REPORTS: AtomicBool = AtomicBool::new(true);

/// The flags of an entry.
pub(super) fn zc_flags() -> u16 {
    if REPORTS.load(Ordering::Relaxed) {
        REPORT_USAGE
    } else {
        0
    }
}

/// What a zero-copy send holds of its socket: the descriptor and the turn up to the first answer, then no more than
/// what was learned.
#[allow(unreachable_pub)] // As `SharedFd`.
pub struct Hold {
    fd: RefCell<Option<SharedFd>>,
    usage: Rc<Usage>,
    way: Cell<Way>,
}

/// How a send goes.
#[derive(Clone, Copy)]
enum Way {
    ZeroCopy,
    /// It was refused, and the kernel has yet to let go of the memory.
    Refused(Refusal),
    /// With a copy, after that refusal.
    Plain(Refusal),
}

impl Hold {
    pub(super) fn new(fd: &SharedFd, usage: &Rc<Usage>) -> Self {
        Hold {
            fd: RefCell::new(Some(fd.clone())),
            usage: Rc::clone(usage),
            way: Cell::new(Way::ZeroCopy),
        }
    }

    /// Whether it goes with a copy, as it was refused without.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.way.get(), Way::Plain(_))
    }

    /// [`Multishot::refused`].
    pub(super) fn refused(&self, cqe: Completion) -> bool {
        let refusal = match self.way.get() {
            Way::ZeroCopy => Refusal::of(cqe.raw_result()),
            Way::Refused(refusal) => Some(refusal),
            Way::Plain(_) => None,
        };
        let Some(refusal) = refusal else { return false };
        if let Way::ZeroCopy = self.way.get() {
            match refusal {
                Refusal::Socket => self.usage.refuse(),
                Refusal::Memory => self.usage.learn(true),
                Refusal::Flags => {}
            }
        }
        self.way.set(match cqe.has_more() {
            true => Way::Refused(refusal),
            false => Way::Plain(refusal),
        });
        true
    }

    /// The answer as the user is to get it: one that was cancelled when it was about to go on the plain way says so.
    fn answer(&self, cqe: Completion) -> Completion {
        let stopped = match self.way.get() {
            Way::ZeroCopy => Refusal::of(cqe.raw_result()).is_some(),
            Way::Refused(_) => true,
            Way::Plain(refusal) => {
                if matches!(refusal, Refusal::Flags) && cqe.raw_result() >= 0 {
                    REPORTS.store(false, Ordering::Relaxed);
                }
                false
            }
        };
        match stopped {
            true => Completion::new(cqe.user_data(), -libc::ECANCELED, cqe.flags()),
            false => cqe,
        }
    }

    /// The descriptor, for as long as it is held.
    pub(super) fn file(&self) -> Option<&SharedFd> {
        // SAFETY: the place is emptied by `let_go` alone, which is called with the answer. Who asks here does so before
        // (the operation is on its way to the kernel, or in the queue), or in one expression, and calls nothing meanwhile
        // that takes an answer.
        unsafe { (*self.fd.as_ptr()).as_ref() }
    }

    /// The descriptor for an entry.
    pub(super) fn target(&self) -> Target {
        self.file().map_or(types::Fd(-1), SharedFd::target)
    }

    /// The error of a write that was dropped.
    pub(super) fn early(&self) -> Option<i32> {
        self.file()?.late_write_error()
    }

    /// Lets go of the descriptor, as the answer is there.
    fn let_go(&self) -> Option<SharedFd> {
        self.fd.borrow_mut().take()
    }

    /// Reads a completion for which nobody waits.
    pub(super) fn abandon(&self, cqe: Completion) {
        if let Some(fd) = self.file() {
            fd.keep_write_error(cqe.raw_result());
        }
        self.next(cqe);
    }

    /// Reads a completion: the answer, or the notification.
    pub(super) fn next(&self, cqe: Completion) {
        if self.let_go().is_some() {
            let sent = matches!(self.way.get(), Way::ZeroCopy) && cqe.raw_result() >= 0;
            count(sent, false);
        } else {
            let copied = cqe.raw_result() as u32 & COPIED != 0;
            self.usage.learn(copied);
            count(false, copied);
        }
    }
}

fn count(sent: bool, copied: bool) {
    if let Some(driver) = current() {
        driver.count_zero_copy(sent, copied);
    }
}

/// A zero-copy send: a [`Multishot`] of an answer and a notification, whose output is the buffer.
#[allow(unreachable_pub)] // As `SharedFd`.
pub trait ZeroCopy: Multishot<Item = ()> {
    /// What sends the same with a copy.
    type Plain: Operation<Output = BufResult<usize, Self::Output>>;

    /// What it holds of its socket.
    fn hold(&self) -> &Hold;

    /// How many bytes it is to send.
    fn total_len(&self) -> usize;

    /// The same as a plain send.
    fn into_plain(self, fd: SharedFd) -> Self::Plain;
}

/// Why the kernel did not send this way what it may send the plain way.
#[derive(Clone, Copy)]
enum Refusal {
    /// The socket cannot do it: not of the Internet families, say.
    Socket,
    /// No memory that may be locked; or a datagram in too many pieces.
    Memory,
    /// The flags, perhaps, before 6.2.
    Flags,
}

impl Refusal {
    fn of(result: i32) -> Option<Self> {
        // A notification may have the highest bit set.
        match result.wrapping_neg() {
            libc::EOPNOTSUPP => Some(Refusal::Socket),
            libc::ENOMEM | libc::EMSGSIZE => Some(Refusal::Memory),
            libc::EINVAL => Some(Refusal::Flags),
            _ => None,
        }
    }
}

/// The first future of a zero-copy send: how many bytes were sent, and the second future, for the buffer.
pub(crate) struct ZcSend<T: ZeroCopy> {
    state: State<T>,
}

enum State<T: ZeroCopy> {
    /// Not submitted.
    Idle(T),
    /// The driver has it.
    Sending(Stored),
    /// The plain way from the beginning.
    Plain(Flight<T::Plain>),
    Done,
}

/// The operation itself lies still in the driver; the future is a handle.
impl<T: ZeroCopy> Unpin for ZcSend<T> {}

impl<T: ZeroCopy> ZcSend<T> {
    pub(super) fn new(op: T) -> Self {
        let hold = op.hold();
        let wanted = features().has_opcode(T::CODE) && hold.usage.wants(op.total_len());
        let state = match hold.let_go() {
            Some(fd) if !wanted => State::Plain(Flight::new(op.into_plain(fd))),
            fd => {
                *hold.fd.borrow_mut() = fd;
                State::Idle(op)
            }
        };
        ZcSend { state }
    }

    /// Submits the operation, or leaves it to wait for its turn.
    fn submit(&mut self, cx: &Context<'_>) -> Poll<Sent<T>> {
        let driver = current_or_panic();
        // Foreign code, before anything is looked at.
        let waiter = WakeRef::new(cx.waker());
        let State::Idle(op) = std::mem::replace(&mut self.state, State::Done) else {
            return Poll::Pending;
        };
        let owner = Owner::Future(Some(waiter));
        match Stored::submit(driver, op, Table::<T>::MULTI, owner, false) {
            Ok(stored) => {
                self.state = State::Sending(stored);
                Poll::Pending
            }
            Err((op, result)) => {
                let cqe = Completion::new(0, result, 0);
                let error = cqe.result().map(|n| n as usize);
                Poll::Ready((error, ZcBuf::free(op.complete(cqe))))
            }
        }
    }

    /// Reads the answer.
    fn answer(&mut self, cqe: Completion) -> Option<Sent<T>> {
        let State::Sending(stored) = std::mem::replace(&mut self.state, State::Done) else {
            return None;
        };
        // SAFETY: `submit` made this value for a `T`, which was not taken: the state was `Sending` until now.
        let hold = unsafe { stored.get::<T>() }.hold();
        let cqe = hold.answer(cqe);
        hold.next(cqe);
        let buf = if cqe.has_more() {
            // SAFETY: `submit` made this value for a `T`, which is left to the buffer; one of two completions was taken.
            unsafe { ZcBuf::pending::<T>(stored) }
        } else {
            // SAFETY: as above; this was the final completion, and the state was left.
            ZcBuf::free(unsafe { stored.take::<T>() }.complete(cqe))
        };
        Some((cqe.result().map(|n| n as usize), buf))
    }
}

/// What a zero-copy send ends with.
type Sent<T> = BufResult<usize, ZcBuf<<T as Operation>::Output>>;

impl<T: ZeroCopy> Future for ZcSend<T> {
    type Output = Sent<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Idle(_) => return this.submit(cx),
                State::Sending(stored) => {
                    let cqe = ready!(poll_queued(stored, cx));
                    if let Some(sent) = this.answer(cqe) {
                        return Poll::Ready(sent);
                    }
                }
                State::Plain(flight) => {
                    let (sent, buf) = ready!(flight.poll(cx));
                    this.state = State::Done;
                    return Poll::Ready((sent, ZcBuf::free(buf)));
                }
                State::Done => panic!("a send was polled after it had completed"),
            }
        }
    }
}

/// The next completion of an operation in flight; leaves a waker if there is none.
pub(super) fn poll_queued(stored: &Stored, cx: &Context<'_>) -> Poll<Completion> {
    loop {
        if let Some(cqe) = stored.driver.pop_queued(stored.key) {
            return Poll::Ready(cqe);
        }
        // Foreign code, in which a completion may come: that is noticed when the waker is left.
        if stored.is_watched(cx.waker()) || stored.watch(WakeRef::new(cx.waker())) {
            return Poll::Pending;
        }
    }
}

impl<T: ZeroCopy> Drop for ZcSend<T> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::Done) {
            // SAFETY: `submit` made this value for a `T`, which was not taken, and now the state was left.
            State::Sending(stored) => unsafe { abandon::<T>(&stored) },
            State::Idle(_) | State::Plain(_) | State::Done => {}
        }
    }
}

/// Leaves the operation to the driver: completions go to [`Hold::next`] as they come; first those that came before.
///
/// # Safety
///
/// `submit::<T>` made `stored`, and the operation was not taken, nor is it after this.
unsafe fn abandon<T: ZeroCopy>(stored: &Stored) {
    let _scope = Scope::enter();
    let (waiter, complete) = match stored.driver.orphan(stored.key) {
        Some(Orphaned::Waiting(place, waiter)) => {
            drop(waiter);
            // SAFETY: the caller's promise; it waits there.
            drop(unsafe { stored.withdraw::<T>(place) });
            return;
        }
        Some(Orphaned::InFlight(waiter)) => (waiter, false),
        Some(Orphaned::Complete(_)) => (None, true),
        None => (None, false),
    };
    // SAFETY: the caller's promise. No foreign code runs within the scope, in which a runtime could end and take it.
    let hold = unsafe { stored.get::<T>() }.hold();
    while let Some(cqe) = stored.driver.pop_queued(stored.key) {
        hold.abandon(cqe);
    }
    if complete {
        // SAFETY: the caller's promise; the final completion has come, and was taken here or by a poll that panicked. The
        // drop of the buffer is foreign code, and nothing but the waiter's comes after it.
        let op = unsafe { stored.take::<T>() };
        foreign::guarded(|| drop(op));
    }
    drop(waiter);
}
