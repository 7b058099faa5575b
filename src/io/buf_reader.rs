//! A buffer before a reader.

use std::fmt;
use std::io;
use std::mem;

use super::errors::no_room;
use super::{AsyncBufRead, AsyncRead, AsyncWrite};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

/// How much a buffered reader or writer holds unless told otherwise.
pub(super) const DEFAULT_CAPACITY: usize = 8 * 1024;

/// Reads ahead, so that many small reads become few large ones.
///
/// The buffer is allocated at the first read. Reads into buffers at least as large go past it when it is empty. Writes
/// go through to what is inside, if that can be written to.
///
/// # Cancel safety
///
/// To fill the buffer, it is handed to the reader inside. If that read is dropped, the buffer goes with it, and another
/// one is allocated for the next read. It held nothing: every byte is either in the buffer and not with a read, or
/// still with the reader inside. So this is as cancel safe as the reader inside, and those of this crate lose nothing.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncBufReadExt, BufReader};
///
/// let mut lines = BufReader::new(&b"one\ntwo\n"[..]).lines();
/// while let Some(line) = lines.next_line().await? {
///     assert_eq!(line.len(), 3);
/// }
/// # Ok(())
/// # })
/// # }
/// ```
pub struct BufReader<R> {
    inner: R,
    // While a read has the buffer, a vector without allocation is in its place, and `pos` is 0.
    buf: Vec<u8>,
    pos: usize,
    capacity: usize,
}

impl<R> BufReader<R> {
    /// Puts a buffer of 8 KiB before `inner`.
    ///
    /// ```
    /// use saferring::io::BufReader;
    ///
    /// assert!(BufReader::new(&b"data"[..]).buffer().is_empty());
    /// ```
    pub fn new(inner: R) -> Self {
        Self::with_capacity(DEFAULT_CAPACITY, inner)
    }

    /// Puts a buffer of `capacity` bytes before `inner`. A capacity of 0 counts as 1. If there is no memory for it,
    /// reads say so ([`OutOfMemory`](io::ErrorKind::OutOfMemory)).
    ///
    /// ```
    /// use saferring::io::BufReader;
    ///
    /// assert_eq!(BufReader::with_capacity(512, &b"data"[..]).capacity(), 512);
    /// ```
    pub fn with_capacity(capacity: usize, inner: R) -> Self {
        Self {
            inner,
            buf: Vec::new(),
            pos: 0,
            capacity: capacity.max(1),
        }
    }

    /// How many bytes are read ahead at most.
    ///
    /// ```
    /// use saferring::io::{BufReader, empty};
    ///
    /// assert_eq!(BufReader::new(empty()).capacity(), 8 * 1024);
    /// ```
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The bytes that were read ahead and not yet consumed.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncReadExt, BufReader};
    ///
    /// let mut reader = BufReader::new(&b"GET /"[..]);
    /// let (result, _method) = reader.read_exact([0; 3]).await;
    /// result?;
    /// assert_eq!(reader.buffer(), b" /");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn buffer(&self) -> &[u8] {
        &self.buf[self.pos..]
    }

    /// The reader inside.
    ///
    /// ```
    /// use saferring::io::BufReader;
    ///
    /// assert_eq!(*BufReader::new(&b"data"[..]).get_ref(), b"data");
    /// ```
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The reader inside. What is read from it directly does not come before what was read ahead.
    ///
    /// ```
    /// use saferring::io::BufReader;
    ///
    /// assert_eq!(*BufReader::new(&b"data"[..]).get_mut(), b"data");
    /// ```
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Gives the reader inside back. What was read ahead is lost: see [`buffer`](BufReader::buffer).
    ///
    /// ```
    /// use saferring::io::BufReader;
    ///
    /// assert_eq!(BufReader::new(&b"data"[..]).into_inner(), b"data");
    /// ```
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: AsyncRead> BufReader<R> {
    /// Whether a read into so much room had better go past the buffer.
    fn bypasses(&self, room: usize) -> bool {
        self.buffer().is_empty() && room >= self.capacity
    }
}

