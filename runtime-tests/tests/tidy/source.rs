//! A source file, and which parts of it are tests.

use crate::lexer::{Kind, Token, tokens};

/// A file as the rules see it.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the workspace's root on, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    /// For each token whether it belongs to test code.
    test: Vec<bool>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let tokens = tokens(text);
        let test = mark_tests(&tokens);
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            test,
        }
    }

    pub(crate) fn set_test(&mut self) {
        self.test.fill(true);
    }

    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.test[at]
    }

    /// Whether the file holds nothing but tests.
    pub(crate) fn is_all_test(&self) -> bool {
        !self.test.is_empty() && self.test.iter().all(|&test| test)
    }

    /// Lines that are not test code.
    pub(crate) fn line_count(&self) -> usize {
        let all = self.text.lines().count();
        let mut in_tests = 0;
        let mut at = 0;
        while at < self.tokens.len() {
            let run = self.test[at..].iter().take_while(|&&test| test).count();
            if run > 0 {
                in_tests += self.tokens[at + run - 1].line - self.tokens[at].line + 1;
            }
            at += run.max(1);
        }
        all.saturating_sub(in_tests)
    }

    /// `mod name;` lines: the name, and whether it is a test module.
    pub(crate) fn mod_lines(&self) -> Vec<(&str, bool)> {
        self.tokens
            .windows(3)
            .enumerate()
            .filter(|(_, three)| {
                three[0].is("mod") && three[1].kind == Kind::Word && three[2].is(";")
            })
            .map(|(at, three)| (three[1].text.as_str(), self.test[at]))
            .collect()
    }

    /// Where a child module `name` of this file may lie.
    pub(crate) fn child_paths(&self, name: &str) -> [String; 2] {
        let (dir, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let dir = match file {
            "lib.rs" | "main.rs" | "mod.rs" => dir.to_owned(),
            _ => format!("{dir}/{}", file.trim_end_matches(".rs")),
        };
        [format!("{dir}/{name}.rs"), format!("{dir}/{name}/mod.rs")]
    }
}

/// The index after the bracket that closes the one at `open`.
pub(crate) fn after_closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.is("(") || token.is("[") || token.is("{") {
            depth += 1;
        } else if token.is(")") || token.is("]") || token.is("}") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + 1;
            }
        }
    }
    tokens.len()
}

/// The index after the item that starts at `at`, or after its attributes and it.
fn after_item(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        let token = &tokens[at];
        if token.is(";") {
            return at + 1;
        }
        let opens = token.is("(") || token.is("[") || token.is("{");
        let next = if opens {
            after_closing(tokens, at)
        } else {
            at + 1
        };
        if token.is("{") {
            return next;
        }
        at = next;
    }
    at
}

fn mark_tests(tokens: &[Token]) -> Vec<bool> {
    let mut test = vec![false; tokens.len()];
    let mut at = 0;
    while at + 2 < tokens.len() {
        let inner = tokens[at + 1].is("!") && tokens[at + 2].is("[");
        let open = if inner { at + 2 } else { at + 1 };
        if !tokens[at].is("#") || !tokens[open].is("[") {
            at += 1;
            continue;
        }
        let close = after_closing(tokens, open);
        if !is_test_attribute(&tokens[open + 1..close - 1]) {
            at = close;
            continue;
        }
        let end = if inner {
            tokens.len()
        } else {
            after_item(tokens, close)
        };
        test[at..end].fill(true);
        at = end;
    }
    test
}

/// `test`, `any::path::test`, `cfg(test)` and `cfg(all(…, test, …))`.
fn is_test_attribute(attribute: &[Token]) -> bool {
    let texts: Vec<_> = attribute.iter().map(|token| token.text.as_str()).collect();
    let path = texts.split(|&text| text == "(").next().unwrap_or_default();
    match texts.as_slice() {
        _ if path.last() == Some(&"test") => true,
        ["cfg", "(", "test", ")"] => true,
        ["cfg", "(", "all", "(", conditions @ ..] => {
            conditions.first() == Some(&"test")
                || conditions.windows(2).any(|two| two == [",", "test"])
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("src/a/b.rs", text)
    }

    #[test]
    fn test_code_is_told_apart() {
        for attribute in [
            "#[test]",
            "#[saferring::test]",
            "#[saferring::test(entries = 8)]",
            "#[cfg(test)]",
            "#[cfg(all(test, not(loom)))]",
            "#[cfg(all(loom, test))]",
        ] {
            let text =
                format!("fn a() {{}}\n{attribute}\n#[x]\nfn b(c: [u8; 2]) {{\n}}\nfn d() {{}}");
            let source = source(&text);
            assert_eq!(source.line_count(), 2, "{attribute}");
            assert!(!source.is_all_test());
        }
        for attribute in [
            "#[cfg(not(test))]",
            "#[cfg(any(test, x))]",
            "#[inline]",
            "#[cfg(feature = \"test\")]",
        ] {
            let text = format!("{attribute}\nfn b() {{}}");
            assert_eq!(source(&text).line_count(), 2, "{attribute}");
        }
        assert!(source("#![cfg(test)]\nfn b() {}").is_all_test());
    }

    #[test]
    fn modules_are_listed_with_their_paths() {
        let source = source("mod one;\n#[cfg(test)]\nmod two;\nmod three { fn x() {} }");
        assert_eq!(source.mod_lines(), [("one", false), ("two", true)]);
        assert_eq!(
            source.child_paths("one"),
            ["src/a/b/one.rs", "src/a/b/one/mod.rs"]
        );
        let root = Source::new("src/lib.rs", "");
        assert_eq!(root.child_paths("net"), ["src/net.rs", "src/net/mod.rs"]);
        let dir = Source::new("src/op/mod.rs", "");
        assert_eq!(
            dir.child_paths("read"),
            ["src/op/read.rs", "src/op/read/mod.rs"]
        );
    }
}
