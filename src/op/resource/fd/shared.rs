//! A counted descriptor: closed when its last user is done with it.
//!
//! Every operation in flight holds a count, so a number is never closed, and never reused, under a live operation. A
//! descriptor is known by this record, and never by its number, which can come again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use super::backoff::descriptor_closed;
use super::linger::stop_lingering;
use super::position::Begun;
use super::queues::{Queues, Side};
use super::slot::Slot;
use super::stash::{Order, Stash};
use crate::sys::{Completion, Target, note_descriptor, types};
use crate::task::WakeRef;

/// Shared ownership of a descriptor.
#[allow(unreachable_pub)] // The trait `Operation` names it, so that it has to be public where nobody can reach it.
pub struct SharedFd(pub(super) Rc<Inner>);

pub(super) struct Inner {
    /// Taken out only by `close`, `into_owned` and `drop`.
    pub(super) fd: Cell<Option<OwnedFd>>,
    /// Its number, or -1 for a direct descriptor.
    pub(super) raw: RawFd,
    reading: Cell<bool>,
    writing: Cell<bool>,
    pub(super) closing: Cell<bool>,
    /// Whether it is known to be a socket.
    pub(super) socket: Cell<bool>,
    /// Whether it is a socket of datagrams.
    datagram: Cell<bool>,
    /// Whether writes are done at once, by the calling thread.
    inline_writes: Cell<bool>,
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
    pub(super) stash: Stash,
    /// How long accepts are paused for want of descriptors or memory, and until when.
    pub(super) pause: Duration,
    pub(super) paused_until: Option<Instant>,
    /// The error of a write that was dropped; 0 for none.
    pub(super) write_error: i32,
    pub(super) queues: Queues,
    /// Where the operation began that has the turn of the cursor.
    pub(super) begun: Option<Begun>,
    /// The close that waits until the kernel has nothing more.
    pub(super) closer: Option<WakeRef>,
    /// Its slot in a ring's table of files.
    pub(super) slot: Option<Slot>,
}

pub(super) const NO_SLOT: u32 = u32::MAX;

impl SharedFd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let raw = fd.as_raw_fd();
        note_descriptor(raw);
        Self::with(Some(fd), raw)
    }

    /// A direct descriptor: it has a slot in the ring's table, and no number.
    pub(in crate::op) fn direct(slot: Slot) -> Self {
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
    pub(in crate::op) fn target(&self) -> Target {
        types::Fd(if self.is_closing() { -1 } else { self.0.raw })
    }

    /// Whether a close of it has begun.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.get()
    }

    /// Whether it has a slot in a ring's table, and nothing else.
    #[inline]
    pub(in crate::op) fn is_direct(&self) -> bool {
        self.0.raw < 0
    }

    /// Works on what most descriptors do not have.
    pub(super) fn with_rare<R>(&self, work: impl FnOnce(&mut Rare) -> R) -> R {
        work(self.0.rare.borrow_mut().get_or_insert_default())
    }

    /// Whether a receive should wait for data before it tries: the last one found the socket empty.
    #[inline]
    pub(in crate::op) fn is_drained(&self) -> bool {
        self.0.drained.get()
    }

    /// Notes how a receive left the socket.
    #[inline]
    pub(in crate::op) fn note_receive(&self, cqe: Completion) {
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

    /// Whether what is read and written may have a position: it is a file, or a block device.
    ///
    /// # Errors
    ///
    /// What fstat(2) says.
    pub(crate) fn has_positions(&self) -> io::Result<bool> {
        let mode = rustix::fs::fstat(self)?.st_mode;
        Ok(matches!(
            FileType::from_raw_mode(mode),
            FileType::RegularFile | FileType::BlockDevice
        ))
    }

    /// Whether writes to a file are done by the calling thread, when they are first polled, or by the kernel's.
    pub(crate) fn set_inline_writes(&self, inline: bool) {
        self.0.inline_writes.set(inline);
    }

    /// Whether they are.
    #[inline]
    pub(in crate::op) fn writes_inline(&self) -> bool {
        self.0.inline_writes.get()
    }

    /// The user data of the one operation that the kernel has, if it is one: then nobody has to look for others.
    pub(super) fn only(&self) -> Option<u64> {
        (self.0.in_kernel.get() == 1).then(|| self.0.last.get())
    }

    /// The descriptor itself, if nobody else uses it and nothing that has arrived waits here for the next read.
    ///
    /// # Errors
    ///
    /// `self` otherwise.
    pub(crate) fn into_owned(self) -> Result<OwnedFd, Self> {
        if Rc::strong_count(&self.0) > 1 || self.has_stashed() {
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

    /// The descriptor, which is open, and no direct one.
    pub(super) fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open while `Inner` holds it, and it is taken out only by `into_owned`, of the last
        // `SharedFd`, and by `close`, which consumes the one of the user's type, when the kernel has nothing of it any more.
        // What an operation or a stream has, which may outlive a close, is asked for its number by entries alone, or before
        // the close. Direct descriptors are never lent.
        unsafe { BorrowedFd::borrow_raw(self.raw) }
    }

    /// Whether the kernel has nothing of it. What waits for its turn may wait long, and gets no number any more.
    pub(super) fn is_idle(&self) -> bool {
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

    pub(super) fn take_slot(&self) -> Option<Slot> {
        self.slot.set(NO_SLOT);
        self.rare.borrow_mut().as_mut()?.slot.take()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Late connections close themselves, and a slot is emptied.
        self.rare.borrow_mut().take();
        if let Some(fd) = self.fd.take() {
            if self.socket.get() {
                stop_lingering(&fd);
            }
            drop(fd);
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
        self.0.borrow()
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
