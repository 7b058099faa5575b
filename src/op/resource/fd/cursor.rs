//! The position of an open file, which reads and writes by cursor move.
//!
//! The kernel moves it, but not always: not with `O_DIRECT`, and not if a part was done and the rest has failed, for want of
//! room say (6.18). What comes next would be written over that, or read once more. So where an operation begins is noted
//! while it has its turn, and when it is answered the position is looked at before the turn passes.

use std::io::{self, SeekFrom};

use rustix::fs::{OFlags, fcntl_getfl};

use super::position::{Begun, Position};
use super::shared::{Inner, SharedFd};

impl SharedFd {
    /// Moves the position that the kernel keeps, and returns it.
    ///
    /// # Errors
    ///
    /// What lseek(2) says: `ESPIPE` if the file has no positions.
    pub(crate) fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }

    /// A read goes to the kernel. `None` if it is not by cursor.
    #[inline]
    pub(in crate::op) fn begin_read(&self, position: Position) -> Option<Begun> {
        match position {
            Position::Cursor => self.begin_at_cursor(false),
            Position::At(_) | Position::Stream => None,
        }
    }

    /// A write goes to the kernel.
    #[inline]
    pub(in crate::op) fn begin_write(&self, position: Position) {
        if position == Position::Cursor {
            self.begin_at_cursor(true);
        }
    }

    #[cold]
    fn begin_at_cursor(&self, writes: bool) -> Option<Begun> {
        let begun = Begun {
            at: self.0.position()?,
            number: self.next_read(),
            writes,
        };
        self.with_rare(|rare| rare.begun = Some(begun));
        Some(begun)
    }

    /// Moves the position back to before a read, which nobody has waited for, unless somebody has moved it since.
    #[cold]
    pub(in crate::op) fn undo_read(&self, read: Begun, result: i32) {
        self.with_rare(|rare| rare.begun.take_if(|begun| *begun == read));
        // Its number may be another's by now.
        if self.is_closing() {
            return;
        }
        let Some(done) = done(result) else { return };
        if self.0.position() == read.at.checked_add(done) {
            // What has had a position a moment ago has one still.
            let _ = self.seek(SeekFrom::Start(read.at));
        }
    }
}

impl Inner {
    /// An operation that had the turn of the cursor was answered, and nobody else has it yet: moves the position behind what
    /// was read or written, if the kernel has not.
    pub(super) fn end_at_cursor(&self, result: i32) {
        let begun = match self.rare.borrow_mut().as_mut() {
            Some(rare) => rare.begun.take(),
            None => None,
        };
        let (Some(begun), Some(done)) = (begun, done(result)) else {
            return;
        };
        if self.position() != Some(begun.at) {
            return;
        }
        let behind = match begun.writes && self.appends() {
            true => SeekFrom::End(0),
            false => SeekFrom::Start(begun.at.saturating_add(done)),
        };
        let _ = self.seek(behind);
    }

    fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(offset) => rustix::fs::SeekFrom::Start(offset),
            SeekFrom::Current(offset) => rustix::fs::SeekFrom::Current(offset),
            SeekFrom::End(offset) => rustix::fs::SeekFrom::End(offset),
        };
        Ok(rustix::fs::seek(self.borrow(), to)?)
    }

    fn position(&self) -> Option<u64> {
        self.seek(SeekFrom::Current(0)).ok()
    }

    /// Whether what is written goes to the end of the file, wherever its position is.
    fn appends(&self) -> bool {
        fcntl_getfl(self.borrow()).is_ok_and(|flags| flags.contains(OFlags::APPEND))
    }
}

/// How much was done, if anything.
fn done(result: i32) -> Option<u64> {
    u64::try_from(result).ok().filter(|&n| n > 0)
}
