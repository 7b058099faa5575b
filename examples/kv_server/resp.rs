//! What clients send, and how they are answered: RESP2, the protocol of redis, as redis 7.0 speaks it.

use std::ops::Range;

/// The longest line, and the longest request of one line.
const LINE_MAX: usize = 64 << 10;
/// The longest argument.
const BULK_MAX: i64 = 512 << 20;

/// Finds requests in the bytes that have come. It keeps how far it has come in one of which a part is still missing, so that no
/// byte is looked at twice.
#[derive(Default)]
pub(crate) struct Parser {
    /// Where the arguments lie, from the beginning of the request.
    args: Vec<Range<usize>>,
    /// Those of a line, in which they may be written with escapes.
    line: Vec<u8>,
    /// How much of the request has been read.
    position: usize,
    /// How many arguments are still to come.
    missing: usize,
    /// The length of the one that has begun.
    bulk: Option<usize>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Between,
    InRequest,
    /// It was a line, and so its arguments lie in `Parser::line`.
    AfterLine,
}

/// Why a client is not understood. The connection ends with it.
#[derive(Debug, PartialEq)]
pub(crate) enum ProtocolError {
    LongLine,
    LongCount,
    LongLength,
    Count,
    Length,
    NoBulk(u8),
    Quotes,
}

impl ProtocolError {
    /// What the client is told.
    pub(crate) fn text(&self) -> Vec<u8> {
        let what: &[u8] = match self {
            ProtocolError::LongLine => b"too big inline request",
            ProtocolError::LongCount => b"too big mbulk count string",
            ProtocolError::LongLength => b"too big bulk count string",
            ProtocolError::Count => b"invalid multibulk length",
            ProtocolError::Length => b"invalid bulk length",
            ProtocolError::NoBulk(byte) => &[b"expected '$', got '", &[*byte][..], b"'"].concat(),
            ProtocolError::Quotes => b"unbalanced quotes in request",
        };
        [b"ERR Protocol error: ", what].concat()
    }
}

impl Parser {
    /// Goes on with the request that `bytes` begins with, and returns its length if it is whole. If not, it wants to be called
    /// again with the same bytes and more.
    pub(crate) fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if self.state != State::InRequest {
            self.args.clear();
            (self.position, self.missing, self.bulk) = (0, 0, None);
            match bytes.first() {
                None => return Ok(None),
                Some(b'*') => {}
                Some(_) => return self.parse_line(bytes),
            }
            let Some(end) = end_of_line(bytes, 1, ProtocolError::LongCount)? else {
                return Ok(None);
            };
            let count = integer(&bytes[1..end]).filter(|&count| count <= i64::from(i32::MAX));
            self.missing = count.ok_or(ProtocolError::Count)?.max(0) as usize;
            self.position = end + 2;
            self.state = State::InRequest;
        }
        while self.missing > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => {
                    let from = self.position;
                    let Some(end) = end_of_line(bytes, from, ProtocolError::LongLength)? else {
                        return Ok(None);
                    };
                    if bytes[from] != b'$' {
                        return Err(ProtocolError::NoBulk(bytes[from]));
                    }
                    let len = integer(&bytes[from + 1..end]);
                    let len = len.filter(|len| (0..=BULK_MAX).contains(len));
                    self.position = end + 2;
                    *self.bulk.insert(len.ok_or(ProtocolError::Length)? as usize)
                }
            };
            let end = self.position + len;
            if bytes.len() < end + 2 {
                return Ok(None);
            }
            self.args.push(self.position..end);
            self.position = end + 2;
            self.missing -= 1;
            self.bulk = None;
        }
        self.state = State::Between;
        Ok(Some(self.position))
    }

    /// How many bytes the request has, as far as that is known yet.
    pub(crate) fn expects(&self) -> usize {
        self.position + self.bulk.map_or(0, |len| len + 2)
    }

    fn parse_line(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
            return match bytes.len() > LINE_MAX {
                true => Err(ProtocolError::LongLine),
                false => Ok(None),
            };
        };
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        self.line.clear();
        self.state = State::AfterLine;
        split_line(line, &mut self.line, &mut self.args).ok_or(ProtocolError::Quotes)?;
        Ok(Some(end + 1))
    }

    /// The arguments of the request that was whole; `bytes` begins with it.
    pub(crate) fn args<'a>(&'a self, bytes: &'a [u8]) -> Args<'a> {
        let bytes = match self.state {
            State::AfterLine => &self.line,
            _ => bytes,
        };
        Args::new(bytes, &self.args)
    }
}

