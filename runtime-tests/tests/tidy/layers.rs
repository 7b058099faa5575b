//! Which module may name which, and where `unsafe` may stand.

use std::collections::BTreeSet;

use crate::lexer::{Kind, Token};
use crate::names::Mention;
use crate::source::{Source, after_closing};

/// The layers, lowest first. Modules of one row are siblings, which do not know each other.
const LAYERS: [&[&str]; 11] = [
    &["feature"],
    &["error", "foreign"],
    &["warning"],
    &["sys", "buf"],
    &["driver", "task"],
    &["op"],
    &["runtime"],
    &["io"],
    &["net", "fs", "time", "sync", "process", "signal"],
    &["cores", "remote"],
    &["compat"],
];

/// What `op` consists of, lowest first, as DESIGN.md has it.
const ROOMS: [&[&str]; 5] = [
    &["context.rs", "fork.rs"],
    &["resource"],
    &["mechanism"],
    &["operations"],
    &["registry.rs"],
];

/// Knows only std, and [`FOREIGN`], which knows only std, so that it runs under loom and Miri.
const STANDALONE: &str = "task";
const FOREIGN: &str = "foreign";

const UNSAFE_LAYERS: [&str; 6] = ["sys", "buf", "driver", "op", "task", "runtime"];

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&layer))
}

/// The top module that a file of `src` belongs to; none for the crate's root.
fn layer(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "lib").then_some(name)
}

/// Files of `op` that name something of a room above their own, or are in none. The `mod.rs` is the front of all.
pub(crate) fn climbing(mentions: &BTreeSet<Mention>) -> Vec<String> {
    let room = |file: &str| {
        let room = file.strip_prefix("src/op/")?.split('/').next()?;
        let row = ROOMS.iter().position(|row| row.contains(&room));
        (room != "mod.rs").then_some(row)
    };
    let mut found = Vec::new();
    for Mention { from, to, name } in mentions {
        let Some(below) = room(from) else { continue };
        match (below, room(to)) {
            (None, _) => found.push(format!("{from}: lies in no room of `op` that is known")),
            (Some(below), Some(Some(above))) if above > below => {
                found.push(format!("{from}: must not know `{name}` of {to}"));
            }
            _ => {}
        }
    }
    found.dedup();
    found
}

/// Names of the crate's own modules that the file must not use.
pub(crate) fn forbidden_uses(source: &Source) -> Vec<String> {
    let Some(own) = layer(&source.path) else {
        return Vec::new();
    };
    let at = |line| format!("{}:{line}", source.path);
    let Some(own_rank) = rank(own) else {
        return vec![format!("{}: `{own}` has no place among the layers", at(1))];
    };
    let mut found = Vec::new();
    for (line, name) in root_names(source) {
        let name = if name == "Error" { "error" } else { name };
        let allowed = match rank(name) {
            _ if name == own => true,
            None => {
                let at = at(line);
                found.push(format!(
                    "{at}: `crate::{name}` is no layer: name the module it comes from"
                ));
                continue;
            }
            Some(rank) => rank < own_rank && (own != STANDALONE || name == FOREIGN),
        };
        if !allowed {
            found.push(format!("{}: `{own}` must not know `{name}`", at(line)));
        }
    }
    found
}

/// Every name that is looked up at the crate's root, through `crate::` or by as many `super::` as lead there.
fn root_names(source: &Source) -> Vec<(usize, &str)> {
    let tokens = &source.tokens;
    let mut names = Vec::new();
    let file_depth = file_depth(&source.path);
    let mut braces = Vec::new(); // Whether each open brace is that of a module.
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        if token.is("{") {
            braces.push(at >= 2 && tokens[at - 2].is("mod") && tokens[at - 1].kind == Kind::Word);
        } else if token.is("}") {
            braces.pop();
        }
        let depth = file_depth + braces.iter().filter(|&&module| module).count();
        let continues = at > 0 && tokens[at - 1].is("::");
        if token.is("crate") && follows(tokens, at) {
            names_after(tokens, at + 2, &mut names);
        } else if token.is("super") && !continues {
            let mut ups = 0;
            while tokens[at].is("super") && follows(tokens, at) {
                ups += 1;
                at += 2;
            }
            if ups > 0 {
                if ups == depth {
                    names_after(tokens, at, &mut names);
                }
                continue;
            }
        }
        at += 1;
    }
    names
}

