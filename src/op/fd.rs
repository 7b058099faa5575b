//! A counted descriptor: closed when its last user is done with it.
//!
//! Every operation in flight holds a count, so a number is never closed, and never reused, under a live operation. A
//! descriptor is known by this record, and never by its number, which can come again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::close::{close_dropped, linger};
use super::cursor::Begun;
use super::late::{Order, Stash};
use super::pause::descriptor_closed;
use super::slot::Slot;
use super::turn::{Queues, Side};
use super::{Close, Op, context, current};
use crate::driver::FileRef;
use crate::sys::Completion;
use crate::task::WakeRef;

/// Shared ownership of a descriptor.
#[allow(unreachable_pub)] // The trait `Operation` names it, so that it has to be public where nobody can reach it.
pub struct SharedFd(pub(super) Rc<Inner>);

pub(super) struct Inner {
    /// Taken out only by `close`, `into_owned` and `drop`.
    fd: Cell<Option<OwnedFd>>,
    /// Its number, or -1 for a direct descriptor.
    pub(super) raw: RawFd,
    reading: Cell<bool>,
    writing: Cell<bool>,
    pub(super) closing: Cell<bool>,
    /// Whether it is known to be a socket.
    socket: Cell<bool>,
    /// Whether it is a socket of datagrams.
    datagram: Cell<bool>,
    /// Whether writes are done at once, by the calling thread.
    pub(super) inline_writes: Cell<bool>,
    /// Whether the last receive left the socket empty, so that the next one should wait before it tries.
    drained: Cell<bool>,
    /// How often a file was read or written, as far as that is counted.
    pub(super) uses: Cell<u8>,
    /// How many operations on it the kernel has not answered.
    pub(super) in_kernel: Cell<u32>,
    /// The user data of the last of them.
    pub(super) last: Cell<u64>,
    /// The last read that went to the kernel.
    pub(super) reads: Cell<Order>,
    /// The index of the slot in `rare`.
    pub(super) slot: Cell<u32>,
    pub(super) rare: RefCell<Option<Box<Rare>>>,
}

/// What most descriptors never need.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) late: Stash,
    /// How long accepts are paused for want of descriptors or memory, and until when.
    pub(super) pause: Duration,
    pub(super) paused_until: Option<Instant>,
    /// The error of a write that was dropped; 0 for none.
    pub(super) write_error: i32,
    pub(super) queues: Queues,
    /// What has the turn of the cursor and is with the kernel.
    pub(super) begun: Option<Begun>,
    /// The close that waits until the kernel has nothing more.
    closer: Option<WakeRef>,
    /// Its place in a ring's table of files.
    pub(super) slot: Option<Slot>,
}

pub(super) const NO_SLOT: u32 = u32::MAX;