/// Where the line ends that begins at `from`, if that and the byte after it have come.
fn end_of_line(
    bytes: &[u8],
    from: usize,
    too_long: ProtocolError,
) -> Result<Option<usize>, ProtocolError> {
    let line = &bytes[from.min(bytes.len())..];
    match line.iter().position(|&byte| byte == b'\r') {
        Some(end) if end + 1 < line.len() => Ok(Some(from + end)),
        None if line.len() > LINE_MAX => Err(too_long),
        _ => Ok(None),
    }
}

/// The words of a line, in which quotes hold spaces and escapes; `None` if a quote is not closed, or not followed by a space.
fn split_line(line: &[u8], words: &mut Vec<u8>, ranges: &mut Vec<Range<usize>>) -> Option<()> {
    // To C a 0 is the end.
    let line = line.split(|&byte| byte == 0).next().unwrap_or(line);
    let mut rest = trim_start(line);
    while !rest.is_empty() {
        let start = words.len();
        let mut quote = None;
        loop {
            let (taken, byte) = match (quote, rest) {
                (None, []) => break,
                (Some(_), []) => return None,
                (None, [b' ' | b'\t' | b'\r' | b'\n', ..]) => break,
                (None, [open @ (b'"' | b'\''), ..]) => {
                    quote = Some(*open);
                    rest = &rest[1..];
                    continue;
                }
                (Some(open), [close, after @ ..]) if open == *close => {
                    if after.first().is_some_and(|&next| !is_space(next)) {
                        return None;
                    }
                    rest = after;
                    break;
                }
                (Some(b'"'), [b'\\', b'x', high, low, ..])
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    (4, nibble(*high) << 4 | nibble(*low))
                }
                (Some(b'"'), [b'\\', escaped, ..]) => (2, unescaped(*escaped)),
                (Some(b'\''), [b'\\', b'\'', ..]) => (2, b'\''),
                (_, [byte, ..]) => (1, *byte),
            };
            words.push(byte);
            rest = &rest[taken..];
        }
        ranges.push(start..words.len());
        rest = trim_start(rest);
    }
    Some(())
}

fn trim_start(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&byte| !is_space(byte));
    &line[start.unwrap_or(line.len())..]
}

/// As isspace(3) has it.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn nibble(digit: u8) -> u8 {
    (digit as char).to_digit(16).unwrap_or(0) as u8
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

/// A number as redis reads it: no sign but a minus, no zeros before it, no spaces.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut number = 0_i64;
    for digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?;
        number = match negative {
            true => number.checked_sub(digit)?,
            false => number.checked_add(digit)?,
        };
    }
    Some(number)
}

/// The arguments of a request, or some of them.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a> {
    bytes: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl<'a> Args<'a> {
    pub(crate) fn new(bytes: &'a [u8], ranges: &'a [Range<usize>]) -> Self {
        Args { bytes, ranges }
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// # Panics
    ///
    /// If there are fewer: how many a command has is checked before it runs.
    pub(crate) fn get(&self, index: usize) -> &'a [u8] {
        &self.bytes[self.ranges[index].clone()]
    }

    pub(crate) fn part(&self, range: Range<usize>) -> Args<'a> {
        Args::new(self.bytes, &self.ranges[range])
    }

    pub(crate) fn after(&self, index: usize) -> Args<'a> {
        self.part(index.min(self.len())..self.len())
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.ranges
            .iter()
            .map(move |range| &self.bytes[range.clone()])
    }
}

/// The forms of an answer, written to the end of what is to be sent.
pub(crate) mod reply {
    /// The decimal digits of a number.
    pub(crate) fn digits(out: &mut Vec<u8>, number: i64) {
        let mut text = [0; 20];
        let mut at = text.len();
        let mut rest = number.unsigned_abs();
        loop {
            at -= 1;
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            out.push(b'-');
        }
        out.extend_from_slice(&text[at..]);
    }

