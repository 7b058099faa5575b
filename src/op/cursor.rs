//! The position of an open file, which reads and writes by cursor move.
//!
//! The kernel moves it, but not always: not with `O_DIRECT`, and not if a part was done and the rest has failed, for want of
//! room say (6.18). What comes next would be written over that, or read once more. So where an operation begins is noted
//! while it has its turn, and when it is answered the position is looked at before the turn passes.

use std::io::SeekFrom;

use super::SharedFd;
use super::fd::Inner;
use super::late::Order;
use super::read::Place;

/// Where an operation by cursor has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    at: u64,
    /// No other has it.
    number: Order,
    writes: bool,
}

impl Begun {
    #[cold]
    fn note(fd: &SharedFd, writes: bool) -> Option<Self> {
        let begun = Begun {
            at: fd.0.position()?,
            number: fd.next_read(),
            writes,
        };
        fd.with_rare(|rare| rare.begun = Some(begun));
        Some(begun)
    }

    /// A read goes to the kernel. `None` if it is not by cursor.
    #[inline]
    pub(super) fn read(fd: &SharedFd, place: Place) -> Option<Self> {
        match place {
            Place::Cursor => Self::note(fd, false),
            Place::At(_) | Place::Stream => None,
        }
    }

    /// A write goes to the kernel.
    #[inline]
    pub(super) fn write(fd: &SharedFd, place: Place) {
        if place == Place::Cursor {
            Self::note(fd, true);
        }
    }

    /// Moves the position back to before this read, which nobody has waited for, unless somebody has moved it since.
    #[cold]
    pub(super) fn undo(self, fd: &SharedFd, result: i32) {
        fd.with_rare(|rare| rare.begun.take_if(|begun| *begun == self));
        // Its number may be another's by now.
        if fd.is_closing() {
            return;
        }
        let Some(read) = u64::try_from(result).ok().filter(|&n| n > 0) else {
            return;
        };
        if fd.0.position() == self.at.checked_add(read) {
            // What has had a position a moment ago has one still.
            let _ = fd.seek(SeekFrom::Start(self.at));
        }
    }

    /// Moves the position behind what was read or written, if the kernel has not.
    fn end(self, inner: &Inner, result: i32) {
        let Some(done) = u64::try_from(result).ok().filter(|&n| n > 0) else {
            return;
        };
        if inner.position() != Some(self.at) {
            return;
        }
        let behind = match self.writes && inner.appends() {
            true => SeekFrom::End(0),
            false => SeekFrom::Start(self.at.saturating_add(done)),
        };
        let _ = inner.seek(behind);
    }
}

impl Inner {
    /// An operation that had the turn of the cursor was answered, and nobody else has it yet.
    pub(super) fn end_at_cursor(&self, result: i32) {
        let begun = match self.rare.borrow_mut().as_mut() {
            Some(rare) => rare.begun.take(),
            None => None,
        };
        if let Some(begun) = begun {
            begun.end(self, result);
        }
    }

    fn position(&self) -> Option<u64> {
        self.seek(SeekFrom::Current(0)).ok()
    }

    /// Whether what is written goes to the end of the file, wherever its position is.
    fn appends(&self) -> bool {
        // SAFETY: the call takes numbers only, and the descriptor is open while `self` is borrowed.
        let flags = unsafe { libc::fcntl(self.raw, libc::F_GETFL) };
        flags != -1 && flags & libc::O_APPEND != 0
    }
}
