//! What every writer can do.

use super::errors::{progress, takes_no_more};
use super::{AsyncWrite, Incomplete};
use crate::buf::{BufResult, IoBuf, IoVectoredBuf, Unwritten};

/// What every [`AsyncWrite`] can do.
///
/// Writes that are [interrupted](std::io::ErrorKind::Interrupted) by a signal are repeated.
pub trait AsyncWriteExt: AsyncWrite {
    /// Writes all of `buf`.
    ///
    /// Returns the buffer. An empty one is written already.
    ///
    /// # Errors
    ///
    /// [`WriteZero`](std::io::ErrorKind::WriteZero) if the stream takes no more, and what writing has to report. A part
    /// may have been written by then; how much is not known.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: how much was written is not known.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::AsyncWriteExt;
    ///
    /// let mut out = Vec::new();
    /// let (result, text) = out.write_all(String::from("hello")).await;
    /// result?;
    /// assert_eq!(out, text.as_bytes());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn write_all<B: IoBuf>(&mut self, mut buf: B) -> impl Future<Output = BufResult<(), B>> {
        async move {
            let mut written = 0;
            while written < buf.buf_len() {
                let (result, rest) = self.write(buf.slice(written..)).await;
                buf = rest.into_inner();
                match progress(result, takes_no_more) {
                    Ok(n) => written += n,
                    Err(error) => return (Err(Incomplete::after(written, error)), buf),
                }
            }
            (Ok(()), buf)
        }
    }

    /// Writes all of `bufs`, one after the other.
    ///
    /// Returns the buffers. What a write leaves over is sent from where it lies: nothing is copied.
    ///
    /// # Errors
    ///
    /// As for [`write_all`](AsyncWriteExt::write_all).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: how much was written is not known.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncWriteExt, sink};
    ///
    /// let (result, parts) = sink().write_all_vectored(("HEAD", vec![1, 2, 3])).await;
    /// result?;
    /// assert_eq!(parts, ("HEAD", vec![1, 2, 3]));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn write_all_vectored<V: IoVectoredBuf>(
        &mut self,
        bufs: V,
    ) -> impl Future<Output = BufResult<(), V>> {
        async move {
            let (mut bufs, mut written) = (Unwritten::new(bufs), 0);
            while bufs.total_len() > 0 {
                let result;
                (result, bufs) = self.write_vectored(bufs).await;
                match progress(result, takes_no_more) {
                    Ok(n) => {
                        bufs.advance(n);
                        written += n;
                    }
                    Err(error) => {
                        return (Err(Incomplete::after(written, error)), bufs.into_inner());
                    }
                }
            }
            (Ok(()), bufs.into_inner())
        }
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::super::test_util::{Limit, Trickle, ready};
    use super::*;

    #[test]
    fn write_all_puts_short_writes_together() {
        for size in 1..8 {
            let mut writer = Trickle::at_most(size);
            let (result, buf) = ready(writer.write_all(b"..abcdef..".to_vec().slice(2..8)));
            result.unwrap();
            assert_eq!(writer.written, b"abcdef");
            assert_eq!(buf.into_inner(), b"..abcdef..");
        }
    }

    #[test]
    fn write_all_repeats_what_was_interrupted() {
        let mut writer = Trickle::new([
            Limit::Fail(ErrorKind::Interrupted),
            Limit::Take(2),
            Limit::Fail(ErrorKind::Interrupted),
            Limit::Take(9),
        ]);
        ready(writer.write_all("abcd")).0.unwrap();
        assert_eq!(writer.written, b"abcd");
    }

    #[test]
    fn write_all_ends_when_no_more_is_taken() {
        let mut writer = Trickle::new([Limit::Take(2), Limit::Take(0)]);
        let (result, buf) = ready(writer.write_all(*b"abcd"));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::WriteZero);
        assert_eq!((&buf, &writer.written[..]), (b"abcd", &b"ab"[..]));

        let mut writer = Trickle::new([Limit::Fail(ErrorKind::BrokenPipe)]);
        let (result, buf) = ready(writer.write_all("abcd"));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(buf, "abcd");
    }

    #[test]
    fn nothing_is_written_already() {
        let mut writer = Trickle::new([Limit::Fail(ErrorKind::Other)]);
        ready(writer.write_all("")).0.unwrap();
        ready(writer.write_all_vectored(["", ""])).0.unwrap();
        assert!(ready(writer.write("x")).0.is_err());
    }

    #[test]
    fn write_all_vectored_advances_over_short_writes() {
        for size in 1..8 {
            let mut writer = Trickle::at_most(size);
            let (result, bufs) = ready(writer.write_all_vectored(["ab", "", "cdef"]));
            result.unwrap();
            assert_eq!(writer.lengths.iter().sum::<usize>(), 6);
            assert_eq!(bufs, ["ab", "", "cdef"]);
        }
        let mut writer = Trickle::new([
            Limit::Take(3),
            Limit::Fail(ErrorKind::Interrupted),
            Limit::Take(0),
        ]);
        let (result, bufs) = ready(writer.write_all_vectored(("ab", *b"cd")));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::WriteZero);
        assert_eq!((bufs, &writer.lengths[..]), (("ab", *b"cd"), &[3, 0][..]));
    }
}
