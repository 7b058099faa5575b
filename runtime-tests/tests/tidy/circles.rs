//! Files that know each other, directly or by way of others, cannot be read one at a time: there are none.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::Mention;

/// Files of which each leads to each other, and the mentions among them.
#[derive(Debug, PartialEq, Eq)]
struct Circle<'a> {
    files: BTreeSet<&'a str>,
    ties: BTreeMap<(&'a str, &'a str), Vec<&'a str>>,
}

impl Circle<'_> {
    fn describe(&self) -> String {
        let files: Vec<_> = self.files.iter().copied().collect();
        let mut text = format!("these know each other: {}", files.join(", "));
        for ((from, to), names) in &self.ties {
            text += &format!("\n    {from} names of {to}: {}", names.join(", "));
        }
        text
    }
}

/// The same mentions among the folders of each layer, and the files that lie beside them: `src/op/turn`, not what is in it.
/// The `mod.rs` of the layer is its front, which belongs to none.
pub(crate) fn between_folders(mentions: &BTreeSet<Mention>) -> BTreeSet<Mention> {
    let room = |file: &str| {
        let mut parts = file.split('/');
        let layer = format!("{}/{}", parts.next()?, parts.next()?);
        let room = parts.next().filter(|&name| name != "mod.rs")?;
        Some((layer.clone(), format!("{layer}/{room}")))
    };
    let mut found = BTreeSet::new();
    for mention in mentions {
        let (Some((layer, from)), Some((same, to))) = (room(&mention.from), room(&mention.to))
        else {
            continue;
        };
        let has_folder = [&from, &to].iter().any(|room| !room.ends_with(".rs"));
        if layer == same && from != to && has_folder {
            let name = format!("{} ({})", mention.name, mention.from);
            found.insert(Mention { from, to, name });
        }
    }
    found
}

fn circles(mentions: &BTreeSet<Mention>) -> Vec<Circle<'_>> {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for mention in mentions {
        known.entry(&mention.from).or_default().insert(&mention.to);
    }
    let reached: BTreeMap<_, _> = known
        .keys()
        .map(|&file| (file, reach(file, &known)))
        .collect();
    let leads = |from: &str, to: &str| reached.get(from).is_some_and(|files| files.contains(to));
    let mut found: Vec<Circle> = Vec::new();
    for &file in known.keys().filter(|file| leads(file, file)) {
        if found.iter().any(|circle| circle.files.contains(file)) {
            continue;
        }
        let files: BTreeSet<_> = reached[file]
            .iter()
            .copied()
            .filter(|other| leads(other, file))
            .collect();
        let mut ties: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for mention in mentions {
            if files.contains(&*mention.from) && files.contains(&*mention.to) {
                let tie = ties.entry((&*mention.from, &*mention.to)).or_default();
                tie.push(&*mention.name);
            }
        }
        found.push(Circle { files, ties });
    }
    found
}

/// The files that `file` leads to.
fn reach<'a>(file: &str, known: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = known[file].iter().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(known.get(file).into_iter().flatten());
        }
    }
    reached
}

/// What there is to say of each.
pub(crate) fn told(mentions: &BTreeSet<Mention>) -> Vec<String> {
    circles(mentions).iter().map(Circle::describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(pairs: &[(&str, &str)]) -> BTreeSet<Mention> {
        let mention = |&(from, to): &(&str, &str)| Mention {
            from: from.to_owned(),
            to: to.to_owned(),
            name: to.to_uppercase(),
        };
        pairs.iter().map(mention).collect()
    }

    fn found(pairs: &[(&str, &str)]) -> usize {
        told(&mentions(pairs)).len()
    }

    #[test]
    fn files_that_know_each_other_are_found() {
        assert_eq!(found(&[("a", "b"), ("b", "c"), ("a", "c")]), 0);
        assert_eq!(found(&[("a", "b"), ("b", "a"), ("b", "c")]), 1);
        assert_eq!(found(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")]), 1);
        assert_eq!(found(&[("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]), 2);
        // Two rings with a file in common are one.
        assert_eq!(found(&[("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]), 1);
    }

    #[test]
    fn a_circle_is_told_with_the_names_that_tie_it() {
        let mentions = mentions(&[("a", "b"), ("b", "a"), ("b", "c"), ("d", "a")]);
        let told = circles(&mentions)[0].describe();
        assert!(told.contains("other: a, b\n"), "{told}");
        assert!(
            told.contains("a names of b: B\n    b names of a: A"),
            "{told}"
        );
        assert!(
            !told.contains("names of c") && !told.contains("d names"),
            "{told}"
        );
    }

    #[test]
    fn folders_of_a_layer_that_know_each_other_are_found() {
        let found = |pairs: &[_]| told(&between_folders(&mentions(pairs))).len();
        let [a, b] = ["src/op/a/one.rs", "src/op/a/two.rs"];
        let [c, d] = ["src/op/c/three.rs", "src/op/c/four.rs"];
        assert_eq!(found(&[(a, c), (b, d), (a, b), (c, d), (d, c)]), 0);
        assert_eq!(found(&[(a, c), (d, b)]), 1);
        assert_eq!(found(&[(a, "src/op/five.rs"), ("src/op/five.rs", b)]), 1);
        assert_eq!(found(&[(a, "src/op/mod.rs"), ("src/op/mod.rs", b)]), 0);
        assert_eq!(
            found(&[
                ("src/op/a.rs", "src/op/b.rs"),
                ("src/op/b.rs", "src/op/a.rs")
            ]),
            0
        );
        assert_eq!(found(&[(a, "src/sys/x/y.rs"), ("src/sys/x/y.rs", a)]), 0);
    }
}
