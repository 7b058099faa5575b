//! A buffer before a writer.

use std::fmt;
use std::io;
use std::mem;

use super::buf_reader::DEFAULT_CAPACITY;
use super::errors::{progress, takes_no_more};
use super::{AsyncRead, AsyncWrite};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

/// Collects what is written, so that many small writes become few large ones.
///
/// What is collected goes out when the buffer is full, and with [`flush`](AsyncWrite::flush) and
/// [`shutdown`](AsyncWrite::shutdown). **Dropping the writer loses what was not flushed**: there is nobody to wait for
/// it. The buffer is allocated at the first write. Writes at least as large as it go past it once it is empty. Reads go
/// through to what is inside, if that can be read from.
///
/// # Cancel safety
///
/// A write that fits into the buffer does not wait. One that does not fit first writes the buffer out, as `flush` does.
/// While that lasts, the writer inside has the buffer. If it is dropped meanwhile:
///
/// - the bytes in the buffer are gone, and may have been written, in part or not at all;
/// - the next write, flush or shutdown fails and says how many bytes that concerns, so that it does not go unnoticed;
/// - after that the writer works again, with a new buffer. Whether the other side can make sense of what follows is
///   for the protocol to say; most often the connection is best closed.
///
/// To limit the time of a flush, keep its future and go on with it, or give up the stream.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncWrite, AsyncWriteExt, BufWriter};
///
/// let mut writer = BufWriter::new(Vec::new());
/// for word in ["many ", "small ", "writes"] {
///     writer.write_all(word).await.0?;
/// }
/// assert!(writer.get_ref().is_empty());
/// writer.flush().await?;
/// assert_eq!(writer.into_inner(), b"many small writes");
/// # Ok(())
/// # })
/// # }
/// ```
pub struct BufWriter<W> {
    inner: W,
    // While a write has the buffer, a vector without allocation is in its place.
    buf: Vec<u8>,
    capacity: usize,
    // How many bytes a write has taken along that is not known to have ended.
    in_flight: usize,
}

impl<W> BufWriter<W> {
    /// Puts a buffer of 8 KiB before `inner`.
    ///
    /// ```
    /// use saferring::io::{BufWriter, sink};
    ///
    /// assert_eq!(BufWriter::new(sink()).capacity(), 8 * 1024);
    /// ```
    pub fn new(inner: W) -> Self {
        Self::with_capacity(DEFAULT_CAPACITY, inner)
    }

    /// Puts a buffer of `capacity` bytes before `inner`. If there is no memory for it, writes say so
    /// ([`OutOfMemory`](io::ErrorKind::OutOfMemory)).
    ///
    /// ```
    /// use saferring::io::{BufWriter, sink};
    ///
    /// assert_eq!(BufWriter::with_capacity(512, sink()).capacity(), 512);
    /// ```
    pub fn with_capacity(capacity: usize, inner: W) -> Self {
        Self {
            inner,
            buf: Vec::new(),
            capacity,
            in_flight: 0,
        }
    }

    /// How many bytes are collected at most.
    ///
    /// ```
    /// use saferring::io::{BufWriter, sink};
    ///
    /// assert_eq!(BufWriter::new(sink()).capacity(), 8 * 1024);
    /// ```
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The bytes that were collected and not yet written out.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncWriteExt, BufWriter, sink};
    ///
    /// let mut writer = BufWriter::new(sink());
    /// writer.write_all("hello").await.0?;
    /// assert_eq!(writer.buffer(), b"hello");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn buffer(&self) -> &[u8] {
        &self.buf
    }

    /// The writer inside.
    ///
    /// ```
    /// use saferring::io::BufWriter;
    ///
    /// assert!(BufWriter::new(vec![0; 0]).get_ref().is_empty());
    /// ```
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The writer inside. What is written to it directly does not come after what was collected.
    ///
    /// ```
    /// use saferring::io::BufWriter;
    ///
    /// BufWriter::new(Vec::new()).get_mut().push(1);
    /// ```
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Gives the writer inside back. What was not flushed is lost: see [`buffer`](BufWriter::buffer).
    ///
    /// ```
    /// use saferring::io::BufWriter;
    ///
    /// assert!(BufWriter::new(vec![0; 0]).into_inner().is_empty());
    /// ```
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// Says, once, that bytes went away with a write that was dropped.
    fn report_dropped(&mut self) -> io::Result<()> {
        match mem::take(&mut self.in_flight) {
            0 => Ok(()),
            n => Err(io::Error::other(format!(
                "an earlier flush was dropped before its end: {n} bytes may not have been written"
            ))),
        }
    }
}

