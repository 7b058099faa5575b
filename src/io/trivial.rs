//! Readers and writers with nothing behind them: `empty`, `repeat` and `sink`.

use std::io;

use super::buf_reader::read_buffered;
use super::errors::no_room;
use super::{AsyncBufRead, AsyncRead, AsyncWrite};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

/// A reader that has ended; made by [`empty`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

/// A reader that has ended.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncReadExt, empty};
///
/// let (result, all) = empty().read_to_end(Vec::new()).await;
/// assert_eq!((result?, all.len()), (0, 0));
/// # Ok(())
/// # })
/// # }
/// ```
pub fn empty() -> Empty {
    Empty
}

impl AsyncRead for Empty {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let (result, [buf]) = read_buffered(self, [buf]).await;
        (result, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        read_buffered(self, bufs).await
    }
}

impl AsyncBufRead for Empty {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(&[])
    }

    fn consume(&mut self, _n: usize) {}
}

/// How many bytes a [`Repeat`] gives at a time.
const REPEATED: usize = 1024;

/// A reader that gives one byte for ever; made by [`repeat`].
#[derive(Clone, Copy, Debug)]
pub struct Repeat {
    byte: u8,
}

/// A reader that gives `byte` for ever, as much at a time as it likes.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncReadExt, repeat};
///
/// let (result, buf) = repeat(b'x').read_exact([0; 3]).await;
/// result?;
/// assert_eq!(&buf, b"xxx");
/// # Ok(())
/// # })
/// # }
/// ```
pub fn repeat(byte: u8) -> Repeat {
    Repeat { byte }
}

impl AsyncRead for Repeat {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let (result, [buf]) = self.read_vectored([buf]).await;
        (result, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut bufs: V) -> BufResult<usize, V> {
        if bufs.total_capacity() == 0 {
            return (Err(no_room()), bufs);
        }
        (Ok(bufs.fill_from(&[self.byte; REPEATED])), bufs)
    }
}

/// A writer that takes everything and keeps nothing; made by [`sink`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sink;

/// A writer that takes everything and keeps nothing.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{copy, sink};
///
/// assert_eq!(copy(&mut &b"skipped"[..], &mut sink()).await?, 7);
/// # Ok(())
/// # })
/// # }
/// ```
pub fn sink() -> Sink {
    Sink
}

impl AsyncWrite for Sink {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        (Ok(buf.buf_len()), buf)
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        (Ok(bufs.total_len()), bufs)
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
    use super::super::{AsyncReadExt, AsyncWriteExt};
    use super::*;

    #[test]
    fn empty_has_ended() {
        assert_eq!(ready(empty().read([0])).0.unwrap(), 0);
        assert_eq!(ready(empty().read_vectored([[0]; 2])).0.unwrap(), 0);
        assert_eq!(ready(empty().fill_buf()).unwrap(), b"");
        empty().consume(1);
        assert!(ready(empty().read([])).0.is_err());
    }

    #[test]
    fn repeat_fills_whatever_it_gets() {
        let (result, buf) = ready(repeat(7).read_exact(vec![0; 5000]));
        result.unwrap();
        assert_eq!(buf, [7; 5000]);
        let (result, bufs) = ready(repeat(7).read_vectored([[0; 2]; 2]));
        assert_eq!((result.unwrap(), bufs), (4, [[7; 2]; 2]));
        assert!(ready(repeat(7).read([])).0.is_err());
        assert!(ready(repeat(7).read_vectored([[0; 0]])).0.is_err());
    }

    #[test]
    fn sink_takes_everything() {
        ready(sink().write_all("abc")).0.unwrap();
        ready(sink().write_all_vectored(["abc", "d"])).0.unwrap();
        assert_eq!(ready(sink().write_vectored(["abc", "d"])).0.unwrap(), 4);
        ready(sink().flush()).unwrap();
        ready(sink().shutdown()).unwrap();
    }
}
