//! What every buffered reader can do.

use std::io::ErrorKind;

use super::lines::up_to;
use super::{AsyncBufRead, Lines, Split, text};
use crate::buf::BufResult;

/// What every [`AsyncBufRead`] can do.
///
/// Reads that are [interrupted](ErrorKind::Interrupted) by a signal are repeated.
pub trait AsyncBufReadExt: AsyncBufRead {
    /// Reads until `byte` has come, and appends what was read to `buf`, `byte` included.
    ///
    /// Returns how many bytes were appended. If the last of them is not `byte`, the stream has ended; so it has when
    /// there are none. The vector grows as needed, without a bound: read from
    /// [`take`](super::AsyncReadExt::take) where the other side is not to be trusted.
    ///
    /// # Errors
    ///
    /// What reading has to report; what was read until then has been appended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read so far is lost with the vector. [`split`](AsyncBufReadExt::split) is.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncBufReadExt, BufReader};
    ///
    /// let mut reader = BufReader::new(&b"key=value"[..]);
    /// let (result, key) = reader.read_until(b'=', Vec::new()).await;
    /// assert_eq!((result?, &key[..]), (4, &b"key="[..]));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn read_until(
        &mut self,
        byte: u8,
        mut buf: Vec<u8>,
    ) -> impl Future<Output = BufResult<usize, Vec<u8>>> {
        async move {
            let start = buf.len();
            loop {
                let (n, found) = match self.fill_buf().await {
                    Ok(available) => {
                        let (n, found) = up_to(available, byte);
                        buf.extend_from_slice(&available[..n]);
                        (n, found)
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return (Err(error), buf),
                };
                self.consume(n);
                if found || n == 0 {
                    return (Ok(buf.len() - start), buf);
                }
            }
        }
    }

    /// Reads a line and appends it to `buf`, its end (`\n` or `\r\n`) included.
    ///
    /// Returns how many bytes were appended. If the last of them is not `\n`, the stream has ended; so it has when
    /// there are none. The string grows as needed, without a bound, as in [`read_until`](AsyncBufReadExt::read_until).
    ///
    /// # Errors
    ///
    /// [`InvalidData`](ErrorKind::InvalidData) if the line is not UTF-8; it is skipped then, and the text is what it
    /// was before. And what reading has to report; what was read until then has been appended if it is UTF-8, and is
    /// lost otherwise.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read so far is lost with the string. [`lines`](AsyncBufReadExt::lines) is.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncBufReadExt, BufReader};
    ///
    /// let mut reader = BufReader::new(&b"one\ntwo\n"[..]);
    /// let mut line = String::new();
    /// loop {
    ///     let (result, read) = reader.read_line(line).await;
    ///     if result? == 0 {
    ///         break;
    ///     }
    ///     assert!(["one\n", "two\n"].contains(&read.as_str()));
    ///     line = read;
    ///     line.clear(); // The next line uses the same allocation.
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn read_line(&mut self, buf: String) -> impl Future<Output = BufResult<usize, String>> {
        async move {
            let (text, bytes) = text::split(buf);
            let (result, bytes) = self.read_until(b'\n', bytes).await;
            text::join(result, text, bytes)
        }
    }

    /// The lines of the stream, without their ends.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncBufReadExt, BufReader};
    ///
    /// let mut lines = BufReader::new(&b"one\r\ntwo"[..]).lines();
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("one"));
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("two"));
    /// assert_eq!(lines.next_line().await?, None);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn lines(self) -> Lines<Self>
    where
        Self: Sized,
    {
        Lines::new(self)
    }

    /// The parts of the stream that `byte` separates, without it.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncBufReadExt, BufReader};
    ///
    /// let mut fields = BufReader::new(&b"a,,b"[..]).split(b',');
    /// assert_eq!(fields.next_segment().await?.as_deref(), Some(&b"a"[..]));
    /// assert_eq!(fields.next_segment().await?.as_deref(), Some(&b""[..]));
    /// assert_eq!(fields.next_segment().await?.as_deref(), Some(&b"b"[..]));
    /// assert_eq!(fields.next_segment().await?, None);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn split(self, byte: u8) -> Split<Self>
    where
        Self: Sized,
    {
        Split::new(self, byte)
    }
}

impl<R: AsyncBufRead + ?Sized> AsyncBufReadExt for R {}

#[cfg(test)]
mod tests {
    use super::super::BufReader;
    use super::super::test_util::{Script, Step, ready};
    use super::*;

    #[test]
    fn read_until_crosses_fills() {
        for size in 1..10 {
            for capacity in [1, 2, 5, 100] {
                let mut reader =
                    BufReader::with_capacity(capacity, Script::chunks(b"ab;cd;;e", size));
                for expected in [&b"ab;"[..], b"cd;", b";", b"e", b""] {
                    let (result, buf) = ready(reader.read_until(b';', b">".to_vec()));
                    assert_eq!(result.unwrap(), expected.len());
                    assert_eq!((buf[0], &buf[1..]), (b'>', expected));
                }
            }
        }
    }

    #[test]
    fn read_until_repeats_interrupted_reads_and_keeps_what_it_had_on_errors() {
        let reset = ErrorKind::ConnectionReset;
        let mut reader = BufReader::new(Script::new([
            Step::Fail(ErrorKind::Interrupted),
            Step::Data(b"ab"),
            Step::Fail(ErrorKind::Interrupted),
            Step::Data(b"c"),
            Step::Fail(reset),
            Step::Data(b"d;"),
        ]));
        let (result, buf) = ready(reader.read_until(b';', Vec::new()));
        assert_eq!((result.unwrap_err().kind(), &buf[..]), (reset, &b"abc"[..]));
        let (result, buf) = ready(reader.read_until(b';', buf));
        assert_eq!((result.unwrap(), &buf[..]), (2, &b"abcd;"[..]));
    }

    #[test]
    fn read_line_appends_lines() {
        let mut reader = BufReader::with_capacity(3, &b"one\ntw\xc3\xb6\r\nend"[..]);
        let (result, text) = ready(reader.read_line(String::new()));
        assert_eq!((result.unwrap(), text.as_str()), (4, "one\n"));
        let (result, text) = ready(reader.read_line(text));
        assert_eq!((result.unwrap(), text.as_str()), (6, "one\ntwö\r\n"));
        let (result, text) = ready(reader.read_line(text));
        assert_eq!((result.unwrap(), text.as_str()), (3, "one\ntwö\r\nend"));
        assert_eq!(ready(reader.read_line(text)).0.unwrap(), 0);
    }

    #[test]
    fn a_line_that_is_not_text_is_skipped() {
        let mut reader = BufReader::new(&b"a\xffb\nnext\n"[..]);
        let (result, text) = ready(reader.read_line(String::from("kept")));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(text, "kept");
        assert_eq!(ready(reader.read_line(text)).1, "keptnext\n");
    }
}
