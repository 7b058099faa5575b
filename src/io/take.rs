//! A reader that ends early.

use std::io;

use super::buf_reader::DEFAULT_CAPACITY;
use super::errors::no_room;
use super::{AsyncBufRead, AsyncRead};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBufMut};

/// A reader that ends after a number of bytes; made by [`AsyncReadExt::take`](super::AsyncReadExt::take).
///
/// # Cancel safety
///
/// As cancel safe as the reader inside: a read that is dropped takes nothing off the limit.
#[derive(Debug)]
pub struct Take<R> {
    inner: R,
    limit: u64,
    /// How much of what `fill_buf` showed last is still to be consumed.
    shown: usize,
}

impl<R> Take<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self {
            inner,
            limit,
            shown: 0,
        }
    }

    /// How many bytes may still be read.
    ///
    /// ```
    /// use saferring::io::{AsyncReadExt, empty};
    ///
    /// assert_eq!(empty().take(4).limit(), 4);
    /// ```
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets how many bytes may still be read, however many were read before.
    ///
    /// ```
    /// use saferring::io::{AsyncReadExt, empty};
    ///
    /// let mut reader = empty().take(4);
    /// reader.set_limit(8);
    /// assert_eq!(reader.limit(), 8);
    /// ```
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The reader inside.
    ///
    /// ```
    /// use saferring::io::AsyncReadExt;
    ///
    /// assert_eq!(*(&b"data"[..]).take(4).get_ref(), b"data");
    /// ```
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The reader inside. What is read from it directly does not count.
    ///
    /// ```
    /// use saferring::io::AsyncReadExt;
    ///
    /// assert_eq!(*(&b"data"[..]).take(4).get_mut(), b"data");
    /// ```
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Gives the reader inside back.
    ///
    /// ```
    /// use saferring::io::AsyncReadExt;
    ///
    /// assert_eq!((&b"data"[..]).take(4).into_inner(), b"data");
    /// ```
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The limit, as far as a length of memory can reach.
    fn limit_usize(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    fn count(&mut self, result: &io::Result<usize>) {
        if let Ok(n) = result {
            self.limit = self.limit.saturating_sub(*n as u64);
            self.shown = self.shown.saturating_sub(*n);
        }
    }
}

impl<R: AsyncRead> AsyncRead for Take<R> {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        if buf.buf_capacity() == 0 {
            return (Err(no_room()), buf);
        }
        if self.limit == 0 {
            return (Ok(buf.fill_from(b"")), buf);
        }
        let (result, buf) = self.inner.read(buf.slice(..self.limit_usize())).await;
        self.count(&result);
        (result, buf.into_inner())
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut bufs: V) -> BufResult<usize, V> {
        if bufs.total_capacity() == 0 {
            return (Err(no_room()), bufs);
        }
        let limit = self.limit_usize();
        let result;
        if bufs.total_capacity() <= limit {
            (result, bufs) = self.inner.read_vectored(bufs).await;
        } else if limit == 0 {
            result = Ok(bufs.fill_from(b""));
        } else {
            // Several buffers cannot be cut to the limit, so the stream's last bytes take a detour.
            let size = limit.min(DEFAULT_CAPACITY);
            let (read, last) = self
                .inner
                .read(Vec::with_capacity(size).slice(..size))
                .await;
            result = read.map(|_| bufs.fill_from(&last));
        }
        self.count(&result);
        (result, bufs)
    }
}

