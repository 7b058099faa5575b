//! A new operation is one file, one `mod` line and one method: no file that is there already learns of it, but those of the
//! layers above, which have the method.

use std::collections::BTreeSet;

use crate::lexer::Kind;
use crate::names::Mention;
use crate::source::Source;

/// Each file in it is an operation.
pub(crate) const FOLDER: &str = "src/op/operations/";

/// What has the methods.
const ABOVE: [&str; 7] = [
    "src/fs/",
    "src/io/",
    "src/net/",
    "src/op/registry.rs",
    "src/runtime/",
    "src/signal/",
    "src/time/",
];

/// A file that names an operation of another one all the same, and why.
pub(crate) struct Exception {
    pub(crate) file: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        file: "src/op/operations/recv_datagram.rs",
        operation: "RecvMsg",
        reason: "is that operation, for who does not ask for the sender",
    },
    Exception {
        file: "src/op/operations/send_zc.rs",
        operation: "Send",
        reason: "its form with a copy",
    },
    Exception {
        file: "src/op/operations/send_msg_zc.rs",
        operation: "SendMsg",
        reason: "its form with a copy",
    },
];

/// The types that a file makes operations.
fn operations(source: &Source) -> BTreeSet<&str> {
    let tokens = &source.tokens;
    let mut found = BTreeSet::new();
    for (at, two) in tokens.windows(2).enumerate() {
        if (two[0].is("Operation") || two[0].is("ZeroCopy"))
            && two[1].is("for")
            && !source.is_test(at)
        {
            let path = tokens[at + 2..]
                .iter()
                .take_while(|token| token.kind == Kind::Word || token.is("::"));
            found.extend(path.last().map(|token| token.text.as_str()));
        }
    }
    found
}

/// Files of [`FOLDER`] that are no operation. None at all is one fault, too.
pub(crate) fn misplaced(sources: &[Source]) -> Vec<String> {
    let files: Vec<_> = sources.iter().filter(|source| is_one(source)).collect();
    if files.is_empty() {
        return vec![format!(
            "{FOLDER} holds nothing: is it the folder of the operations?"
        )];
    }
    let without = files.iter().filter(|source| operations(source).is_empty());
    without
        .map(|source| {
            format!(
                "{}: makes nothing an `Operation`: it belongs elsewhere",
                source.path
            )
        })
        .collect()
}

/// The table of features.
pub(crate) const FEATURES: &str = "src/feature.rs";

/// The forms of an operation that the `io-uring` crate has types of their own for.
const FORMS: [(&str, &str); 3] = [
    ("AcceptMulti", "Accept"),
    ("RecvMulti", "Recv"),
    ("RecvMsgMulti", "RecvMsg"),
];

/// Operations of the kernel that are no row of the table of features, so that they cannot be switched off.
pub(crate) fn without_a_feature(sources: &[Source]) -> Vec<String> {
    let named = |source: &Source| -> BTreeSet<String> {
        let triples = source.tokens.windows(3).enumerate();
        let found = triples.filter(|(at, three)| {
            three[0].is("opcode") && three[1].is("::") && !source.is_test(*at)
        });
        found.map(|(_, three)| three[2].text.clone()).collect()
    };
    let table = sources.iter().filter(|source| source.path == FEATURES);
    let rows: BTreeSet<_> = table.flat_map(named).collect();
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| is_one(source)) {
        for name in named(source) {
            let form = FORMS.iter().find(|(form, _)| *form == name);
            let operation = form.map_or(&*name, |(_, operation)| operation);
            if !rows.contains(operation) {
                let path = &source.path;
                found.push(format!("{path}: `{operation}` is no row of {FEATURES}"));
            }
        }
    }
    found
}

fn is_one(source: &Source) -> bool {
    source.path.starts_with(FOLDER) && !source.path.ends_with("/mod.rs") && !source.is_all_test()
}