/// Whether a path goes on after `at`.
fn follows(tokens: &[Token], at: usize) -> bool {
    at + 2 < tokens.len() && tokens[at + 1].is("::")
}

/// The name at `at`, or those that a group there begins with.
fn names_after<'a>(tokens: &'a [Token], at: usize, names: &mut Vec<(usize, &'a str)>) {
    if !tokens[at].is("{") {
        names.push((tokens[at].line, &tokens[at].text));
        return;
    }
    let end = after_closing(tokens, at) - 1;
    let mut next = at + 1;
    while next < end {
        if tokens[next].kind == Kind::Word && !tokens[next].is("self") {
            names.push((tokens[next].line, &tokens[next].text));
        }
        while next < end && !tokens[next].is(",") {
            next = if tokens[next].is("{") {
                after_closing(tokens, next)
            } else {
                next + 1
            };
        }
        next += 1;
    }
}

/// How many modules deep a file of `src` is.
fn file_depth(path: &str) -> usize {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    match path.strip_suffix("/mod") {
        Some(dir) => dir.split('/').count(),
        None if path == "lib" => 0,
        None => path.split('/').count(),
    }
}

/// `unsafe` where it must not be, and modules that do not forbid it though they could.
pub(crate) fn misplaced_unsafe(source: &Source) -> Vec<String> {
    let path = &source.path;
    let proc_macros = path.starts_with("macros/src/");
    let layer = layer(path);
    if !proc_macros && layer.is_none_or(|layer| UNSAFE_LAYERS.contains(&layer)) {
        return Vec::new();
    }
    let mut found: Vec<_> = source
        .tokens
        .iter()
        .filter(|token| token.is("unsafe"))
        .map(|token| format!("{path}:{}: `unsafe` must not stand here", token.line))
        .collect();
    let is_root = path == "macros/src/lib.rs" || (!proc_macros && file_depth(path) == 1);
    if is_root && !starts_with_forbid(&source.tokens) {
        found.push(format!(
            "{path}: does not start with `#![forbid(unsafe_code)]`"
        ));
    }
    found
}

