//! The array that a vectored operation shows the kernel.

use std::cell::RefCell;
use std::fmt;
use std::mem;

use super::read::len_u32;

/// What the kernel takes in one call (`IOV_MAX`).
const MAX: usize = 1024;
/// So many buffers need no array of their own.
const INLINE: usize = 3;
/// How many arrays of which size a thread keeps for reuse, at most: 128 KiB.
const KEPT_MAX: usize = 128;
const KEPT_CAPACITY: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<Vec<libc::iovec>>> = const { RefCell::new(Vec::new()) };
}

const EMPTY: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

/// Addresses and lengths of a vectored operation's buffers, kept beside them in the operation.
pub(super) struct IoVecs {
    few: [libc::iovec; INLINE],
    many: Vec<libc::iovec>,
    count: usize,
}

impl IoVecs {
    pub(super) fn new() -> Self {
        IoVecs {
            few: [EMPTY; INLINE],
            many: Vec::new(),
            count: 0,
        }
    }

    /// Makes room for this many buffers, before they are pushed.
    pub(super) fn expect(&mut self, buffers: usize) {
        self.count = 0;
        if buffers > INLINE {
            let buffers = buffers.min(MAX);
            if buffers <= KEPT_CAPACITY && self.many.capacity() == 0 {
                self.many = kept();
            }
            self.many.clear();
            self.many.reserve_exact(buffers);
        }
    }

    /// Adds a buffer; what is beyond the kernel's limit is left out, and the operation ends short. So are empty ones, of which
    /// there may be more than that.
    pub(super) fn push(&mut self, base: *mut u8, len: usize) {
        if len == 0 {
            return;
        }
        let vec = libc::iovec {
            iov_base: base.cast(),
            iov_len: len_u32(len) as usize,
        };
        if self.many.capacity() > 0 {
            if self.count < MAX {
                self.many.push(vec);
                self.count += 1;
            }
        } else if let Some(place) = self.few.get_mut(self.count) {
            *place = vec;
            self.count += 1;
        }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::iovec {
        if self.many.capacity() > 0 {
            self.many.as_mut_ptr()
        } else {
            self.few.as_mut_ptr()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// How many bytes the kernel may write.
    pub(super) fn room(&self) -> usize {
        let vecs = match self.many.capacity() {
            0 => &self.few[..self.count],
            _ => &self.many[..],
        };
        vecs.iter().map(|vec| vec.iov_len).sum()
    }
}

/// An array that was used before, or one without room.
fn kept() -> Vec<libc::iovec> {
    // At the thread's end the list may be gone already.
    KEPT.try_with(|kept| kept.borrow_mut().pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| Vec::with_capacity(KEPT_CAPACITY))
}

impl Drop for IoVecs {
    fn drop(&mut self) {
        if self.many.capacity() != KEPT_CAPACITY {
            return;
        }
        let many = mem::take(&mut self.many);
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push(many);
            }
        });
    }
}

impl fmt::Debug for IoVecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} buffers", self.count)
    }
}
