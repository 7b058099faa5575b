//! What a program consists of, and how programs are made.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One step. Numbers are taken modulo what there is; a step for which there is nothing does nothing.
///
/// `at` is where it is done: in one of the runtimes, which are made when they are first needed, or outside of all
/// ([`OUTSIDE`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A few round trips through the ring of a runtime.
    Turn { at: u8 },
    /// Makes a descriptor, and a peer for it.
    Make { kind: Kind, at: u8 },
    /// The other end does something.
    Peer { object: u8, act: PeerAct, size: u16 },
    /// Begins an operation, whose handle goes into the table.
    Start {
        object: u8,
        act: Act,
        size: u16,
        at: u8,
        how: How,
        limit: Limit,
    },
    /// Polls a handle once.
    Poll {
        handle: u8,
        at: u8,
        waker: WakerKind,
    },
    /// Polls a handle whenever it is woken, for a while; until it is ready if it must become so.
    Await { handle: u8, at: u8, in_task: bool },
    /// Cancels a submitted operation.
    Cancel { handle: u8, at: u8 },
    /// Drops a handle.
    Drop { handle: u8, at: u8 },
    /// Drops a chunk that is held.
    DropChunk { chunk: u8, at: u8 },
    /// Forgets a handle.
    Forget { handle: u8 },
    /// A task polls the handle once, and panics with it or is aborted.
    Lose { handle: u8, at: u8, panics: bool },
    /// Closes a descriptor, and waits until that is done.
    Close { object: u8, at: u8 },
    /// Drops a descriptor; what is in flight on it stays.
    DropObject { object: u8, at: u8 },
    /// Shuts a runtime down; the next in its place is configured as `next` says.
    Shutdown { at: u8, grace: Grace, next: u8 },
}

/// The place that is no runtime.
pub(crate) const OUTSIDE: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unix,
    Tcp,
    Udp,
    /// A socket that only the ring knows.
    Direct,
    UnixListener,
    TcpListener,
    File,
    /// A file, opened by the registry of the runtime.
    DirectFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerAct {
    /// Sends bytes, or a datagram; to a listener: connects.
    Write,
    Read,
    Close,
    /// Closes with unsent data thrown away, so that the connection is reset.
    Reset,
    EndWriting,
}

/// Of a kind of descriptor that does not have it, the one that is most like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Read,
    ReadVectored,
    Peek,
    ReadExact,
    Chunks,
    Batches,
    Write,
    WriteAll,
    WriteVectored,
    WriteAllVectored,
    SendZc,
    WriteAllZc,
    /// Reads or writes a file twenty times, so that it takes a place in the ring's table.
    Often,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A future that is not polled yet.
    Lazy,
    /// A future that was polled once.
    Polled,
    /// `submit`, of operations that have it.
    Submitted,
    /// In a task, whose end is the handle's.
    Task,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    None,
    Zero,
    Short,
    Long,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerKind {
    /// The runtime's own.
    Own,
    /// One that the runtime does not know.
    Foreign,
    /// One that panics.
    Panicking,
    /// One that turns the runtimes.
    Turning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grace {
    Long,
    Short,
    Zero,
}

/// Mostly the first runtime, now and then none.
fn at() -> impl Strategy<Value = u8> {
    prop_oneof![8 => Just(0u8), 4 => Just(1u8), 1 => Just(2u8)]
}

fn anywhere(focus: Focus) -> impl Strategy<Value = u8> {
    let outside = if focus == Focus::Chunks { 9 } else { 3 };
    prop_oneof![8 => Just(0u8), 4 => Just(1u8), 1 => Just(2u8), outside => Just(OUTSIDE)]
}

fn number() -> impl Strategy<Value = u8> {
    0..12u8
}

fn size(focus: Focus) -> impl Strategy<Value = u16> {
    // Just a buffer.
    let exact = if focus == Focus::Chunks { 9 } else { 1 };
    prop_oneof![exact => Just(64u16), 6 => 1..200u16, 2 => 200..1000u16, 1 => Just(u16::MAX)]
}

/// What a program has most of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Focus {
    All,
    /// Streams of chunks, which wait for buffers; strange wakers; and handles that are dropped outside.
    Chunks,
    /// Direct descriptors, closes and shutdowns.
    Ends,
}

fn kind(focus: Focus) -> BoxedStrategy<Kind> {
    use Kind::*;
    match focus {
        Focus::All => {}
        Focus::Chunks => {
            return prop_oneof![4 => Just(Unix), 1 => Just(Tcp), 1 => Just(Udp)].boxed();
        }
        Focus::Ends => {
            return prop_oneof![2 => Just(Unix), 2 => Just(Direct), 1 => Just(File), 1 => Just(DirectFile)].boxed();
        }
    }
    prop_oneof![
        6 => Just(Unix), 4 => Just(Tcp), 3 => Just(Udp), 3 => Just(Direct), 1 => Just(UnixListener),
        1 => Just(TcpListener), 2 => Just(File), 2 => Just(DirectFile),
    ]
    .boxed()
}

fn act(focus: Focus) -> impl Strategy<Value = Act> {
    use Act::*;
    let chunks = if focus == Focus::Chunks { 40 } else { 4 };
    prop_oneof![
        6 => select(vec![Read, ReadVectored, Peek, ReadExact]),
        chunks => select(vec![Read, Chunks, Batches]),
        3 => select(vec![Write, WriteAll, WriteVectored, WriteAllVectored, SendZc, WriteAllZc]),
        1 => Just(Often),
    ]
}