impl SharedFd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let raw = fd.as_raw_fd();
        Self::with(Some(fd), raw)
    }

    /// A direct descriptor: it has a slot in the ring's table, and no number.
    pub(super) fn direct(slot: Slot) -> Self {
        let shared = Self::with(None, -1);
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
            socket: Cell::new(false),
            datagram: Cell::new(false),
            inline_writes: Cell::new(false),
            drained: Cell::new(false),
            uses: Cell::new(0),
            in_kernel: Cell::new(0),
            last: Cell::new(0),
            reads: Cell::new(Order::default()),
            slot: Cell::new(NO_SLOT),
            rare: RefCell::new(None),
        }))
    }

    /// The descriptor's number, for an entry. Once `close` has begun there is none (`EBADF`): what was still waiting
    /// for its turn then would be in flight without end, because the cancels have gone before it.
    #[inline]
    pub(super) fn target(&self) -> crate::sys::Target {
        io_uring::types::Fd(if self.is_closing() { -1 } else { self.0.raw })
    }

    /// Whether a close of it has begun.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.get()
    }

    /// Whether it has a slot in a ring's table, and nothing else.
    #[inline]
    pub(super) fn is_direct(&self) -> bool {
        self.0.raw < 0
    }

    /// Works on what most descriptors do not have.
    pub(super) fn with_rare<R>(&self, work: impl FnOnce(&mut Rare) -> R) -> R {
        work(self.0.rare.borrow_mut().get_or_insert_default())
    }

    /// An accept has ended. One that was cancelled may have been woken for a connection, and the kernel wakes one only: the
    /// others look again.
    pub(super) fn accept_ended(&self, cqe: Completion) {
        if cqe.raw_result() == -libc::ECANCELED {
            self.interrupt_reads();
        }
    }

    /// Lets what waits in the kernel for something to arrive begin anew, because it has arrived elsewhere.
    pub(super) fn interrupt_reads(&self) {
        if self.0.in_kernel.get() > 0 {
            let only = self.only();
            for driver in context::all() {
                driver.interrupt(self.file_ref(), only);
            }
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

    /// It is a socket.
    pub(crate) fn mark_socket(&self) {
        self.0.socket.set(true);
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
        self.0.seek(to)
    }

    /// Whether what is read and written may have a place: it is a file, or a block device.
    ///
    /// # Errors
    ///
    /// What fstat(2) says.
    pub(crate) fn has_positions(&self) -> io::Result<bool> {
        // SAFETY: the record is plain numbers, valid when zeroed, and lives across the call, which writes it. The descriptor is
        // open while `self` is borrowed.
        let (failed, status) = unsafe {
            let mut status: libc::stat64 = std::mem::zeroed();
            (libc::fstat64(self.0.raw, &mut status), status)
        };
        match failed {
            0 => Ok(matches!(
                status.st_mode & libc::S_IFMT,
                libc::S_IFREG | libc::S_IFBLK
            )),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Whether writes to a file are done by the calling thread, when they are first polled, or by the kernel's.
    pub(crate) fn set_inline_writes(&self, inline: bool) {
        self.0.inline_writes.set(inline);
    }

    /// Cancels what is in flight on the descriptor, waits until the kernel is done with that, and closes it. What was
    /// not submitted by then gets `EBADF`.
    ///
    /// # Errors
    ///
    /// What close(2) says.
    ///
    /// # Panics
    ///
    /// Outside a runtime, if there is something to wait for; the descriptor is then closed when that has ended.
    pub(crate) async fn close(self) -> io::Result<()> {
        self.0.closing.set(true);
        if !self.0.is_idle() {
            context::current_or_panic();
            self.cancel_all();
            poll_fn(|cx| self.poll_idle(cx)).await;
        }
        drop(self.0.take_slot());
        let closed = match self.0.fd.take() {
            // Sockets are closed in no time, once they do not linger.
            Some(fd) if self.0.socket.get() => {
                if current().is_some() {
                    linger(&fd).await;
                }
                Close::new(fd).now()
            }
            Some(fd) if current().is_some() => Op::new(Close::new(fd)).await,
            Some(fd) => Close::new(fd).now(),
            None => Ok(()),
        };
        descriptor_closed();
        closed
    }

    /// The user data of the one operation that the kernel has, if it is one: then nobody has to look for others.
    fn only(&self) -> Option<u64> {
        (self.0.in_kernel.get() == 1).then(|| self.0.last.get())
    }

    /// Cancels all that is in flight on it, in whatever ring.
    fn cancel_all(&self) {
        let only = self.only();
        for driver in context::all() {
            if driver.cancel_file(self.file_ref(), only) {
                // The ring of another runtime has to be turned for it.
                context::attend(&driver);
            }
        }
    }

    /// Waits until the kernel has nothing of it.
    fn poll_idle(&self, cx: &Context<'_>) -> Poll<()> {
        if self.0.is_idle() {
            return Poll::Ready(());
        }
        // Foreign code: so it is looked at again.
        let closer = WakeRef::new(cx.waker());
        if self.0.is_idle() {
            return Poll::Ready(());
        }
        drop(self.with_rare(|rare| rare.closer.replace(closer)));
        Poll::Pending
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
    #[inline]
    pub(super) fn turn(&self, side: Side) -> &Cell<bool> {
        match side {
            Side::Read => &self.reading,
            Side::Write => &self.writing,
        }
    }

    pub(super) fn file_ref(this: &Rc<Self>) -> FileRef {
        // SAFETY: an `Rc` does not point to null.
        unsafe { FileRef::new_unchecked(Rc::as_ptr(this).cast_mut().cast()) }
    }

    pub(super) fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (offset as i64, libc::SEEK_SET),
            SeekFrom::Current(offset) => (offset, libc::SEEK_CUR),
            SeekFrom::End(offset) => (offset, libc::SEEK_END),
        };
        // SAFETY: lseek takes numbers only, and the descriptor is open while `self` is borrowed.
        match unsafe { libc::lseek64(self.raw, offset, whence) } {
            -1 => Err(io::Error::last_os_error()),
            position => Ok(position as u64),
        }
    }

    /// Whether the kernel has nothing of it. What waits for its turn may wait long, and gets no number any more.
    fn is_idle(&self) -> bool {
        self.in_kernel.get() == 0
    }

    #[cold]
    pub(super) fn wake_closer(&self) {
        if self.is_idle() {
            let closer = self
                .rare
                .borrow_mut()
                .as_mut()
                .and_then(|rare| rare.closer.take());
            if let Some(closer) = closer {
                closer.wake();
            }
        }
    }

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
            close_dropped(fd, self.socket.get());
            descriptor_closed();
        }
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
            _ if self.is_direct() => write!(f, "slot {}", self.0.slot.get()),
            raw => write!(f, "fd {raw}"),
        }
    }
}
