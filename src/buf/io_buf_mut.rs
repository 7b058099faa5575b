//! Buffers that the kernel may write into.

use std::ops::DerefMut;
use std::ptr;

use super::io_buf::IoBuf;
use super::slice::Slice;

/// A buffer that the kernel may write into: what a read or a receive takes.
///
/// How a read fills it is told once for all buffers, in the [module's documentation](super). An array (`[u8; N]`) is copied when
/// it is given: use the one that [comes back](super::owned_buffers#arrays-are-copied).
///
/// # Safety
///
/// The contract of [`IoBuf`], and, with `ptr = buf_mut_ptr()` and `capacity = buf_capacity()`:
///
/// - **Valid.** `ptr` is not null and equals `buf_ptr()`; `ptr..ptr + capacity` lies within one allocation, and `ptr`
///   may be used to reach all of it. From the calls on until the value is moved, borrowed (by `&` or `&mut`) or
///   dropped, the range stays allocated and writable. Forgetting the value counts as none of these.
/// - **Unaliased.** While the value exists, nobody reads or writes the range but through this value, and no value of
///   the bytes is invalid. (A `String` cannot be such a buffer.)
/// - **Sizes.** `buf_len() <= buf_capacity()`. The capacity changes only through `&mut self`, not by moving the value.
///   `buf_mut_ptr` changes neither size, and `set_filled` neither the address nor the capacity. After `set_filled(n)`,
///   `buf_len()` is `n` (a growable buffer) or what it was before (a fixed one, whose length is its capacity).
/// - **Bytes stay.** Bytes once initialised stay so: neither `buf_mut_ptr` nor `set_filled` takes any back, even those
///   beyond the new length.
/// - **Quiet.** As for [`IoBuf`]: no side effects, no panics, no calls into the runtime.
/// - Provided methods are not overridden.
///
/// The caller reads the capacity first and the pointer last, then leaves the value alone until the kernel is done:
/// even a shared borrow of a `[u8; N]` overlaps what the kernel writes.
///
/// # Examples
///
/// ```
/// use saferring::buf::{IoBuf, IoBufMut};
///
/// struct Inbox { bytes: Vec<u8> }
///
/// // SAFETY: forwards to `Vec<u8>` in a private field, which meets the contract.
/// unsafe impl IoBuf for Inbox {
///     fn buf_ptr(&self) -> *const u8 { self.bytes.buf_ptr() }
///     fn buf_len(&self) -> usize { self.bytes.buf_len() }
/// }
///
/// // SAFETY: as above.
/// unsafe impl IoBufMut for Inbox {
///     fn buf_mut_ptr(&mut self) -> *mut u8 { self.bytes.buf_mut_ptr() }
///     fn buf_capacity(&self) -> usize { self.bytes.buf_capacity() }
///     unsafe fn set_filled(&mut self, n: usize) {
///         // SAFETY: the caller's promise is the one asked for.
///         unsafe { self.bytes.set_filled(n) }
///     }
/// }
///
/// let mut inbox = Inbox { bytes: Vec::with_capacity(16) };
/// inbox.fill_from(b"mail");
/// assert_eq!(inbox.bytes, b"mail");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no buffer that an operation can own and read into",
    label = "a buffer goes in by value, and comes back beside the result",
    note = "instead of `&mut buf` give `buf`, and take it back: `let (read, buf) = stream.read(buf).await;`",
    note = "instead of `&mut buf[a..b]` give `buf.slice(a..b)`, of `saferring::buf::IoBuf`; `into_inner` gives the whole back",
    note = "`saferring::buf::owned_buffers` tells which buffers there are, how a read fills them, and more"
)]
pub unsafe trait IoBufMut: IoBuf {
    /// The address of the first byte, valid for writes up to the capacity. Never null.
    fn buf_mut_ptr(&mut self) -> *mut u8;

    /// How many bytes may be written, from the first on.
    fn buf_capacity(&self) -> usize;

    /// How many bytes a read fills that is to fill the buffer, such as `read_exact`: its length if it has one, else its
    /// capacity.
    fn fill_len(&self) -> usize {
        match self.buf_len() {
            0 => self.buf_capacity(),
            len => len.min(self.buf_capacity()),
        }
    }

    /// Records that a read put `n` bytes into the buffer: a growable one gets length `n`, a fixed one stays as it is.
    ///
    /// # Safety
    ///
    /// - `n` is at most [`buf_capacity`](Self::buf_capacity).
    /// - The first `n` bytes are initialised.
    unsafe fn set_filled(&mut self, n: usize);

    /// Fills the buffer as a read that delivers `bytes` does, and returns how many of them fitted.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::IoBufMut;
    ///
    /// let mut buf = [0; 4];
    /// assert_eq!(buf.fill_from(b"too long"), 4);
    /// assert_eq!(&buf, b"too ");
    /// ```
    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.buf_capacity());
        // SAFETY: `n` is within both ranges. The buffer's range is writable, and reached by nobody else while `self`
        // exists, so it does not overlap `bytes`. After the copy its first `n <= capacity` bytes are initialised.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.buf_mut_ptr(), n);
            self.set_filled(n);
        }
        n
    }
}

