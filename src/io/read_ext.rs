//! What every reader can do.

use std::io::ErrorKind;

use super::errors::{ended_early, progress};
use super::{AsyncRead, Chain, Incomplete, Take, text};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBufMut, Unfilled};

/// How much room `read_to_end` makes at least when there is none.
const MIN_READ: usize = 8 * 1024;

/// What every [`AsyncRead`] can do.
///
/// Reads that are [interrupted](ErrorKind::Interrupted) by a signal are repeated.
pub trait AsyncReadExt: AsyncRead {
    /// Fills `buf`: to its length, or an empty one to its capacity ([how](crate::buf#how-a-read-fills-a-buffer)).
    ///
    /// Returns the buffer, full. `Vec::with_capacity(n)` may have room for more than `n` bytes, and would then wait for
    /// them: state the bound by `Vec::with_capacity(n).slice(..n)`, or read into an array or a `Box<[u8]>`. A buffer
    /// without capacity is full already.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the stream ends before, and what reading has to report. The
    /// buffer holds what was read until then; a growable one has that length, except that it keeps its old one if an
    /// error came before the first byte.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read so far is lost with the buffer.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::AsyncReadExt;
    ///
    /// let mut reader = &b"\x00\x00\x00\x05hello"[..];
    /// let (result, head) = reader.read_exact([0; 4]).await;
    /// result?;
    /// let len = u32::from_be_bytes(head) as usize;
    /// let (result, body) = reader.read_exact(vec![0; len]).await;
    /// result?;
    /// assert_eq!(body, b"hello");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn read_exact<B: IoBufMut>(&mut self, mut buf: B) -> impl Future<Output = BufResult<(), B>> {
        async move {
            let (mut filled, len) = (0, buf.fill_len());
            while filled < len {
                let (result, rest) = self.read(buf.slice(filled..len)).await;
                buf = rest.into_inner();
                match progress(result, ended_early) {
                    Ok(n) => filled += n,
                    Err(error) => return (Err(Incomplete::after(filled, error)), buf),
                }
            }
            (Ok(()), buf)
        }
    }

    /// Fills all of `bufs`, one after the other: each to its length, or to its capacity if it is empty (see
    /// [`buf`](crate::buf)).
    ///
    /// Returns the buffers, full.
    ///
    /// # Errors
    ///
    /// As for [`read_exact`](AsyncReadExt::read_exact).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read so far is lost with the buffers.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::AsyncReadExt;
    ///
    /// let mut reader = &b"HEADbody and more"[..];
    /// let (result, (head, body)) = reader.read_exact_vectored(([0; 4], [0; 4])).await;
    /// result?;
    /// assert_eq!((&head, &body), (b"HEAD", b"body"));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn read_exact_vectored<V: IoVectoredBufMut>(
        &mut self,
        bufs: V,
    ) -> impl Future<Output = BufResult<(), V>> {
        async move {
            let mut bufs = Unfilled::new(bufs);
            while bufs.total_capacity() > 0 {
                let result;
                (result, bufs) = self.read_vectored(bufs).await;
                match result {
                    Ok(_) => {
                        let before = bufs.filled();
                        bufs.advance();
                        if bufs.filled() == before {
                            return (Err(ended_early()), bufs.into_inner());
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        let error = Incomplete::after(bufs.filled(), error);
                        return (Err(error), bufs.into_inner());
                    }
                }
            }
            (Ok(()), bufs.into_inner())
        }
    }

    /// Reads to the end of the stream and appends what comes to `buf`.
    ///
    /// Returns how many bytes were appended. The vector grows as needed, without a bound: read from
    /// [`take`](AsyncReadExt::take) where the other side is not to be trusted.
    ///
    /// # Errors
    ///
    /// What reading has to report; what was read until then has been appended.
    /// [`OutOfMemory`](ErrorKind::OutOfMemory) if the vector cannot grow.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read so far is lost with the vector.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::AsyncReadExt;
    ///
    /// let (result, all) = (&b"world"[..]).read_to_end(b"hello, ".to_vec()).await;
    /// assert_eq!((result?, &all[..]), (5, &b"hello, world"[..]));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn read_to_end(&mut self, mut buf: Vec<u8>) -> impl Future<Output = BufResult<usize, Vec<u8>>> {
        async move {
            let start = buf.len();
            let given = buf.capacity();
            loop {
                let at = buf.len();
                let result = if at < buf.capacity() {
                    let (result, rest) = self.read(buf.slice(at..)).await;
                    buf = rest.into_inner();
                    result
                } else if at == given && at > start {
                    // A vector of just the right size is full now: look whether this is the end before making it grow.
                    let (result, probe) = self.read([0; 32]).await;
                    if let Ok(n) = result {
                        buf.extend_from_slice(&probe[..n]);
                    }
                    result
                } else if let Err(error) = buf.try_reserve(MIN_READ) {
                    return (Err(error.into()), buf);
                } else {
                    continue;
                };
                match result {
                    Ok(0) => return (Ok(at - start), buf),
                    Err(error) if error.kind() != ErrorKind::Interrupted => {
                        return (Err(error), buf);
                    }
                    _ => {}
                }
            }
        }
    }

    /// As [`read_to_end`](AsyncReadExt::read_to_end), for text.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](ErrorKind::InvalidData) if what was read is not UTF-8, and what reading has to report. What was
    /// read until an error has been appended if it is UTF-8; otherwise the text is what it was before.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read so far is lost with the string.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::AsyncReadExt;
    ///
    /// let (result, text) = (&b"text"[..]).read_to_string(String::new()).await;
    /// assert_eq!((result?, text.as_str()), (4, "text"));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn read_to_string(&mut self, buf: String) -> impl Future<Output = BufResult<usize, String>> {
        async move {
            let (text, bytes) = text::split(buf);
            let (result, bytes) = self.read_to_end(bytes).await;
            text::join(result, text, bytes)
        }
    }

    /// A reader that ends after `limit` bytes of this one.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::AsyncReadExt;
    ///
    /// let mut reader = &b"five and more"[..];
    /// let (result, start) = (&mut reader).take(4).read_to_end(Vec::new()).await;
    /// assert_eq!((result?, &start[..], reader), (4, &b"five"[..], &b" and more"[..]));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn take(self, limit: u64) -> Take<Self>
    where
        Self: Sized,
    {
        Take::new(self, limit)
    }

    /// A reader that goes on with `next` when this one has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::AsyncReadExt;
    ///
    /// let mut reader = (&b"one, "[..]).chain(&b"two"[..]);
    /// let (result, all) = reader.read_to_end(Vec::new()).await;
    /// assert_eq!((result?, &all[..]), (8, &b"one, two"[..]));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn chain<R: AsyncRead>(self, next: R) -> Chain<Self, R>
    where
        Self: Sized,
    {
        Chain::new(self, next)
    }
}

