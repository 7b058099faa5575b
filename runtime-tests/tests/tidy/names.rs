//! Which file defines what, and which names it: as much of Rust's name resolution as rules about who knows whom need.
//!
//! A name is followed through `use` lines, renames, groups, globs and re-exports, to the file that defines the item. Test code
//! neither defines nor names anything here. What an `impl` adds to a type of another file is no item: who calls a method does
//! not name the file that it stands in.

use std::collections::{BTreeMap, BTreeSet};

use crate::lexer::{Kind, Token};
use crate::source::{Source, after_closing};

/// One file names an item that another one defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mention {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The item, as the file that defines it calls it.
    pub(crate) name: String,
}

/// The names of modules from the crate's root on.
type Path = Vec<String>;

/// What a `use` line binds in its module, or a path somewhere in the code, with the module that it stands in.
#[derive(Clone, Debug)]
struct Named {
    module: Path,
    segments: Path,
    line: usize,
}

#[derive(Debug, Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    uses: BTreeMap<String, Vec<Path>>,
    globs: Vec<Path>,
}

/// What a path leads to.
#[derive(Clone, Debug)]
enum Target {
    Module(Path),
    Item {
        file: String,
        name: String,
    },
    /// Something of another crate.
    Foreign,
}

/// The modules of a crate.
#[derive(Debug, Default)]
pub(crate) struct Names {
    modules: BTreeMap<Path, Module>,
    /// Macros without a path: those that any file below may call by their bare name.
    macros: BTreeMap<String, BTreeSet<String>>,
    /// What each file names, its `use` lines that are no re-exports among it.
    named: BTreeMap<String, Vec<Named>>,
}

impl Names {
    pub(crate) fn new(sources: &[Source]) -> Self {
        let mut names = Names::default();
        for source in sources.iter().filter(|source| !source.is_all_test()) {
            let path = module_path(&source.path);
            names.modules.entry(path.clone()).or_default().file = source.path.clone();
            Reader::new(source, path, &mut names).read();
        }
        names
    }

    /// What files name of other files, each once.
    pub(crate) fn mentions(&self) -> BTreeSet<Mention> {
        let mut found = BTreeSet::new();
        for (from, named) in &self.named {
            for one in named {
                if let Some(Target::Item { file, name }) = self.target(one)
                    && file != *from
                {
                    found.insert(Mention {
                        from: from.clone(),
                        to: file,
                        name,
                    });
                }
            }
        }
        found
    }

    /// Paths into the crate that lead nowhere: with one of these no rule would see what is named.
    pub(crate) fn lost(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (file, named) in &self.named {
            let lost = named.iter().filter(|one| {
                ["crate", "super"].contains(&one.segments[0].as_str()) && self.target(one).is_none()
            });
            found.extend(lost.map(|one| {
                let path = one.segments.join("::");
                format!("{file}:{}: nothing is found by `{path}`", one.line)
            }));
        }
        found
    }

    fn target(&self, named: &Named) -> Option<Target> {
        let found = self.resolve(&named.module, &named.segments, &mut BTreeSet::new());
        match (found, named.segments.as_slice()) {
            (Some(Target::Foreign), [one]) => {
                let files = self.macros.get(one.strip_suffix('!')?)?;
                let file = files.iter().next().filter(|_| files.len() == 1)?;
                Some(Target::Item {
                    file: file.clone(),
                    name: one.clone(),
                })
            }
            (found, _) => found,
        }
    }

    /// What `segments` lead to from `module` on. `seen` ends names that lead to themselves, as those of other crates do.
    fn resolve(
        &self,
        module: &[String],
        segments: &[String],
        seen: &mut BTreeSet<(Path, Path)>,
    ) -> Option<Target> {
        if !seen.insert((module.to_vec(), segments.to_vec())) {
            return None;
        }
        let mut at = module.to_vec();
        let mut rest = segments;
        while let [first, after @ ..] = rest {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => break,
            }
            rest = after;
        }
        while let [first, after @ ..] = rest {
            match self.lookup(&at, first, after.is_empty(), seen) {
                Some(Target::Module(path)) => at = path,
                None if rest.len() == segments.len() => return Some(Target::Foreign),
                found => return found,
            }
            rest = after;
        }
        Some(Target::Module(at))
    }

    /// What `name` is in `module`. A module and a function may have one name: the last of a path is rather no module.
    fn lookup(
        &self,
        module: &[String],
        name: &str,
        last: bool,
        seen: &mut BTreeSet<(Path, Path)>,
    ) -> Option<Target> {
        let scope = self.modules.get(module)?;
        let name = name.trim_end_matches('!');
        let mut child = module.to_vec();
        child.push(name.to_owned());
        let child = self
            .modules
            .contains_key(&child)
            .then_some(Target::Module(child));
        if child.is_some() && !last {
            return child;
        }
        if scope.items.contains(name) {
            return Some(Target::Item {
                file: scope.file.clone(),
                name: name.to_owned(),
            });
        }
        for path in scope.uses.get(name).into_iter().flatten() {
            if let Some(found) = self.resolve(module, path, seen) {
                return Some(found);
            }
        }
        if child.is_some() {
            return child;
        }
        for path in &scope.globs {
            if let Some(Target::Module(from)) = self.resolve(module, path, seen)
                && from != module
                && let Some(found) = self.lookup(&from, name, last, seen)
            {
                return Some(found);
            }
        }
        None
    }
}

