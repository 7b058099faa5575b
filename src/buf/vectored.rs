//! Several buffers in one operation.

use std::ptr;
use std::slice;

use super::{IoBuf, IoBufMut};

/// Several buffers that the kernel may read from, one after the other: what `write_vectored` takes.
///
/// Implemented for `Vec<B>`, `[B; N]` and tuples of two to four buffers, which may be of different types.
///
/// # Safety
///
/// - `for_each_buf` calls `f` at most [`buf_count`](Self::buf_count) times, always with the same ranges in the same
///   order until the value is moved, borrowed by `&mut` or dropped.
/// - Each range meets the contract of [`IoBuf`]: valid, initialised, unchanging, its pointer never null.
/// - The methods have no side effects of their own, do not panic and do not call into the runtime.
/// - Provided methods are not overridden.
///
/// # Examples
///
/// ```
/// use saferring::buf::IoVectoredBuf;
///
/// let message = (*b"HEAD", vec![1, 2, 3], "tail");
/// assert_eq!((message.buf_count(), message.total_len()), (3, 11));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of buffers that an operation can own and write from",
    label = "the buffers go in by value, and come back beside the result",
    note = "give a `Vec<B>`, a `[B; N]` or a tuple of two to four buffers, each of them by value: `[head, body]`",
    note = "`saferring::buf::owned_buffers` tells which buffers there are, and more"
)]
pub unsafe trait IoVectoredBuf: 'static {
    /// How many buffers there are at most.
    fn buf_count(&self) -> usize;

    /// Calls `f` with the address and the length of each buffer, in order.
    fn for_each_buf(&self, f: impl FnMut(*const u8, usize));

    /// The length of all buffers together; `usize::MAX` if it is more than that (one buffer may occur many times).
    ///
    /// ```
    /// use saferring::buf::IoVectoredBuf;
    ///
    /// assert_eq!(vec!["one", "three"].total_len(), 8);
    /// ```
    fn total_len(&self) -> usize {
        let mut total = 0usize;
        self.for_each_buf(|_, len| total = total.saturating_add(len));
        total
    }

    /// Calls `f` with the bytes of each buffer, in order.
    ///
    /// ```
    /// use saferring::buf::IoVectoredBuf;
    ///
    /// let mut flat = Vec::new();
    /// ("one", *b", ", vec![b'2']).for_each_slice(|bytes| flat.extend_from_slice(bytes));
    /// assert_eq!(flat, b"one, 2");
    /// ```
    fn for_each_slice(&self, mut f: impl FnMut(&[u8])) {
        self.for_each_buf(|ptr, len| {
            // SAFETY: by the contract `len` initialised bytes from `ptr` on, which is not null, in one allocation, that
            // nobody writes to while `self` is borrowed; `f` cannot keep the slice beyond its call.
            f(unsafe { slice::from_raw_parts(ptr, len) });
        });
    }
}

/// Several buffers that the kernel may write into, one after the other: what `read_vectored` takes.
///
/// A read fills the first buffer to its capacity, then the next. Afterwards the growable ones have the length of what
/// arrived in them, 0 for those that were not reached; fixed ones keep their length. See the
/// [module's documentation](super).
///
/// # Safety
///
/// - The contract of [`IoVectoredBuf`], and `for_each_buf_mut` too calls `f` at most
///   [`buf_count`](IoVectoredBuf::buf_count) times.
/// - Each range that `for_each_buf_mut` reports meets the contract of [`IoBufMut`] for pointer and capacity: valid,
///   writable, unaliased. No two of them overlap. A later call of `f` leaves the earlier pointers usable.
/// - The ranges stay the same until the value is moved, borrowed by other means or dropped, and `set_each_filled` does not
///   change them. Bytes once initialised stay so.
/// - [`total_capacity`](Self::total_capacity) is the sum of the lengths of these ranges. `for_each_fill_len` and
///   `set_each_filled` call `f` once for each of them, in their order.
///
/// # Examples
///
/// ```
/// use saferring::buf::{IoBuf, IoVectoredBufMut};
///
/// let mut parts = ([0; 4], Vec::with_capacity(16).slice(..16));
/// parts.fill_from(b"HEADbody");
/// assert_eq!((&parts.0, &parts.1[..]), (b"HEAD", &b"body"[..]));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of buffers that an operation can own and read into",
    label = "the buffers go in by value, and come back beside the result",
    note = "give a `Vec<B>`, a `[B; N]` or a tuple of two to four buffers, each of them by value: `[head, body]`",
    note = "`saferring::buf::owned_buffers` tells which buffers there are, how a read fills them, and more"
)]
pub unsafe trait IoVectoredBufMut: IoVectoredBuf {
    /// Calls `f` with the address and the capacity of each buffer, in order.
    fn for_each_buf_mut(&mut self, f: impl FnMut(*mut u8, usize));

