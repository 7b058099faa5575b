//! What can be read from and written to.

use std::io;

use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

/// Something that bytes can be read from.
///
/// [`AsyncReadExt`](super::AsyncReadExt) adds what can be built upon it.
///
/// # What an implementation promises
///
/// Besides what the methods say: `Ok(n)` means that `n` bytes were put at the start of the buffer and recorded there,
/// as [`fill_from`](IoBufMut::fill_from) does. Callers may panic when it is not so.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::buf::{BufResult, IoBufMut, IoVectoredBufMut};
/// use saferring::io::AsyncRead;
///
/// /// Counts what passes.
/// struct Counted<R> { inner: R, bytes: u64 }
///
/// impl<R: AsyncRead> AsyncRead for Counted<R> {
///     async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
///         let (result, buf) = self.inner.read(buf).await;
///         self.bytes += *result.as_ref().unwrap_or(&0) as u64;
///         (result, buf)
///     }
///
///     async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
///         let (result, bufs) = self.inner.read_vectored(bufs).await;
///         self.bytes += *result.as_ref().unwrap_or(&0) as u64;
///         (result, bufs)
///     }
/// }
///
/// let mut reader = Counted { inner: &b"hello"[..], bytes: 0 };
/// let (result, buf) = reader.read(Vec::with_capacity(16)).await;
/// assert_eq!((result?, &buf[..], reader.bytes), (5, &b"hello"[..], 5));
/// # Ok(())
/// # })
/// # }
/// ```
pub trait AsyncRead {
    /// Reads what is there into `buf`, waiting until there is something.
    ///
    /// Returns how many bytes were read, and the buffer, filled as told in [`buf`](crate::buf): from its first byte
    /// on, up to its capacity. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the buffer has no capacity, and whatever the stream has to
    /// report. The buffer's length is then what it was before.
    ///
    /// # Cancel safety
    ///
    /// Implementations lose nothing when the future is dropped: bytes that arrive late are given to the next read.
    /// Only the buffer is gone.
    fn read<B: IoBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>>;

    /// As [`read`](AsyncRead::read), into several buffers, one after the other.
    ///
    /// # Errors
    ///
    /// As for [`read`](AsyncRead::read); `InvalidInput` if the buffers have no capacity together.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](AsyncRead::read).
    fn read_vectored<V: IoVectoredBufMut>(
        &mut self,
        bufs: V,
    ) -> impl Future<Output = BufResult<usize, V>>;
}

/// Something that bytes can be written to.
///
/// [`AsyncWriteExt`](super::AsyncWriteExt) adds what can be built upon it.
///
/// # Cancel safety
///
/// A write that is dropped may have written everything, a part or nothing, and no later write can tell. Where that
/// matters, do not drop it: await it by reference, or in a task of its own.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::AsyncWrite;
///
/// async fn greet(writer: &mut impl AsyncWrite) -> std::io::Result<usize> {
///     let (result, _greeting) = writer.write("hello").await;
///     result
/// }
///
/// let mut out = Vec::new();
/// assert_eq!(greet(&mut out).await?, 5);
/// assert_eq!(out, b"hello");
/// # Ok(())
/// # })
/// # }
/// ```
pub trait AsyncWrite {
    /// Writes the start of `buf`, as much as is taken at once.
    ///
    /// Returns how many bytes were taken, and the buffer. `Ok(0)` means that the buffer is empty or that nothing more
    /// can be written.
    ///
    /// # Errors
    ///
    /// Whatever the stream has to report; nothing was written then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe, as told [above](AsyncWrite).
    fn write<B: IoBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>>;

    /// As [`write`](AsyncWrite::write), from several buffers, one after the other.
    ///
    /// # Errors
    ///
    /// As for [`write`](AsyncWrite::write).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe, as told [above](AsyncWrite).
    fn write_vectored<V: IoVectoredBuf>(
        &mut self,
        bufs: V,
    ) -> impl Future<Output = BufResult<usize, V>>;

    /// Passes on what the writer itself holds back. Where nothing is held back, such as in a socket, does nothing.
    ///
    /// # Errors
    ///
    /// What writing it has to report.
    ///
    /// # Cancel safety
    ///
    /// Where something is held back: not cancel safe.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>>;

    /// Flushes, then tells the other side that nothing more will come. Later writes fail.
    ///
    /// # Errors
    ///
    /// As for [`flush`](AsyncWrite::flush), and what closing this direction has to report.
    ///
    /// # Cancel safety
    ///
    /// As for [`flush`](AsyncWrite::flush). It may be called again.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>>;
}

/// A reader with a buffer of its own, into which one can look.
///
/// [`BufReader`](super::BufReader) makes one of any reader; [`AsyncBufReadExt`](super::AsyncBufReadExt) adds lines and
/// the like.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncBufRead, BufReader};
///
/// /// What the next byte is, without taking it.
/// async fn peek(reader: &mut impl AsyncBufRead) -> std::io::Result<Option<u8>> {
///     Ok(reader.fill_buf().await?.first().copied())
/// }
///
/// let mut reader = BufReader::new(&b"{}"[..]);
/// assert_eq!(peek(&mut reader).await?, Some(b'{'));
/// reader.consume(1);
/// assert_eq!(peek(&mut reader).await?, Some(b'}'));
/// # Ok(())
/// # })
/// # }
/// ```
pub trait AsyncBufRead: AsyncRead {
    /// The bytes that were read and not yet consumed; if there are none, reads some first.
    ///
    /// An empty slice is the end of the stream.
    ///
    /// # Errors
    ///
    /// What reading has to report.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](AsyncRead::read): nothing is lost.
    fn fill_buf(&mut self) -> impl Future<Output = io::Result<&[u8]>>;

    /// Takes the first `n` bytes of what [`fill_buf`](AsyncBufRead::fill_buf) shows; all of them if `n` is more.
    fn consume(&mut self, n: usize);
}

impl<R: AsyncRead + ?Sized> AsyncRead for &mut R {
    fn read<B: IoBufMut>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        (**self).read(buf)
    }

    fn read_vectored<V: IoVectoredBufMut>(
        &mut self,
        bufs: V,
    ) -> impl Future<Output = BufResult<usize, V>> {
        (**self).read_vectored(bufs)
    }
}

impl<R: AsyncBufRead + ?Sized> AsyncBufRead for &mut R {
    fn fill_buf(&mut self) -> impl Future<Output = io::Result<&[u8]>> {
        (**self).fill_buf()
    }

    fn consume(&mut self, n: usize) {
        (**self).consume(n);
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWrite for &mut W {
    fn write<B: IoBuf>(&mut self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        (**self).write(buf)
    }

    fn write_vectored<V: IoVectoredBuf>(
        &mut self,
        bufs: V,
    ) -> impl Future<Output = BufResult<usize, V>> {
        (**self).write_vectored(bufs)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        (**self).flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        (**self).shutdown()
    }
}
