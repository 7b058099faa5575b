//! Copying from a reader to a writer.

use std::io::{self, ErrorKind};
use std::pin::pin;

use futures_util::future::{poll_immediate, try_join};

use super::{AsyncRead, AsyncWrite, AsyncWriteExt, Incomplete};
use crate::buf::IoBuf;

/// How much `copy` moves at a time.
const COPY_SIZE: usize = 16 * 1024;

/// Writes to `writer` everything that `reader` gives until it ends, then flushes the writer.
///
/// 16 KiB are moved at a time. Returns how many bytes were copied. The writer is not shut down.
///
/// Files are copied faster by [`fs::copy`](crate::fs::copy), which lets the kernel copy.
///
/// # Errors
///
/// What reading, writing and flushing have to report, and [`WriteZero`](ErrorKind::WriteZero) if the writer takes no
/// more. Reads and writes that are interrupted by a signal are repeated. One that is cancelled tells how many bytes were written
/// ([`Incomplete`]); what was read beyond those is lost.
///
/// # Cancel safety
///
/// Not cancel safe: what was read and not yet written is lost, and how much was written is not known.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::copy;
///
/// let mut out = Vec::new();
/// assert_eq!(copy(&mut &b"hello"[..], &mut out).await?, 5);
/// assert_eq!(out, b"hello");
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncRead + ?Sized,
    W: AsyncWrite + ?Sized,
{
    copy_with(COPY_SIZE, reader, writer).await
}

