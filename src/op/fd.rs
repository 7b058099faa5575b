//! A counted descriptor: closed when its last user is done with it, through the ring.
//!
//! Every operation in flight holds a count, so a number is never closed, and never reused, under a live operation.
//!
//! # Turns
//!
//! Reads of a stream take turns, and so do writes: an operation is admitted to the kernel when the one before has had
//! its final completion, be that one awaited, cancelled or dropped. So two reads cannot swap bytes, and an orphan that
//! received data after all has put it among the *late* arrivals, where the next read finds it first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::late::Late;
use super::slot::Slot;
use super::{Close, Op, current, submit_detached};
use crate::sys::Completion;
use crate::task::WakeRef;

/// Shared ownership of a descriptor.
#[allow(unreachable_pub)] // The trait `Operation` names it, so that it has to be public where nobody can reach it.
pub struct SharedFd(pub(super) Rc<Inner>);

pub(super) struct Inner {
    /// Taken out only by `close`, `into_owned` and `drop`.
    fd: Cell<Option<OwnedFd>>,
    pub(super) raw: RawFd,
    pub(super) reading: Cell<bool>,
    writing: Cell<bool>,
    pub(super) closing: Cell<bool>,
    /// How many operations on it are in flight, or complete and not yet taken.
    in_kernel: Cell<u32>,
    /// Whether it is a socket of datagrams.
    datagram: Cell<bool>,
    /// Whether writes are done at once, by the calling thread.
    pub(super) inline_writes: Cell<bool>,
    /// How often a file was read or written, as far as that is counted.
    pub(super) uses: Cell<u8>,
    /// The index of the slot in `rare`.
    pub(super) slot: Cell<u32>,
    /// Whether the last receive left the socket empty, so that the next one should wait before it tries.
    drained: Cell<bool>,
    pub(super) rare: RefCell<Option<Box<Rare>>>,
}

/// What most descriptors never need.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) late: VecDeque<Late>,
    waiters: Vec<Waker>,
    /// Its place in a ring's table of files.
    pub(super) slot: Option<Slot>,
}

pub(super) const NO_SLOT: u32 = u32::MAX;

/// Which of the two queues of a stream an operation stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Write,
}

