//! Whether every test is one of those at whose end it is looked what is left.

use std::collections::BTreeSet;

use crate::lexer::{Kind, Token};
use crate::source::{Source, after_closing};

/// What a test of `runtime-tests` runs through.
const HELPERS: [&str; 3] = ["bounded", "bounded_by", "in_child"];

/// Tests that run through none of them, and why.
pub(crate) struct Exempt {
    /// The file, or the directory it lies in.
    pub(crate) below: &'static str,
    pub(crate) reason: &'static str,
}

/// Tests at whose end nobody looks. Marks in `used` the exceptions that were needed.
pub(crate) fn unaccounted(source: &Source, exempt: &[Exempt], used: &mut [bool]) -> Vec<String> {
    let tokens = &source.tokens;
    let functions = functions(tokens);
    let mut accounted: BTreeSet<_> = HELPERS.into();
    // Those of this file that run what they are given through one.
    loop {
        let before = accounted.len();
        for function in &functions {
            if calls_any(&tokens[function.body.clone()], &accounted) {
                accounted.insert(function.name);
            }
        }
        if accounted.len() == before {
            break;
        }
    }
    let mut found = Vec::new();
    for function in functions.iter().filter(|function| function.is_test) {
        let what = if function.should_panic {
            "a test that panics is not looked at when it ends: catch the panic in its body"
        } else if !accounted.contains(function.name) {
            "nobody looks what the test leaves behind: run it through `bounded` or `in_child`"
        } else {
            continue;
        };
        match exempt
            .iter()
            .position(|one| source.path.starts_with(one.below))
        {
            Some(index) => used[index] = true,
            None => found.push(format!(
                "{}:{}: `{}`: {what}",
                source.path, function.line, function.name
            )),
        }
    }
    found
}

struct Function<'a> {
    name: &'a str,
    line: usize,
    body: std::ops::Range<usize>,
    is_test: bool,
    should_panic: bool,
}

/// All functions with a body, those within others too.
fn functions(tokens: &[Token]) -> Vec<Function<'_>> {
    let mut found = Vec::new();
    for (at, two) in tokens.windows(2).enumerate() {
        if !two[0].is("fn") || two[1].kind != Kind::Word {
            continue;
        }
        let mut open = at + 2;
        while open < tokens.len() && !tokens[open].is("{") && !tokens[open].is(";") {
            let opens = tokens[open].is("(") || tokens[open].is("[");
            open = if opens {
                after_closing(tokens, open)
            } else {
                open + 1
            };
        }
        if open == tokens.len() || tokens[open].is(";") {
            continue;
        }
        let attributes = attributes(tokens, at);
        found.push(Function {
            name: &two[1].text,
            line: two[1].line,
            body: open..after_closing(tokens, open),
            is_test: attributes.contains(&"test"),
            should_panic: attributes.contains(&"should_panic"),
        });
    }
    found
}

/// The names of the attributes of the item whose `fn` is at `at`: of `#[a::b(c)]` it is `b`.
fn attributes(tokens: &[Token], at: usize) -> Vec<&str> {
    let mut names = Vec::new();
    let item = |token: &Token| {
        ["pub", "async", "const", "unsafe", "extern"]
            .iter()
            .any(|&word| token.is(word))
    };
    let mut end = at;
    while end > 0 && item(&tokens[end - 1]) {
        end -= 1;
    }
    while end > 0 && tokens[end - 1].is("]") {
        let Some(open) = (0..end)
            .rev()
            .find(|&open| tokens[open].is("[") && after_closing(tokens, open) == end)
        else {
            break;
        };
        if open == 0 || !tokens[open - 1].is("#") {
            break;
        }
        let path = tokens[open + 1..end - 1]
            .iter()
            .take_while(|token| token.kind == Kind::Word || token.is("::"));
        names.extend(path.last().map(|token| token.text.as_str()));
        end = open - 1;
    }
    names
}

/// Whether one of these functions is called, not a method or a macro of the same name.
fn calls_any(body: &[Token], names: &BTreeSet<&str>) -> bool {
    body.windows(3).any(|three| {
        let [before, name, open] = three else {
            return false;
        };
        open.is("(")
            && name.kind == Kind::Word
            && !before.is(".")
            && !before.is("fn")
            && names.contains(name.text.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        unaccounted(&Source::new("runtime-tests/tests/a.rs", text), &[], &mut [])
    }

    #[test]
    fn tests_that_run_through_a_helper_are_accounted_for() {
        for text in [
            "#[test]\nfn a() { bounded(|| {}); }",
            "#[test]\n#[cfg(x)]\nfn a() { saferring_tests::bounded_by(LIMIT, || {}); }",
            "#[test]\nfn a() { use b::c; in_child(\"a\", || {}); }",
            "fn with_buffers<F: Fn()>(f: F) { bounded(f) }\nfn b() { with_buffers(c) }\n#[test]\nfn a() { b(); }",
            "fn b() { c() }\n#[cfg(test)]\nmod tests;",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn tests_that_do_not_are_found() {
        for text in [
            "#[test]\nfn a() { runtime().block_on(async {}); }",
            "#[test]\nfn a() {}\n#[test]\nfn b() { bounded(|| {}); }",
            "#[test]\npub fn a() { // bounded(|| {});\n}",
            "#[test]\nfn a() { values.bounded(3); let bounded = \"bounded(\"; }",
            "#[test]\nfn a() { unbounded(|| {}); }",
            "fn bounded(f: fn()) { f() }\nfn b(f: fn()) { f() }\n#[test]\nfn a() { b(|| {}); }",
            "#[saferring::test]\nasync fn a() {}",
            "#[saferring::test(entries = 8)]\n#[ignore]\nasync fn a() {}",
            "#[test]\n#[should_panic(expected = \"x\")]\nfn a() { bounded(|| panic!(\"x\")); }",
            "#[should_panic]\n#[test]\nfn a() { bounded(|| panic!()); }",
        ] {
            assert_eq!(found(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn exceptions_are_marked_as_used() {
        let exempt = [
            Exempt {
                below: "runtime-tests/tests/a.rs",
                reason: "",
            },
            Exempt {
                below: "runtime-tests/tests/b.rs",
                reason: "",
            },
        ];
        let mut used = [false; 2];
        let source = Source::new("runtime-tests/tests/a.rs", "#[test]\nfn a() {}");
        assert!(unaccounted(&source, &exempt, &mut used).is_empty());
        assert_eq!(used, [true, false]);
        let source = Source::new("runtime-tests/tests/c.rs", "#[test]\nfn a() {}");
        assert_eq!(unaccounted(&source, &exempt, &mut used).len(), 1);
    }
}