impl<R: AsyncRead> AsyncRead for BufReader<R> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        if self.bypasses(buf.buf_capacity()) {
            return self.inner.read(buf).await;
        }
        let (result, [buf]) = read_buffered(self, [buf]).await;
        (result, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        if self.bypasses(bufs.total_capacity()) {
            return self.inner.read_vectored(bufs).await;
        }
        read_buffered(self, bufs).await
    }
}

/// A read of what `fill_buf` shows. One buffer is several buffers, too: `[buf]`.
pub(super) async fn read_buffered<R, V>(reader: &mut R, mut bufs: V) -> BufResult<usize, V>
where
    R: AsyncBufRead + ?Sized,
    V: IoVectoredBufMut,
{
    if bufs.total_capacity() == 0 {
        return (Err(no_room()), bufs);
    }
    let result = reader.fill_buf().await.map(|bytes| bufs.fill_from(bytes));
    reader.consume(*result.as_ref().unwrap_or(&0));
    (result, bufs)
}

impl<R: AsyncRead> AsyncBufRead for BufReader<R> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer().is_empty() {
            let mut buf = mem::take(&mut self.buf);
            self.pos = 0;
            buf.clear(); // So that nothing is left to consume again if the read fails.
            buf.try_reserve_exact(self.capacity)?;
            let (result, buf) = self.inner.read(buf.slice(..self.capacity)).await;
            self.buf = buf.into_inner();
            result?;
        }
        Ok(self.buffer())
    }

    fn consume(&mut self, n: usize) {
        self.pos += n.min(self.buffer().len());
    }
}

impl<R: AsyncWrite> AsyncWrite for BufReader<R> {
    fn write<B: IoBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.inner.write(buf)
    }

    fn write_vectored<V: IoVectoredBuf>(
        &mut self,
        bufs: V,
    ) -> impl Future<Output = BufResult<usize, V>> {
        self.inner.write_vectored(bufs)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.inner.flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.inner.shutdown()
    }
}