/// As [`copy`], moving at most `size` bytes at a time.
///
/// # Errors
///
/// As for [`copy`]; [`InvalidInput`](ErrorKind::InvalidInput) if `size` is 0, and
/// [`OutOfMemory`](ErrorKind::OutOfMemory) if there is not so much memory.
///
/// # Cancel safety
///
/// As for [`copy`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncReadExt, copy_with, repeat, sink};
///
/// let mut reader = repeat(0).take(1 << 20);
/// assert_eq!(copy_with(256 * 1024, &mut reader, &mut sink()).await?, 1 << 20);
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn copy_with<R, W>(size: usize, reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncRead + ?Sized,
    W: AsyncWrite + ?Sized,
{
    if size == 0 {
        let message = "cannot copy 0 bytes at a time: choose a larger size";
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    let (mut copied, mut written, mut unflushed) = (0, 0, false);
    let mut buf = Vec::new();
    buf.try_reserve_exact(size)?;
    loop {
        let mut reading = pin!(reader.read(buf.slice(..size)));
        let (result, read) = match poll_immediate(reading.as_mut()).await {
            Some(read) => read,
            None => {
                // What was written is not to wait for what is to come.
                if std::mem::take(&mut unflushed) {
                    writer.flush().await?;
                }
                reading.await
            }
        };
        buf = read.into_inner();
        match result {
            Ok(0) => break,
            Ok(n) => copied += n as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Incomplete::after(written, error)),
        }
        let result;
        (result, buf) = writer.write_all(buf).await;
        result.map_err(|error| Incomplete::after(written, error))?;
        written = copied as usize;
        unflushed = true;
    }
    writer.flush().await?;
    Ok(copied)
}

/// Copies between two streams in both directions at once, as a proxy does, until both have ended.
///
/// Returns how many bytes went from `a` to `b`, and from `b` to `a`. When one stream ends, the other is told so by
/// [`shutdown`](AsyncWrite::shutdown), and its own direction goes on. One that is gone already
/// ([`NotConnected`](ErrorKind::NotConnected)) need not be told.
///
/// It takes streams that can be read and written through a shared reference, such as those of [`net`](crate::net).
///
/// # Errors
///
/// Those of [`copy`] and of `shutdown`, in either direction; the other direction is dropped then.
///
/// # Cancel safety
///
/// As for [`copy`].
///
/// # Examples
///
/// ```no_run
/// use saferring::io::copy_bidirectional;
/// use saferring::net::TcpStream;
///
/// async fn forward(client: TcpStream, server: TcpStream) -> std::io::Result<()> {
///     let (sent, received) = copy_bidirectional(&client, &server).await?;
///     println!("{sent} bytes to the server, {received} back");
///     Ok(())
/// }
/// ```
pub async fn copy_bidirectional<A, B>(a: &A, b: &B) -> io::Result<(u64, u64)>
where
    A: ?Sized,
    B: ?Sized,
    for<'a> &'a A: AsyncRead + AsyncWrite,
    for<'b> &'b B: AsyncRead + AsyncWrite,
{
    try_join(forward(a, b), forward(b, a)).await
}

/// Copies until `from` has ended, and tells `to` so.
async fn forward(mut from: impl AsyncRead, mut to: impl AsyncWrite) -> io::Result<u64> {
    let copied = copy(&mut from, &mut to).await?;
    match to.shutdown().await {
        // It may have sent something before it went, which the other direction still has to deliver.
        Err(error) if error.kind() != ErrorKind::NotConnected => Err(error),
        _ => Ok(copied),
    }
}

#[cfg(test)]
mod tests {
    use super::super::BufWriter;
    use super::super::test_util::{Limit, Script, Step, Trickle, ready};
    use super::*;
    use crate::buf::{BufResult, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
    use std::cell::RefCell;

    /// A stream that is read and written through a shared reference. Nothing here waits while it is borrowed.
    struct Shared(RefCell<(Script, Trickle)>);

    impl AsyncRead for &Shared {
        async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
            ready(self.0.borrow_mut().0.read(buf))
        }

        async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
            ready(self.0.borrow_mut().0.read_vectored(bufs))
        }
    }

    impl AsyncWrite for &Shared {
        async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
            ready(self.0.borrow_mut().1.write(buf))
        }

        async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
            ready(self.0.borrow_mut().1.write_vectored(bufs))
        }

        async fn flush(&mut self) -> io::Result<()> {
            ready(self.0.borrow_mut().1.flush())
        }

        async fn shutdown(&mut self) -> io::Result<()> {
            ready(self.0.borrow_mut().1.shutdown())
        }
    }

    #[test]
    fn both_directions_end_with_a_shutdown() {
        let stream = |data| Shared(RefCell::new((Script::chunks(data, 2), Trickle::at_most(3))));
        let (a, b) = (stream(b"to b"), stream(b"and to a"));
        assert_eq!(ready(copy_bidirectional(&a, &b)).unwrap(), (4, 8));
        for (stream, expected) in [(a, &b"and to a"[..]), (b, b"to b")] {
            let (_, out) = stream.0.into_inner();
            assert_eq!((&out.written[..], out.shutdowns), (expected, 1));
        }
    }

    #[test]
    fn a_stream_that_is_gone_already_need_not_be_told_so() {
        // `b` has sent everything and gone; what it has sent still arrives.
        let (to_b, mut gone) = (Script::new([]), Trickle::at_most(3));
        gone.shutdown_fails = Some(ErrorKind::NotConnected);
        let a = Shared(RefCell::new((to_b, Trickle::at_most(3))));
        let b = Shared(RefCell::new((Script::chunks(b"last words", 4), gone)));
        assert_eq!(ready(copy_bidirectional(&a, &b)).unwrap(), (0, 10));
        let (_, out) = a.0.into_inner();
        assert_eq!((&out.written[..], out.shutdowns), (&b"last words"[..], 1));

        let mut broken = Trickle::new([]);
        broken.shutdown_fails = Some(ErrorKind::BrokenPipe);
        let b = Shared(RefCell::new((Script::new([]), broken)));
        let a = Shared(RefCell::new((Script::new([]), Trickle::new([]))));
        let error = ready(copy_bidirectional(&a, &b)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn an_error_in_one_direction_ends_both() {
        let reset = ErrorKind::ConnectionReset;
        let fails = (Script::new([Step::Fail(reset)]), Trickle::new([]));
        let works = (Script::chunks(b"abc", 1), Trickle::new([]));
        let (a, b) = (Shared(RefCell::new(works)), Shared(RefCell::new(fails)));
        let error = ready(copy_bidirectional(&a, &b)).unwrap_err();
        assert_eq!(error.kind(), reset);
    }

    #[test]
    fn everything_arrives_whatever_the_sizes() {
        let data: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
        for chunk in [100, 20_000] {
            for limit in [77, 20_000] {
                for size in [13, COPY_SIZE] {
                    let mut reader = Script::chunks(&data, chunk);
                    let mut writer = BufWriter::new(Trickle::at_most(limit));
                    let copied = ready(copy_with(size, &mut reader, &mut writer)).unwrap();
                    assert_eq!(copied, data.len() as u64);
                    let inner = writer.into_inner();
                    assert_eq!((inner.written, inner.flushes), (data.clone(), 1));
                }
            }
        }
    }

    #[test]
    fn interrupted_steps_are_repeated() {
        let mut reader = Script::new([
            Step::Data(b"ab"),
            Step::Fail(ErrorKind::Interrupted),
            Step::Data(b"c"),
        ]);
        let mut writer = Trickle::new([Limit::Fail(ErrorKind::Interrupted), Limit::Take(1)]);
        assert_eq!(ready(copy(&mut reader, &mut writer)).unwrap(), 3);
        assert_eq!(writer.written, b"abc");
    }

    #[test]
    fn errors_of_either_side_end_it() {
        let (reset, broken) = (ErrorKind::ConnectionReset, ErrorKind::BrokenPipe);
        let mut reader = Script::new([Step::Data(b"ab"), Step::Fail(reset)]);
        let mut writer = Trickle::new([]);
        let error = ready(copy(&mut reader, &mut writer)).unwrap_err();
        assert_eq!((error.kind(), &writer.written[..]), (reset, &b"ab"[..]));

        let mut writer = Trickle::new([Limit::Fail(broken)]);
        let error = ready(copy(&mut &b"ab"[..], &mut writer)).unwrap_err();
        assert_eq!(error.kind(), broken);

        let mut writer = Trickle::new([Limit::Take(0)]);
        let error = ready(copy(&mut &b"ab"[..], &mut writer)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    }

    #[test]
    fn a_size_beyond_memory_is_an_error() {
        let error = ready(copy_with(usize::MAX, &mut &b"ab"[..], &mut Vec::new())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    }

    #[test]
    fn a_size_of_0_is_refused() {
        let error = ready(copy_with(0, &mut &b"ab"[..], &mut Vec::new())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
