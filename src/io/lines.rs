//! A stream in parts: its lines, or what a byte separates.

use std::fmt;
use std::io::{self, ErrorKind};
use std::mem;

use super::AsyncBufRead;
use super::errors::not_utf8;

/// The lines of a stream; made by [`AsyncBufReadExt::lines`](super::AsyncBufReadExt::lines).
///
/// A line may be of any length, unless [`with_max_len`](Lines::with_max_len) says otherwise: do so where the other side
/// is not to be trusted.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncBufReadExt, BufReader};
///
/// let mut lines = BufReader::new(&b"one\ntwo\n"[..]).lines().with_max_len(100);
/// let mut count = 0;
/// while let Some(line) = lines.next_line().await? {
///     assert!(!line.contains('\n'));
///     count += 1;
/// }
/// assert_eq!(count, 2);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct Lines<R>(Split<R>);

impl<R> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Lines(Split::new(reader, b'\n'))
    }

    /// Bounds the length of a line to `max_len` bytes; its `\n` does not count, but a `\r` does.
    ///
    /// ```
    /// # saferring::runtime::Runtime::new().unwrap().block_on(async {
    /// use saferring::io::{AsyncBufReadExt, BufReader};
    ///
    /// let mut lines = BufReader::new(&b"short\nrather long\n"[..]).lines().with_max_len(8);
    /// assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("short"));
    /// assert_eq!(lines.next_line().await.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    /// # })
    /// ```
    pub fn with_max_len(self, max_len: usize) -> Self {
        Lines(self.0.with_max_len(max_len))
    }

    /// The reader inside.
    ///
    /// ```
    /// use saferring::io::AsyncBufReadExt;
    ///
    /// assert_eq!(*(&b"text"[..]).lines().get_mut(), b"text");
    /// ```
    pub fn get_mut(&mut self) -> &mut R {
        self.0.get_mut()
    }

    /// Gives the reader inside back. The start of a line whose end has not been seen yet is lost.
    ///
    /// ```
    /// use saferring::io::AsyncBufReadExt;
    ///
    /// assert_eq!((&b"text"[..]).lines().into_inner(), b"text");
    /// ```
    pub fn into_inner(self) -> R {
        self.0.into_inner()
    }
}

impl<R: AsyncBufRead> Lines<R> {
    /// The next line, without its end (`\n` or `\r\n`), or `None` at the end of the stream.
    ///
    /// What follows the last `\n` is a line too, if it is not empty.
    ///
    /// # Errors
    ///
    /// - [`InvalidData`](ErrorKind::InvalidData) if the line is not UTF-8. It is skipped, and the next call goes on
    ///   with the following line.
    /// - `InvalidData` too if the line is longer than [`with_max_len`](Lines::with_max_len) allows. No more is read
    ///   then, and every later call says the same.
    /// - What reading has to report. The start of the line is kept, and the next call goes on with it.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the reader: if that loses nothing, as a [`BufReader`](super::BufReader) does not, nothing is
    /// lost. The start of a line is kept here.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncBufReadExt, BufReader};
    ///
    /// let mut lines = BufReader::new(&b"one\n"[..]).lines();
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("one"));
    /// assert_eq!(lines.next_line().await?, None);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn next_line(&mut self) -> io::Result<Option<String>> {
        let Some(mut line) = self.0.next().await? else {
            return Ok(None);
        };
        if line.ends_with(b"\n") {
            line.pop();
            if line.ends_with(b"\r") {
                line.pop();
            }
        }
        let line = String::from_utf8(line).map_err(|_| not_utf8())?;
        Ok(Some(line))
    }
}

/// The parts of a stream that a byte separates; made by [`AsyncBufReadExt::split`](super::AsyncBufReadExt::split).
///
/// A part may be of any length, unless [`with_max_len`](Split::with_max_len) says otherwise: do so where the other side
/// is not to be trusted.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncBufReadExt, BufReader};
///
/// let mut records = BufReader::new(&b"one\0two\0"[..]).split(0).with_max_len(100);
/// while let Some(record) = records.next_segment().await? {
///     assert_eq!(record.len(), 3);
/// }
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Split<R> {
    reader: R,
    byte: u8,
    /// The start of a part whose end has not come yet.
    start: Vec<u8>,
    max_len: usize,
    too_long: bool,
}

impl<R> Split<R> {
    pub(super) fn new(reader: R, byte: u8) -> Self {
        Self {
            reader,
            byte,
            start: Vec::new(),
            max_len: usize::MAX,
            too_long: false,
        }
    }

