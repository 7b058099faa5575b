//! Patterns of keys, as redis has them: `*`, `?`, `[a-z]`, `[^a]`, and a backslash before what means itself.

/// Whether all of `text` is what `pattern` means. The time is bounded by the product of their lengths.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Behind the last star, and the text from where that is tried.
    let mut again: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            pattern = rest;
            again = Some((pattern, text));
            continue;
        }
        let step = match (pattern, text) {
            ([], []) => return true,
            (_, [byte, rest @ ..]) => one(pattern, *byte).map(|after| (after, rest)),
            _ => None,
        };
        // If not, the last star takes a byte more.
        (pattern, text) = match (step, again) {
            (Some(step), _) => step,
            (None, Some((after, [_, rest @ ..]))) => {
                again = Some((after, rest));
                (after, rest)
            }
            (None, _) => return false,
        };
    }
}

/// What is left of a pattern whose first part means this byte.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (is_met, rest) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'[', b'^', rest @ ..] => {
            let (is_in, rest) = class(rest, byte);
            (!is_in, rest)
        }
        [b'[', rest @ ..] => class(rest, byte),
        [b'\\', own, rest @ ..] => (*own == byte, rest),
        [own, rest @ ..] => (*own == byte, rest),
    };
    is_met.then_some(rest)
}

/// Whether the class that begins here has the byte, and what comes after its end.
fn class(mut pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let mut is_in = false;
    loop {
        pattern = match pattern {
            [] => return (is_in, pattern),
            [b'\\', own, rest @ ..] => {
                is_in |= *own == byte;
                rest
            }
            [b']', rest @ ..] => return (is_in, rest),
            [from, b'-', to, rest @ ..] => {
                is_in |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest
            }
            [own, rest @ ..] => {
                is_in |= *own == byte;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_mean_what_they_mean_to_redis() {
        for (pattern, yes, no) in [
            ("*", "", ""),
            ("", "", "a"),
            ("a*c", "abc", "abd"),
            ("a*b*c", "a-b-b-c", "acb"),
            ("**x", "yyx", "yy"),
            ("h?llo", "hello", "hllo"),
            ("h[ae]llo", "hallo", "hillo"),
            ("h[^e]llo", "hallo", "hello"),
            ("h[a-c]llo", "hbllo", "hdllo"),
            ("h[c-a]llo", "hbllo", "hdllo"),
            ("[\\]]", "]", "\\"),
            ("\\*", "*", "a"),
            ("[a", "a", "b"),
            ("a\\", "a\\", "a"),
        ] {
            assert!(matches(pattern.as_bytes(), yes.as_bytes()), "{pattern}");
            let is_all = pattern == "*";
            assert_eq!(
                matches(pattern.as_bytes(), no.as_bytes()),
                is_all,
                "{pattern}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let text = b"a".repeat(20_000);
        assert!(!matches(&[&b"a*".repeat(50)[..], b"b"].concat(), &text));
    }
}