    /// The capacity of all buffers together.
    fn total_capacity(&self) -> usize;

    /// Calls `f` with how much of each buffer is filled by what fills buffers as a whole: its
    /// [`fill_len`](IoBufMut::fill_len).
    fn for_each_fill_len(&self, f: impl FnMut(usize));

    /// Records how many bytes a read put into each buffer: calls `f` with the capacity of each, in order, and takes what
    /// that returns as the number of bytes.
    ///
    /// # Safety
    ///
    /// What `f` returns is at most the capacity it was given, and so many bytes of that buffer, from its first on, are
    /// initialised.
    unsafe fn set_each_filled(&mut self, f: impl FnMut(usize) -> usize);

    /// Records that a read put `n` bytes into the buffers: the first ones are full, one may be partly filled, and to
    /// the rest it is a read of nothing.
    ///
    /// # Safety
    ///
    /// - `n` is at most [`total_capacity`](Self::total_capacity).
    /// - Of the ranges that [`for_each_buf_mut`](Self::for_each_buf_mut) reports, taken one after the other, the first
    ///   `n` bytes are initialised.
    unsafe fn set_filled(&mut self, n: usize) {
        let mut left = n;
        // SAFETY: a buffer takes its whole capacity while anything is left, so by the caller's promise as many bytes of
        // the next, or all of it, are initialised.
        unsafe { self.set_each_filled(|capacity| take_up_to(&mut left, capacity)) };
        debug_assert_eq!(left, 0);
    }

    /// Fills the buffers as a read that delivers `bytes` does, and returns how many of them fitted.
    ///
    /// ```
    /// use saferring::buf::IoVectoredBufMut;
    ///
    /// let mut bufs = [[0; 2]; 2];
    /// assert_eq!(bufs.fill_from(b"abc"), 3);
    /// assert_eq!(bufs, [*b"ab", *b"c\0"]);
    /// ```
    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        self.for_each_buf_mut(|ptr, capacity| {
            let (piece, after) = rest.split_at(rest.len().min(capacity));
            // SAFETY: `ptr` is good for writing `capacity >= piece.len()` bytes that nobody else can reach, so they do
            // not overlap `piece`.
            unsafe { ptr::copy_nonoverlapping(piece.as_ptr(), ptr, piece.len()) };
            rest = after;
        });
        let n = bytes.len() - rest.len();
        // SAFETY: each range was filled before the next was begun, with `n` bytes in all, so those are the first `n`,
        // and no more than fit.
        unsafe { self.set_filled(n) };
        n
    }
}

/// Takes up to `most` off `left`, and returns how much that was.
pub(super) fn take_up_to(left: &mut usize, most: usize) -> usize {
    let n = most.min(*left);
    *left -= n;
    n
}