    fn number(out: &mut Vec<u8>, kind: u8, number: i64) {
        out.push(kind);
        digits(out, number);
        out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn simple(out: &mut Vec<u8>, text: &str) {
        out.push(b'+');
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn ok(out: &mut Vec<u8>) {
        out.extend_from_slice(b"+OK\r\n");
    }

    /// With its kind in front, such as `ERR`. It is made one line.
    pub(crate) fn error(out: &mut Vec<u8>, text: &[u8]) {
        out.push(b'-');
        let end = text.iter().rposition(|byte| !b"\r\n".contains(byte));
        let text = &text[..end.map_or(0, |end| end + 1)];
        out.extend(text.iter().map(|&byte| match byte {
            b'\r' | b'\n' => b' ',
            other => other,
        }));
        out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn integer(out: &mut Vec<u8>, value: i64) {
        number(out, b':', value);
    }

    pub(crate) fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
        number(out, b'$', bytes.len() as i64);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn null(out: &mut Vec<u8>) {
        out.extend_from_slice(b"$-1\r\n");
    }

    /// The head of a list; its members follow.
    pub(crate) fn array(out: &mut Vec<u8>, len: usize) {
        number(out, b'*', len as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All requests of a stream that comes in these pieces, and how it ends.
    fn parse(pieces: &[&[u8]]) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let (mut parser, mut bytes, mut requests) = (Parser::default(), Vec::new(), Vec::new());
        for piece in pieces {
            bytes.extend_from_slice(piece);
            loop {
                match parser.parse(&bytes) {
                    Ok(None) => break,
                    Ok(Some(len)) => {
                        let args = parser.args(&bytes);
                        requests.push(args.iter().map(<[u8]>::to_vec).collect());
                        bytes.drain(..len);
                    }
                    Err(error) => return (requests, Some(error)),
                }
            }
        }
        (requests, None)
    }

    fn error(bytes: &[u8]) -> Option<ProtocolError> {
        parse(&[bytes]).1
    }

    #[test]
    fn requests_may_be_parted_anywhere() {
        assert_eq!(parse(&[b"\x0ba\x0b \x0c\r\n"]).0, [[b"a\x0b"]]);
        let stream = b"*2\r\n$3\r\nGET\r\n$5\r\na\r\nb\0\r\n*0\r\nset 'a b' \"\\x41\\n\"\r\n\r\n*-1\r\n*1\r\n$0\r\n\r\nPING\n";
        let (all, ended) = parse(&[stream]);
        assert_eq!(ended, None);
        let expected: [&[&[u8]]; 7] = [
            &[b"GET", b"a\r\nb\0"],
            &[],
            &[b"set", b"a b", b"A\n"],
            &[],
            &[],
            &[b""],
            &[b"PING"],
        ];
        assert_eq!(all, expected);
        for at in 0..=stream.len() {
            let parted = parse(&[&stream[..at], &stream[at..]]);
            assert_eq!(parted, (all.clone(), None), "parted at {at}");
        }
        let bytes: Vec<_> = stream.chunks(1).collect();
        assert_eq!(parse(&bytes), (all, None));
    }

    #[test]
    fn it_tells_how_long_a_request_is_as_soon_as_it_knows() {
        let mut parser = Parser::default();
        assert_eq!(parser.parse(b"*1\r\n$10"), Ok(None));
        assert_eq!(parser.expects(), 4);
        assert_eq!(parser.parse(b"*1\r\n$10\r\nab"), Ok(None));
        assert_eq!(parser.expects(), 21);
    }

    #[test]
    fn garbage_is_told_apart() {
        use ProtocolError::*;
        for (bytes, expected) in [
            (&b"*1\r\n+3\r\n"[..], NoBulk(b'+')),
            (b"*x\r\n", Count),
            (b"*\r\n", Count),
            (b"*01\r\n", Count),
            (b"*2147483648\r\n", Count),
            (b"*9223372036854775808\r\n", Count),
            (b"*1\r\n$\r\n", Length),
            (b"*1\r\n$-1\r\n", Length),
            (b"*1\r\n$536870913\r\n", Length),
            (b"*1\r\n$9223372036854775808\r\n", Length),
            (b"a \"b\r\n", Quotes),
            (b"a 'b'c\r\n", Quotes),
        ] {
            let text = bytes.escape_ascii();
            assert_eq!(error(bytes), Some(expected), "{text}");
        }
        assert_eq!(error(b"*2147483647\r\n$536870912\r\n"), None);
    }

    #[test]
    fn lines_without_an_end_are_too_long_at_some_time() {
        use ProtocolError::*;
        for (begun, filler, expected) in [
            (&b""[..], b'a', LongLine),
            (b"*", b'1', LongCount),
            (b"*1\r\n$", b'1', LongLength),
        ] {
            let mut bytes = begun.to_vec();
            bytes.resize(LINE_MAX, filler);
            assert_eq!(error(&bytes), None);
            bytes.extend_from_slice(&[filler; 8]);
            assert_eq!(error(&bytes), Some(expected));
        }
    }

    #[test]
    fn numbers_are_read_and_written_as_redis_does() {
        for number in [0, 1, -1, 10, 987, i64::MAX, i64::MIN] {
            let mut text = Vec::new();
            reply::digits(&mut text, number);
            assert_eq!(text, number.to_string().as_bytes());
            assert_eq!(integer(&text), Some(number));
        }
        for text in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "1a",
            "9223372036854775808",
        ] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_error_is_one_line() {
        let mut out = Vec::new();
        reply::error(&mut out, b"ERR a\r\nb \r\n");
        assert_eq!(out, b"-ERR a  b \r\n");
    }
}
