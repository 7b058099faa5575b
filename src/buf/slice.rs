//! A part of a buffer, owned together with the whole.

use std::ops::{Bound, RangeBounds};

/// A buffer of which an operation sees only a range; made by [`IoBuf::slice`](super::IoBuf::slice).
///
/// It derefs to the bytes of the range that are initialised. The end bounds what a write sends and what a read may
/// fill; it may lie beyond the buffer's length, or its capacity: whichever comes first counts.
///
/// A read of `n` bytes into a slice of a growable buffer sets that buffer's length to `begin + n`. Bytes of the buffer
/// after that are cut off.
///
/// # Examples
///
/// ```
/// use saferring::buf::{IoBuf, IoBufMut};
///
/// let mut buf = b"keep".to_vec();
/// buf.reserve(64);
/// let mut tail = buf.slice(4..4 + 64); // a read would append at most 64 bytes
/// tail.fill_from(b", and add");
/// assert_eq!(&tail[..], b", and add");
/// assert_eq!(tail.into_inner(), b"keep, and add");
/// ```
// Not `Clone`: a clone of `B` could be shorter than `begin`.
#[derive(Debug)]
pub struct Slice<B> {
    pub(super) inner: B,
    // Invariant: `begin <= end` and `begin <= inner.buf_len()`. It holds from `new` on: no `&mut` to `inner` is handed
    // out, and our own `set_filled` leaves `inner` with a length of at least `begin`.
    pub(super) begin: usize,
    pub(super) end: usize,
}

impl<B> Slice<B> {
    /// `len` is the length of `inner`.
    #[track_caller]
    pub(super) fn new(inner: B, len: usize, range: impl RangeBounds<usize>) -> Self {
        let (begin, end) = resolve(range, len);
        Self { inner, begin, end }
    }

    /// `range` counts from the slice's own start; `len` is the length of what it shows.
    #[track_caller]
    pub(super) fn narrow(self, len: usize, range: impl RangeBounds<usize>) -> Self {
        let (begin, end) = resolve(range, len);
        // `begin` is within our length, so the sum is within `inner`'s; an open or huge `end` must not wrap.
        Self {
            begin: self.begin + begin,
            end: self.begin.saturating_add(end).min(self.end),
            inner: self.inner,
        }
    }

    /// Where the range starts in the whole buffer.
    ///
    /// ```
    /// use saferring::buf::IoBuf;
    ///
    /// assert_eq!("hello".slice(2..4).begin(), 2);
    /// ```
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// The bound of the range in the whole buffer, as it was asked for; `usize::MAX` if it is open.
    ///
    /// ```
    /// use saferring::buf::IoBuf;
    ///
    /// assert_eq!("hello".slice(2..=3).end(), 4);
    /// assert_eq!("hello".slice(2..).end(), usize::MAX);
    /// ```
    pub fn end(&self) -> usize {
        self.end
    }

    /// The whole buffer.
    ///
    /// ```
    /// use saferring::buf::IoBuf;
    ///
    /// assert_eq!(*"hello".slice(2..).get_ref(), "hello");
    /// ```
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// Gives the whole buffer back.
    ///
    /// ```
    /// use saferring::buf::IoBuf;
    ///
    /// assert_eq!(vec![1, 2, 3].slice(1..).into_inner(), [1, 2, 3]);
    /// ```
    #[must_use = "the buffer is dropped otherwise"]
    pub fn into_inner(self) -> B {
        self.inner
    }
}

/// The start and the end of `range`, with `start <= end` and `start <= len`. What overflows ends up at `usize::MAX`,
/// which as a start is past every buffer and as an end is open.
#[track_caller]
fn resolve(range: impl RangeBounds<usize>, len: usize) -> (usize, usize) {
    let begin = match range.start_bound() {
        Bound::Included(&n) => n,
        Bound::Excluded(&n) => n.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&n) => n.saturating_add(1),
        Bound::Excluded(&n) => n,
        Bound::Unbounded => usize::MAX,
    };
    assert!(begin <= end, "slice starts at {begin} but ends at {end}");
    assert!(
        begin <= len,
        "slice starts at {begin}, past the buffer's length of {len}"
    );
    (begin, end)
}

#[cfg(test)]
mod tests {
    use super::super::{IoBuf, IoBufMut};
    use super::*;

    #[test]
    fn every_kind_of_range_is_understood() {
        let text = "0123456789";
        assert_eq!(&text.slice(..)[..], b"0123456789");
        assert_eq!(&text.slice(3..)[..], b"3456789");
        assert_eq!(&text.slice(..3)[..], b"012");
        assert_eq!(&text.slice(..=3)[..], b"0123");
        assert_eq!(&text.slice(3..6)[..], b"345");
        assert_eq!(
            &text.slice((Bound::Excluded(3), Bound::Included(6)))[..],
            b"456"
        );
        assert_eq!(&text.slice(4..=usize::MAX)[..], b"456789");
    }

    #[test]
    fn empty_ranges_are_fine_up_to_the_length() {
        for at in 0..=3 {
            let slice = "abc".slice(at..at);
            assert_eq!((slice.begin(), slice.end(), slice.buf_len()), (at, at, 0));
            assert_eq!(slice.into_inner(), "abc");
        }
        let mut slice = Vec::<u8>::new().slice(..0);
        assert_eq!(slice.fill_from(b"x"), 0);
        assert_eq!(slice.buf_capacity(), 0);
    }

