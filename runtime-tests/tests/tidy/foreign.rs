//! Where foreign code may run: wakers are cloned, woken and dropped, closures of users called and panics caught at listed
//! places only, each with the reason why it may be there. See `src/foreign.rs`.

use std::collections::BTreeSet;

use crate::lexer::{Kind, Token};
use crate::source::Source;

/// A file, and why it is among the few.
pub(crate) struct File {
    pub(crate) path: &'static str,
    pub(crate) reason: &'static str,
}

/// What a place does that lets foreign code run, or keeps it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Does {
    /// Clones a `Waker`.
    Clone,
    /// Makes a `WakeRef`, which clones one.
    WakeRef,
    /// Wakes a `Waker`.
    Wake,
    /// Runs code whose panic goes nowhere: a drop, a wake or a job.
    Guarded,
    /// Catches a panic.
    Catch,
    /// Leaves a call to the next point.
    Defer,
    /// Makes the calls that wait: one of the points.
    Run,
}

/// A place where foreign code may run.
pub(crate) struct Site {
    pub(crate) path: &'static str,
    pub(crate) function: &'static str,
    pub(crate) does: Does,
    pub(crate) reason: &'static str,
}

/// Files that name std's `Waker`. All others know `WakeRef`, which can be woken and dropped anywhere.
pub(crate) const WAKER_FILES: &[File] = &[
    File {
        path: "src/foreign.rs",
        reason: "keeps those that wait to be called",
    },
    File {
        path: "src/task/",
        reason: "makes its own, and WakeRef of any",
    },
    File {
        path: "src/runtime/answer.rs",
        reason: "who waits may be in any runtime",
    },
    File {
        path: "src/remote/request.rs",
        reason: "is awaited in any runtime, and answered by a ring's thread",
    },
    File {
        path: "src/runtime/call.rs",
        reason: "makes one that unparks a thread",
    },
    File {
        path: "src/runtime/inbox.rs",
        reason: "wakes a task of ours from other threads",
    },
    File {
        path: "src/buf/free_list.rs",
        reason: "wakes from any thread, and knows no runtime",
    },
    File {
        path: "src/sync/run.rs",
        reason: "is woken from any thread by a token of another crate",
    },
    File {
        path: "src/op/mechanism/op.rs",
        reason: "the one that does nothing, for a first poll that nobody waits for",
    },
    File {
        path: "src/op/mechanism/stored.rs",
        reason: "only compares",
    },
    File {
        path: "src/op/resource/waiters.rs",
        reason: "only compares",
    },
];

/// Files that catch panics.
pub(crate) const CATCHING_FILES: &[File] = &[
    File {
        path: "src/foreign.rs",
        reason: "of calls that have nobody to panic to",
    },
    File {
        path: "src/task/cell.rs",
        reason: "of a task, for its handle",
    },
    File {
        path: "src/runtime/blocking.rs",
        reason: "of a closure, for its handle",
    },
    File {
        path: "src/runtime/call.rs",
        reason: "of a closure, for who has called it",
    },
    File {
        path: "src/runtime/caught.rs",
        reason: "of a future, for who wants its ending",
    },
    File {
        path: "src/cores/thread.rs",
        reason: "of what a builder's closures do, which ends the core",
    },
];

macro_rules! sites {
    ($($path:literal { $($function:literal $does:ident: $reason:literal,)* })*) => {
        &[$($(Site {
            path: $path,
            function: $function,
            does: Does::$does,
            reason: $reason,
        },)*)*]
    };
}