impl<R: AsyncRead + ?Sized> AsyncReadExt for R {}

#[cfg(test)]
mod tests {
    use super::super::test_util::{Script, Step, ready};
    use super::*;

    #[test]
    fn read_exact_puts_short_reads_together() {
        for size in 1..8 {
            let mut reader = Script::chunks(b"abcdefgh", size);
            let (result, buf) = ready(reader.read_exact([0; 6]));
            result.unwrap();
            assert_eq!(&buf, b"abcdef");

            let mut reader = Script::chunks(b"abcdefgh", size);
            let (result, buf) = ready(reader.read_exact(b"old text".to_vec().slice(..6)));
            result.unwrap();
            assert_eq!(buf.into_inner(), b"abcdef");

            let mut reader = Script::chunks(b"abcdefgh", size);
            let (result, buf) = ready(reader.read_exact(b"old!".to_vec().slice(3..4)));
            result.unwrap();
            assert_eq!(buf.into_inner(), b"olda");
        }
    }

    #[test]
    fn read_exact_repeats_interrupted_reads_and_waits() {
        let mut reader = Script::new([
            Step::Fail(ErrorKind::Interrupted),
            Step::Data(b"ab"),
            Step::Fail(ErrorKind::Interrupted),
            Step::Data(b"cd"),
        ]);
        let (result, buf) = ready(reader.read_exact(Vec::with_capacity(4).slice(..4)));
        result.unwrap();
        assert_eq!(&buf[..], b"abcd");
    }

