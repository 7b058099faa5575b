//! Two readers, one after the other.

use std::io;

use super::errors::no_room;
use super::{AsyncBufRead, AsyncRead};
use crate::buf::{BufResult, IoBufMut, IoVectoredBufMut};

/// Two readers, one after the other; made by [`AsyncReadExt::chain`](super::AsyncReadExt::chain).
///
/// A read that finds the first one ended goes on with the second. If that fails, a growable buffer is empty: the end of
/// the first was a read of nothing.
///
/// # Cancel safety
///
/// As cancel safe as the two readers inside.
#[derive(Debug)]
pub struct Chain<A, B> {
    first: A,
    second: B,
    first_ended: bool,
}

impl<A, B> Chain<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self {
            first,
            second,
            first_ended: false,
        }
    }

    /// The readers inside.
    ///
    /// ```
    /// use saferring::io::AsyncReadExt;
    ///
    /// let chain = (&b"one"[..]).chain(&b"two"[..]);
    /// assert_eq!(chain.get_ref(), (&&b"one"[..], &&b"two"[..]));
    /// ```
    pub fn get_ref(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }

    /// Gives the readers inside back.
    ///
    /// ```
    /// use saferring::io::AsyncReadExt;
    ///
    /// let chain = (&b"one"[..]).chain(&b"two"[..]);
    /// assert_eq!(chain.into_inner(), (&b"one"[..], &b"two"[..]));
    /// ```
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.second)
    }
}

impl<A: AsyncRead, B: AsyncRead> AsyncRead for Chain<A, B> {
    async fn read<T: IoBufMut>(&mut self, mut buf: T) -> BufResult<usize, T> {
        if buf.buf_capacity() == 0 {
            return (Err(no_room()), buf);
        }
        if !self.first_ended {
            let result;
            (result, buf) = self.first.read(buf).await;
            match result {
                Ok(0) => self.first_ended = true,
                result => return (result, buf),
            }
        }
        self.second.read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut bufs: V) -> BufResult<usize, V> {
        if bufs.total_capacity() == 0 {
            return (Err(no_room()), bufs);
        }
        if !self.first_ended {
            let result;
            (result, bufs) = self.first.read_vectored(bufs).await;
            match result {
                Ok(0) => self.first_ended = true,
                result => return (result, bufs),
            }
        }
        self.second.read_vectored(bufs).await
    }
}

impl<A: AsyncBufRead, B: AsyncBufRead> AsyncBufRead for Chain<A, B> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.first_ended {
            self.first_ended = self.first.fill_buf().await?.is_empty();
        }
        if self.first_ended {
            self.second.fill_buf().await
        } else {
            self.first.fill_buf().await // Filled above, so this does not wait.
        }
    }

    fn consume(&mut self, n: usize) {
        if self.first_ended {
            self.second.consume(n);
        } else {
            self.first.consume(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_util::{Script, Step, drop_in_flight, ready};
    use super::super::{AsyncBufReadExt, AsyncReadExt, BufReader};
    use super::*;

    #[test]
    fn the_second_follows_the_first() {
        let mut reader = Script::chunks(b"abc", 2).chain(Script::chunks(b"def", 2));
        let (result, buf) = ready(reader.read_exact_vectored([[0; 2]; 3]));
        result.unwrap();
        assert_eq!(buf.concat(), b"abcdef");
        assert_eq!(ready(reader.read([0])).0.unwrap(), 0);
    }

    #[test]
    fn a_line_crosses_the_border() {
        let mut reader = (&b"one\nt"[..]).chain(BufReader::new(&b"wo\nthree"[..]));
        for line in ["one\n", "two\n", "three", ""] {
            assert_eq!(ready(reader.read_line(String::new())).1, line);
        }
    }

    #[test]
    fn an_error_is_no_end() {
        let reset = io::ErrorKind::ConnectionReset;
        let mut reader = Script::new([Step::Fail(reset), Step::Data(b"a")]).chain(&b"b"[..]);
        assert_eq!(ready(reader.read([0])).0.unwrap_err().kind(), reset);
        assert_eq!(ready(reader.read_exact([0; 2])).1, *b"ab");
    }

    #[test]
    fn a_dropped_read_does_not_skip_a_reader() {
        let mut reader = Script::new([Step::Wait, Step::Data(b"a")])
            .chain(Script::new([Step::Wait, Step::Data(b"b")]));
        drop_in_flight(reader.read([0]));
        assert_eq!(ready(reader.read([0])).1, *b"a");
        drop_in_flight(reader.read([0]));
        assert_eq!(ready(reader.read([0])).1, *b"b");
    }

    #[test]
    fn no_room_is_an_error_not_an_end() {
        let mut reader = (&b"a"[..]).chain(&b"b"[..]);
        assert!(ready(reader.read([])).0.is_err());
        assert!(ready(reader.read_vectored([[0; 0]])).0.is_err());
        assert_eq!(ready(reader.read([0])).1, *b"a");
    }
}
