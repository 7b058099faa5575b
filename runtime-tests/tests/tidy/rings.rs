//! Whether the tests of each binary run on both rings.

use crate::accounts::Exempt;
use crate::source::Source;

/// The test binaries without the line by which their tests run on the software ring, too. Marks in `used` the exceptions that
/// were needed.
pub(crate) fn on_one_ring(source: &Source, exempt: &[Exempt], used: &mut [bool]) -> Option<String> {
    let name = source.path.strip_prefix("runtime-tests/tests/")?;
    if name.contains('/')
        || source
            .text
            .contains("\nsaferring_tests::also_on_software!();\n")
    {
        return None;
    }
    if let Some(index) = exempt.iter().position(|one| one.below == source.path) {
        used[index] = true;
        return None;
    }
    Some(format!(
        "{}: its tests run on the kernel's ring only: add `saferring_tests::also_on_software!();`",
        source.path
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_without_the_line_are_found() {
        let exempt = [Exempt {
            below: "runtime-tests/tests/other.rs",
            reason: "shown here",
        }];
        let mut used = [false];
        let mut look = |path: &str, text: &str| {
            on_one_ring(&Source::new(path, text), &exempt, &mut used).is_some()
        };
        assert!(look("runtime-tests/tests/a.rs", "fn a() {}\n"));
        let line = "use b;\n\nsaferring_tests::also_on_software!();\n";
        assert!(!look("runtime-tests/tests/a.rs", line));
        assert!(!look("runtime-tests/tests/part/of.rs", "fn a() {}\n"));
        assert!(!look("runtime-tests/tests/other.rs", "fn a() {}\n"));
        assert_eq!(used, [true]);
    }
}
