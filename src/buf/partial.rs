//! Several buffers of which a part is done.

use super::vectored::take_up_to;
use super::{IoVectoredBuf, IoVectoredBufMut};

/// Buffers of which a part has been written already: what write-all sends next.
///
/// Buffers with nothing left, empty ones included, are not reported: were they, they could fill a whole vector of
/// `IOV_MAX` entries, and the write would never get past them.
#[derive(Debug)]
pub(crate) struct Unwritten<V> {
    inner: V,
    written: usize,
}

impl<V: IoVectoredBuf> Unwritten<V> {
    /// All of `inner`.
    pub(crate) fn new(inner: V) -> Self {
        Self { inner, written: 0 }
    }

    /// Leaves out `n` bytes more. Once all are left out, [`total_len`](IoVectoredBuf::total_len) is 0.
    pub(crate) fn advance(&mut self, n: usize) {
        self.written = self.written.saturating_add(n);
    }

    /// Gives the buffers back.
    pub(crate) fn into_inner(self) -> V {
        self.inner
    }
}

// SAFETY: reports tails of some of the ranges that `V` vouches for, each at most once and in order, so the count of `V`
// bounds it. `written` changes only through `&mut self`.
unsafe impl<V: IoVectoredBuf> IoVectoredBuf for Unwritten<V> {
    fn buf_count(&self) -> usize {
        self.inner.buf_count()
    }

    fn for_each_buf(&self, mut f: impl FnMut(*const u8, usize)) {
        let mut skip = self.written;
        self.inner.for_each_buf(|ptr, len| {
            if len <= skip {
                skip -= len;
            } else {
                f(ptr.wrapping_add(skip), len - skip);
                skip = 0;
            }
        });
    }
}

/// Buffers of which a part has been filled already: what read-exact reads into next, each up to its `fill_len`.
///
/// Each read ends in `set_each_filled`; `advance` then moves on by what that read delivered. Buffers that are full are not
/// reported, for the reason given at [`Unwritten`].
#[derive(Debug)]
pub(crate) struct Unfilled<V> {
    inner: V,
    /// How much of each buffer is to be filled; their lengths change with the first read.
    // Invariant: at most the buffer's capacity.
    limits: Vec<usize>,
    // Invariant: `filled` and `arrived` are within the sum of the limits, and so many of the first bytes of the ranges
    // up to these limits, taken one after the other, are initialised.
    filled: usize,
    arrived: usize,
}

impl<V: IoVectoredBufMut> Unfilled<V> {
    /// All of `inner`.
    pub(crate) fn new(mut inner: V) -> Self {
        let mut limits = Vec::with_capacity(inner.buf_count());
        inner.for_each_fill_len(|len| limits.push(len));
        let mut index = 0;
        inner.for_each_buf_mut(|_, capacity| {
            limits[index] = limits[index].min(capacity);
            index += 1;
        });
        Self {
            inner,
            limits,
            filled: 0,
            arrived: 0,
        }
    }

    /// Leaves out what the last read delivered, if it was not left out before. Once all is filled,
    /// [`total_capacity`](IoVectoredBufMut::total_capacity) is 0.
    pub(crate) fn advance(&mut self) {
        self.filled = self.arrived;
    }

    /// How many bytes are left out.
    pub(crate) fn filled(&self) -> usize {
        self.filled
    }

    /// Gives the buffers back.
    pub(crate) fn into_inner(self) -> V {
        self.inner
    }
}

// SAFETY: reports exactly what `V` does.
unsafe impl<V: IoVectoredBufMut> IoVectoredBuf for Unfilled<V> {
    fn buf_count(&self) -> usize {
        self.inner.buf_count()
    }

    fn for_each_buf(&self, f: impl FnMut(*const u8, usize)) {
        self.inner.for_each_buf(f);
    }
}

// SAFETY: reports parts of some of the ranges that `V` vouches for, each at most once and in order: the count of `V`
// bounds it, and being disjoint and exclusive carries over. Left out are the first `filled` bytes and what is beyond the
// limits, so the total is the rest of these. `set_each_filled` changes `arrived` and what `V` records, neither of which
// moves a range.
unsafe impl<V: IoVectoredBufMut> IoVectoredBufMut for Unfilled<V> {
    fn for_each_buf_mut(&mut self, mut f: impl FnMut(*mut u8, usize)) {
        let mut skip = self.filled;
        let mut limits = self.limits.iter();
        self.inner.for_each_buf_mut(|ptr, _| {
            let limit = limits.next().copied().unwrap_or(0);
            let skipped = take_up_to(&mut skip, limit);
            if skipped < limit {
                f(ptr.wrapping_add(skipped), limit - skipped);
            }
        });
    }

    fn total_capacity(&self) -> usize {
        self.limits.iter().sum::<usize>() - self.filled
    }

    fn for_each_fill_len(&self, mut f: impl FnMut(usize)) {
        let mut skip = self.filled;
        for &limit in &self.limits {
            let rest = limit - take_up_to(&mut skip, limit);
            if rest > 0 {
                f(rest);
            }
        }
    }