impl<R: fmt::Debug> fmt::Debug for BufReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader")
            .field("inner", &self.inner)
            .field("buffered", &self.buffer().len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_util::{Script, Step, Trickle, drop_in_flight, ready};
    use super::super::{AsyncReadExt, AsyncWriteExt};
    use super::*;

    #[test]
    fn small_reads_become_one() {
        let mut reader = BufReader::new(Script::new([Step::Data(b"abcdefgh")]));
        for expected in [b"ab", b"cd", b"ef"] {
            let (result, buf) = ready(reader.read([0; 2]));
            assert_eq!((result.unwrap(), &buf), (2, expected));
        }
        let (result, bufs) = ready(reader.read_vectored([[0; 1]; 3]));
        assert_eq!((result.unwrap(), bufs), (2, [[b'g'], [b'h'], [0]]));
        assert_eq!(reader.get_ref().reads, 1);
        assert_eq!(ready(reader.read([0])).0.unwrap(), 0);
        assert_eq!(ready(reader.read_vectored([[0]])).0.unwrap(), 0);
    }

    #[test]
    fn large_reads_go_past_the_empty_buffer() {
        let mut reader = BufReader::with_capacity(4, Script::new([Step::Data(b"abcdefgh")]));
        assert_eq!(ready(reader.read([0; 1])).1, *b"a");
        let (result, buf) = ready(reader.read([0; 8]));
        assert_eq!((result.unwrap(), &buf[..3]), (3, &b"bcd"[..]));
        let (result, buf) = ready(reader.read([0; 8]));
        assert_eq!((result.unwrap(), &buf[..4]), (4, &b"efgh"[..]));
        assert!(reader.buffer().is_empty());
    }

    #[test]
    fn every_mix_of_sizes_gives_the_same_bytes() {
        let data: Vec<u8> = (0..200).collect();
        for chunk in [1, 3, 50] {
            for capacity in [0, 1, 4, 64] {
                for size in [1, 3, 5, 64] {
                    let inner = Script::chunks(&data, chunk);
                    let mut reader = BufReader::with_capacity(capacity, inner);
                    let mut all = Vec::new();
                    loop {
                        let buf = Vec::with_capacity(size).slice(..size);
                        let (result, buf) = ready(reader.read(buf));
                        assert_eq!(result.unwrap(), buf.len());
                        if buf.is_empty() {
                            break;
                        }
                        all.extend_from_slice(&buf);
                    }
                    assert_eq!(all, data);
                }
            }
        }
    }

    #[test]
    fn a_fill_dropped_in_flight_loses_nothing() {
        let mut reader = BufReader::new(Script::new([
            Step::Wait,
            Step::Wait,
            Step::Data(b"abcd"),
            Step::Wait,
            Step::Wait,
            Step::Data(b"ef"),
        ]));
        drop_in_flight(reader.fill_buf());
        assert!(reader.buffer().is_empty());
        reader.consume(1); // There is nothing to consume, and nothing to panic about.
        drop_in_flight(reader.read([0; 2]));
        assert_eq!(ready(reader.read([0; 2])).1, *b"ab");
        assert_eq!(reader.buffer(), b"cd");
        assert_eq!(ready(reader.read([0; 2])).1, *b"cd");
        drop_in_flight(reader.read_vectored([[0; 1]; 2]));
        assert!(reader.buffer().is_empty());
        assert!(format!("{reader:?}").contains("buffered: 0"));
        drop_in_flight(reader.fill_buf());
        assert_eq!(ready(reader.read_exact([0; 2])).1, *b"ef");
        assert!(ready(reader.fill_buf()).unwrap().is_empty());
    }

    #[test]
    fn a_failed_fill_loses_nothing_and_repeats_nothing() {
        let reset = io::ErrorKind::ConnectionReset;
        let mut reader = BufReader::new(Script::new([
            Step::Data(b"ab"),
            Step::Fail(reset),
            Step::Data(b"cd"),
        ]));
        assert_eq!(ready(reader.read([0; 2])).1, *b"ab");
        let (result, buf) = ready(reader.read(b"old".to_vec()));
        assert_eq!((result.unwrap_err().kind(), &buf[..]), (reset, &b"old"[..]));
        assert!(reader.buffer().is_empty());
        assert_eq!(ready(reader.read([0; 2])).1, *b"cd");
    }

    #[test]
    fn the_buffer_is_allocated_late_and_once() {
        let mut reader = BufReader::with_capacity(16, Script::chunks(b"abc", 1));
        assert_eq!(reader.buf.capacity(), 0);
        ready(reader.fill_buf()).unwrap();
        let address = reader.buf.as_ptr();
        for byte in b"abc" {
            assert_eq!(ready(reader.read([0])).1, [*byte]);
        }
        assert_eq!(reader.buf.as_ptr(), address);
    }

    #[test]
    fn no_room_is_an_error_not_an_end() {
        let mut reader = BufReader::new(&b"x"[..]);
        assert!(ready(reader.read([])).0.is_err());
        assert!(ready(reader.read_vectored([[0; 0]])).0.is_err());
    }

    #[test]
    fn more_than_there_is_memory_for_is_an_error() {
        for capacity in [usize::MAX, usize::MAX - 7] {
            let mut reader = BufReader::with_capacity(capacity, &b"x"[..]);
            let kind = ready(reader.fill_buf()).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::OutOfMemory);
            let (result, buf) = ready(reader.read(*b"."));
            assert_eq!((result.unwrap_err().kind(), buf), (kind, *b"."));
            assert_eq!(reader.into_inner(), b"x");
        }
    }

    #[test]
    fn writes_go_through() {
        let mut stream = BufReader::new(Trickle::at_most(2));
        ready(stream.write_all("abc")).0.unwrap();
        ready(stream.write_all_vectored(["de", "f"])).0.unwrap();
        ready(stream.flush()).unwrap();
        ready(stream.shutdown()).unwrap();
        let inner = stream.into_inner();
        assert_eq!(
            (&inner.written[..], &inner.lengths[..]),
            (&b"abc"[..], &[2, 1, 2, 1][..])
        );
        assert_eq!((inner.flushes, inner.shutdowns), (1, 1));
    }
}
