//! The array of addresses and lengths (`struct iovec`) that a vectored operation gives the kernel.

use std::cell::RefCell;
use std::fmt;
use std::mem;

use super::transfer::len_u32;
use crate::buf::{IoVectoredBuf, IoVectoredBufMut};

/// What the kernel takes in one call (`IOV_MAX`).
const MAX: usize = 1024;
/// So many buffers need no array of their own.
const INLINE: usize = 3;
/// How many arrays of which size a thread keeps for reuse, at most: 128 KiB.
const CACHED_MAX: usize = 128;
const CACHED_CAPACITY: usize = 64;

thread_local! {
    static CACHE: RefCell<Vec<Vec<libc::iovec>>> = const { RefCell::new(Vec::new()) };
}

const EMPTY: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

/// Addresses and lengths of a vectored operation's buffers, kept beside them in the operation.
pub(in crate::op) struct IoVecs {
    few: [libc::iovec; INLINE],
    many: Vec<libc::iovec>,
    count: usize,
}

impl IoVecs {
    pub(in crate::op) fn new() -> Self {
        IoVecs {
            few: [EMPTY; INLINE],
            many: Vec::new(),
            count: 0,
        }
    }

    /// Shows what there is to send or to write, but for the first `skip` bytes.
    pub(in crate::op) fn show(&mut self, bufs: &impl IoVectoredBuf, mut skip: usize) {
        self.reserve(bufs.buf_count());
        // The kernel only reads what it is shown for a write.
        bufs.for_each_buf(|ptr, len| {
            let from = skip.min(len);
            skip -= from;
            self.push(ptr.wrapping_add(from).cast_mut(), len - from);
        });
    }

    /// Shows the room for what is to be received or read.
    pub(in crate::op) fn show_room(&mut self, bufs: &mut impl IoVectoredBufMut) {
        self.reserve(bufs.buf_count());
        bufs.for_each_buf_mut(|ptr, len| self.push(ptr, len));
    }

    /// Makes room for this many buffers, before they are pushed.
    fn reserve(&mut self, buffers: usize) {
        self.count = 0;
        if buffers > INLINE {
            let buffers = buffers.min(MAX);
            if buffers <= CACHED_CAPACITY && self.many.capacity() == 0 {
                self.many = cached();
            }
            self.many.clear();
            self.many.reserve_exact(buffers);
        }
    }

    /// Adds a buffer; what is beyond the kernel's limit is left out, and the operation ends short. So are empty ones, of which
    /// there may be more than that.
    fn push(&mut self, base: *mut u8, len: usize) {
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
        } else if let Some(vec_slot) = self.few.get_mut(self.count) {
            *vec_slot = vec;
            self.count += 1;
        }
    }

    pub(in crate::op) fn as_mut_ptr(&mut self) -> *mut libc::iovec {
        if self.many.capacity() > 0 {
            self.many.as_mut_ptr()
        } else {
            self.few.as_mut_ptr()
        }
    }

    pub(in crate::op) fn len(&self) -> usize {
        self.count
    }

    /// How many bytes the kernel may write.
    pub(in crate::op) fn room(&self) -> usize {
        let vecs = match self.many.capacity() {
            0 => &self.few[..self.count],
            _ => &self.many[..],
        };
        vecs.iter().map(|vec| vec.iov_len).sum()
    }
}

/// An array that was used before, or one without room.
fn cached() -> Vec<libc::iovec> {
    // At the thread's end the list may be gone already.
    CACHE
        .try_with(|cache| cache.borrow_mut().pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| Vec::with_capacity(CACHED_CAPACITY))
}

impl Drop for IoVecs {
    fn drop(&mut self) {
        if self.many.capacity() != CACHED_CAPACITY {
            return;
        }
        let many = mem::take(&mut self.many);
        let _ = CACHE.try_with(|cache| {
            let mut cache = cache.borrow_mut();
            if cache.len() < CACHED_MAX {
                cache.push(many);
            }
        });
    }
}

impl fmt::Debug for IoVecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} buffers", self.count)
    }
}
