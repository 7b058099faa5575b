//! The array that a vectored operation shows the kernel.

use std::fmt;

use super::read::len_u32;

/// What the kernel takes in one call (`IOV_MAX`).
const MAX: usize = 1024;
/// So many buffers need no allocation.
const INLINE: usize = 3;

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
            self.many = Vec::with_capacity(buffers.min(MAX));
        }
    }

    /// Adds a buffer; what is beyond the kernel's limit is left out, and the operation ends short.
    pub(super) fn push(&mut self, base: *mut u8, len: usize) {
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
}

impl fmt::Debug for IoVecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} buffers", self.count)
    }
}
