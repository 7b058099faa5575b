//! What the documents beside the sources must say.

use std::collections::BTreeSet;

/// Whether `word` stands in `text` by itself, not as a part of a longer one.
fn names(text: &str, word: &str) -> bool {
    let belongs = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(belongs) && !text[at + word.len()..].starts_with(belongs)
    })
}

/// The names of a manifest's dependencies, of whatever kind and platform, its own workspace's crates aside.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut in_table = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            in_table = header.ends_with("dependencies");
            if let Some((table, name)) = header.rsplit_once('.')
                && table.ends_with("dependencies")
            {
                found.push(name);
            }
        } else if in_table
            && !line.starts_with('#')
            && let Some((name, value)) = line.split_once('=')
            && !value.contains("path =")
        {
            found.push(name.trim().split('.').next().unwrap_or_default());
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

pub(crate) fn unexplained_dependencies(manifest: &str, design: &str) -> Vec<String> {
    let found = dependencies(manifest)
        .into_iter()
        .filter(|name| !names(design, name));
    found
        .map(|name| format!("Cargo.toml: DESIGN.md does not say what `{name}` is for"))
        .collect()
}

pub(crate) fn unnamed_examples<'a>(
    examples: impl IntoIterator<Item = &'a str>,
    readme: &str,
) -> Vec<String> {
    let missing = examples.into_iter().filter(|name| !names(readme, name));
    missing
        .map(|name| format!("examples/{name}.rs: README.md does not name it"))
        .collect()
}

/// What stands between backquotes in a text, with the number of its line.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines());
    lines.flat_map(|(number, line)| {
        let spans = line.split('`').skip(1).step_by(2);
        spans.map(move |span| (number, span))
    })
}

/// Files of the sources that a document names and that are not there: `op/operations/read.rs` is one of `src`.
pub(crate) fn missing_files(document: &str, text: &str, files: &BTreeSet<&str>) -> Vec<String> {
    let is_there = |name: &str| {
        let at_end = |file: &&str| {
            file.strip_suffix(name)
                .is_some_and(|dir| dir.is_empty() || dir.ends_with('/'))
        };
        files.iter().any(at_end)
    };
    let named =
        quoted(text).filter(|(_, span)| span.ends_with(".rs") && !span.contains(['<', '*', ' ']));
    named
        .filter(|(_, span)| !is_there(span))
        .map(|(number, span)| format!("{document}:{number}: there is no file `{span}`"))
        .collect()
}

/// Items that a document names by their path, as `Flight::start`, and of which the sources have no such word.
pub(crate) fn missing_items(document: &str, text: &str, words: &BTreeSet<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for (number, span) in quoted(text) {
        let path = span.split(['(', '<', ' ', '{']).next().unwrap_or(span);
        let is_path =
            path.contains("::") && path.split("::").all(|word| word.chars().all(is_of_word));
        if is_path && !path.split("::").all(|word| words.contains(word)) {
            found.push(format!("{document}:{number}: the sources have no `{path}`"));
        }
    }
    found
}

/// Suppressions of sanitizers that name something of ours which is not there any more, so that they suppress nothing.
pub(crate) fn stale_suppressions(script: &str, words: &BTreeSet<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(script.lines()) {
        let leak = line.strip_prefix("leak:");
        let race = line.strip_prefix("race:");
        let ours = leak.or(race.filter(|path| path.starts_with("saferring")));
        let mut path = ours.into_iter().flat_map(|path| path.split("::"));
        if path.any(|word| !word.is_empty() && !words.contains(word)) {
            found.push(format!(
                ".ci/sanitize:{number}: nothing is called so: {line}"
            ));
        }
    }
    found
}

fn is_of_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Departures from Keep a Changelog.
pub(crate) fn changelog_faults(text: &str) -> Vec<String> {
    const KINDS: [&str; 6] = [
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    ];
    let mut faults = Vec::new();
    if !text.starts_with("# Changelog\n") {
        faults.push("CHANGELOG.md: does not start with `# Changelog`".to_owned());
    }
    let mut versions = 0;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(version) = line.strip_prefix("## ") {
            versions += 1;
            let unreleased = version == "[Unreleased]";
            if unreleased != (versions == 1) || !(unreleased || is_release(version)) {
                faults.push(format!(
                    "CHANGELOG.md:{number}: `[Unreleased]` comes first, then `[1.2.3] - 2026-01-31` and older: {line}"
                ));
            }
        } else if let Some(kind) = line.strip_prefix("### ")
            && (versions == 0 || !KINDS.contains(&kind))
        {
            faults.push(format!(
                "CHANGELOG.md:{number}: not one of {}: {line}",
                KINDS.join(", ")
            ));
        }
    }
    if versions == 0 {
        faults.push("CHANGELOG.md: has no `## [Unreleased]`".to_owned());
    }
    faults
}