impl SharedFd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let raw = fd.as_raw_fd();
        Self::with(Some(fd), raw)
    }

    /// A direct descriptor: it has a slot in the ring's table, and no number. What stands for one is its own among those
    /// of the ring, and is none that the process can have.
    pub(super) fn direct(slot: Slot) -> Self {
        let raw = -2 - (slot.index() as RawFd);
        let shared = Self::with(None, raw);
        shared.0.set_slot(slot);
        shared
    }

    fn with(fd: Option<OwnedFd>, raw: RawFd) -> Self {
        SharedFd(Rc::new(Inner {
            fd: Cell::new(fd),
            raw,
            reading: Cell::new(false),
            writing: Cell::new(false),
            closing: Cell::new(false),
            in_kernel: Cell::new(0),
            datagram: Cell::new(false),
            inline_writes: Cell::new(false),
            uses: Cell::new(0),
            slot: Cell::new(NO_SLOT),
            drained: Cell::new(false),
            rare: RefCell::new(None),
        }))
    }

    /// The descriptor's number, for an entry. Once `close` has begun there is none (`EBADF`): what was still waiting
    /// for its turn then would be in flight without end, because the cancels have gone before it.
    #[inline]
    pub(super) fn target(&self) -> crate::sys::Target {
        io_uring::types::Fd(if self.0.closing.get() { -1 } else { self.0.raw })
    }

    fn turn(&self, side: Side) -> &Cell<bool> {
        match side {
            Side::Read => &self.0.reading,
            Side::Write => &self.0.writing,
        }
    }

    /// Takes the turn, or leaves a waker until it is free.
    #[inline]
    pub(super) fn take_turn(&self, side: Side, cx: &Context<'_>) -> Poll<()> {
        if self.turn(side).replace(true) {
            self.wait(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Takes the turn if it is free, and says whether it was.
    pub(super) fn try_turn(&self, side: Side) -> bool {
        !self.turn(side).replace(true)
    }

    /// Gives the turn to whoever waits for it.
    #[inline]
    pub(super) fn end_turn(&self, side: Side) {
        self.turn(side).set(false);
        self.wake_waiters();
    }

    #[cold]
    pub(super) fn wait(&self, cx: &Context<'_>) {
        // Cloning a waker may be foreign code: no borrow is held meanwhile.
        let waker = cx.waker().clone();
        let mut rare = self.0.rare.borrow_mut();
        let waiters = &mut rare.get_or_insert_default().waiters;
        if !waiters.iter().any(|waiter| waiter.will_wake(&waker)) {
            waiters.push(waker);
            return;
        }
        drop(rare);
        drop(waker);
    }

    #[inline]
    fn wake_waiters(&self) {
        if self.0.rare.borrow().is_some() {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_all(&self) {
        let waiters = match self.0.rare.borrow_mut().as_mut() {
            Some(rare) => std::mem::take(&mut rare.waiters),
            None => return,
        };
        for waiter in waiters {
            waiter.wake();
        }
    }

    /// Whether a receive should wait for data before it tries: the last one found the socket empty.
    #[inline]
    pub(super) fn is_drained(&self) -> bool {
        self.0.drained.get()
    }

    /// Notes how a receive left the socket.
    #[inline]
    pub(super) fn note_receive(&self, cqe: Completion) {
        self.0
            .drained
            .set(cqe.raw_result() > 0 && !cqe.socket_nonempty());
    }

    /// Whether even an empty message is one.
    pub(crate) fn is_datagram(&self) -> bool {
        self.0.datagram.get()
    }

    /// It is a socket of datagrams. Told once by whoever makes it, because to ask the kernel at each end of a stream is a
    /// system call a connection.
    pub(crate) fn mark_datagram(&self) {
        self.0.datagram.set(true);
    }

    /// Moves the position that the kernel keeps, and returns it.
    ///
    /// # Errors
    ///
    /// What lseek(2) says: `ESPIPE` if the file has no positions.
    pub(crate) fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (offset as i64, libc::SEEK_SET),
            SeekFrom::Current(offset) => (offset, libc::SEEK_CUR),
            SeekFrom::End(offset) => (offset, libc::SEEK_END),
        };
        // SAFETY: lseek takes numbers only, and the descriptor is open while `self` is borrowed.
        match unsafe { libc::lseek64(self.0.raw, offset, whence) } {
            -1 => Err(io::Error::last_os_error()),
            position => Ok(position as u64),
        }
    }

    /// Whether writes to a file are done by the calling thread, when they are first polled, or by the kernel's.
    pub(crate) fn set_inline_writes(&self, inline: bool) {
        self.0.inline_writes.set(inline);
    }

    /// An operation on the descriptor goes to the kernel.
    #[inline]
    pub(super) fn enter_kernel(&self) {
        self.0.in_kernel.set(self.0.in_kernel.get() + 1);
    }

    /// An operation on the descriptor was taken back from the kernel.
    #[inline]
    pub(super) fn left_kernel(&self) {
        self.0.in_kernel.set(self.0.in_kernel.get() - 1);
    }

    /// Cancels what is in flight on the descriptor, waits until the kernel is done with that, and closes it. What was
    /// not submitted by then gets `EBADF`.
    ///
    /// # Errors
    ///
    /// What close(2) says.
    pub(crate) async fn close(self) -> io::Result<()> {
        self.0.closing.set(true);
        if let Some(driver) = current().filter(|_| self.0.in_kernel.get() > 0) {
            driver.cancel_all(Some(self.0.raw));
            poll_fn(|cx| {
                // Those that are complete may never be taken: their futures are the user's.
                if self.0.in_kernel.get() == driver.complete_on(self.0.raw) {
                    return Poll::Ready(());
                }
                driver.watch(WakeRef::new(cx.waker()));
                Poll::Pending
            })
            .await;
        }
        drop(self.0.take_slot());
        match self.0.fd.take() {
            Some(fd) => Op::new(Close::new(fd)).await,
            None => Ok(()),
        }
    }

    /// The descriptor itself, if nobody else uses it and nothing that has arrived waits here for the next read.
    ///
    /// # Errors
    ///
    /// `self` otherwise.
    pub(crate) fn into_owned(self) -> Result<OwnedFd, Self> {
        if Rc::strong_count(&self.0) > 1 || self.has_late() {
            return Err(self);
        }
        drop(self.0.take_slot());
        match self.0.fd.take() {
            Some(fd) => Ok(fd),
            None => Err(self),
        }
    }
}

impl Clone for SharedFd {
    #[inline]
    fn clone(&self) -> Self {
        SharedFd(Rc::clone(&self.0))
    }
}

impl Inner {
    pub(super) fn set_slot(&self, slot: Slot) {
        self.slot.set(slot.index());
        let mut rare = self.rare.borrow_mut();
        rare.get_or_insert_default().slot = Some(slot);
    }

    fn take_slot(&self) -> Option<Slot> {
        self.slot.set(NO_SLOT);
        self.rare.borrow_mut().as_mut()?.slot.take()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Late connections close themselves, and a slot is emptied.
        self.rare.borrow_mut().take();
        if let Some(fd) = self.fd.take() {
            close_detached(fd);
        }
    }
}

/// Closes a descriptor through the ring, so that a slow close does not hold up the core; where there is no ring, now.
pub(crate) fn close_detached(fd: OwnedFd) {
    let unsubmitted = match current() {
        Some(driver) => submit_detached(&driver, Close::new(fd)).err(),
        None => Some(Close::new(fd)),
    };
    if let Some(close) = unsubmitted {
        drop(close.into_fd());
    }
}

impl AsRawFd for SharedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.raw
    }
}

impl AsFd for SharedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open while `Inner` holds it, and it is taken out only by `into_owned`, of the last
        // `SharedFd`, and by `close`, which consumes the one of the user's type. Those of operations and streams, which
        // may outlive a close, and direct descriptors are never lent.
        unsafe { BorrowedFd::borrow_raw(self.0.raw) }
    }
}

impl fmt::Debug for SharedFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw {
            raw if raw < 0 => write!(f, "slot {}", self.0.slot.get()),
            raw => write!(f, "fd {raw}"),
        }
    }
}