// SAFETY: a vector is the only owner of its allocation of `capacity` bytes, and `as_mut_ptr` may reach all of it.
// `set_len` changes the length alone.
unsafe impl IoBufMut for Vec<u8> {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn buf_capacity(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_filled(&mut self, n: usize) {
        // SAFETY: by the caller's promise `n <= capacity` and the first `n` bytes are initialised.
        unsafe { self.set_len(n) }
    }
}

// SAFETY: the box is the only owner of its `len` bytes, all of them initialised for good, so capacity and length are
// one and `set_filled` has nothing to record.
unsafe impl IoBufMut for Box<[u8]> {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn buf_capacity(&self) -> usize {
        self.len()
    }

    unsafe fn set_filled(&mut self, _n: usize) {}
}

// SAFETY: the value is its own memory, `N` bytes initialised for good, so capacity and length are one and `set_filled`
// has nothing to record.
unsafe impl<const N: usize> IoBufMut for [u8; N] {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn buf_capacity(&self) -> usize {
        N
    }

    unsafe fn set_filled(&mut self, _n: usize) {}
}

// SAFETY: `begin..min(end, capacity)` lies within the capacity of `B` (`begin <= len <= capacity`), so validity and
// exclusive access carry over, and it does not change as neither of the three does. The length is at most the capacity
// as `len <= capacity` in `B`. After `set_filled(n)`, `B` has length `begin + n`, which is `n` of ours and keeps the
// invariant, or the length it had before; in that case `B` is fixed and so are we.
unsafe impl<B: IoBufMut> IoBufMut for Slice<B> {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        // Within the capacity of `inner`, as `begin <= len <= capacity`.
        self.inner.buf_mut_ptr().wrapping_add(self.begin)
    }

    fn buf_capacity(&self) -> usize {
        self.end.min(self.inner.buf_capacity()) - self.begin
    }

    /// Up to its end, if it was given one.
    fn fill_len(&self) -> usize {
        match (self.end, self.buf_len()) {
            (usize::MAX, len @ 1..) => len,
            _ => self.buf_capacity(),
        }
    }

    unsafe fn set_filled(&mut self, n: usize) {
        // SAFETY: the caller vouches for `n` bytes from `begin` on, with `begin + n <= capacity`. The `begin` bytes
        // before them are initialised as `begin <= inner.buf_len()`.
        unsafe { self.inner.set_filled(self.begin + n) }
    }
}

impl<B: IoBufMut> DerefMut for Slice<B> {
    fn deref_mut(&mut self) -> &mut [u8] {
        bytes_mut(self)
    }
}

/// As [`bytes`](super::io_buf::bytes), to be changed.
pub(crate) fn bytes_mut(buf: &mut impl IoBufMut) -> &mut [u8] {
    let len = buf.buf_len();
    // SAFETY: the first `len <= capacity` bytes at `buf_mut_ptr`, which equals `buf_ptr`, are initialised, and the contract of
    // `IoBufMut` leaves nobody else to reach them while `buf` is borrowed mutably. Any byte value is valid there.
    unsafe { std::slice::from_raw_parts_mut(buf.buf_mut_ptr(), len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_sets_the_length_of_a_vector() {
        let mut vec = Vec::with_capacity(8);
        assert_eq!(vec.fill_from(b"first"), 5);
        assert_eq!(vec, b"first");
        assert_eq!(vec.fill_from(b"2nd"), 3);
        assert_eq!(vec, b"2nd");
        assert_eq!(vec.fill_from(b""), 0);
        assert_eq!(vec, b"");
    }

    #[test]
    fn a_read_into_a_vector_may_use_its_whole_capacity() {
        let mut vec = vec![1u8];
        vec.reserve_exact(31);
        let capacity = vec.capacity();
        let address = vec.buf_mut_ptr();
        assert_eq!(vec.fill_from(&[7; 100]), capacity);
        assert_eq!(vec, vec![7; capacity]);
        assert_eq!(vec.capacity(), capacity);
        assert_eq!(vec.as_mut_ptr(), address);
    }

    #[test]
    fn a_read_leaves_the_length_of_fixed_buffers() {
        let mut array = *b"....";
        assert_eq!(array.fill_from(b"ab"), 2);
        assert_eq!(&array, b"ab..");

        let mut boxed = b"....".to_vec().into_boxed_slice();
        assert_eq!(boxed.fill_from(b"abcdef"), 4);
        assert_eq!(&*boxed, b"abcd");
        assert_eq!(boxed.buf_capacity(), 4);
    }

    #[test]
    fn buffers_without_capacity_take_nothing() {
        assert_eq!(Vec::new().fill_from(b"x"), 0);
        assert_eq!([0u8; 0].fill_from(b"x"), 0);
        assert_eq!(Box::<[u8]>::default().fill_from(b"x"), 0);
    }

    #[test]
    fn both_pointers_name_the_same_memory() {
        let mut vec = vec![0u8; 3];
        assert_eq!(vec.buf_mut_ptr().cast_const(), vec.buf_ptr());
        let mut boxed = vec![0u8; 3].into_boxed_slice();
        assert_eq!(boxed.buf_mut_ptr().cast_const(), boxed.buf_ptr());
        let mut array = [0u8; 3];
        assert_eq!(array.buf_mut_ptr().cast_const(), array.buf_ptr());
    }
}
