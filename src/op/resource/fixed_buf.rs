//! Buffers that the kernel has pinned once, for all operations.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

use super::arena::Arena;
use crate::buf::{IoBuf, IoBufMut, Registration, bytes, bytes_mut};
use crate::sys::RingId;

/// A buffer of a [`FixedBufPool`](super::FixedBufPool), to which it returns when it is dropped.
///
/// It has a length and a capacity as a `Vec<u8>` does, but never grows beyond the capacity. A read sets its length to
/// what arrived. What a buffer held before it was returned is not wiped, but cannot be seen through a new one either.
pub struct FixedBuf {
    arena: Rc<Arena>,
    // Invariant: the first byte of a buffer of `arena` that is not free and that no other `FixedBuf` stands for; the
    // memory was all zeros when it was mapped, so that every byte of it is initialised. `len <= arena.capacity`.
    start: NonNull<u8>,
    len: usize,
}

impl FixedBuf {
    /// The buffer of this index, empty.
    ///
    /// # Safety
    ///
    /// There is no other of this index, nor will there be before this one is dropped.
    pub(super) unsafe fn new(arena: &Rc<Arena>, index: u32) -> Self {
        FixedBuf {
            start: arena.buffer(index),
            arena: Rc::clone(arena),
            len: 0,
        }
    }

    /// How many bytes it can hold.
    pub fn capacity(&self) -> usize {
        self.arena.capacity
    }

    /// Sets the length to 0.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Cuts the buffer off after `len` bytes, if it has more.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Sets the length to `len`: cuts the buffer off, or fills it up with `value`.
    ///
    /// # Panics
    ///
    /// If `len` exceeds the capacity.
    #[track_caller]
    pub fn resize(&mut self, len: usize, value: u8) {
        let capacity = self.capacity();
        assert!(
            len <= capacity,
            "length of {len} exceeds the buffer's capacity of {capacity}"
        );
        let before = std::mem::replace(&mut self.len, len);
        if before < len {
            self[before..].fill(value);
        }
    }

    /// Appends as many of `bytes` as the capacity allows, and returns how many that were.
    ///
    /// # Examples
    ///
    /// ```
    /// # saferring::runtime::Runtime::new().unwrap().block_on(async {
    /// use saferring::fs::FixedBufPool;
    ///
    /// let mut buf = FixedBufPool::new(1, 8).unwrap().take().await;
    /// assert_eq!(buf.extend_from_slice(b"hello"), 5);
    /// assert_eq!(buf.extend_from_slice(b"world"), 3);
    /// assert_eq!(&buf[..], b"hellowor");
    /// # });
    /// ```
    #[must_use = "what does not fit is not appended"]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.capacity() - self.len);
        let before = self.len;
        self.len += n;
        self[before..].copy_from_slice(&bytes[..n]);
        n
    }
}

impl Drop for FixedBuf {
    fn drop(&mut self) {
        self.arena.give_back(self.start);
    }
}

/// The slot of the memory that `buf` lies in, if that is registered with this ring.
#[inline]
pub(in crate::op) fn registered_slot(buf: &impl IoBuf, ring: RingId) -> Option<u16> {
    let registration = buf.registration()?;
    (registration.ring == ring.get()).then_some(registration.index)
}

impl Deref for FixedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytes(self)
    }
}

impl DerefMut for FixedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        bytes_mut(self)
    }
}

// SAFETY: the buffer's bytes are mapped as long as `arena` lives, which is as long as `self`; all are initialised, and
// change only through `&mut`; the pointer is never null.
unsafe impl IoBuf for FixedBuf {
    fn buf_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len
    }

    fn registration(&self) -> Option<Registration> {
        self.arena.registration()
    }
}

// SAFETY: as above; by the invariant no other value reaches the range of `capacity` bytes, and `set_filled` writes the
// length alone.
unsafe impl IoBufMut for FixedBuf {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    fn buf_capacity(&self) -> usize {
        self.arena.capacity
    }

    unsafe fn set_filled(&mut self, n: usize) {
        debug_assert!(n <= self.arena.capacity);
        self.len = n;
    }
}

impl fmt::Debug for FixedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .field("registered", &self.registration().is_some())
            .finish()
    }
}
