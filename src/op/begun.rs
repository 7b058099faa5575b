//! A write by cursor moves that by as much as it has written.
//!
//! The kernel sees to it, but for one case: of a write whose rest has failed, for want of room say, it tells how much was
//! written, and leaves the position where it was (6.18 still does). What is written next would be written over that.

use std::io::SeekFrom;

use super::SharedFd;
use super::read::Place;

/// Where a write by cursor began, and how long it was to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    at: u64,
    len: u64,
}

impl Begun {
    /// A write that begins now. `None` if it is not by cursor.
    pub(super) fn now(fd: &SharedFd, place: Place, len: u64) -> Option<Self> {
        match place {
            Place::Cursor => Some(Begun {
                at: fd.seek(SeekFrom::Current(0)).ok()?,
                len,
            }),
            Place::At(_) | Place::Stream => None,
        }
    }

    /// It has ended with so many bytes, and still has its turn, or nobody else begins before this returns.
    #[inline]
    pub(super) fn end(self, fd: &SharedFd, n: u32) {
        if n > 0 && u64::from(n) < self.len {
            self.end_short(fd, n);
        }
    }

    #[cold]
    fn end_short(self, fd: &SharedFd, n: u32) {
        if fd.seek(SeekFrom::Current(0)).ok() == Some(self.at) {
            let behind = match appends(fd) {
                true => SeekFrom::End(0),
                false => SeekFrom::Start(self.at.saturating_add(n.into())),
            };
            // What has had a position a moment ago has one still.
            let _ = fd.seek(behind);
        }
    }
}

/// Whether what is written goes to the end of the file, wherever its position is.
fn appends(fd: &SharedFd) -> bool {
    // SAFETY: the call takes numbers only, and the descriptor is open while `fd` is borrowed.
    let flags = unsafe { libc::fcntl(fd.0.raw, libc::F_GETFL) };
    flags != -1 && flags & libc::O_APPEND != 0
}