/// The module that a file of `src` is.
fn module_path(file: &str) -> Path {
    let path = file.strip_prefix("src/").unwrap_or(file);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" {
        return Vec::new();
    }
    path.split('/').map(str::to_owned).collect()
}

/// What an open brace holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Brace {
    Module,
    /// Items of the module around it, as in `thread_local! { … }`.
    Items,
    Other,
}

/// Reads one file.
struct Reader<'a> {
    source: &'a Source,
    tokens: &'a [Token],
    names: &'a mut Names,
    module: Path,
    braces: Vec<Brace>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, module: Path, names: &'a mut Names) -> Self {
        Reader {
            source,
            tokens: &source.tokens,
            names,
            module,
            braces: Vec::new(),
        }
    }

    fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(text))
    }

    /// As `is`, counted backwards.
    fn was(&self, at: usize, back: usize, text: &str) -> bool {
        at >= back && self.is(at - back, text)
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        let token = self.tokens.get(at)?;
        (token.kind == Kind::Word).then_some(token.text.as_str())
    }

    fn read(mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            at = if self.source.is_test(at) {
                at + 1
            } else {
                self.step(at)
            };
        }
    }

    /// Reads what is at `at`, and tells where the next begins.
    fn step(&mut self, at: usize) -> usize {
        if self.is(at, "{") {
            self.open(at);
        } else if self.is(at, "}") {
            if self.braces.pop() == Some(Brace::Module) {
                self.module.pop();
            }
        } else if self.is(at, "use") && !self.is(at + 1, "<") {
            return self.use_line(at);
        } else if self.is(at, "mod") && self.is(at + 2, ";") {
            return at + 3;
        } else if let Some(name) = self.definition(at) {
            let items_here = self.braces.iter().all(|&brace| brace != Brace::Other);
            if items_here {
                self.scope().items.insert(name.to_owned());
            }
        } else if self.word(at).is_some() {
            return self.path(at);
        }
        at + 1
    }

    fn scope(&mut self) -> &mut Module {
        let scope = self.names.modules.entry(self.module.clone()).or_default();
        scope.file.clone_from(&self.source.path);
        scope
    }

    fn open(&mut self, at: usize) {
        let brace = if self.was(at, 2, "mod") {
            self.module.extend(self.word(at - 1).map(str::to_owned));
            self.scope();
            Brace::Module
        } else if self.was(at, 1, "!") && self.was(at, 2, "thread_local") {
            Brace::Items
        } else {
            Brace::Other
        };
        self.braces.push(brace);
    }

    /// The item that is defined at `at`, where its name stands. Macros are filed beside the others, too.
    fn definition(&mut self, at: usize) -> Option<&'a str> {
        const KEYWORDS: [&str; 8] = [
            "struct", "enum", "union", "trait", "fn", "const", "static", "type",
        ];
        let name = self.word(at)?;
        if self.was(at, 1, "!") && self.was(at, 2, "macro_rules") {
            let files = self.names.macros.entry(name.to_owned()).or_default();
            files.insert(self.source.path.clone());
            return Some(name);
        }
        let defined = KEYWORDS.iter().any(|&keyword| self.was(at, 1, keyword))
            || (self.was(at, 1, "mut") && self.was(at, 2, "static"));
        (defined && !KEYWORDS.contains(&name)).then_some(name)
    }

    /// A path that begins at `at`: what it names, and where it ends.
    fn path(&mut self, at: usize) -> usize {
        let mut segments = Vec::new();
        let mut end = at;
        while let Some(word) = self.word(end) {
            segments.push(word.to_owned());
            if !(self.is(end + 1, "::") && self.word(end + 2).is_some()) {
                break;
            }
            end += 2;
        }
        // A field or a method, but not the end of a range; the rest of a path; a variable of a macro.
        let follows = (self.was(at, 1, ".") && !self.was(at, 2, "."))
            || self.was(at, 1, "::")
            || (self.was(at, 1, "$") && segments[0] != "crate");
        if !follows {
            if self.is(end + 1, "!") && !self.is(end + 2, "=") {
                segments.last_mut().expect("one at least").push('!');
            }
            self.name(segments, self.tokens[at].line);
        }
        end + 1
    }

    fn name(&mut self, segments: Path, line: usize) {
        let named = self.names.named.entry(self.source.path.clone());
        named.or_default().push(Named {
            module: self.module.clone(),
            segments,
            line,
        });
    }

    /// A `use` line: binds its names, and names what it imports unless that is for others: a `mod.rs` that re-exports is a
    /// facade, and needs none of it itself.
    fn use_line(&mut self, at: usize) -> usize {
        let public = self.was(at, 1, "pub")
            || (self.was(at, 1, ")") && (2..8).any(|back| self.was(at, back, "pub")));
        let facade = self.source.path.ends_with("/mod.rs") || self.source.path == "src/lib.rs";
        let mut end = at;
        while end < self.tokens.len() && !self.is(end, ";") {
            end = if self.is(end, "{") {
                after_closing(self.tokens, end)
            } else {
                end + 1
            };
        }
        if self.is(at + 1, "::") {
            return end + 1; // Of another crate for sure.
        }
        let mut leaves = Vec::new();
        self.leaves(at + 1, &[], &mut leaves);
        for (name, segments) in leaves {
            if !(public && facade) {
                self.name(segments.clone(), self.tokens[at].line);
            }
            match name {
                Some(name) => {
                    let paths = self.scope().uses.entry(name).or_default();
                    paths.push(segments);
                }
                None => self.scope().globs.push(segments),
            }
        }
        end + 1
    }

    /// The names that a tree of a `use` line binds, without a name for a glob, each with its path. Tells where it ends.
    fn leaves(
        &self,
        mut at: usize,
        before: &[String],
        found: &mut Vec<(Option<String>, Path)>,
    ) -> usize {
        let mut path = before.to_vec();
        while let Some(word) = self.word(at) {
            at += 1;
            if word != "self" || path.is_empty() {
                path.push(word.to_owned());
            }
            if self.is(at, "::") {
                at += 1;
                continue;
            }
            let name = if self.is(at, "as") {
                at += 2;
                self.word(at - 1).map(str::to_owned)
            } else {
                path.last().cloned()
            };
            found.push((name, path));
            return at;
        }
        if self.is(at, "*") {
            found.push((None, path));
            return at + 1;
        }
        if self.is(at, "{") {
            at += 1;
            while at < self.tokens.len() && !self.is(at, "}") {
                at = self.leaves(at, &path, found);
                if self.is(at, ",") {
                    at += 1;
                }
            }
        }
        at + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate of files, each with its text, and what they name of each other: `from`, `to` and the name.
    fn mentions(files: &[(&str, &str)]) -> Vec<(String, String, String)> {
        let names = names(files);
        assert_eq!(names.lost(), [""; 0]);
        let short = |path: &str| path.trim_start_matches("src/").to_owned();
        let found = names.mentions().into_iter();
        found
            .map(|one| (short(&one.from), short(&one.to), one.name))
            .collect()
    }

    fn names(files: &[(&str, &str)]) -> Names {
        let sources = files.iter().map(|(path, text)| Source::new(path, text));
        Names::new(&sources.collect::<Vec<_>>())
    }

    /// What `text`, in `src/op/a.rs`, names in a small crate.
    fn named_by(text: &str) -> Vec<String> {
        let files = [
            ("src/lib.rs", "mod op; mod sys; pub use op::Read;"),
            (
                "src/op/mod.rs",
                "mod a; mod read; mod deep;
                pub(crate) use read::{Read, len as length}; pub use deep::*; use std::io;
                pub trait Operation {}",
            ),
            (
                "src/op/read.rs",
                "pub struct Read; fn len() {} const ALL: u8 = 0;",
            ),
            (
                "src/op/deep/mod.rs",
                "mod down; pub use down::Down; pub fn deep() {}",
            ),
            ("src/op/deep/down.rs", "pub enum Down { Here }"),
            (
                "src/sys/mod.rs",
                "mod clock; pub use clock::*; pub use io_uring::opcode;",
            ),
            (
                "src/sys/clock.rs",
                "std::thread_local! { static NOW: u8 = const { 0 } } fn now() {}",
            ),
            ("src/op/a.rs", text),
        ];
        let found = mentions(&files).into_iter();
        found
            .filter(|(from, ..)| from == "op/a.rs")
            .map(|(_, to, name)| format!("{name} of {to}"))
            .collect()
    }

    #[test]
    fn names_are_followed_to_the_file_that_defines_them() {
        const READ: &str = "Read of op/read.rs";
        for (text, expected) in [
            ("use super::Read;", READ),
            ("use crate::op::Read as R;", READ),
            ("use crate::{op::{self, read::{Read}}};", READ),
            ("use crate::Read;", READ),
            ("use super::read; fn f(a: read::Read) {}", READ),
            ("fn f() { let a = crate::op::Read::new::<u8>(); }", READ),
            ("mod inner { use super::super::Read; }", READ),
            ("mod inner { use super::Read; } use super::Read;", READ),
            ("fn f() { use super::Read; }", READ),
            ("pub(crate) use super::Read;", READ),
            ("use super::*; fn f(a: Read) {}", READ),
            ("macro_rules! m { () => { $crate::Read } }", READ),
            (
                "impl super::Operation for super::Read {}",
                "Operation of op/mod.rs, Read of op/read.rs",
            ),
            ("use super::length;", "len of op/read.rs"),
            ("fn f() { 0..super::read::ALL }", "ALL of op/read.rs"),
            ("use super::Down::Here;", "Down of op/deep/down.rs"),
            ("use crate::op::Operation;", "Operation of op/mod.rs"),
            (
                "use super::deep; fn f() { deep::deep() }",
                "deep of op/deep/mod.rs",
            ),
            (
                "use crate::sys; fn f() { sys::now() }",
                "now of sys/clock.rs",
            ),
            ("use crate::sys::NOW;", "NOW of sys/clock.rs"),
        ] {
            assert_eq!(named_by(text).join(", "), expected, "{text}");
        }
    }

    #[test]
    fn what_names_nothing_of_another_file_is_told_apart() {
        for text in [
            "mod inner; pub(in crate::op) fn f() {}",
            "use super::read; use crate::sys::{self, opcode}; use super::io;",
            "/// See [`Read`](super::Read).\nconst A: &str = \"super::Read\";",
            "#[cfg(test)]\nmod tests { use super::super::Read; }",
            "struct Read; fn f() -> Read { self::Read }",
            "fn f() -> u8 { a.Read + other::Read }",
            "use std::io::Read; fn f<R: Read>() {}",
            "use opcode::Read; use libc; fn f() { libc::now(); opcode::Read::CODE; }",
        ] {
            assert_eq!(named_by(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_facade_names_only_what_its_own_code_uses() {
        let with = |facade| {
            let found = mentions(&[
                ("src/op/mod.rs", facade),
                ("src/op/read.rs", "pub struct Read;"),
            ]);
            found.len()
        };
        assert_eq!(with("mod read; pub use read::Read;"), 0);
        assert_eq!(with("mod read; pub(crate) use read::Read as R;"), 0);
        assert_eq!(with("mod read; use read::Read;"), 1);
        assert_eq!(with("mod read; pub use read::Read; fn f(a: Read) {}"), 1);
        assert_eq!(with("mod read; fn f(a: read::Read) {}"), 1);
    }

    #[test]
    fn macros_are_named_by_those_that_call_them() {
        let found = mentions(&[
            ("src/net/mod.rs", "mod stream; mod tcp;"),
            ("src/net/stream.rs", "macro_rules! methods { () => {} }"),
            ("src/net/tcp.rs", "methods!(); fn f() { a.methods != b }"),
        ]);
        let expected = ("net/tcp.rs", "net/stream.rs", "methods!");
        assert_eq!(
            found,
            [(
                expected.0.to_owned(),
                expected.1.to_owned(),
                expected.2.to_owned()
            )]
        );
    }

    #[test]
    fn paths_that_lead_nowhere_are_found() {
        let lost = |text| names(&[("src/op/mod.rs", "mod a;"), ("src/op/a.rs", text)]).lost();
        assert_eq!(lost("use super::Made;").len(), 1);
        assert_eq!(lost("fn f() { crate::op::made() }").len(), 1);
        assert_eq!(lost("use super::super::super::Made;").len(), 1);
        assert!(lost("pub(super) fn f() { made(); self::f() }").is_empty());
    }
}