/// All places.
pub(crate) const SITES: &[Site] = sites! {
    "src/foreign.rs" {
        "make" Wake: "what `defer` and `run_pending` call, guarded",
        "guarded" Catch: "the guard itself",
        "drop_payload" Catch: "what a panic carried may panic in its turn",
        "defer" Guarded: "no loop and no scope is around: the caller's last act",
        "run_pending" Guarded: "at a point: nothing is borrowed or half done",
        "run" Run: "for the loop, between two of its turns",
        "drain" Run: "the outermost scope ends: the last act of whoever opened it",
    }
    "src/warning.rs" {
        "tell" Guarded: "a subscriber of `tracing`: whoever warns has nothing borrowed",
    }
    "src/task/wake_ref.rs" {
        "new" Clone: "for all who make a `WakeRef`; see there",
        "wake_foreign" Wake: "of a task of this crate: its queue or inbox, no foreign code",
        "wake_foreign" Defer: "a foreign waker waits for the next point",
        "drop" Defer: "a foreign waker waits for the next point",
        "wake" Wake: "of a task of this crate: its queue or inbox, no foreign code",
    }
    "src/task/waker.rs" {
        "wake_by_ref" Wake: "a function of our own waker",
        "wake" Wake: "a function of our own waker",
    }
    "src/task/cell.rs" {
        "poll" Catch: "the future's poll: the flags say that it runs, and nothing is borrowed",
        "finish" Catch: "the future's drop: not DONE yet, and nothing is borrowed",
        "finish" Guarded: "what the handle does not get: DONE is set, or nothing depends on it",
    }
    "src/task/budget.rs" {
        "poll_proceed" Wake: "the last act; what asks for it has looked at nothing",
    }
    "src/task/join.rs" {
        "drop" Guarded: "the flags have changed before",
        "poll" WakeRef: "the flags are looked at again afterwards",
    }
    "src/task/join_set.rs" {
        "poll_join_next" WakeRef: "the queue is looked at again afterwards",
    }
    "src/task/yield_now.rs" {
        "poll" Wake: "the last act of the poll",
    }
    "src/buf/free_list.rs" {
        "poll" Clone: "without the lock; the queue is looked at again afterwards",
        "take_or_wait" Guarded: "the last act, without the lock",
        "poll" Guarded: "the last act, without the lock",
        "leave" Guarded: "the last act, without the lock",
        "wake" Wake: "the last act, without the lock",
        "wake" Guarded: "whoever gives a buffer back has no part in who waits for it",
    }
    "src/buf/buffer_pool.rs" {
        "poll" Clone: "before anything is looked at under the lock",
    }
    "src/op/resource/fd/closing.rs" {
        "poll_idle" WakeRef: "looked at again afterwards",
    }
    "src/op/mechanism/vtable.rs" {
        "abandon" Guarded: "the drop of a buffer; the cell is free already, and only the turn is left to give on",
        "abandon_multi" Guarded: "the drop of an operation; as above",
    }
    "src/op/mechanism/zc_send.rs" {
        "submit" WakeRef: "before anything is looked at",
        "poll_sending" WakeRef: "an answer that comes meanwhile, or the end of its scope, is asked for afterwards",
    }
    "src/op/mechanism/bound.rs" {
        "unless_cancelled" WakeRef: "the end of the scope is asked for afterwards",
        "ask_within" WakeRef: "the end of the scope is asked for afterwards",
    }
    "src/op/mechanism/stored.rs" {
        "poll_queued" WakeRef: "a completion that comes meanwhile is noticed when the waker is left",
        "abandon_stream" Guarded: "the drop of a buffer; only a waker is left to drop",
    }
    "src/op/mechanism/flight.rs" {
        "watch" WakeRef: "an end that comes meanwhile is noticed when the waker is left",
        "start" WakeRef: "before anything is looked at",
    }
    "src/op/mechanism/multi.rs" {
        "start" WakeRef: "before anything is looked at",
    }
    "src/op/resource/fixed_pool.rs" {
        "take" WakeRef: "looked at again afterwards",
    }
    "src/op/resource/fd/backoff.rs" {
        "poll" WakeRef: "before anything is looked at",
    }
    "src/op/resource/waiters.rs" {
        "wake_one" Wake: "a `WakeRef`",
    }
    "src/time/deadline.rs" {
        "poll" WakeRef: "before the timer is looked at",
    }
    "src/time/sleep.rs" {
        "poll" WakeRef: "before anything is looked at",
    }
    "src/sync/run.rs" {
        "wake" Wake: "on the thread of whoever cancels, whose call it is",
        "wake_by_ref" Wake: "on the thread of whoever cancels, whose call it is",
        "poll" Clone: "before anything is looked at",
    }
    "src/sync/local/permits.rs" {
        "poll" WakeRef: "looked at again afterwards",
    }
    "src/sync/local/notify.rs" {
        "poll" WakeRef: "looked at again afterwards",
    }
    "src/sync/local/oneshot.rs" {
        "poll" WakeRef: "looked at again afterwards",
        "poll_closed" WakeRef: "looked at again afterwards",
    }
    "src/sync/local/mpsc/chan.rs" {
        "poll_with" WakeRef: "looked at again afterwards",
    }
    "src/runtime/event_loop.rs" {
        "take_in" Run: "between two tasks' polls",
    }
    "src/runtime/shutdown.rs" {
        "shut_down" Run: "between two turns",
    }
    "src/sys/thread_pool.rs" {
        "work" Guarded: "a job, outside the lock, on its own thread",
        "close" Guarded: "what a job that never ran holds, outside the lock",
    }
    "src/runtime/blocking.rs" {
        "spawn_apart" Guarded: "a job, on its own thread",
        "job" Catch: "the closure: its panic goes to the handle",
    }
    "src/runtime/answer.rs" {
        "tell" Wake: "of who waits, outside the lock",
        "tell" Guarded: "of who waits, outside the lock",
        "poll" Clone: "before the lock",
        "poll" Guarded: "a waker, the one before or the new one, outside the lock",
        "abandon" Wake: "of the task that works on it, outside the lock",
        "abandon" Guarded: "of wakers, outside the lock",
        "poll_abandoned" Clone: "before the lock",
    }
    "src/runtime/call.rs" {
        "begin" Catch: "the closure: its panic goes to who has called it; nothing is borrowed",
    }
    "src/runtime/caught.rs" {
        "caught" Catch: "the closure, the future's poll and its drop: nothing is borrowed",
        "caught" Guarded: "the output of a future whose drop has panicked: nobody gets it",
    }
    "src/runtime/inbox.rs" {
        "run" Guarded: "a job, taken out before; nothing is borrowed or locked",
        "refuse" Guarded: "a job, taken out before; nothing is borrowed or locked",
        "take" Clone: "of our own task's waker, before the lock",
        "wake" Wake: "of our own task, outside the lock",
        "poll" Wake: "of our own task",
    }
    "src/remote/request.rs" {
        "finish" Guarded: "what nobody wants, and the asker's wake, outside the lock: the caller's last act",
        "finish" Wake: "of the asker, guarded, outside the lock",
        "abandon" Wake: "of a task of this crate: its inbox, no foreign code",
        "abandon" Guarded: "the asker's waker, outside the lock",
        "ask" Clone: "before there is a call",
        "poll" Clone: "without the lock; the phase is looked at again afterwards",
        "poll" Guarded: "the waker before, outside the lock, as the last act",
    }
    "src/cores/core.rs" {
        "drop_locals" Guarded: "what the core kept, taken out before: its runtime has ended",
    }
    "src/cores/mesh.rs" {
        "drop_each" Guarded: "messages that nobody gets, taken out before; nothing is locked",
    }
    "src/cores/outbox.rs" {
        "poll" WakeRef: "of our own task",
    }
    "src/cores/serve.rs" {
        "begin_one" Guarded: "the handler: the connection is counted, and nothing is borrowed but the handler itself",
    }
    "src/cores/thread.rs" {
        "run" Catch: "the closures of the builder: the core has not begun, or has ended",
        "leave" Guarded: "what the core kept: its runtime has ended",
    }
};