impl<W: AsyncWrite> BufWriter<W> {
    /// Writes the buffer out. What an error leaves over stays in the buffer.
    async fn write_out(&mut self) -> io::Result<()> {
        self.report_dropped()?;
        let mut buf = mem::take(&mut self.buf);
        let mut written = 0;
        let result = loop {
            if written >= buf.len() {
                break Ok(());
            }
            self.in_flight = buf.len() - written;
            let (result, rest) = self.inner.write(buf.slice(written..)).await;
            buf = rest.into_inner();
            match progress(result, takes_no_more) {
                Ok(n) => written += n,
                Err(error) => break Err(error),
            }
        };
        self.in_flight = 0;
        buf.drain(..written.min(buf.len()));
        self.buf = buf;
        result
    }

    /// Makes room for `len` bytes, or says that they had better go past the buffer, which is empty then.
    async fn make_room(&mut self, len: usize) -> io::Result<bool> {
        self.report_dropped()?;
        if len > self.capacity - self.buf.len() {
            self.write_out().await?;
        }
        if len >= self.capacity && self.buf.is_empty() {
            return Ok(false);
        }
        if self.buf.capacity() < self.capacity {
            let missing = self.capacity - self.buf.len();
            self.buf.try_reserve_exact(missing)?;
        }
        Ok(true)
    }
}

impl<W: AsyncWrite> AsyncWrite for BufWriter<W> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let bytes = buf.slice(..);
        match self.make_room(bytes.len()).await {
            Ok(true) => {
                self.buf.extend_from_slice(&bytes);
                (Ok(bytes.len()), bytes.into_inner())
            }
            Ok(false) => self.inner.write(bytes.into_inner()).await,
            Err(error) => (Err(error), bytes.into_inner()),
        }
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        let len = bufs.total_len();
        match self.make_room(len).await {
            Ok(true) => {
                bufs.for_each_slice(|bytes| self.buf.extend_from_slice(bytes));
                (Ok(len), bufs)
            }
            Ok(false) => self.inner.write_vectored(bufs).await,
            Err(error) => (Err(error), bufs),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.write_out().await?;
        self.inner.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.write_out().await?;
        self.inner.shutdown().await
    }
}

impl<W: AsyncRead> AsyncRead for BufWriter<W> {
    fn read<B: IoBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.inner.read(buf)
    }

    fn read_vectored<V: IoVectoredBufMut>(
        &mut self,
        bufs: V,
    ) -> impl Future<Output = BufResult<usize, V>> {
        self.inner.read_vectored(bufs)
    }
}

