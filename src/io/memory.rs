//! Slices, cursors and vectors as readers and writers.

use std::io::{self, Cursor};

use super::buf_reader::read_buffered;
use super::{AsyncBufRead, AsyncRead, AsyncWrite};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

/// Reads from the front of the slice, which becomes shorter. Never waits.
impl AsyncRead for &[u8] {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let (result, [buf]) = read_buffered(self, [buf]).await;
        (result, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        read_buffered(self, bufs).await
    }
}

impl AsyncBufRead for &[u8] {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self)
    }

    fn consume(&mut self, n: usize) {
        *self = self.get(n..).unwrap_or_default();
    }
}

/// Reads from the cursor's position, which moves on. Never waits.
impl<T: AsRef<[u8]>> AsyncRead for Cursor<T> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let (result, [buf]) = read_buffered(self, [buf]).await;
        (result, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        read_buffered(self, bufs).await
    }
}

impl<T: AsRef<[u8]>> AsyncBufRead for Cursor<T> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(rest(self))
    }

    fn consume(&mut self, n: usize) {
        let n = n.min(rest(self).len());
        self.set_position(self.position() + n as u64);
    }
}

/// What is after the cursor's position, which may itself be past the end.
fn rest<T: AsRef<[u8]>>(cursor: &Cursor<T>) -> &[u8] {
    let bytes = cursor.get_ref().as_ref();
    usize::try_from(cursor.position())
        .ok()
        .and_then(|at| bytes.get(at..))
        .unwrap_or_default()
}

/// Appends to the vector. Never waits.
impl AsyncWrite for Vec<u8> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let bytes = buf.slice(..);
        self.extend_from_slice(&bytes);
        (Ok(bytes.len()), bytes.into_inner())
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        let before = self.len();
        bufs.for_each_slice(|bytes| self.extend_from_slice(bytes));
        (Ok(self.len() - before), bufs)
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_util::ready;
    use super::*;

    #[test]
    fn slices_and_cursors_read_to_their_end() {
        async fn check(mut reader: impl AsyncBufRead) {
            let (result, buf) = reader.read([0; 2]).await;
            assert_eq!((result.unwrap(), &buf), (2, b"ab"));
            let (result, bufs) = reader.read_vectored([*b"..", *b".."]).await;
            assert_eq!((result.unwrap(), bufs), (4, [*b"cd", *b"ef"]));
            assert_eq!(reader.fill_buf().await.unwrap(), b"gh");
            reader.consume(1);
            let (result, buf) = reader.read(b"old text".to_vec()).await;
            assert_eq!((result.unwrap(), &buf[..]), (1, &b"h"[..]));
            reader.consume(1000);
            let (result, buf) = reader.read(buf).await;
            assert_eq!((result.unwrap(), buf.len()), (0, 0));
            assert_eq!(reader.fill_buf().await.unwrap(), b"");
        }
        ready(check(&b"abcdefgh"[..]));
        ready(check(Cursor::new(b"abcdefgh".to_vec())));
        ready(check(&mut Cursor::new("abcdefgh")));
    }

    #[test]
    fn no_room_is_an_error_not_an_end() {
        let kind = io::ErrorKind::InvalidInput;
        let (result, buf) = ready((&b"x"[..]).read(Vec::new()));
        assert_eq!((result.unwrap_err().kind(), buf.len()), (kind, 0));
        let (result, _) = ready((&b"x"[..]).read_vectored([[0; 0]]));
        assert_eq!(result.unwrap_err().kind(), kind);
        let mut cursor = Cursor::new("x");
        assert_eq!(ready(cursor.read([])).0.unwrap_err().kind(), kind);
        let (result, _) = ready(cursor.read_vectored([[0; 0]]));
        assert_eq!(result.unwrap_err().kind(), kind);
    }

    #[test]
    fn a_cursor_past_the_end_has_ended() {
        let mut cursor = Cursor::new("abc");
        for position in [3, 4, u64::MAX] {
            cursor.set_position(position);
            assert_eq!(ready(cursor.read([0])).0.unwrap(), 0);
            cursor.consume(1);
            assert_eq!(cursor.position(), position);
        }
    }

    #[test]
    fn a_vector_takes_everything() {
        let mut out = b">".to_vec();
        let (result, buf) = ready(out.write("..abc".slice(2..)));
        assert_eq!((result.unwrap(), buf.into_inner()), (3, "..abc"));
        assert_eq!(ready(out.write("")).0.unwrap(), 0);
        let (result, _) = ready(out.write_vectored(("de", *b"f")));
        assert_eq!(result.unwrap(), 3);
        ready(out.flush()).unwrap();
        ready(out.shutdown()).unwrap();
        assert_eq!(out, b">abcdef");
    }
}
