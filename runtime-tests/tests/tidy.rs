//! The house's rules, kept by reading the sources as text.
//!
//! Each rule is a function over strings, with unit tests that show it fail; the tests here apply the rules to the
//! workspace. To make one pass, change the code, not the rule.

#[path = "tidy/accounts.rs"]
mod accounts;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/foreign.rs"]
mod foreign;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/operations.rs"]
mod operations;
#[path = "tidy/public.rs"]
mod public;
#[path = "tidy/rings.rs"]
mod rings;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/style.rs"]
mod style;
#[path = "tidy/unsafes.rs"]
mod unsafes;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use accounts::Exempt;
use names::Names;
use public::Unnamed;
use source::Source;
use style::Allowed;

/// Calls in `src` that look as if they could panic on what a user or the kernel does.
const PANICKING_CALLS: &[Allowed] = &[];

/// Tests at whose end it is not looked what they leave behind.
const UNACCOUNTED: &[Exempt] = &[
    Exempt {
        below: "runtime-tests/src/accounts.rs",
        reason: "tests of that very look",
    },
    Exempt {
        below: "runtime-tests/src/both.rs",
        reason: "runs beside the others, whose ends would be its own; its process has its own look at each",
    },
    Exempt {
        below: "runtime-tests/tests/compile_fail.rs",
        reason: "its programs do not even compile",
    },
    Exempt {
        below: "runtime-tests/tests/model",
        reason: "each program is looked after by `world::attempt`, which knows what was forgotten",
    },
    Exempt {
        below: "runtime-tests/tests/tidy",
        reason: "reads files, and has no runtime",
    },
    Exempt {
        below: "runtime-tests/tests/ui/",
        reason: "programs that do not compile",
    },
];

/// Test binaries that do not run on the software ring by themselves.
const ONE_RING: &[Exempt] = &[
    Exempt {
        below: "runtime-tests/tests/compile_fail.rs",
        reason: "makes no runtime",
    },
    Exempt {
        below: "runtime-tests/tests/fallback.rs",
        reason: "is about how a backend is chosen, whatever the environment says",
    },
    Exempt {
        below: "runtime-tests/tests/tidy.rs",
        reason: "makes no runtime",
    },
];

/// Public functions that no test calls.
const UNNAMED: &[Unnamed] = &[
    Unnamed {
        name: "abandon",
        reason: CONTRACT,
    },
    Unnamed {
        name: "abandon_next",
        reason: CONTRACT,
    },
    Unnamed {
        name: "complete",
        reason: CONTRACT,
    },
    Unnamed {
        name: "has_stashed",
        reason: CONTRACT,
    },
    Unnamed {
        name: "into_result",
        reason: "of a sealed trait, which Cores::run calls",
    },
    Unnamed {
        name: "raw_fd",
        reason: CONTRACT,
    },
    Unnamed {
        name: "run_main",
        reason: "what `#[saferring::main(cores = …)]` calls",
    },
    Unnamed {
        name: "shutdown_write",
        reason: HIDDEN,
    },
];

const CONTRACT: &str = "of a trait between operations and the driver, which nobody else can call";
const HIDDEN: &str = "of a trait that is public for bounds alone, and that no path leads to";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Rust files below `dir`, sorted by path.
fn sources(dir: &str) -> Vec<Source> {
    let mut found = Vec::new();
    read_dir(dir, &mut found);
    assert!(!found.is_empty(), "no sources in {dir}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    mark_test_modules(&mut found);
    found
}

fn read_dir(dir: &str, found: &mut Vec<Source>) {
    let entries = fs::read_dir(root().join(dir)).unwrap_or_else(|error| panic!("{dir}: {error}"));
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            read_dir(&path, found);
        } else if path.ends_with(".rs") {
            found.push(Source::new(
                &path,
                &fs::read_to_string(entry.path()).unwrap(),
            ));
        }
    }
}