impl<W: fmt::Debug> fmt::Debug for BufWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufWriter")
            .field("inner", &self.inner)
            .field("buffered", &self.buf.len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::super::AsyncWriteExt;
    use super::super::test_util::{Limit, Trickle, drop_in_flight, ready};
    use super::*;

    /// A writer with `buffered` in its buffer.
    fn with_buffered(inner: Trickle, buffered: &'static str) -> BufWriter<Trickle> {
        let mut writer = BufWriter::with_capacity(8, inner);
        ready(writer.write_all(buffered)).0.unwrap();
        assert_eq!(writer.buffer(), buffered.as_bytes());
        writer
    }

    #[test]
    fn small_writes_become_one() {
        let mut writer = with_buffered(Trickle::new([]), "abc");
        ready(writer.write_all("de")).0.unwrap();
        ready(writer.write_all("fgh")).0.unwrap();
        assert!(writer.get_ref().lengths.is_empty());
        ready(writer.write_all("i")).0.unwrap();
        assert_eq!(writer.get_ref().lengths, [8]);
        assert_eq!(writer.buffer(), b"i");
        ready(writer.shutdown()).unwrap();
        let inner = writer.into_inner();
        assert_eq!(
            (&inner.written[..], inner.shutdowns),
            (&b"abcdefghi"[..], 1)
        );
    }

    #[test]
    fn large_writes_come_after_what_was_buffered() {
        let mut writer = with_buffered(Trickle::new([]), "abc");
        assert_eq!(ready(writer.write(*b"defghijk")).0.unwrap(), 8);
        assert_eq!(writer.get_ref().written, b"abcdefghijk");
        ready(writer.write_all("l")).0.unwrap();
        ready(writer.write_all_vectored(["mn", "o"])).0.unwrap();
        assert_eq!(writer.buffer(), b"lmno");
        ready(writer.write_all_vectored(["12345", "6789"]))
            .0
            .unwrap();
        assert_eq!(writer.get_ref().lengths, [3, 8, 4, 9]);
    }

    #[test]
    fn every_mix_of_sizes_gives_the_same_bytes() {
        let data: Vec<u8> = (0..200).collect();
        for limit in [1, 3, 100] {
            for capacity in [0, 1, 4, 64] {
                for size in [1, 3, 5, 64] {
                    let mut writer = BufWriter::with_capacity(capacity, Trickle::at_most(limit));
                    for piece in data.chunks(size) {
                        ready(writer.write_all(piece.to_vec())).0.unwrap();
                        assert!(writer.buffer().len() <= capacity);
                    }
                    ready(writer.flush()).unwrap();
                    assert_eq!(writer.get_ref().flushes, 1);
                    assert_eq!(writer.into_inner().written, data);
                }
            }
        }
    }

    #[test]
    fn a_failed_flush_can_be_repeated() {
        let mut writer = with_buffered(
            Trickle::new([
                Limit::Take(2),
                Limit::Fail(ErrorKind::Interrupted),
                Limit::Take(1),
                Limit::Fail(ErrorKind::TimedOut),
                Limit::Take(0),
            ]),
            "abcdef",
        );
        assert_eq!(
            ready(writer.flush()).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        assert_eq!(writer.buffer(), b"def");
        assert_eq!(
            ready(writer.flush()).unwrap_err().kind(),
            ErrorKind::WriteZero
        );
        assert_eq!(writer.buffer(), b"def");
        ready(writer.flush()).unwrap();
        assert_eq!(writer.into_inner().written, b"abcdef");
    }

    #[test]
    fn a_failed_write_leaves_both_buffers() {
        let broken = ErrorKind::BrokenPipe;
        let mut writer = with_buffered(Trickle::new([Limit::Fail(broken)]), "abcdef");
        let (result, buf) = ready(writer.write("ghi"));
        assert_eq!((result.unwrap_err().kind(), buf), (broken, "ghi"));
        assert_eq!(writer.buffer(), b"abcdef");
    }

    #[test]
    fn a_flush_dropped_in_flight_is_reported_once() {
        async fn flush(writer: &mut BufWriter<Trickle>) -> io::Result<()> {
            writer.flush().await
        }
        async fn shutdown(writer: &mut BufWriter<Trickle>) -> io::Result<()> {
            writer.shutdown().await
        }
        async fn write(writer: &mut BufWriter<Trickle>) -> io::Result<()> {
            writer.write_all("x").await.0
        }
        async fn write_vectored(writer: &mut BufWriter<Trickle>) -> io::Result<()> {
            writer.write_all_vectored(["x"]).await.0
        }
        macro_rules! check {
            ($($next:ident),+) => {$(
                let mut writer = with_buffered(Trickle::new([Limit::Take(2), Limit::Wait]), "abcde");
                drop_in_flight(writer.flush());
                assert_eq!((writer.get_ref().written.as_slice(), writer.buffer()), (&b"ab"[..], &b""[..]));
                let error = ready($next(&mut writer)).unwrap_err();
                assert!(error.to_string().contains("3 bytes may not have been written"), "{error}");
                ready($next(&mut writer)).unwrap();
                ready(writer.write_all("fg")).0.unwrap();
                ready(writer.flush()).unwrap();
                assert!(writer.into_inner().written.ends_with(b"fg"));
            )+};
        }
        check!(flush, shutdown, write, write_vectored);
    }

    #[test]
    fn a_write_dropped_while_it_makes_room_is_reported() {
        let mut writer = with_buffered(Trickle::new([Limit::Wait]), "abcdef");
        drop_in_flight(writer.write("ghi"));
        assert!(ready(writer.write("jkl")).0.is_err());
        ready(writer.write_all("mno")).0.unwrap();
        ready(writer.flush()).unwrap();
        assert_eq!(writer.into_inner().written, b"mno");
    }

    #[test]
    fn a_flush_that_was_never_polled_changes_nothing() {
        let mut writer = with_buffered(Trickle::new([]), "abc");
        drop(writer.flush());
        assert_eq!(writer.buffer(), b"abc");
        ready(writer.flush()).unwrap();
        assert_eq!(writer.into_inner().written, b"abc");
    }

    #[test]
    fn more_than_there_is_memory_for_is_an_error() {
        for capacity in [usize::MAX, usize::MAX - 7] {
            let mut writer = BufWriter::with_capacity(capacity, Trickle::new([]));
            let (result, buf) = ready(writer.write("abc"));
            assert_eq!(result.unwrap_err().kind(), ErrorKind::OutOfMemory);
            assert_eq!(buf, "abc");
            ready(writer.flush()).unwrap();
            assert!(writer.into_inner().written.is_empty());
        }
    }

    #[test]
    fn reads_go_through() {
        let mut stream = BufWriter::new(&b"abcd"[..]);
        assert_eq!(ready(stream.read([0; 2])).1, *b"ab");
        assert_eq!(ready(stream.read_vectored([[0; 1]; 2])).1, [*b"c", *b"d"]);
        assert!(format!("{stream:?}").contains("buffered: 0"));
    }
}
