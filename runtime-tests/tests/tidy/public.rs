//! Which public functions no test names.

use std::collections::{BTreeMap, BTreeSet};

use crate::lexer::{Kind, tokens};
use crate::source::{Source, after_closing};

/// A public function that no test names, and why.
pub(crate) struct Unnamed {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
}

/// The names of public functions outside tests, those of public traits included, each with a place where it is made.
pub(crate) fn public_functions(source: &Source) -> BTreeMap<String, String> {
    let tokens = &source.tokens;
    let mut found = BTreeMap::new();
    let mut add = |at: usize| {
        let place = format!("{}:{}", source.path, tokens[at].line);
        if tokens[at].kind == Kind::Word {
            found.insert(tokens[at].text.clone(), place);
        }
    };
    for at in 0..tokens.len() {
        if !tokens[at].is("pub") || source.is_test(at) {
            continue;
        }
        let mut next = at + 1;
        while next < tokens.len()
            && ["const", "async", "unsafe"]
                .iter()
                .any(|&word| tokens[next].is(word))
        {
            next += 1;
        }
        let Some(kind) = tokens.get(next) else { break };
        if kind.is("fn") && next + 1 < tokens.len() {
            add(next + 1);
        } else if kind.is("trait") {
            let open = (next..tokens.len()).find(|&at| tokens[at].is("{") || tokens[at].is(";"));
            let open = open.unwrap_or(tokens.len());
            let end = after_closing(tokens, open);
            let functions = (open..end).filter(|&at| at > 0 && tokens[at - 1].is("fn"));
            functions.for_each(&mut add);
        }
    }
    found
}

/// All words of a file's tests, and of the examples in its documentation that run and check
/// something.
pub(crate) fn tested_words(source: &Source) -> BTreeSet<String> {
    let tests = source.tokens.iter().enumerate();
    let mut words: BTreeSet<_> = tests
        .filter(|&(at, token)| source.is_test(at) && token.kind == Kind::Word)
        .map(|(_, token)| token.text.clone())
        .collect();
    for example in examples(&source.text) {
        let example = tokens(&example).into_iter();
        let example: BTreeSet<_> = example
            .filter(|token| token.kind == Kind::Word)
            .map(|token| token.text)
            .collect();
        if example.iter().any(|word| word.starts_with("assert")) {
            words.extend(example);
        }
    }
    words
}

/// The code in a file's documentation that is run.
fn examples(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or(line.strip_prefix("//!"));
        let Some(doc) = doc.map(str::trim_start) else {
            open = None;
            continue;
        };
        match (doc.strip_prefix("```"), &mut open) {
            // What is said behind the marks, such as `no_run`.
            (Some(how), None) => open = Some((how.trim().is_empty(), String::new())),
            (Some(_), Some(_)) => {
                let ended = open.take().filter(|(runs, _)| *runs);
                found.extend(ended.map(|(_, code)| code));
            }
            (None, Some((_, code))) => {
                code.push_str(doc.trim_start_matches("# "));
                code.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Public functions that no test names and no exception explains, and exceptions that explain nothing.
pub(crate) fn untested(
    functions: &BTreeMap<String, String>,
    words: &BTreeSet<String>,
    exceptions: &[Unnamed],
) -> Vec<String> {
    let is_excepted = |name: &str| exceptions.iter().any(|one| one.name == name);
    let unnamed = |name: &str| functions.contains_key(name) && !words.contains(name);
    let mut found: Vec<_> = functions
        .iter()
        .filter(|(name, _)| unnamed(name) && !is_excepted(name))
        .map(|(name, place)| format!("{place}: no test calls the public function `{name}`"))
        .collect();
    for one in exceptions {
        if one.reason.is_empty() || !unnamed(one.name) {
            found.push(format!("`{}`: take it off the list", one.name));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let functions = public_functions(&Source::new("src/a.rs", text));
        functions.into_keys().collect()
    }

    fn words(text: &str) -> BTreeSet<String> {
        tested_words(&Source::new("src/a.rs", text))
    }

    #[test]
    fn public_functions_are_listed() {
        assert_eq!(
            names("pub fn a() {}\nimpl B { pub async fn c(&self) {} }"),
            ["a", "c"]
        );
        assert_eq!(
            names("pub const unsafe fn a() {} pub trait B { fn c(&self); }"),
            ["a", "c"]
        );
        assert_eq!(names("macro_rules! a { () => { pub fn b() {} } }"), ["b"]);
        assert!(names("fn a() {} pub(crate) fn b() {} trait C { fn d(); }").is_empty());
        assert!(names("pub struct A(pub fn(u8)); pub mod b;").is_empty());
        assert!(names("#[cfg(test)] mod tests { pub fn a() {} }").is_empty());
    }

    #[test]
    fn words_of_tests_count_and_of_examples_that_check() {
        assert!(words("#[test] fn a() { b.c(); }").contains("c"));
        assert!(!words("fn a() { b.c(); }").contains("c"));
        let checks = "/// ```\n/// # assert_eq!(b.c(), 1);\n/// ```\nfn a() {}";
        assert!(words(checks).contains("c"));
        let only_compiled = checks.replacen("```", "```no_run", 1);
        assert!(!words(&only_compiled).contains("c"));
        let shows = "/// ```\n/// b.c();\n/// ```\n/// assert: d\nfn a() {}";
        assert!(!words(shows).contains("c"));
        assert!(!words(shows).contains("d"));
    }

    #[test]
    fn what_no_test_names_is_found() {
        let functions = public_functions(&Source::new("src/a.rs", "pub fn a() {} pub fn b() {}"));
        let words = BTreeSet::from(["a".to_owned()]);
        let faults = |exceptions: &[Unnamed]| untested(&functions, &words, exceptions).len();
        let except = |name, reason| Unnamed { name, reason };
        assert_eq!(faults(&[]), 1);
        assert_eq!(faults(&[except("b", "why")]), 0);
        assert_eq!(faults(&[except("b", "")]), 1);
        assert_eq!(faults(&[except("b", "why"), except("a", "why")]), 1);
        assert_eq!(faults(&[except("b", "why"), except("gone", "why")]), 1);
    }
}
