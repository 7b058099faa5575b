//! The table in DESIGN.md that counts the unsafe blocks of each layer.

use std::collections::BTreeMap;

use crate::source::Source;

/// How the table begins.
const HEAD: &str = "| layer | unsafe blocks | what for |";

/// The blocks outside tests, by the folder or file of `src` that they stand in.
fn blocks(sources: &[Source]) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    for source in sources {
        let path = source.path.strip_prefix("src/").unwrap_or(&source.path);
        let layer = path.split('/').next().unwrap_or(path);
        let layer = layer.strip_suffix(".rs").unwrap_or(layer);
        let blocks = source.tokens.windows(2).enumerate();
        let count = blocks
            .filter(|(at, two)| two[0].is("unsafe") && two[1].is("{") && !source.is_test(*at))
            .count();
        if count > 0 {
            *found.entry(layer).or_default() += count;
        }
    }
    found
}

/// The rows below the head, each with the layer's name, its count and what it is for.
fn rows(design: &str) -> Option<Vec<(&str, &str, &str)>> {
    let lines = design.lines().skip_while(|line| *line != HEAD);
    let rows = lines.skip(2).map_while(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let layer = cells.next()?.trim_matches('`');
        Some((layer, cells.next()?, cells.next()?))
    });
    design.contains(HEAD).then(|| rows.collect())
}

/// Tells, if the table is not true, how it has to read.
pub(crate) fn untrue_table(sources: &[Source], design: &str) -> Option<String> {
    let Some(rows) = rows(design) else {
        return Some(format!("DESIGN.md: there is no table `{HEAD}`"));
    };
    let blocks = blocks(sources);
    let all = blocks.values().sum::<usize>();
    let counted = blocks
        .into_iter()
        .map(|(layer, count)| (layer, count.to_string()));
    let mut counted: BTreeMap<_, _> = counted.collect();
    counted.insert("all", all.to_string());
    let known = |&(layer, count, _): &(&str, &str, &str)| {
        counted.get(layer).is_some_and(|counted| counted == count)
    };
    if rows.len() == counted.len() && rows.iter().all(known) {
        return None;
    }
    let mut text = "DESIGN.md: the table of unsafe blocks must read\n".to_owned();
    // In the order that they have, then those that are new, then their sum.
    let here = rows.iter().map(|row| row.0);
    let new = counted
        .keys()
        .copied()
        .filter(|layer| rows.iter().all(|row| row.0 != *layer));
    let mut layers: Vec<_> = here
        .chain(new)
        .filter(|layer| counted.contains_key(layer))
        .collect();
    layers.sort_by_key(|&layer| layer == "all");
    for layer in layers {
        let what = rows
            .iter()
            .find(|row| row.0 == layer)
            .map_or("", |row| row.2);
        let name = if layer == "all" {
            layer.to_owned()
        } else {
            format!("`{layer}`")
        };
        text += format!("| {name} | {} | {what}", counted[layer]).trim_end();
        text += " |\n";
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untrue(rows: &str) -> Option<String> {
        let sources = [
            Source::new(
                "src/op/read.rs",
                "fn f() { unsafe { g() } } unsafe impl A for B {} // unsafe {",
            ),
            Source::new(
                "src/op/deep/write.rs",
                "unsafe fn f() { unsafe { g() } } #[test] fn h() { unsafe { g() } }",
            ),
            Source::new("src/net/mod.rs", "fn f() {}"),
            Source::new("src/sys.rs", "fn f() { unsafe { g() } }"),
        ];
        untrue_table(
            &sources,
            &format!("# Design\n\n{HEAD}\n|---|---|---|\n{rows}\nMore.\n\n| `net` | 7 | x |\n"),
        )
    }

    #[test]
    fn a_true_table_passes() {
        assert_eq!(
            untrue("| `sys` | 1 | the ring |\n| `op` | 2 | pointers |\n| all | 3 | |\n"),
            None
        );
    }

    #[test]
    fn an_untrue_table_is_told_as_it_must_read() {
        let told = untrue(
            "| `sys` | 1 | the ring |\n| `op` | 1 | pointers |\n| `net` | 1 | ? |\n| all | 3 | |\n",
        );
        let right = "\n| `sys` | 1 | the ring |\n| `op` | 2 | pointers |\n| all | 3 | |\n";
        assert!(
            told.as_ref().is_some_and(|told| told.ends_with(right)),
            "{told:?}"
        );
        let told = untrue("| all | 3 | |\n| `op` | 2 | pointers |\n");
        let right = "\n| `op` | 2 | pointers |\n| `sys` | 1 | |\n| all | 3 | |\n";
        assert!(
            told.as_ref().is_some_and(|told| told.ends_with(right)),
            "{told:?}"
        );
    }

    #[test]
    fn a_missing_table_is_found() {
        assert!(untrue_table(&[], "# Design\n").is_some());
    }
}
