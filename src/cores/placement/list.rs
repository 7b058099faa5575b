//! Lists of CPUs as the kernel writes them: `0-3,8`.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write;

/// Higher numbers are no CPUs: Linux has room for 8192. So a file that lies cannot make us fill the memory.
const END: usize = 1 << 16;

/// The CPUs of a list, which may be none; `None` if it is not a list.
pub(super) fn parse(text: &str) -> Option<BTreeSet<usize>> {
    let mut cpus = BTreeSet::new();
    let text = text.trim();
    if text.is_empty() {
        return Some(cpus);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn number(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|&cpu| cpu < END)
}

/// The same the other way round, for messages.
pub(super) fn show<'a>(cpus: impl IntoIterator<Item = &'a usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(cpu) => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let mut text = String::new();
    for (first, last) in ranges {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = match last - first {
            0 => write!(text, "{comma}{first}"),
            _ => write!(text, "{comma}{first}-{last}"),
        };
    }
    match text.is_empty() {
        true => "none".to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Vec<usize>> {
        parse(text).map(|cpus| cpus.into_iter().collect())
    }

    #[test]
    fn lists_are_read() {
        assert_eq!(parsed("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parsed("7"), Some(vec![7]));
        assert_eq!(parsed("\n"), Some(vec![]));
        assert_eq!(parsed("5,1-2"), Some(vec![1, 2, 5]));
        assert_eq!(parsed("0-4095").map(|cpus| cpus.len()), Some(4096));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in [
            "x",
            "1-",
            "-1",
            "3-1",
            "1,,2",
            "0-99999999999",
            "0-65536",
            "\0",
            "1;2",
            "0x3",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn lists_are_shown_as_they_are_read() {
        for text in ["0-3,8", "7", "1-2,5", "0-4095"] {
            assert_eq!(show(&parse(text).unwrap()), text);
        }
        assert_eq!(show(&[]), "none");
        assert_eq!(
            show(&[3, 1, 2, usize::MAX]),
            format!("3,1-2,{}", usize::MAX)
        );
    }
}