fn start(focus: Focus) -> impl Strategy<Value = Step> {
    use {How::*, Limit::*};
    let how =
        prop_oneof![2 => Just(Lazy), 4 => Just(Polled), 5 => Just(Submitted), 3 => Just(Task)];
    let limit = prop_oneof![8 => Just(None), 1 => Just(Zero), 1 => Just(Short), 1 => Just(Long)];
    (number(), act(focus), size(focus), at(), how, limit).prop_map(
        |(object, act, size, at, how, limit)| Step::Start {
            object,
            act,
            size,
            at,
            how,
            limit,
        },
    )
}

fn peer(focus: Focus) -> impl Strategy<Value = Step> {
    use PeerAct::*;
    let act = prop_oneof![12 => Just(Write), 2 => Just(Read), 1 => Just(Close), 1 => Just(Reset), 1 => Just(EndWriting)];
    (number(), act, size(focus)).prop_map(|(object, act, size)| Step::Peer { object, act, size })
}

fn shutdown() -> impl Strategy<Value = Step> {
    use Grace::*;
    (at(), select(vec![Long, Short, Zero]), 0..6u8).prop_map(|(at, grace, next)| Step::Shutdown {
        at,
        grace,
        next,
    })
}

fn step(focus: Focus) -> impl Strategy<Value = Step> {
    use WakerKind::*;
    let ends = if focus == Focus::Ends { 4 } else { 1 };
    let polls = if focus == Focus::Chunks { 12 } else { 5 };
    let waker = prop_oneof![3 => Just(Own), 3 => Just(Foreign), 1 => Just(Panicking), polls / 3 => Just(Turning)];
    prop_oneof![
        16 => start(focus),
        9 => peer(focus),
        5 => at().prop_map(|at| Step::Turn { at }),
        polls => (number(), anywhere(focus), waker).prop_map(|(handle, at, waker)| Step::Poll { handle, at, waker }),
        6 => (number(), at(), any::<bool>()).prop_map(|(handle, at, in_task)| Step::Await { handle, at, in_task }),
        2 => (number(), anywhere(focus)).prop_map(|(handle, at)| Step::Cancel { handle, at }),
        5 => (number(), anywhere(focus)).prop_map(|(handle, at)| Step::Drop { handle, at }),
        2 => (number(), anywhere(focus)).prop_map(|(chunk, at)| Step::DropChunk { chunk, at }),
        1 => number().prop_map(|handle| Step::Forget { handle }),
        2 => (number(), at(), any::<bool>()).prop_map(|(handle, at, panics)| Step::Lose { handle, at, panics }),
        3 => (kind(focus), at()).prop_map(|(kind, at)| Step::Make { kind, at }),
        2 * ends => (number(), at()).prop_map(|(object, at)| Step::Close { object, at }),
        ends => (number(), anywhere(focus)).prop_map(|(object, at)| Step::DropObject { object, at }),
        ends => shutdown(),
    ]
}

/// Programs: some descriptors first, then anything.
pub(crate) fn programs() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        3 => program(Focus::All),
        1 => program(Focus::Chunks),
        1 => program(Focus::Ends),
    ]
}

fn program(focus: Focus) -> impl Strategy<Value = Vec<Step>> {
    let next = prop_oneof![3 => Just(1u8), 2 => 0..6u8];
    let make = (kind(focus), at()).prop_map(|(kind, at)| Step::Make { kind, at });
    (vec(make, 1..3), vec(step(focus), 1..40), next).prop_map(move |(makes, rest, next)| {
        let mut steps = Vec::new();
        if focus != Focus::All {
            // There is none yet: this only says what the first is like.
            let (at, grace) = (0, Grace::Long);
            steps.push(Step::Shutdown { at, grace, next });
        }
        steps.extend(makes);
        steps.extend(rest);
        steps
    })
}

/// A program as Rust code.
pub(crate) fn code(steps: &[Step]) -> String {
    let lines = steps.iter().map(|step| format!("    {step:?},\n"));
    format!("run(&[\n{}]);", lines.collect::<String>())
        .replace("    ", "    Step::")
        .replace("kind: ", "kind: Kind::")
        .replace("waker: ", "waker: WakerKind::")
        .replace("how: ", "how: How::")
        .replace("limit: ", "limit: Limit::")
        .replace("grace: ", "grace: Grace::")
        .replace("Peer { object: ", "Peer { act: PeerAct::@, object: ")
        .lines()
        .map(peer_act)
        .collect()
}

/// `act` has one type in `Start`, and another in `Peer`.
fn peer_act(line: &str) -> String {
    if let Some((before, after)) = line.split_once("@, ")
        && let Some((fields, rest)) = after.split_once(", act: ")
        && let Some((act, rest)) = rest.split_once(", ")
    {
        return format!("{before}{act}, {fields}, {rest}\n");
    }
    line.replace("act: ", "act: Act::") + "\n"
}

/// What is left out of programs, to look past what is known: names, with commas between, in `SAFERRING_MODEL_WITHOUT`;
/// README-like list of them in `model.rs`.
pub(crate) fn without(name: &str) -> bool {
    use std::sync::OnceLock;
    static WITHOUT: OnceLock<Vec<String>> = OnceLock::new();
    let names = WITHOUT.get_or_init(|| {
        let mut names: Vec<String> = std::env::var("SAFERRING_MODEL_WITHOUT")
            .map(|names| names.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        if std::env::var("SAFERRING_MODEL_NO_CROSS").is_ok_and(|value| value == "1") {
            names.push("cross".to_owned());
        }
        names
    });
    names.iter().any(|other| other == name)
}
