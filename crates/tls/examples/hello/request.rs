//! What of a request is needed to answer it, and to find the next one.

/// How long the head of a request may be.
const HEAD_MAX: usize = 16 * 1024;

/// A request's head, as it comes.
#[derive(Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
}

/// A request whose head has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The client wants no body.
    pub(crate) is_head: bool,
    /// The client wants to ask more on this connection.
    pub(crate) keeps: bool,
    /// So many bytes of a body follow.
    pub(crate) body: u64,
}

/// Why a request cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    TooLong,
    /// A body of a length that is not told before.
    Chunked,
}

impl Head {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what it needs of `bytes`, and returns how much that is; `true` if the head ends there.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> (usize, bool) {
        let had = self.bytes.len();
        let from = had.saturating_sub(3);
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes[from..]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        match end {
            Some(at) => {
                self.bytes.truncate(from + at + 4);
                (self.bytes.len() - had, true)
            }
            None => (bytes.len(), self.bytes.len() > HEAD_MAX),
        }
    }

    /// What it says. The next head may come then.
    pub(crate) fn parse(&mut self) -> Result<Request, Refusal> {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.len() > HEAD_MAX {
            return Err(Refusal::TooLong);
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::Malformed)?;
        let mut lines = text.split("\r\n");
        let words: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
        let &[method, _target, version] = &words[..] else {
            return Err(Refusal::Malformed);
        };
        let mut request = Request {
            is_head: method == "HEAD",
            keeps: match version {
                "HTTP/1.1" => true,
                "HTTP/1.0" => false,
                _ => return Err(Refusal::Malformed),
            },
            body: 0,
        };
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
            field(&mut request, name, value.trim())?;
        }
        Ok(request)
    }
}

fn field(request: &mut Request, name: &str, value: &str) -> Result<(), Refusal> {
    if name.eq_ignore_ascii_case("content-length") {
        request.body = value.parse().map_err(|_| Refusal::Malformed)?;
    } else if name.eq_ignore_ascii_case("transfer-encoding") {
        return Err(Refusal::Chunked);
    } else if name.eq_ignore_ascii_case("connection") {
        let says = |word: &str| {
            value
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case(word))
        };
        request.keeps = !says("close") && (request.keeps || says("keep-alive"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Request, Refusal> {
        let mut head = Head::default();
        assert_eq!(head.push(text.as_bytes()), (text.len(), true));
        head.parse()
    }

    #[test]
    fn heads_are_found_wherever_they_are_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET";
        for cut in 0..text.len() - 3 {
            let mut head = Head::default();
            let (one, other) = text.split_at(cut);
            assert_eq!(head.push(one), (cut, false));
            assert_eq!(head.push(other), (other.len() - 3, true));
            assert!(head.parse().unwrap().keeps);
            assert!(head.is_empty());
        }
    }

    #[test]
    fn what_matters_is_understood() {
        let request =
            parsed("HEAD /a HTTP/1.0\r\nconnection: Keep-Alive\r\nContent-Length: 7\r\n\r\n");
        let expected = Request {
            is_head: true,
            keeps: true,
            body: 7,
        };
        assert_eq!(request, Ok(expected));
        assert!(!parsed("GET / HTTP/1.0\r\n\r\n").unwrap().keeps);
        assert!(
            !parsed("GET / HTTP/1.1\r\nConnection: x, close\r\n\r\n")
                .unwrap()
                .keeps
        );
        let chunked = parsed("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(chunked, Err(Refusal::Chunked));
        for malformed in [
            "GET /\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / HTTP/1.1\r\nx\r\n\r\n",
        ] {
            assert_eq!(parsed(malformed), Err(Refusal::Malformed));
        }
    }

    #[test]
    fn endless_heads_are_refused() {
        let mut head = Head::default();
        assert_eq!(head.push(&[b'x'; HEAD_MAX + 1]), (HEAD_MAX + 1, true));
        assert_eq!(head.parse(), Err(Refusal::TooLong));
    }
}