    /// Bounds the length of a part to `max_len` bytes; the byte that ends it does not count.
    ///
    /// ```
    /// # saferring::runtime::Runtime::new().unwrap().block_on(async {
    /// use saferring::io::{AsyncBufReadExt, BufReader};
    ///
    /// let mut fields = BufReader::new(&b"short,rather long"[..]).split(b',').with_max_len(8);
    /// assert_eq!(fields.next_segment().await.unwrap().as_deref(), Some(&b"short"[..]));
    /// assert_eq!(fields.next_segment().await.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    /// # })
    /// ```
    pub fn with_max_len(mut self, max_len: usize) -> Self {
        self.max_len = max_len;
        self
    }

    /// The reader inside.
    ///
    /// ```
    /// use saferring::io::AsyncBufReadExt;
    ///
    /// assert_eq!(*AsyncBufReadExt::split(&b"a,b"[..], b',').get_mut(), b"a,b");
    /// ```
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Gives the reader inside back. The start of a part whose end has not been seen yet is lost.
    ///
    /// ```
    /// use saferring::io::AsyncBufReadExt;
    ///
    /// assert_eq!(AsyncBufReadExt::split(&b"a,b"[..], b',').into_inner(), b"a,b");
    /// ```
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: AsyncBufRead> Split<R> {
    /// The next part, without the byte that ends it, or `None` at the end of the stream.
    ///
    /// What follows the last such byte is a part too, if it is not empty.
    ///
    /// # Errors
    ///
    /// - [`InvalidData`](ErrorKind::InvalidData) if the part is longer than [`with_max_len`](Split::with_max_len)
    ///   allows. No more is read then, and every later call says the same.
    /// - What reading has to report. The start of the part is kept, and the next call goes on with it.
    ///
    /// # Cancel safety
    ///
    /// As [`Lines::next_line`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::{AsyncBufReadExt, BufReader};
    ///
    /// let mut fields = BufReader::new(&b"a,"[..]).split(b',');
    /// assert_eq!(fields.next_segment().await?.as_deref(), Some(&b"a"[..]));
    /// assert_eq!(fields.next_segment().await?, None);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn next_segment(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(mut part) = self.next().await? else {
            return Ok(None);
        };
        if part.ends_with(&[self.byte]) {
            part.pop();
        }
        Ok(Some(part))
    }

    /// The next part, with the byte that ends it unless the stream does.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while !self.too_long {
            // The bound may have been set when more was held already.
            let Some(room) = self.max_len.checked_sub(self.start.len()) else {
                self.too_long = true;
                break;
            };
            let available = match self.reader.fill_buf().await {
                Ok(available) => available,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                let last = mem::take(&mut self.start);
                return Ok((!last.is_empty()).then_some(last));
            }
            // From here on nothing waits: bytes are either still in the reader or already in `start`.
            let (n, found) = up_to(available, self.byte);
            if n - usize::from(found) > room {
                self.too_long = true;
                break;
            }
            self.start.extend_from_slice(&available[..n]);
            self.reader.consume(n);
            if found {
                return Ok(Some(mem::take(&mut self.start)));
            }
        }
        Err(io::Error::new(
            ErrorKind::InvalidData,
            format!(
                "a line or segment is longer than the {} bytes that are allowed",
                self.max_len
            ),
        ))
    }
}

/// How many of `bytes` there are up to `byte`, itself included, and whether it is there.
pub(super) fn up_to(bytes: &[u8], byte: u8) -> (usize, bool) {
    // This way leads to std's own search, which looks at many bytes at a time. Reading a slice cannot fail.
    let mut rest = bytes;
    let _ = io::BufRead::skip_until(&mut rest, byte);
    let skipped = &bytes[..bytes.len() - rest.len()];
    (skipped.len(), skipped.last() == Some(&byte))
}