// `Vec<B>` and `[B; N]` are slices of buffers; only the head of the implementation differs.
macro_rules! impl_for_sequence {
    ($(($($generics:tt)*) $ty:ty),+ $(,)?) => {$(
        // SAFETY: one call for each of the `len` elements, which are `IoBuf` and vouch for their ranges. The sequence
        // gives no access to them but by `&self` and `&mut self`.
        unsafe impl<B: IoBuf, $($generics)*> IoVectoredBuf for $ty {
            fn buf_count(&self) -> usize {
                self.len()
            }

            fn for_each_buf(&self, mut f: impl FnMut(*const u8, usize)) {
                for buf in self {
                    f(buf.buf_ptr(), buf.buf_len());
                }
            }
        }

        // SAFETY: one call for each of the `len` elements, which are `IoBufMut` and vouch for their ranges. Elements
        // are distinct values, so their exclusive ranges are disjoint, and `iter_mut` borrows each on its own: taking
        // one pointer does not invalidate another.
        unsafe impl<B: IoBufMut, $($generics)*> IoVectoredBufMut for $ty {
            fn for_each_buf_mut(&mut self, mut f: impl FnMut(*mut u8, usize)) {
                for buf in self.iter_mut() {
                    let capacity = buf.buf_capacity();
                    f(buf.buf_mut_ptr(), capacity);
                }
            }

            fn total_capacity(&self) -> usize {
                self.iter().map(B::buf_capacity).sum()
            }

            fn for_each_fill_len(&self, f: impl FnMut(usize)) {
                self.iter().map(B::fill_len).for_each(f);
            }

            unsafe fn set_each_filled(&mut self, mut f: impl FnMut(usize) -> usize) {
                for buf in self.iter_mut() {
                    let n = f(buf.buf_capacity());
                    // SAFETY: the caller's promise, of this buffer.
                    unsafe { buf.set_filled(n) };
                }
            }
        }
    )+};
}

impl_for_sequence!(() Vec<B>, (const N: usize) [B; N]);

macro_rules! impl_for_tuple {
    ($count:literal: $($name:ident $index:tt),+) => {
        // SAFETY: one call for each of the fields, which are `IoBuf` and vouch for their ranges.
        unsafe impl<$($name: IoBuf),+> IoVectoredBuf for ($($name,)+) {
            fn buf_count(&self) -> usize {
                $count
            }

            fn for_each_buf(&self, mut f: impl FnMut(*const u8, usize)) {
                $(f(self.$index.buf_ptr(), self.$index.buf_len());)+
            }
        }

        // SAFETY: one call for each of the fields, which are `IoBufMut` and vouch for their ranges. Fields are distinct
        // values, so their exclusive ranges are disjoint, and each is borrowed on its own, so taking one pointer does
        // not invalidate another.
        unsafe impl<$($name: IoBufMut),+> IoVectoredBufMut for ($($name,)+) {
            fn for_each_buf_mut(&mut self, mut f: impl FnMut(*mut u8, usize)) {
                $(
                    let capacity = self.$index.buf_capacity();
                    f(self.$index.buf_mut_ptr(), capacity);
                )+
            }

            fn total_capacity(&self) -> usize {
                0 $(+ self.$index.buf_capacity())+
            }

            fn for_each_fill_len(&self, mut f: impl FnMut(usize)) {
                $(f(self.$index.fill_len());)+
            }

            unsafe fn set_each_filled(&mut self, mut f: impl FnMut(usize) -> usize) {
                $(
                    let n = f(self.$index.buf_capacity());
                    // SAFETY: the caller's promise, of this buffer.
                    unsafe { self.$index.set_filled(n) };
                )+
            }
        }
    };
}