/// A file whose `mod` line is for tests only is a test, and so are those below it.
fn mark_test_modules(sources: &mut [Source]) {
    loop {
        let mut tests = BTreeSet::new();
        for source in &*sources {
            for (name, is_test) in source.mod_lines() {
                if is_test {
                    tests.extend(source.child_paths(name));
                }
            }
        }
        let mut changed = false;
        for source in &mut *sources {
            if tests.contains(&source.path) && !source.is_all_test() && !source.tokens.is_empty() {
                source.set_test();
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// The files of a crate that no `mod` line leads to, so that the compiler never sees them.
fn undeclared(sources: &[Source]) -> Vec<String> {
    let declared: BTreeSet<_> = sources
        .iter()
        .flat_map(|source| {
            let lines = source.mod_lines().into_iter();
            lines
                .flat_map(|(name, _)| source.child_paths(name))
                .collect::<Vec<_>>()
        })
        .collect();
    sources
        .iter()
        .map(|source| &source.path)
        .filter(|path| !path.ends_with("src/lib.rs") && !declared.contains(*path))
        .map(|path| format!("{path}: has no `mod` line"))
        .collect()
}

#[track_caller]
fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// The crates around the library.
const CRATES: [&str; 4] = ["axum", "compat", "hyper", "tls"];
const CRATES_WITH_EXAMPLES: [&str; 3] = ["axum", "hyper", "tls"];

/// What is compiled into the published crates.
fn published() -> Vec<Source> {
    let mut all = sources("src");
    all.extend(sources("macros/src"));
    for name in CRATES {
        all.extend(sources(&format!("crates/{name}/src")));
    }
    all
}

#[test]
fn modules_know_only_lower_layers() {
    assert_none(
        sources("src")
            .iter()
            .flat_map(layers::forbidden_uses)
            .collect(),
    );
}

#[test]
fn no_file_knows_one_that_knows_it() {
    let names = Names::new(&sources("src"));
    let mut found = names.lost();
    found.extend(circles::told(&names.mentions()));
    assert_none(found);
}

#[test]
fn folders_within_a_layer_know_each_other_one_way() {
    let mentions = Names::new(&sources("src")).mentions();
    let mut found = circles::told(&circles::between_folders(&mentions));
    found.extend(layers::climbing(&mentions));
    assert_none(found);
}

#[test]
fn an_operation_is_a_feature() {
    assert_none(operations::without_a_feature(&sources("src")));
}

#[test]
fn an_operation_is_one_file() {
    let sources = sources("src");
    let mentions = Names::new(&sources).mentions();
    let exceptions = operations::EXCEPTIONS;
    let mut used = vec![false; exceptions.len()];
    let mut found = operations::misplaced(&sources);
    found.extend(operations::named_elsewhere(
        &sources, &mentions, exceptions, &mut used,
    ));
    for (exception, used) in exceptions.iter().zip(used) {
        let (file, operation) = (exception.file, exception.operation);
        assert!(!exception.reason.is_empty(), "{file}: no reason given");
        if !used {
            found.push(format!(
                "{file}: does not name `{operation}` any more: take it off the list"
            ));
        }
    }
    assert_none(found);
}

#[test]
fn unsafe_stands_only_where_it_may() {
    assert_none(
        published()
            .iter()
            .flat_map(layers::misplaced_unsafe)
            .collect(),
    );
}

#[test]
fn unsafe_blocks_are_counted_in_the_design() {
    let untrue = unsafes::untrue_table(&sources("src"), &document("DESIGN.md"));
    assert_none(untrue.into_iter().collect());
}

#[test]
fn files_are_short() {
    let mut all = published();
    all.extend(sources("examples"));
    for name in CRATES_WITH_EXAMPLES {
        all.extend(sources(&format!("crates/{name}/examples")));
    }
    all.extend(sources("benches"));
    assert_none(all.iter().filter_map(style::long_file).collect());
}

#[test]
fn functions_are_short() {
    let mut all = published();
    all.extend(sources("examples"));
    for name in CRATES_WITH_EXAMPLES {
        all.extend(sources(&format!("crates/{name}/examples")));
    }
    all.extend(sources("benches"));
    assert_none(all.iter().flat_map(style::long_functions).collect());
}

#[test]
fn nothing_is_left_behind() {
    let dirs = [
        "src",
        "macros",
        "crates",
        "runtime-tests",
        "benches",
        "examples",
    ];
    let all = dirs.into_iter().flat_map(sources);
    assert_none(all.flat_map(|source| style::banned(&source)).collect());
}

#[test]
fn nothing_panics_on_what_a_user_or_the_kernel_does() {
    let mut used = vec![false; PANICKING_CALLS.len()];
    let mut found = Vec::new();
    for source in sources("src") {
        found.extend(style::panicking_calls(&source, PANICKING_CALLS, &mut used));
    }
    for (allowed, used) in PANICKING_CALLS.iter().zip(used) {
        assert!(
            !allowed.reason.is_empty(),
            "{}: no reason given",
            allowed.below
        );
        if !used {
            found.push(format!(
                "{}: no call `{}` any more: take it off the list",
                allowed.below, allowed.code
            ));
        }
    }
    assert_none(found);
}

#[test]
fn every_test_is_accounted_for() {
    let mut used = vec![false; UNACCOUNTED.len()];
    let mut found = Vec::new();
    for source in sources("runtime-tests") {
        found.extend(accounts::unaccounted(&source, UNACCOUNTED, &mut used));
    }
    for (exempt, used) in UNACCOUNTED.iter().zip(used) {
        let below = exempt.below;
        assert!(!exempt.reason.is_empty(), "{below}: no reason given");
        if !used {
            found.push(format!("{below}: needs no exception: take it off the list"));
        }
    }
    assert_none(found);
}

#[test]
fn every_test_binary_runs_on_both_rings() {
    let mut used = vec![false; ONE_RING.len()];
    let sources = sources("runtime-tests");
    let found = sources.iter();
    let mut found: Vec<_> = found
        .filter_map(|source| rings::on_one_ring(source, ONE_RING, &mut used))
        .collect();
    for (exempt, used) in ONE_RING.iter().zip(used) {
        assert!(
            !exempt.reason.is_empty(),
            "{}: no reason given",
            exempt.below
        );
        if !used {
            found.push(format!("{}: needs no exception", exempt.below));
        }
    }
    for one in saferring_tests::KERNEL_ONLY {
        if one.reason.is_empty() {
            found.push(format!("{} of {}: no reason given", one.test, one.binary));
        }
    }
    assert_none(found);
}

#[test]
fn wakers_are_named_and_panics_caught_in_few_files() {
    let sources = sources("src");
    let mut found = Vec::new();
    for source in &sources {
        found.extend(foreign::named_wakers(source, foreign::WAKER_FILES));
        found.extend(foreign::caught_panics(source, foreign::CATCHING_FILES));
    }
    for (files, word) in [
        (foreign::WAKER_FILES, "Waker"),
        (foreign::CATCHING_FILES, "catch_unwind"),
    ] {
        let unexplained = files.iter().filter(|file| file.reason.is_empty());
        found.extend(unexplained.map(|file| format!("{}: no reason given", file.path)));
        found.extend(foreign::unneeded(files, word, &sources));
    }
    assert_none(found);
}

#[test]
fn foreign_code_runs_at_listed_places() {
    let mut used = vec![false; foreign::SITES.len()];
    let mut found = Vec::new();
    for source in sources("src") {
        found.extend(foreign::unlisted(&source, foreign::SITES, &mut used));
    }
    for (site, used) in foreign::SITES.iter().zip(used) {
        let (path, function, does) = (site.path, site.function, site.does);
        if site.reason.is_empty() {
            found.push(format!("{path}: `{function}` ({does:?}): no reason given"));
        }
        if !used {
            found.push(format!(
                "{path}: `{function}` does no {does:?} any more: take it off the list"
            ));
        }
    }
    assert_none(found);
}

#[test]
fn every_public_function_is_called_by_a_test() {
    let mut tests = sources("runtime-tests/tests");
    tests.iter_mut().for_each(Source::set_test);
    // Here they are listed and not called.
    tests.retain(|source| !source.path.starts_with("runtime-tests/tests/tidy"));
    let published = sources("src");
    let words = tests.iter().chain(&published);
    let words = words.flat_map(public::tested_words).collect();
    let functions = published
        .iter()
        .flat_map(public::public_functions)
        .collect();
    assert_none(public::untested(&functions, &words, UNNAMED));
}

#[test]
fn every_file_has_a_mod_line() {
    assert_none(undeclared(&sources("src")));
    assert_none(undeclared(&sources("macros/src")));
    for name in CRATES {
        assert_none(undeclared(&sources(&format!("crates/{name}/src"))));
    }
}

#[test]
fn the_changelog_is_kept() {
    assert_none(documents::changelog_faults(&document("CHANGELOG.md")));
}

#[test]
fn every_dependency_has_its_reason() {
    assert_none(documents::unexplained_dependencies(
        &document("Cargo.toml"),
        &document("DESIGN.md"),
    ));
}

#[test]
fn documents_name_what_is_there() {
    let dirs = [
        "src",
        "macros",
        "crates",
        "runtime-tests",
        "benches",
        "examples",
    ];
    let sources: Vec<_> = dirs.into_iter().flat_map(sources).collect();
    let files = sources.iter().map(|source| &*source.path).collect();
    let words = sources.iter().flat_map(|source| &source.tokens);
    let words = words.map(|token| &*token.text);
    let modules = sources
        .iter()
        .flat_map(|source| source.path.split(['/', '.']));
    let words = words.chain(modules).collect();
    let mut found = Vec::new();
    for name in ["DESIGN.md", "CONTRIBUTING.md", "README.md", "src/lib.rs"] {
        let text = document(name);
        found.extend(documents::missing_files(name, &text, &files));
        found.extend(documents::missing_items(name, &text, &words));
    }
    let script = document(".ci/sanitize");
    found.extend(documents::stale_suppressions(&script, &words));
    assert_none(found);
}

#[test]
fn every_example_is_in_the_readme() {
    let examples = sources("examples");
    let names = examples.iter().map(|source| {
        let path = source.path.trim_start_matches("examples/");
        path.split(['/', '.']).next().unwrap_or(path)
    });
    assert_none(documents::unnamed_examples(names, &document("README.md")));
}

#[test]
fn files_without_a_mod_line_are_found() {
    let files = |lines| {
        [
            Source::new("src/lib.rs", "mod op;"),
            Source::new("src/op/mod.rs", lines),
            Source::new("src/op/read.rs", "unsafe impl Operation for Read {}"),
        ]
    };
    assert!(undeclared(&files("mod read;")).is_empty());
    assert_eq!(undeclared(&files("// mod read;")).len(), 1);
}

#[test]
fn test_modules_in_files_of_their_own_are_tests() {
    let mut files = [
        Source::new("src/lib.rs", "mod task;"),
        Source::new("src/task/mod.rs", "#[cfg(test)]\nmod tests;\nmod cell;"),
        Source::new("src/task/tests.rs", "mod deep;"),
        Source::new("src/task/tests/deep.rs", "fn f() {}"),
        Source::new("src/task/cell.rs", "fn f() {}"),
    ];
    mark_test_modules(&mut files);
    let tests: Vec<_> = files.iter().map(Source::is_all_test).collect();
    assert_eq!(tests, [false, false, true, true, false]);
}