impl<R: fmt::Debug> fmt::Debug for Split<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split")
            .field("reader", &self.reader)
            .field("byte", &self.byte)
            .field("started", &self.start.len())
            .field("max_len", &self.max_len)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_util::{Script, Step, drop_in_flight, ready};
    use super::super::{AsyncBufReadExt, BufReader};
    use super::*;

    #[test]
    fn up_to_includes_what_it_looks_for() {
        assert_eq!(up_to(b"", b'x'), (0, false));
        assert_eq!(up_to(b"abc", b'x'), (3, false));
        assert_eq!(up_to(b"x", b'x'), (1, true));
        assert_eq!(up_to(b"axbx", b'x'), (2, true));
        for at in 0..100 {
            let mut bytes = [0; 100];
            bytes[at] = 1;
            assert_eq!(up_to(&bytes, 1), (at + 1, true));
        }
    }

    #[test]
    fn lines_have_no_ends_whatever_the_reads() {
        let data = "one\n\ntwö\r\n\r\nth\rree\r\nfour\r".as_bytes();
        let expected = ["one", "", "twö", "", "th\rree", "four\r"];
        for size in 1..data.len() {
            for capacity in [1, 2, 3, 100] {
                let reader = BufReader::with_capacity(capacity, Script::chunks(data, size));
                let mut lines = reader.lines();
                for line in expected {
                    assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some(line));
                }
                assert_eq!(ready(lines.next_line()).unwrap(), None);
                assert_eq!(ready(lines.next_line()).unwrap(), None);
            }
        }
    }

    #[test]
    fn a_dropped_next_line_keeps_the_start_of_the_line() {
        let mut lines = BufReader::new(Script::new([
            Step::Data(b"one\ntw"),
            Step::Wait,
            Step::Data(b"o"),
            Step::Wait,
            Step::Wait,
            Step::Data(b"\nlast"),
            Step::Wait,
        ]))
        .lines();
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("one"));
        drop_in_flight(lines.next_line());
        drop_in_flight(lines.next_line());
        drop_in_flight(lines.next_line());
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("two"));
        drop_in_flight(lines.next_line());
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("last"));
        assert_eq!(ready(lines.next_line()).unwrap(), None);
    }

    #[test]
    fn an_error_keeps_the_start_of_the_line() {
        let reset = ErrorKind::ConnectionReset;
        let mut lines = BufReader::new(Script::new([
            Step::Data(b"ab"),
            Step::Fail(ErrorKind::Interrupted),
            Step::Data(b"cd"),
            Step::Fail(reset),
            Step::Data(b"ef\n"),
        ]))
        .lines();
        assert_eq!(ready(lines.next_line()).unwrap_err().kind(), reset);
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("abcdef"));
    }

    #[test]
    fn a_line_that_is_not_text_is_skipped() {
        let mut lines = BufReader::new(&b"\xff\nnext"[..]).lines();
        let error = ready(lines.next_line()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("next"));
    }

    #[test]
    fn lines_are_as_long_as_allowed_and_no_longer() {
        for size in 1..10 {
            let script = Script::chunks(b"abcd\nefgh\nijklm\nn\n", size);
            let mut lines = BufReader::with_capacity(7, script).lines().with_max_len(4);
            assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("abcd"));
            assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("efgh"));
            for _ in 0..2 {
                let error = ready(lines.next_line()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData);
                assert!(error.to_string().contains("4 bytes"), "{error}");
            }
            assert!(format!("{lines:?}").contains("max_len: 4"));
        }
        let mut lines = (&b"\n\nx"[..]).lines().with_max_len(0);
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some(""));
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some(""));
        assert!(ready(lines.next_line()).is_err());
    }

    #[test]
    fn a_bound_below_what_is_held_is_exceeded_already() {
        // Three bytes of the line are held when the bound is set.
        let rests: [&'static [u8]; 4] = [b"", b"\n", b"d\n", b"de\n"];
        for max_len in [0, 1, 2, 3, 4, usize::MAX] {
            for rest in rests {
                let steps = [Step::Data(b"abc"), Step::Wait, Step::Data(rest)];
                let mut lines = BufReader::new(Script::new(steps)).lines();
                drop_in_flight(lines.next_line());
                let mut lines = lines.with_max_len(max_len);
                let line = [b"abc", rest.trim_ascii_end()].concat();
                let read = [(); 2].map(|()| ready(lines.next_line()));
                if line.len() <= max_len {
                    let [first, second] = read.map(Result::unwrap);
                    assert_eq!(first.unwrap().as_bytes(), line);
                    assert_eq!(second, None);
                } else {
                    let kinds = read.map(|result| result.unwrap_err().kind());
                    assert_eq!(kinds, [ErrorKind::InvalidData; 2], "{line:?}, {max_len}");
                }
            }
        }
    }

    #[test]
    fn the_last_line_is_bounded_too() {
        let mut lines = (&b"abc"[..]).lines().with_max_len(3);
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("abc"));
        let mut lines = (&b"abcd"[..]).lines().with_max_len(3);
        assert!(ready(lines.next_line()).is_err());
    }

    #[test]
    fn segments_end_at_the_byte_only() {
        let mut parts = BufReader::with_capacity(2, &b"a\r;;\nb"[..]).split(b';');
        for expected in [&b"a\r"[..], b"", b"\nb"] {
            let part = ready(parts.next_segment()).unwrap();
            assert_eq!(part.as_deref(), Some(expected));
        }
        assert_eq!(ready(parts.next_segment()).unwrap(), None);
        assert!(parts.get_mut().buffer().is_empty());
        assert!(parts.into_inner().into_inner().is_empty());
    }

    #[test]
    fn the_reader_goes_on_after_the_lines_taken() {
        let mut lines = BufReader::new(&b"head\nbody"[..]).lines();
        assert_eq!(ready(lines.next_line()).unwrap().as_deref(), Some("head"));
        assert_eq!(lines.get_mut().buffer(), b"body");
        assert_eq!(lines.into_inner().buffer(), b"body");
    }
}