    #[test]
    fn read_exact_gives_back_what_arrived_before_the_end_or_an_error() {
        let mut reader = Script::new([Step::Data(b"ab")]);
        let (result, buf) = ready(reader.read_exact(Vec::with_capacity(4)));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(buf, b"ab");

        let mut reader = Script::new([Step::Data(b"ab"), Step::Fail(ErrorKind::ConnectionReset)]);
        let (result, buf) = ready(reader.read_exact(*b"...."));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(&buf, b"ab..");

        let mut reader = Script::new([Step::Fail(ErrorKind::ConnectionReset)]);
        let (result, buf) = ready(reader.read_exact(b"old".to_vec()));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(buf, b"old");
    }

    #[test]
    fn nothing_is_full_already() {
        let mut reader = Script::new([Step::Fail(ErrorKind::Other)]);
        ready(reader.read_exact([])).0.unwrap();
        ready(reader.read_exact(Vec::new())).0.unwrap();
        ready(reader.read_exact_vectored([[0; 0]; 2])).0.unwrap();
        assert!(ready(reader.read([0])).0.is_err());
    }

    #[test]
    fn read_exact_vectored_fills_a_used_vector_to_its_length() {
        let mut used = b"old".to_vec();
        used.reserve(100);
        let mut reader = &b"newtext and more"[..];
        let (result, bufs) = ready(reader.read_exact_vectored((used, [0; 4])));
        result.unwrap();
        assert_eq!((&bufs.0[..], &bufs.1), (&b"new"[..], b"text"));
    }

    #[test]
    fn read_exact_vectored_crosses_buffers() {
        for size in 1..9 {
            let mut reader = Script::chunks(b"abcdefgh", size);
            let bufs = ([0; 3], Vec::with_capacity(4).slice(..4));
            let (result, bufs) = ready(reader.read_exact_vectored(bufs));
            result.unwrap();
            assert_eq!((&bufs.0, &bufs.1[..]), (b"abc", &b"defg"[..]));
        }
        let mut reader = Script::new([
            Step::Data(b"abcd"),
            Step::Fail(ErrorKind::Interrupted),
            Step::Data(b"e"),
        ]);
        let (result, bufs) = ready(reader.read_exact_vectored([*b"...", *b"..."]));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(bufs, [*b"abc", *b"de."]);
    }

    #[test]
    fn read_to_end_appends_everything() {
        let data: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        for size in [1, 7, 8192, 100_000] {
            let mut reader = Script::chunks(&data, size);
            let (result, buf) = ready(reader.read_to_end(b"start".to_vec()));
            assert_eq!(result.unwrap(), data.len());
            assert_eq!((&buf[..5], &buf[5..]), (&b"start"[..], &data[..]));
        }
    }

    #[test]
    fn read_to_end_does_not_grow_a_vector_of_the_right_size() {
        let buf = Vec::with_capacity(64);
        let data = vec![7; buf.capacity()];
        let (result, buf) = ready((&data[..]).read_to_end(buf));
        assert_eq!(result.unwrap(), data.len());
        assert_eq!((buf.len(), buf.capacity()), (data.len(), data.len()));

        let mut reader = (&data[..]).chain(&b"more"[..]);
        let (result, buf) = ready(reader.read_to_end(Vec::with_capacity(data.len())));
        assert_eq!(result.unwrap(), data.len() + 4);
        assert_eq!(&buf[data.len()..], b"more");
    }

    #[test]
    fn read_to_end_keeps_what_it_had_when_the_stream_fails() {
        let mut reader = Script::new([
            Step::Data(b"ab"),
            Step::Fail(ErrorKind::Interrupted),
            Step::Data(b"cd"),
            Step::Fail(ErrorKind::ConnectionReset),
        ]);
        let (result, buf) = ready(reader.read_to_end(b">".to_vec()));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(buf, b">abcd");
    }

    #[test]
    fn read_to_string_appends_text_and_nothing_else() {
        let mut reader = Script::chunks("grüße".as_bytes(), 1);
        let (result, text) = ready(reader.read_to_string(String::from("> ")));
        assert_eq!((result.unwrap(), text.as_str()), (7, "> grüße"));

        for start in ["", "kept"] {
            let mut text = String::with_capacity(100);
            text.push_str(start);
            let (result, text) = ready((&b"ab\xff"[..]).read_to_string(text));
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidData);
            assert_eq!((text.as_str(), text.capacity()), (start, 100));
        }

        let mut reader = Script::new([Step::Data(b"ab"), Step::Fail(ErrorKind::ConnectionReset)]);
        let (result, text) = ready(reader.read_to_string(String::new()));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(text, "ab");
    }
}