/// Whether `#![forbid(unsafe_code)]` is among the inner attributes that a file starts with.
fn starts_with_forbid(tokens: &[Token]) -> bool {
    let mut at = 0;
    while at + 2 < tokens.len() && tokens[at].is("#") && tokens[at + 1].is("!") {
        let end = after_closing(tokens, at + 2);
        let attribute = &tokens[at + 3..end - 1];
        if attribute.first().is_some_and(|word| word.is("forbid"))
            && attribute.iter().any(|word| word.is("unsafe_code"))
        {
            return true;
        }
        at = end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(path: &str, text: &str) -> Vec<String> {
        forbidden_uses(&Source::new(path, text))
    }

    fn unsafes(path: &str, text: &str) -> usize {
        misplaced_unsafe(&Source::new(path, text)).len()
    }

    #[test]
    fn lower_layers_may_be_used() {
        assert!(
            uses(
                "src/net/tcp.rs",
                "use crate::io::AsyncRead; use crate::{buf, op::{self, Op}};"
            )
            .is_empty()
        );
        assert!(
            uses(
                "src/op/read.rs",
                "use crate::Error; fn f() { crate::sys::now() }"
            )
            .is_empty()
        );
        assert!(
            uses(
                "src/op/read.rs",
                "use super::fd; mod tests { use super::super::Op; }"
            )
            .is_empty()
        );
        assert!(uses("src/task/cell.rs", "pub(in crate::task) use super::id;").is_empty());
        assert!(uses("src/lib.rs", "use crate::compat::hyper;").is_empty());
        assert!(
            uses(
                "src/op/read.rs",
                "//! See [`net`](crate::net).\nconst A: &str = \"crate::net\";"
            )
            .is_empty()
        );
    }

    #[test]
    fn upwards_and_sideways_is_found() {
        for (path, text) in [
            ("src/op/read.rs", "use crate::runtime::Runtime;"),
            ("src/op/read.rs", "use crate::{sys, net::TcpStream};"),
            ("src/op/read.rs", "fn f() { crate::fs::open() }"),
            ("src/op/read.rs", "use super::super::fs;"),
            (
                "src/op/read.rs",
                "mod tests { use super::super::super::fs; }",
            ),
            ("src/op/mod.rs", "use super::{buf::IoBuf, fs};"),
            ("src/net/mod.rs", "pub use crate::fs::File;"),
            ("src/buf/mod.rs", "use crate::sys::Entry;"),
            ("src/driver/mod.rs", "use crate::task;"),
            ("src/task/mod.rs", "use crate::sys::Entry;"),
            ("src/error.rs", "use crate::sys::Entry;"),
            (
                "src/io/mod.rs",
                "macro_rules! a { () => { $crate::compat::x() } }",
            ),
        ] {
            assert_eq!(uses(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn names_without_a_layer_are_found() {
        assert_eq!(uses("src/net/mod.rs", "use crate::spawn;").len(), 1);
        assert_eq!(uses("src/util/mod.rs", "").len(), 1);
    }

    #[test]
    fn rooms_of_op_know_only_lower_ones() {
        let found = |from: &str, to: &str| {
            let (from, to) = (format!("src/{from}.rs"), format!("src/{to}.rs"));
            let name = "A".to_owned();
            climbing(&BTreeSet::from([Mention { from, to, name }])).len()
        };
        assert_eq!(found("op/operations/read", "op/mechanism/op"), 0);
        assert_eq!(found("op/resource/fd/turns", "op/resource/slot"), 0);
        assert_eq!(found("op/mod", "op/registry"), 0);
        assert_eq!(found("op/resource/slot", "driver/mod"), 0);
        assert_eq!(found("net/mod", "op/registry"), 0);
        assert_eq!(found("op/resource/slot", "op/mechanism/op"), 1);
        assert_eq!(found("op/context", "op/operations/read"), 1);
        assert_eq!(found("op/elsewhere/a", "driver/mod"), 1);
    }

    #[test]
    fn unsafe_stands_only_in_its_layers() {
        let forbid = "//! Docs.\n\n#![forbid(unsafe_code)]\n";
        assert_eq!(unsafes("src/net/mod.rs", forbid), 0);
        assert_eq!(
            unsafes("src/net/mod.rs", &format!("#![allow(x)]{forbid}")),
            0
        );
        assert_eq!(unsafes("src/net/tcp.rs", "fn f() {}"), 0);
        assert_eq!(unsafes("src/op/mod.rs", "unsafe fn f() {}"), 0);
        assert_eq!(unsafes("src/lib.rs", "mod a;"), 0);

        assert_eq!(unsafes("src/net/mod.rs", "mod a;"), 1);
        assert_eq!(
            unsafes("src/signal/mod.rs", "// #![forbid(unsafe_code)]\nmod a;"),
            1
        );
        assert_eq!(unsafes("src/net/mod.rs", "#![deny(unsafe_code)]"), 1);
        assert_eq!(unsafes("src/net/tcp.rs", "fn f() { unsafe { g() } }"), 1);
        assert_eq!(unsafes("macros/src/lib.rs", "mod expand;"), 1);
        assert_eq!(unsafes("macros/src/expand.rs", "mod expand;"), 0);
    }
}