/// Files that name an operation and are neither above nor among the exceptions. Marks in `used` those that were needed.
pub(crate) fn named_elsewhere(
    sources: &[Source],
    mentions: &BTreeSet<Mention>,
    exceptions: &[Exception],
    used: &mut [bool],
) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| is_one(source)) {
        let operations = operations(source);
        for mention in mentions.iter().filter(|mention| mention.to == source.path) {
            let (file, operation) = (&*mention.from, &*mention.name);
            if !operations.contains(operation) || ABOVE.iter().any(|above| file.starts_with(above))
            {
                continue;
            }
            match exceptions
                .iter()
                .position(|one| one.file == file && one.operation == operation)
            {
                Some(index) => used[index] = true,
                None => found.push(format!(
                    "{file}: names the operation `{operation}` of {}",
                    source.path
                )),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;

    const SEND: &str =
        "pub struct Send<B>(B); pub fn len() {} unsafe impl<B: IoBuf> Operation for Send<B> {}";

    fn sources(file: &str, text: &str) -> [Source; 5] {
        [
            Source::new("src/lib.rs", "mod op;"),
            Source::new("src/op/mod.rs", "mod operations; pub use operations::Send;"),
            Source::new(
                "src/op/operations/mod.rs",
                "mod send; pub use send::{Send, len};",
            ),
            Source::new("src/op/operations/send.rs", SEND),
            Source::new(file, text),
        ]
    }

    fn found(file: &str, text: &str, exceptions: &[Exception], used: &mut [bool]) -> usize {
        let sources = sources(file, text);
        let mentions = Names::new(&sources).mentions();
        named_elsewhere(&sources, &mentions, exceptions, used).len()
    }

    #[test]
    fn an_operation_is_named_by_the_layers_above_alone() {
        const USE: &str = "use crate::op::Send;";
        for above in ["src/net/tcp.rs", "src/op/registry.rs", "src/signal/unix.rs"] {
            assert_eq!(found(above, USE, &[], &mut []), 0, "{above}");
        }
        for other in [
            "src/op/resource/fd.rs",
            "src/op/operations/send_zc.rs",
            "src/driver/inflight.rs",
        ] {
            assert_eq!(found(other, USE, &[], &mut []), 1, "{other}");
            assert_eq!(
                found(
                    other,
                    "fn f(a: crate::op::operations::Send<u8>) {}",
                    &[],
                    &mut []
                ),
                1
            );
            // What else is in the file may be named.
            assert_eq!(
                found(other, "use crate::op::operations::len;", &[], &mut []),
                0
            );
            assert_eq!(found(other, "use std::marker::Send;", &[], &mut []), 0);
        }
    }

    #[test]
    fn an_operation_is_a_row_of_the_table() {
        let one = |text| Source::new("src/op/operations/accept.rs", text);
        for (text, missing) in [
            ("opcode::Accept::new(fd)", 0),
            ("opcode::AcceptMulti::new(fd)", 0),
            ("opcode::Listen::new(fd)", 1),
            (
                "#[cfg(test)] mod tests { fn f() { opcode::Listen::new(fd) } }",
                0,
            ),
        ] {
            let table = Source::new(FEATURES, "Opcode(opcode::Accept::CODE)");
            let sources = [table, one(text)];
            assert_eq!(without_a_feature(&sources).len(), missing, "{text}");
        }
        assert_eq!(
            without_a_feature(&[one("opcode::Accept::new(fd)")]).len(),
            1
        );
    }

    #[test]
    fn exceptions_are_marked_as_used() {
        let exceptions = [
            ("src/op/operations/send_zc.rs", "Send"),
            ("src/op/operations/a.rs", "Send"),
        ];
        let exceptions = exceptions.map(|(file, operation)| Exception {
            file,
            operation,
            reason: "",
        });
        let mut used = [false; 2];
        assert_eq!(
            found(
                exceptions[0].file,
                "use super::Send;",
                &exceptions,
                &mut used
            ),
            0
        );
        assert_eq!(used, [true, false]);
    }

    #[test]
    fn the_folder_holds_operations_and_nothing_else() {
        let faults = |text| misplaced(&sources("src/op/operations/a.rs", text)).len();
        assert_eq!(faults("unsafe impl Operation for A {}"), 0);
        assert_eq!(
            faults("unsafe impl<F: AsFd> super::Operation for self::A<F> {}"),
            0
        );
        assert_eq!(faults("struct A; impl A {}"), 1);
        assert_eq!(
            faults("struct A; #[cfg(test)] mod tests { unsafe impl Operation for A {} }"),
            1
        );
        assert_eq!(misplaced(&[]).len(), 1);
    }
}