/// `Waker` in a file that is not one of `allowed`.
pub(crate) fn named_wakers(source: &Source, allowed: &[File]) -> Vec<String> {
    outside(source, allowed, "Waker", "names `Waker`: keep a `WakeRef`")
}

/// `catch_unwind` in a file that is not one of `allowed`.
pub(crate) fn caught_panics(source: &Source, allowed: &[File]) -> Vec<String> {
    outside(
        source,
        allowed,
        "catch_unwind",
        "catches panics: use `foreign::guarded`",
    )
}

fn outside(source: &Source, allowed: &[File], word: &str, what: &str) -> Vec<String> {
    let path = &source.path;
    if allowed.iter().any(|file| path.starts_with(file.path)) {
        return Vec::new();
    }
    let tokens = source.tokens.iter().enumerate();
    let tokens = tokens.filter(|(at, token)| token.is(word) && !source.is_test(*at));
    tokens
        .map(|(_, token)| format!("{path}:{}: {what}", token.line))
        .collect()
}

/// Files of a list that do without.
pub(crate) fn unneeded(files: &[File], word: &str, sources: &[Source]) -> Vec<String> {
    let needs = |file: &File, source: &Source| {
        let mut tokens = source.tokens.iter().enumerate();
        source.path.starts_with(file.path)
            && tokens.any(|(at, token)| token.is(word) && !source.is_test(at))
    };
    let files = files.iter();
    let left = files.filter(|file| !sources.iter().any(|source| needs(file, source)));
    left.map(|file| format!("{}: does without `{word}`: take it off the list", file.path))
        .collect()
}