impl<R: AsyncBufRead> AsyncBufRead for Take<R> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.shown = 0;
        if self.limit == 0 {
            return Ok(&[]);
        }
        let limit = self.limit_usize();
        let available = self.inner.fill_buf().await?;
        self.shown = available.len().min(limit);
        Ok(&available[..self.shown])
    }

    fn consume(&mut self, n: usize) {
        // The reader inside takes no more than it has either, but does not say how much that was.
        let n = n.min(self.shown).min(self.limit_usize());
        self.shown -= n;
        self.limit -= n as u64;
        self.inner.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_util::{Script, Step, drop_in_flight, ready};
    use super::super::{AsyncBufReadExt, AsyncReadExt, BufReader};
    use super::*;

    #[test]
    fn reads_end_at_the_limit() {
        for limit in 0..8u64 {
            let mut reader = Script::chunks(b"abcde", 2).take(limit);
            let (result, buf) = ready(reader.read_to_end(Vec::new()));
            let expected = &b"abcde"[..(limit as usize).min(5)];
            assert_eq!((result.unwrap(), &buf[..]), (expected.len(), expected));
            assert_eq!(reader.limit(), limit.saturating_sub(5));
            let (result, rest) = ready(reader.into_inner().read_to_end(Vec::new()));
            assert_eq!(
                (result.unwrap(), rest.len()),
                (rest.len(), 5 - expected.len())
            );
        }
    }

    #[test]
    fn vectored_reads_end_at_the_limit() {
        let mut reader = (&b"abcdefgh"[..]).take(5);
        let (result, bufs) = ready(reader.read_vectored([[0; 1]; 2]));
        assert_eq!((result.unwrap(), bufs), (2, [*b"a", *b"b"]));
        let (result, bufs) = ready(reader.read_vectored((*b"..", Vec::with_capacity(9))));
        assert_eq!((result.unwrap(), bufs), (3, (*b"cd", b"e".to_vec())));
        let (result, bufs) = ready(reader.read_vectored((*b"..", b"old".to_vec())));
        assert_eq!((result.unwrap(), bufs), (0, (*b"..", Vec::new())));
        assert_eq!(reader.into_inner(), b"fgh");
    }

    #[test]
    fn lines_end_at_the_limit() {
        let mut reader = BufReader::new(&b"one\ntwo\nthree\n"[..]).take(6);
        assert_eq!(ready(reader.read_line(String::new())).1, "one\n");
        assert_eq!(ready(reader.read_line(String::new())).1, "tw");
        assert_eq!(ready(reader.read_line(String::new())).1, "");
        reader.set_limit(100);
        assert_eq!(ready(reader.read_line(String::new())).1, "o\n");
        reader.consume(1000);
        assert_eq!(reader.limit(), 92);
    }

    #[test]
    fn consuming_more_than_is_shown_counts_what_is_shown() {
        let mut reader = BufReader::with_capacity(3, &b"abcdefghi"[..]).take(8);
        reader.consume(usize::MAX); // Nothing was shown yet.
        assert_eq!(reader.limit(), 8);
        assert_eq!(ready(reader.fill_buf()).unwrap(), b"abc");
        reader.consume(5);
        reader.consume(5);
        assert_eq!(reader.limit(), 5);
        assert_eq!(ready(reader.fill_buf()).unwrap(), b"def");
        assert_eq!(ready(reader.read([0])).1, *b"d");
        reader.consume(1);
        assert_eq!(ready(reader.fill_buf()).unwrap(), b"f");
        reader.consume(1000);
        assert_eq!(ready(reader.fill_buf()).unwrap(), b"gh");
        reader.set_limit(1);
        reader.consume(2);
        assert_eq!((reader.limit(), reader.get_ref().buffer()), (0, &b"hi"[..]));
        assert!(ready(reader.fill_buf()).unwrap().is_empty());
    }

    #[test]
    fn a_dropped_read_counts_nothing() {
        let mut reader = Script::new([Step::Wait, Step::Wait, Step::Data(b"abcd")]).take(3);
        drop_in_flight(reader.read([0; 8]));
        drop_in_flight(reader.read_vectored([[0; 8]; 2]));
        let (result, buf) = ready(reader.read_to_end(Vec::new()));
        assert_eq!((result.unwrap(), &buf[..]), (3, &b"abc"[..]));
    }

    #[test]
    fn no_room_is_an_error_not_an_end() {
        let mut reader = (&b"x"[..]).take(1);
        let kind = io::ErrorKind::InvalidInput;
        assert_eq!(ready(reader.read([])).0.unwrap_err().kind(), kind);
        let (result, _) = ready(reader.read_vectored([[0; 0]; 2]));
        assert_eq!(result.unwrap_err().kind(), kind);
    }
}
