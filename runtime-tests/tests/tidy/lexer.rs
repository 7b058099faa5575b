//! Rust source as tokens: what the rules look at, free of comments and of what stands in strings.

/// What a token is, as far as the rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Mark,
    Literal,
}

/// A word, one punctuation character (`::` is one too), or a literal, whose text is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        rest: text,
        line: 1,
    };
    std::iter::from_fn(|| lexer.next()).collect()
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        let line = self.line;
        let first = self.rest.chars().next()?;
        let (kind, len) = if let Some(len) = literal_len(self.rest) {
            (Kind::Literal, len)
        } else if is_word(first) {
            (Kind::Word, word_len(self.rest))
        } else if first == '\'' {
            (Kind::Mark, 1 + word_len(&self.rest[1..])) // A lifetime.
        } else if self.rest.starts_with("::") {
            (Kind::Mark, 2)
        } else {
            (Kind::Mark, first.len_utf8())
        };
        let text = match kind {
            Kind::Literal => String::new(),
            Kind::Word | Kind::Mark => self.rest[..len].to_owned(),
        };
        self.advance(len);
        Some(Token { kind, text, line })
    }

    fn advance(&mut self, len: usize) {
        let (eaten, rest) = self.rest.split_at(len);
        self.line += eaten.matches('\n').count();
        self.rest = rest;
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            let len = match &self.rest[blank..] {
                rest if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                rest if rest.starts_with("/*") => block_comment_len(rest),
                _ => 0,
            };
            self.advance(blank + len);
            if len == 0 {
                return;
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word_len(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        at += if here.starts_with(b"/*") {
            depth += 1;
            2
        } else if here.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string or character that `text` starts with, if it does.
fn literal_len(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(['"', '\'', '#']))
    })?;
    let body = &text[prefix.len()..];
    let len = if prefix.ends_with('r') {
        raw_string_len(body)
    } else if body.starts_with('"') {
        escaped_len(body, b'"')
    } else if body.starts_with('\'') && !is_lifetime(body) {
        escaped_len(body, b'\'')
    } else {
        None
    };
    len.map(|len| prefix.len() + len)
}

fn is_lifetime(text: &str) -> bool {
    let mut chars = text[1..].chars();
    chars.next().is_some_and(is_word) && chars.next() != Some('\'')
}

fn escaped_len(text: &str, end: u8) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == end {
            return Some(at + 1);
        }
    }
    None
}

fn raw_string_len(text: &str) -> Option<usize> {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let body = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(hashes + 1 + body.find(&end)? + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_leave_no_words() {
        assert_eq!(texts("a // b\nc /* d /* e */ f */ g"), ["a", "c", "g"]);
        assert_eq!(
            texts(r##"x = r#"a "b" c"# + b"\"d" ;"##),
            ["x", "=", "", "+", "", ";"]
        );
        assert_eq!(texts(r"'a' '\'' '{' b'}' '\u{7f}'"), [""; 5]);
    }

    #[test]
    fn lifetimes_and_raw_words_are_no_strings() {
        assert_eq!(texts("&'a str"), ["&", "'a", "str"]);
        assert_eq!(texts("'outer: loop"), ["'outer", ":", "loop"]);
        assert_eq!(texts("r#type"), ["r", "#", "type"]);
        assert_eq!(texts("broken::c"), ["broken", "::", "c"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let found = tokens("/* \n */ a \"x\ny\" b");
        let lines: Vec<_> = found.iter().map(|token| token.line).collect();
        assert_eq!(lines, [2, 2, 3]);
    }
}