/// Places that are not on the list. Notes in `used` the entries that were needed.
pub(crate) fn unlisted(source: &Source, sites: &[Site], used: &mut [bool]) -> Vec<String> {
    let mut found = Vec::new();
    let mut told = BTreeSet::new();
    let functions = functions(source);
    for (at, function) in functions.iter().enumerate() {
        let Some(does) = deed(source, at) else {
            continue;
        };
        let path = &source.path;
        let listed = sites.iter().position(|site| {
            (site.path, site.function, site.does) == (path, function.as_str(), does)
        });
        match listed {
            Some(index) => used[index] = true,
            None if told.insert((function.clone(), does)) => {
                let line = source.tokens[at].line;
                found.push(format!(
                    "{path}:{line}: foreign code may run in `{function}` ({does:?}): see that nothing is borrowed or \
                     half done there, then list it in `tidy/foreign.rs`, with the reason"
                ));
            }
            None => {}
        }
    }
    found
}

/// What the call does whose name is at `at`.
fn deed(source: &Source, at: usize) -> Option<Does> {
    let tokens = &source.tokens;
    if source.is_test(at) || tokens.get(at + 1).is_none_or(|next| !next.is("(")) {
        return None;
    }
    let before = |n: usize| at.checked_sub(n).map(|at| &tokens[at]);
    let after = |n: usize, text: &str| before(n).is_some_and(|token| token.is(text));
    // A definition is no call.
    if after(1, "fn") {
        return None;
    }
    match tokens[at].text.as_str() {
        "guarded" => Some(Does::Guarded),
        "catch_unwind" => Some(Does::Catch),
        "new" if after(1, "::") && after(2, "WakeRef") => Some(Does::WakeRef),
        "defer" => Some(Does::Defer),
        "run" if after(1, "::") && after(2, "foreign") => Some(Does::Run),
        "run_pending" if source.path == "src/foreign.rs" => Some(Does::Run),
        "clone" if after(1, ".") && is_waker(tokens, at - 1) => Some(Does::Clone),
        "clone" if after(1, "::") && after(2, "Waker") => Some(Does::Clone),
        "wake_by_ref" => Some(Does::Wake),
        // Elsewhere there is nothing to wake but a `WakeRef`.
        "wake" if after(1, ".") && names_waker(source) => Some(Does::Wake),
        _ => None,
    }
}

/// Whether what ends before `dot` is called a waker: `waker.`, `cx.waker().`.
fn is_waker(tokens: &[Token], dot: usize) -> bool {
    let mut at = dot;
    while at >= 2 && tokens[at - 1].is(")") && tokens[at - 2].is("(") {
        at -= 2;
    }
    let name = at.checked_sub(1).map(|at| &tokens[at]);
    name.is_some_and(|name| name.kind == Kind::Word && name.text.to_lowercase().contains("waker"))
}

fn names_waker(source: &Source) -> bool {
    let mut tokens = source.tokens.iter().enumerate();
    tokens.any(|(at, token)| token.is("Waker") && !source.is_test(at))
}