/// `[1.2.3] - 2026-01-31`
fn is_release(version: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = version
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] - "));
    parts.is_some_and(|(version, date)| {
        let core = version.split(['-', '+']).next().unwrap_or_default();
        let date: Vec<_> = date.split('-').collect();
        core.split('.').count() == 3
            && core.split('.').all(number)
            && date.iter().map(|part| part.len()).eq([4, 2, 2])
            && date.into_iter().all(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_all_kinds_are_read() {
        let manifest = r#"
            [features]
            macros = ["dep:own"]
            [dependencies]
            slab = "0.4"
            # rand = "0.9"
            own = { version = "0.1", path = "own" }
            socket2 = { version = "0.6", features = ["all"] }
            serde.workspace = true
            [dependencies.libc]
            version = "0.2"
            [target.'cfg(loom)'.dependencies]
            loom = "0.7"
            [dev-dependencies]
            lexopt = "0.3"
        "#;
        let found = dependencies(manifest);
        assert_eq!(
            found,
            ["lexopt", "libc", "loom", "serde", "slab", "socket2"]
        );
    }

    #[test]
    fn unexplained_dependencies_are_found() {
        let manifest = "[dependencies]\nslab = \"0.4\"\n";
        assert!(unexplained_dependencies(manifest, "`slab` holds the table").is_empty());
        assert_eq!(
            unexplained_dependencies(manifest, "a slab-like table, slabs").len(),
            1
        );
    }

    #[test]
    fn unnamed_examples_are_found() {
        assert!(unnamed_examples(["echo"], "run `cargo run --example echo`").is_empty());
        assert_eq!(unnamed_examples(["echo"], "run `echo_server`").len(), 1);
    }

    #[test]
    fn files_that_are_not_there_are_found() {
        let files = BTreeSet::from(["src/op/read.rs", "runtime-tests/tests/tidy.rs"]);
        let missing = |text| missing_files("D.md", text, &files);
        let there = "`op/read.rs`, `src/op/read.rs` and `tidy.rs`, `cargo doc`, op/write.rs, `src/op/<name>.rs`";
        assert_eq!(missing(there), [""; 0]);
        assert_eq!(
            missing("one\nsee `op/recv.rs`"),
            ["D.md:2: there is no file `op/recv.rs`"]
        );
        assert_eq!(missing("`p/read.rs`, `read.rs`").len(), 1);
    }

    #[test]
    fn items_that_are_not_there_are_found() {
        let words = BTreeSet::from(["Flight", "start", "std", "Vec"]);
        let missing = |text| missing_items("D.md", text, &words);
        let there =
            "`Flight::start(cx)`, `std::Vec<u8>` and `Flight`, `begin`, Flight::begin, `a b::c`";
        assert_eq!(missing(there), [""; 0]);
        assert_eq!(missing("`Flight::begin`, `Fly::start`").len(), 2);
    }

    #[test]
    fn suppressions_of_what_is_gone_are_found() {
        let words = BTreeSet::from(["saferring", "buf", "hazard_02", "model"]);
        let stale = |script| stale_suppressions(script, &words).len();
        assert_eq!(
            stale("leak:hazard_02\nleak:model::\nrace:saferring::buf::\nrace:std::sync\n# leak: x"),
            0
        );
        assert_eq!(stale("leak:hazard_03\nrace:saferring::buf::shelf::"), 2);
    }

    #[test]
    fn faults_of_a_changelog_are_found() {
        let good = "# Changelog\n\n## [Unreleased]\n\n### Added\n- A.\n\n## [0.1.0] - 2026-01-31\n\n### Fixed\n- B.\n";
        assert!(
            changelog_faults(good).is_empty(),
            "{:?}",
            changelog_faults(good)
        );
        for (old, new) in [
            ("# Changelog", "# Changes"),
            ("## [Unreleased]\n", ""),
            ("## [Unreleased]", "## Unreleased"),
            ("### Added", "### New"),
            ("### Fixed", "## [Unreleased]"),
            ("[0.1.0] - 2026-01-31", "0.1.0"),
            ("2026-01-31", "January"),
        ] {
            let faults = changelog_faults(&good.replacen(old, new, 1));
            assert!(!faults.is_empty(), "{old:?} -> {new:?}");
        }
        assert_eq!(changelog_faults("# Changelog\n").len(), 1);
    }
}
