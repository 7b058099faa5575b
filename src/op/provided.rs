//! A provided buffer on lease.

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;

use super::Pool;
use crate::buf::IoBuf;
use crate::driver::Lease;

/// Bytes that the kernel has put into a buffer of the runtime's own: an owned lease, given back on drop.
///
/// It is a buffer like any other: it can be sent or written as it is. Holding many of them for long keeps other streams
/// waiting: copy what is to be kept.
pub struct ProvidedBuf {
    start: NonNull<u8>,
    len: usize,
    owner: Owner,
}

/// What `start` points into.
enum Owner {
    Pool {
        pool: Rc<Pool>,
        lease: Lease,
    },
    /// Bytes that arrived for a read that was dropped, or on a kernel without provided buffers.
    Heap(#[expect(dead_code, reason = "it owns what `start` points to")] Vec<u8>),
}

impl ProvidedBuf {
    /// The first `len` bytes of the buffer of `lease`.
    ///
    /// # Safety
    ///
    /// A completion of an operation on this group of this pool has just named the buffer, and has told that the kernel
    /// wrote `len` bytes into it; this is called once for it.
    pub(super) unsafe fn lease(pool: Rc<Pool>, lease: Lease, len: usize) -> Self {
        ProvidedBuf {
            start: pool.buffer(lease),
            len,
            owner: Owner::Pool { pool, lease },
        }
    }
}

impl From<Vec<u8>> for ProvidedBuf {
    fn from(mut bytes: Vec<u8>) -> Self {
        ProvidedBuf {
            // SAFETY: a vector's pointer is never null.
            start: unsafe { NonNull::new_unchecked(bytes.as_mut_ptr()) },
            len: bytes.len(),
            owner: Owner::Heap(bytes),
        }
    }
}

impl Deref for ProvidedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` has `len` initialised bytes, which are ours alone until the drop: those of a leased buffer,
        // which the kernel does not touch before it is given back, or those of the vector in `owner`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for ProvidedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

// SAFETY: the bytes stay where they are, and unchanged, from the lease to the drop, wherever the value moves.
unsafe impl IoBuf for ProvidedBuf {
    fn buf_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len
    }
}

impl Drop for ProvidedBuf {
    fn drop(&mut self) {
        if let Owner::Pool { pool, lease } = &self.owner {
            // SAFETY: the lease began with a completion, as `lease` was promised, and nobody looks into it after this.
            let waiting = unsafe { pool.give_back(*lease) };
            for waiter in waiting {
                waiter.wake();
            }
        }
    }
}

impl fmt::Debug for ProvidedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProvidedBuf({} bytes)", self.len)
    }
}