    unsafe fn set_each_filled(&mut self, mut f: impl FnMut(usize) -> usize) {
        let mut limits = self.limits.iter();
        let (mut skip, mut arrived, mut gap) = (self.filled, self.filled, false);
        // SAFETY: by the invariant the first `skipped` bytes of each are initialised, and by the caller's promise as many
        // behind them as `f` says, all within the limit, which is within the capacity.
        unsafe {
            self.inner.set_each_filled(|_| {
                let limit = limits.next().copied().unwrap_or(0);
                let skipped = take_up_to(&mut skip, limit);
                let new = match limit - skipped {
                    0 => 0,
                    rest => f(rest),
                };
                // What stands behind a gap is read once more.
                if !gap {
                    arrived += new;
                }
                gap |= skipped + new < limit;
                skipped + new
            });
        }
        self.arrived = arrived;
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectored::tests::{bytes_of, capacities_of, with_capacity};
    use super::*;

    #[test]
    fn unwritten_skips_any_number_of_bytes() {
        let flat = b"abcdef";
        for skip in 0..=flat.len() + 2 {
            let mut bufs = Unwritten::new(["", "ab", "", "c", "def", ""]);
            bufs.advance(skip);
            let pieces = bytes_of(&bufs);
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            assert_eq!(pieces.concat(), &flat[skip.min(flat.len())..]);
            assert_eq!(bufs.into_inner()[1], "ab");
        }
    }

    #[test]
    fn unwritten_advances_step_by_step() {
        let mut bufs = Unwritten::new((*b"abc", "defg"));
        bufs.advance(2);
        assert_eq!(bytes_of(&bufs), [&b"c"[..], b"defg"]);
        bufs.advance(1);
        assert_eq!(bytes_of(&bufs), [b"defg"]);
        bufs.advance(usize::MAX);
        bufs.advance(usize::MAX);
        assert_eq!(bufs.total_len(), 0);
    }

    #[test]
    fn unfilled_takes_pieces_of_any_size() {
        let data = b"abcdefgh";
        for step in 1..=data.len() + 1 {
            let mut bufs = Unfilled::new((
                with_capacity(0),
                with_capacity(3),
                [0u8; 1],
                with_capacity(4),
            ));
            while bufs.total_capacity() > 0 {
                let rest = &data[bufs.filled()..];
                assert_eq!(capacities_of(&mut bufs).iter().sum::<usize>(), rest.len());
                assert!(bufs.fill_from(&rest[..rest.len().min(step)]) > 0);
                bufs.advance();
            }
            assert!(capacities_of(&mut bufs).is_empty());
            assert_eq!(
                bytes_of(&bufs.into_inner()),
                [&b""[..], b"abc", b"d", b"efgh"]
            );
        }
    }

    #[test]
    fn unfilled_keeps_earlier_bytes_when_a_later_read_ends_or_fails() {
        let mut bufs = Unfilled::new([with_capacity(2), with_capacity(2)]);
        assert_eq!(bufs.fill_from(b"abc"), 3);
        bufs.advance();
        bufs.advance(); // As after a read that failed: nothing new arrived.
        assert_eq!((bufs.filled(), bufs.total_capacity()), (3, 1));
        assert_eq!(bufs.fill_from(b""), 0);
        bufs.advance();
        assert_eq!(bytes_of(&bufs.into_inner()), [&b"ab"[..], b"c"]);
    }

    #[test]
    fn unfilled_fills_to_lengths_and_what_is_empty_to_capacity() {
        let data = b"abcdefgh";
        for step in 1..=data.len() {
            let mut long = b"old".to_vec();
            long.reserve_exact(20);
            let mut bufs = Unfilled::new((long, with_capacity(2), *b"...", Vec::new()));
            assert_eq!(bufs.total_capacity(), data.len());
            while bufs.total_capacity() > 0 {
                let rest = &data[bufs.filled()..];
                assert!(bufs.fill_from(&rest[..rest.len().min(step)]) > 0);
                bufs.advance();
            }
            assert_eq!(
                bytes_of(&bufs.into_inner()),
                [&b"abc"[..], b"de", b"fgh", b""]
            );
        }
    }

    #[test]
    fn unfilled_reads_what_stands_behind_a_gap_once_more() {
        let mut bufs = Unfilled::new([with_capacity(2), with_capacity(2)]);
        bufs.for_each_buf_mut(|ptr, _| {
            // SAFETY: there is room for two bytes.
            unsafe { *ptr = b'x' }
        });
        // SAFETY: the first byte of each was written.
        unsafe { bufs.set_each_filled(|_| 1) };
        bufs.advance();
        assert_eq!((bufs.filled(), bufs.total_capacity()), (1, 3));
        assert_eq!(bytes_of(&bufs.into_inner()), [b"x", b"x"]);
    }

    #[test]
    fn unfilled_starts_over_until_it_is_advanced() {
        let mut bufs = Unfilled::new([with_capacity(4)]);
        bufs.fill_from(b"abcd");
        assert_eq!(bufs.fill_from(b"xy"), 2);
        assert_eq!((bufs.filled(), bufs.total_capacity()), (0, 4));
        bufs.advance();
        assert_eq!(bufs.total_capacity(), 2);
        assert_eq!(bytes_of(&bufs.into_inner()), [b"xy"]);
    }
}
