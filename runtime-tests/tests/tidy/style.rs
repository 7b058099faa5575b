//! Lengths, banned words, and calls that may panic.

use crate::lexer::Kind;
use crate::source::{Source, after_closing};

const FILE_LINES_END: usize = 400;
const FUNCTION_LINES_END: usize = 70;

/// A call that may panic although a user or the kernel could seem to cause it, and why it does not.
pub(crate) struct Allowed {
    /// The file, or the directory it lies in.
    pub(crate) below: &'static str,
    /// Part of the line.
    pub(crate) code: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) fn long_file(source: &Source) -> Option<String> {
    let lines = source.line_count();
    let path = &source.path;
    (lines >= FILE_LINES_END && !source.is_all_test()).then(|| {
        format!("{path}: {lines} lines besides tests; a file has fewer than {FILE_LINES_END}")
    })
}

pub(crate) fn long_functions(source: &Source) -> Vec<String> {
    let tokens = &source.tokens;
    let mut found = Vec::new();
    for (at, two) in tokens.windows(2).enumerate() {
        let named = two[1].kind == Kind::Word || two[1].is("$");
        if !two[0].is("fn") || !named || source.is_test(at) {
            continue;
        }
        let mut body = at + 1;
        while body < tokens.len() && !tokens[body].is("{") && !tokens[body].is(";") {
            let opens = tokens[body].is("(") || tokens[body].is("[");
            body = if opens {
                after_closing(tokens, body)
            } else {
                body + 1
            };
        }
        if body == tokens.len() || tokens[body].is(";") {
            continue;
        }
        let last = after_closing(tokens, body) - 1;
        let lines = tokens[last].line - two[0].line + 1;
        if lines >= FUNCTION_LINES_END {
            found.push(format!(
                "{}:{}: `{}` has {lines} lines; a function has fewer than {FUNCTION_LINES_END}",
                source.path, two[0].line, two[1].text
            ));
        }
    }
    found
}

/// What must not be left behind, in tests neither.
pub(crate) fn banned(source: &Source) -> Vec<String> {
    let path = &source.path;
    let macros = source
        .tokens
        .windows(2)
        .filter(|two| {
            two[1].is("!")
                && ["todo", "unimplemented", "dbg"]
                    .iter()
                    .any(|&name| two[0].is(name))
        })
        .map(|two| format!("{path}:{}: `{}!` was left behind", two[0].line, two[0].text));
    let word = concat!("FIX", "ME");
    let notes = (1..)
        .zip(source.text.lines())
        .filter(|(_, line)| line.contains(word))
        .map(|(number, _)| format!("{path}:{number}: {word} was left behind"));
    macros.chain(notes).collect()
}

/// `.unwrap()` and `.expect(` outside tests. Marks in `used` the exceptions that were needed.
pub(crate) fn panicking_calls(
    source: &Source,
    allowed: &[Allowed],
    used: &mut [bool],
) -> Vec<String> {
    let mut found = Vec::new();
    for (at, three) in source.tokens.windows(3).enumerate() {
        let called = three[0].is(".") && three[2].is("(");
        if !called || !(three[1].is("unwrap") || three[1].is("expect")) || source.is_test(at) {
            continue;
        }
        let number = three[1].line;
        let line = source.text.lines().nth(number - 1).unwrap_or_default();
        let exception = allowed
            .iter()
            .position(|one| source.path.starts_with(one.below) && line.contains(one.code));
        match exception {
            Some(index) => used[index] = true,
            None => found.push(format!(
                "{}:{number}: `.{}(` where a user or the kernel might cause it: {}",
                source.path,
                three[1].text,
                line.trim()
            )),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("src/a.rs", text)
    }

    fn function(lines: usize) -> String {
        format!(
            "pub fn long(a: [u8; 2]) -> u8 {{\n{}}}\n",
            "    f();\n".repeat(lines - 2)
        )
    }

    #[test]
    fn long_files_are_found_and_tests_do_not_count() {
        let code = "use a;\n".repeat(399);
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "    use a;\n".repeat(500)
        );
        assert_eq!(long_file(&source(&code)), None);
        assert_eq!(long_file(&source(&format!("{code}{tests}"))), None);
        assert!(long_file(&source(&format!("{code}// one more\n{tests}"))).is_some());
        let mut all = source(&"use a;\n".repeat(900));
        all.set_test();
        assert_eq!(long_file(&all), None);
    }

    #[test]
    fn long_functions_are_found() {
        assert!(long_functions(&source(&function(69))).is_empty());
        let long = function(70);
        assert_eq!(long_functions(&source(&long)).len(), 1);
        assert_eq!(
            long_functions(&source(&format!("impl A {{ {long} }}"))).len(),
            1
        );
        assert!(
            long_functions(&source(&format!("#[cfg(test)] mod tests {{ {long} }}"))).is_empty()
        );
        let pointer = format!(
            "struct A(fn(u8));\ntrait B {{ fn c(); }}\nconst D: [u8; 80] = [{}];",
            "0,\n".repeat(80)
        );
        assert!(long_functions(&source(&pointer)).is_empty());
    }

    #[test]
    fn what_was_left_behind_is_found() {
        let note = format!("// {}: later", concat!("FIX", "ME"));
        for text in [
            "fn f() { todo!() }",
            "fn f() { dbg!(1); }",
            "fn f() { unimplemented!(\"x\") }",
            &note,
        ] {
            assert_eq!(banned(&source(text)).len(), 1, "{text}");
        }
        assert!(
            banned(&source(
                "/// `todo!()` is a macro.\nfn todo() -> &str { \"dbg!\" }"
            ))
            .is_empty()
        );
    }

    #[test]
    fn panicking_calls_are_found_unless_allowed() {
        let calls = |text, allowed: &[Allowed], used: &mut [bool]| {
            panicking_calls(&source(text), allowed, used).len()
        };
        assert_eq!(
            calls("fn f() { a.unwrap(); b\n.expect(\"b\"); }", &[], &mut []),
            2
        );
        assert_eq!(
            calls(
                "/// a.unwrap()\nfn f() { a.unwrap_or(b).expect_err() }",
                &[],
                &mut []
            ),
            0
        );
        assert_eq!(calls("#[test] fn f() { a.unwrap(); }", &[], &mut []), 0);
        let allowed = [Allowed {
            below: "src/a.rs",
            code: "a.unwrap()",
            reason: "",
        }];
        let mut used = [false];
        assert_eq!(calls("fn f() { b.unwrap(); }", &allowed, &mut used), 1);
        assert_eq!(used, [false]);
        assert_eq!(calls("fn f() { a.unwrap(); }", &allowed, &mut used), 0);
        assert_eq!(used, [true]);
    }
}