impl_for_tuple!(2: A 0, B 1);
impl_for_tuple!(3: A 0, B 1, C 2);
impl_for_tuple!(4: A 0, B 1, C 2, D 3);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the kernel would read, buffer by buffer.
    pub(in super::super) fn bytes_of(bufs: &impl IoVectoredBuf) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        bufs.for_each_buf(|ptr, len| {
            assert!(!ptr.is_null());
            // SAFETY: the contract: `len` initialised bytes that nobody writes while `bufs` is borrowed.
            all.push(unsafe { std::slice::from_raw_parts(ptr, len) }.to_vec());
        });
        assert!(all.len() <= bufs.buf_count());
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), bufs.total_len());
        all
    }

    /// Where the kernel would write, buffer by buffer.
    pub(in super::super) fn capacities_of(bufs: &mut impl IoVectoredBufMut) -> Vec<usize> {
        let mut all = Vec::new();
        bufs.for_each_buf_mut(|_, capacity| all.push(capacity));
        assert!(all.len() <= bufs.buf_count());
        assert_eq!(all.iter().sum::<usize>(), bufs.total_capacity());
        all
    }

    pub(in super::super) fn with_capacity(n: usize) -> crate::buf::Slice<Vec<u8>> {
        Vec::with_capacity(n).slice(..n)
    }

    #[test]
    fn sequences_and_tuples_show_their_buffers_in_order() {
        let expected = [b"a".to_vec(), b"".to_vec(), b"bcd".to_vec()];
        assert_eq!(bytes_of(&vec!["a", "", "bcd"]), expected);
        assert_eq!(bytes_of(&["a", "", "bcd"]), expected);
        assert_eq!(bytes_of(&("a", Vec::new(), *b"bcd")), expected);
        assert_eq!(bytes_of(&("a", *b"b")).len(), 2);
        assert_eq!(
            bytes_of(&("a", *b"b", vec![b'c'], String::from("d"))).len(),
            4
        );
    }

    #[test]
    fn no_buffers_at_all_are_fine() {
        assert!(bytes_of(&Vec::<Vec<u8>>::new()).is_empty());
        assert!(bytes_of(&[[0u8; 4]; 0]).is_empty());
        assert_eq!(Vec::<Vec<u8>>::new().fill_from(b"x"), 0);
        assert_eq!([[0u8; 0]; 3].fill_from(b"x"), 0);
    }

    #[test]
    fn a_read_fills_growable_buffers_in_order_and_empties_the_rest() {
        let mut bufs = vec![with_capacity(3), with_capacity(3), with_capacity(3)];
        assert_eq!(bufs.fill_from(b"abcdefghi"), 9);
        assert_eq!(bytes_of(&bufs), [b"abc", b"def", b"ghi"]);
        assert_eq!(bufs.fill_from(b"WXYZ"), 4);
        assert_eq!(bytes_of(&bufs), [&b"WXY"[..], b"Z", b""]);
        assert_eq!(bufs.fill_from(b"0123456789"), 9);
        assert_eq!(bytes_of(&bufs), [b"012", b"345", b"678"]);
        assert_eq!(bufs.fill_from(b""), 0);
        assert_eq!(bytes_of(&bufs), [b"", b"", b""]);
    }

    #[test]
    fn a_read_that_ends_at_a_boundary_leaves_the_next_buffer_empty() {
        let mut bufs = [with_capacity(2), with_capacity(2)];
        assert_eq!(bufs.fill_from(b"ab"), 2);
        assert_eq!(bytes_of(&bufs), [&b"ab"[..], b""]);
    }

    #[test]
    fn a_read_fills_tuples_of_mixed_kinds() {
        let mut bufs = (
            *b"..",
            with_capacity(2),
            [0u8; 0],
            b"..".to_vec().into_boxed_slice(),
        );
        assert_eq!(capacities_of(&mut bufs), [2, 2, 0, 2]);
        assert_eq!(bufs.fill_from(b"abc"), 3);
        assert_eq!(bytes_of(&bufs), [&b"ab"[..], b"c", b"", b".."]);
        assert_eq!(bufs.fill_from(b"0123456"), 6);
        assert_eq!(bytes_of(&bufs), [&b"01"[..], b"23", b"", b"45"]);

        let mut three = (with_capacity(1), with_capacity(1), with_capacity(1));
        assert_eq!(three.fill_from(b"ab"), 2);
        assert_eq!(bytes_of(&three), [&b"a"[..], b"b", b""]);
    }

    #[test]
    fn slices_in_a_vectored_read_keep_what_is_before_them() {
        let mut bufs = [b"ab--".to_vec().slice(2..4), b"cd--".to_vec().slice(2..4)];
        assert_eq!(bufs.fill_from(b"X"), 1);
        assert_eq!(bufs.map(|buf| buf.into_inner()), [&b"abX"[..], b"cd"]);
    }
}