    #[test]
    fn an_empty_range_of_a_growable_buffer_keeps_what_is_before_it() {
        let mut slice = b"abc".to_vec().slice(2..2);
        assert_eq!(slice.fill_from(b"xyz"), 0);
        assert_eq!(slice.into_inner(), b"ab");
    }

    #[test]
    #[should_panic(expected = "slice starts at 4, past the buffer's length of 3")]
    fn begin_past_the_length_panics_even_within_the_capacity() {
        let mut vec = Vec::with_capacity(16);
        vec.extend_from_slice(b"abc");
        let _ = vec.slice(4..);
    }

    #[test]
    #[should_panic(expected = "slice starts at 2 but ends at 1")]
    fn begin_past_the_end_panics() {
        let _ = "abc".slice((Bound::Included(2), Bound::Excluded(1)));
    }

    #[test]
    #[should_panic(expected = "past the buffer's length of 3")]
    fn begin_that_overflows_panics() {
        let _ = "abc".slice((Bound::Excluded(usize::MAX), Bound::Unbounded));
    }

    #[test]
    #[should_panic(expected = "slice starts at 3, past the buffer's length of 2")]
    fn a_slice_of_a_slice_cannot_start_past_the_slice() {
        let _ = "abcdef".slice(1..3).slice(3..);
    }

    #[test]
    fn the_end_bounds_a_read_exactly() {
        let mut slice = Vec::with_capacity(100).slice(..10);
        assert_eq!((slice.buf_len(), slice.buf_capacity()), (0, 10));
        assert_eq!(slice.fill_from(&[1; 50]), 10);
        assert_eq!(slice.into_inner(), [1; 10]);
    }

    #[test]
    fn an_end_past_everything_is_clamped() {
        let slice = "abc".slice(1..1000);
        assert_eq!(slice.buf_len(), 2);
        let mut slice = [0u8; 4].slice(1..1000);
        assert_eq!(slice.buf_capacity(), 3);
        assert_eq!(slice.fill_from(b"wxyz"), 3);
        assert_eq!(slice.into_inner(), *b"\0wxy");
    }

    #[test]
    fn a_read_keeps_what_is_before_and_cuts_what_is_after() {
        let mut slice = b"abcdef".to_vec().slice(2..5);
        assert_eq!(slice.fill_from(b"X"), 1);
        assert_eq!(&slice[..], b"X");
        assert_eq!(slice.into_inner(), b"abX");
    }

    #[test]
    fn a_read_of_nothing_leaves_what_is_before() {
        let mut slice = b"abcdef".to_vec().slice(2..);
        assert_eq!(slice.fill_from(b""), 0);
        assert_eq!(slice.into_inner(), b"ab");
    }

    #[test]
    fn a_second_read_into_the_same_slice_starts_over() {
        let mut slice = b"abcdef".to_vec().slice(2..6);
        slice.fill_from(b"X");
        assert_eq!(slice.buf_capacity(), 4);
        assert_eq!(slice.fill_from(b"1234567"), 4);
        assert_eq!(slice.into_inner(), b"ab1234");
    }

    #[test]
    fn slices_of_slices_do_not_stack() {
        let slice: Slice<Vec<u8>> = b"0123456789".to_vec().slice(2..8).slice(1..).slice(..3);
        assert_eq!((slice.begin(), slice.end()), (3, 6));
        assert_eq!(&slice[..], b"345");
        let wide = "0123456789".slice(2..8).slice(1..100);
        assert_eq!((wide.begin(), wide.end()), (3, 8));
        let open = "0123456789".slice(2..).slice(3..);
        assert_eq!((open.begin(), open.end()), (5, usize::MAX));
    }

    #[test]
    fn stacked_slices_in_generic_code_agree_with_flat_ones() {
        fn generic<B: IoBuf>(buf: B) -> Slice<B> {
            buf.slice(1..4)
        }
        let mut stacked: Slice<Slice<Vec<u8>>> = generic(b"0123456789".to_vec().slice(2..8));
        assert_eq!(&stacked[..], b"345");
        assert_eq!(stacked.fill_from(b"XY"), 2);
        assert_eq!(stacked.into_inner().into_inner(), b"012XY");
    }

    #[test]
    fn the_loop_of_read_exact_advances_without_copying() {
        let mut buf = Vec::with_capacity(10);
        let address = buf.as_mut_ptr();
        for (filled, piece) in [(0, &b"abc"[..]), (3, b"de"), (5, b"fghij")] {
            let mut rest = buf.slice(filled..10);
            assert_eq!(rest.fill_from(piece), piece.len());
            buf = rest.into_inner();
        }
        assert_eq!(buf, b"abcdefghij");
        assert_eq!(buf.as_mut_ptr(), address);
    }

    #[test]
    fn deref_mut_reaches_the_initialised_bytes_only() {
        let mut vec = Vec::with_capacity(16);
        vec.extend_from_slice(b"abcd");
        let mut slice = vec.slice(1..10);
        slice.make_ascii_uppercase();
        assert_eq!(slice.len(), 3);
        assert_eq!(slice.into_inner(), b"aBCD");
    }

    #[test]
    fn both_pointers_name_the_same_memory() {
        let mut slice = [1u8, 2, 3].slice(1..);
        assert_eq!(slice.buf_mut_ptr().cast_const(), slice.buf_ptr());
        assert_eq!(slice.buf_ptr(), slice.get_ref().as_ptr().wrapping_add(1));
    }
}