/// For each token the function that it stands in; empty outside.
fn functions(source: &Source) -> Vec<String> {
    let tokens = &source.tokens;
    let mut functions = Vec::with_capacity(tokens.len());
    let mut open: Vec<(usize, String)> = Vec::new();
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    let mut next = None;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            _ if token.kind == Kind::Literal => {}
            "fn" => {
                let name = tokens.get(at + 1);
                next = name.filter(|name| name.kind == Kind::Word).or(next);
            }
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            // A function without a body.
            ";" if brackets == 0 => next = None,
            "{" => {
                braces += 1;
                if let Some(name) = next.take() {
                    open.push((braces, name.text.clone()));
                }
            }
            "}" => {
                open.pop_if(|(depth, _)| *depth == braces);
                braces = braces.saturating_sub(1);
            }
            _ => {}
        }
        functions.push(
            open.last()
                .map(|(_, name)| name.clone())
                .unwrap_or_default(),
        );
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &[File] = &[];

    fn source(text: &str) -> Source {
        Source::new("src/op/a.rs", text)
    }

    fn deeds(path: &str, text: &str) -> Vec<(String, Does)> {
        let source = Source::new(path, text);
        let functions = functions(&source);
        let at = 0..source.tokens.len();
        at.filter_map(|at| Some((functions[at].clone(), deed(&source, at)?)))
            .collect()
    }

    #[test]
    fn names_of_wakers_are_found() {
        for text in [
            "use std::task::{Context, Waker};",
            "struct A(Option<Waker>);",
            "fn f(w: &std::task::Waker) {}",
        ] {
            assert_eq!(named_wakers(&source(text), NONE).len(), 1, "{text}");
        }
        let fine = "/// A `Waker`.\nfn f(a: WakeRef) { cx.waker() }\n#[cfg(test)] mod tests { use a::Waker; }";
        assert!(named_wakers(&source(fine), NONE).is_empty());
        let below = [File {
            path: "src/op/",
            reason: "",
        }];
        let named = source("struct A(Waker);");
        assert!(named_wakers(&named, &below).is_empty());
        assert!(unneeded(&below, "Waker", &[named]).is_empty());
        assert_eq!(unneeded(&below, "Waker", &[source("struct A;")]).len(), 1);
    }

    #[test]
    fn caught_panics_are_found() {
        let text = "fn f() { if std::panic::catch_unwind(g).is_err() {} }";
        assert_eq!(caught_panics(&source(text), NONE).len(), 1);
        assert!(caught_panics(&source("fn f() { resume_unwind(a) }"), NONE).is_empty());
    }

    #[test]
    fn calls_are_told_apart_by_what_they_do() {
        for (text, does) in [
            ("cx.waker().clone()", Does::Clone),
            ("self.root_waker.clone()", Does::Clone),
            ("Waker::clone(one)", Does::Clone),
            ("WakeRef::new(cx.waker())", Does::WakeRef),
            ("cx.waker().wake_by_ref()", Does::Wake),
            ("foreign::guarded(|| drop(op))", Does::Guarded),
            ("catch_unwind(job)", Does::Catch),
            ("foreign::defer(call)", Does::Defer),
            ("crate::foreign::run()", Does::Run),
        ] {
            let found = deeds("src/op/a.rs", &format!("fn f() {{ {text}; }}"));
            assert_eq!(found, [("f".to_owned(), does)], "{text}");
        }
        for text in [
            "waiter.clone()",
            "Rc::clone(&driver)",
            "waiter.wake()",
            "executor.run(1)",
            "Vec::new()",
            "drop(waiter)",
        ] {
            let found = deeds("src/op/a.rs", &format!("fn f() {{ {text}; }}"));
            assert!(found.is_empty(), "{text}");
        }
        // Where a `Waker` may be meant.
        let found = deeds("src/op/a.rs", "fn f(a: Waker) { a.wake() }");
        assert_eq!(found, [("f".to_owned(), Does::Wake)]);
        // Definitions and tests.
        let text = "fn guarded() {}\n#[cfg(test)] mod tests { fn f() { guarded(g) } }";
        assert!(deeds("src/foreign.rs", text).is_empty());
    }

    #[test]
    fn the_function_is_the_innermost() {
        let text = "impl A { fn f(a: [u8; 2]) { fn g() { guarded(a) } guarded(b); } }\n\
                    trait B { fn h(); }\nconst C: D = { guarded(c) };";
        let found = deeds("src/op/a.rs", text);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["g", "f", ""]);
    }

    #[test]
    fn places_have_to_be_listed() {
        let text = "fn f() { guarded(a); guarded(b); catch_unwind(c); }";
        let sites = [Site {
            path: "src/op/a.rs",
            function: "f",
            does: Does::Guarded,
            reason: "",
        }];
        let mut used = [false];
        // Once for each kind, however many calls.
        assert_eq!(unlisted(&source(text), &[], &mut []).len(), 2);
        assert_eq!(unlisted(&source(text), &sites, &mut used).len(), 1);
        assert_eq!(used, [true]);
        let mut used = [false];
        let elsewhere = Source::new("src/op/b.rs", text);
        assert_eq!(unlisted(&elsewhere, &sites, &mut used).len(), 2);
        assert_eq!(used, [false]);
    }
}
