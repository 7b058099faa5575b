//! The workloads.

use std::path::Path;

use crate::contender::{Blocks, Contender, Work};
use crate::keys::REDIS;
use crate::load::Way;
use crate::report::{RAW, grouped};
use crate::talk::Verb;
use crate::web::{TOKIO, Web};

/// One workload, and how large it is.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// For tables and `--workload`.
    pub(crate) name: String,
    /// For people.
    pub(crate) title: String,
    /// What one operation is.
    pub(crate) operation: &'static str,
    /// Bytes that an operation moves, if it is throughput in bytes that one talks of.
    pub(crate) bytes: Option<u64>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// So many connections or clients, and bytes of a message.
    Serve(Way, usize, usize),
    /// Memory of so many idle connections.
    Idle(usize),
    Work(Work),
    /// Work of which a slice is so many operations, whatever time they take; fewer rounds.
    Long(Work, u64),
    /// Memory only.
    Memory(Work),
}

impl Kind {
    pub(crate) fn work(&self) -> Option<&Work> {
        match self {
            Kind::Work(work) | Kind::Long(work, _) | Kind::Memory(work) => Some(work),
            Kind::Serve(..) | Kind::Idle(_) => None,
        }
    }
}

impl Cell {
    /// The contender that all others are compared with.
    pub(crate) fn base(&self) -> &'static str {
        match self.kind {
            Kind::Serve(Way::Keys(..), ..) => REDIS,
            Kind::Serve(Way::Web(_), ..) => TOKIO,
            _ => RAW,
        }
    }

    /// Whether the contender may be able to do it: a guess, which costs nothing.
    pub(crate) fn may_suit(&self, contender: &Contender) -> bool {
        match self.kind {
            Kind::Serve(Way::Web(web), ..) => (contender.web)(web).is_some(),
            _ => true,
        }
    }

    /// The program `wrk` asks its servers.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.kind, Kind::Serve(Way::Web(web), ..) if web.scheme().is_some())
    }

    /// How many cores its servers have.
    pub(crate) fn cores(&self) -> usize {
        match self.kind {
            Kind::Serve(Way::TwoCores, ..) => 2,
            _ => 1,
        }
    }
}

/// A workload by name, title and operation; in the first two, `{}` stand for variables.
macro_rules! cell {
    ($name:literal, $title:literal, a $operation:literal: $kind:expr) => {
        Cell {
            name: format!($name),
            title: format!($title),
            operation: $operation,
            bytes: None,
            kind: $kind,
        }
    };
}

const KIB: usize = 1 << 10;
const MIB: u64 = 1 << 20;

/// What the comparison runs, or as much of it as a quick look needs. Files are in `dir`.
pub(crate) fn compared(quick: bool, dir: &Path) -> Vec<Cell> {
    let echoes = match quick {
        true => vec![(1, 64), (50, 64), (200, 1024), (1000, 64)],
        false => [64, 1024, 16_384]
            .into_iter()
            .flat_map(|message| {
                [1, 50, 200, 1000, 10_000].map(|connections| (connections, message))
            })
            .collect(),
    };
    let mut cells: Vec<Cell> = echoes.into_iter().map(echo).collect();
    cells.extend(two_cores(quick));
    cells.extend(keys());
    cells.extend(web(quick));
    cells.push(cell! { "churn", "connect, one echo of 64 B, close; 50 at a time", a "connection": Kind::Serve(Way::Churn, 50, 64) });
    cells.push(
        cell! { "udp", "UDP echo, 50 clients, 64 B", a "datagram": Kind::Serve(Way::Udp, 50, 64) },
    );
    let (idle, tasks_count, copied) = match quick {
        true => (1000, 10_000, 256 * MIB),
        false => (10_000, 100_000, 1024 * MIB),
    };
    let (connections, count) = (grouped(idle as f64, 0), grouped(tasks_count as f64, 0));
    cells.push(cell! { "idle", "memory of an idle connection, buffers of 4 KiB ({connections} of them)", a "connection": Kind::Idle(idle) });
    let (depths, len): (&[usize], _) = (if quick { &[1, 32] } else { &[1, 32, 128] }, 256 * MIB);
    for direct in [true, false] {
        let read = |&depth| random_read(dir, len, direct, depth);
        cells.extend(depths.iter().map(read));
    }
    cells.push(sequential_read(dir, len));
    cells.extend([16, 64].map(|count| streams(dir, len, count)));
    cells.push(copy(dir, copied));
    cells.extend(tasks());
    cells.extend([
        cell! { "timers", "{count} sleeps of 0 to 1 s", a "sleep": Kind::Long(Work::Timers, tasks_count as u64) },
        cell! { "sleepers", "memory of a sleeping task ({count} of them)", a "task": Kind::Memory(Work::Sleepers(tasks_count)) },
        cell! { "pending", "memory of a pending task ({count} of them)", a "task": Kind::Memory(Work::Pending(tasks_count)) },
    ]);
    cells
}

/// What there is a hand-written loop for, with a file of so many bytes.
pub(crate) fn ratios(dir: &Path, len: u64) -> Vec<Cell> {
    let mut cells = tasks();
    cells.extend([(50, 64), (200, 1024)].map(echo));
    for direct in [false, true] {
        cells.extend([1, 32].map(|depth| random_read(dir, len, direct, depth)));
    }
    cells.extend([1, 32].map(|depth| write(dir, depth)));
    cells.push(copy(dir, len));
    cells
}

fn tasks() -> Vec<Cell> {
    use Work::{Nop, SpawnJoin, Wake, Yield};
    vec![
        cell! { "nop-1", "nop round trip, one at a time", a "nop": Kind::Work(Nop(1)) },
        cell! { "nop-32", "nop round trip, 32 at a time", a "nop": Kind::Work(Nop(32)) },
        cell! { "yield-1", "yield, 1 task", a "yield": Kind::Work(Yield(1)) },
        cell! { "yield-100", "yield, 100 tasks", a "yield": Kind::Work(Yield(100)) },
        cell! { "spawn-1", "spawn and join, one at a time", a "task": Kind::Work(SpawnJoin(1)) },
        cell! { "spawn-1000", "spawn and join, batches of 1000", a "task": Kind::Work(SpawnJoin(1000)) },
        cell! { "wake", "wake from another thread and answer", a "round trip": Kind::Work(Wake) },
    ]
}

fn echo((connections, message): (usize, usize)) -> Cell {
    let count = grouped(connections as f64, 0);
    let plural = if connections == 1 { "" } else { "s" };
    let size = size(message as u64);
    cell! { "echo-{connections}x{message}", "TCP echo, {count} connection{plural}, {size}", a "request": Kind::Serve(Way::Tcp, connections, message) }
}

pub(crate) fn two_cores(quick: bool) -> Vec<Cell> {
    let echo = |&(connections, message): &(usize, usize)| {
        let size = size(message as u64);
        cell! { "echo2-{connections}x{message}", "TCP echo on two cores, which the load shares, {connections} connections, {size}", a "request": Kind::Serve(Way::TwoCores, connections, message) }
    };
    let all = [(50, 64), (200, 1024)];
    all.iter()
        .take(if quick { 1 } else { 2 })
        .map(echo)
        .collect()
}

/// Without a pipeline and with one.
fn keys() -> Vec<Cell> {
    let request = |verb: Verb, batch: usize| {
        let word = format!("{verb:?}").to_lowercase();
        let (at_once, suffix) = match batch {
            1 => (String::new(), String::new()),
            _ => (format!(", {batch} at once"), format!("-p{batch}")),
        };
        cell! { "kv-{word}{suffix}", "{word} a key by the protocol of redis, 50 connections, 64 B{at_once}", a "request": Kind::Serve(Way::Keys(verb, batch), 50, 64) }
    };
    let both = [Verb::Get, Verb::Set].into_iter();
    both.flat_map(|verb| [1, 16].map(|batch| request(verb, batch)))
        .collect()
}

/// HTTP by both libraries, and frames.
pub(crate) fn web(quick: bool) -> Vec<Cell> {
    let sizes: &[_] = match quick {
        true => &[(64, 64)],
        false => &[(64, 64), (64, 16_384), (1000, 64), (1000, 16_384)],
    };
    let mut cells = Vec::new();
    for (tls, words, suffix) in [(false, "", ""), (true, ", TLS", "-tls")] {
        for (library, web) in [("hyper", Web::Hyper { tls }), ("axum", Web::Axum { tls })] {
            cells.extend(sizes.iter().map(|&(connections, body)| {
                let (count, size) = (grouped(connections as f64, 0), size(body as u64));
                cell! { "http-{library}{suffix}-{connections}x{body}", "HTTP by {library}{words}, {count} connections, {size}", a "request": Kind::Serve(Way::Web(web), connections, body) }
            }));
        }
    }
    cells.push(cell! { "frames-50x64", "frames sent back, 50 connections, 64 B", a "frame": Kind::Serve(Way::Web(Web::Frames), 50, 64) });
    cells
}

/// A file in the data directory.
fn file(dir: &Path, name: &str, len: u64, block: usize, depth: usize) -> Blocks {
    Blocks {
        path: dir.join(name),
        len,
        block,
        depth,
    }
}

fn random_read(dir: &Path, len: u64, direct: bool, depth: usize) -> Cell {
    let file = file(dir, "read", len, 4 * KIB, depth);
    let (kind, words) = match direct {
        true => ("direct", "O_DIRECT"),
        false => ("cached", "page cache"),
    };
    let random = true;
    cell! { "read-{kind}-{depth}", "4 KiB random read, {words}, depth {depth}", a "read": Kind::Work(Work::Read { file, random, direct }) }
}

fn sequential_read(dir: &Path, len: u64) -> Cell {
    let (random, direct) = (false, false);
    let file = file(dir, "read", len, 64 * KIB, 8);
    in_bytes(
        cell! { "read-sequential", "sequential read, page cache, 64 KiB, depth 8", a "block": Kind::Work(Work::Read { file, random, direct }) },
    )
}

fn streams(dir: &Path, len: u64, count: usize) -> Cell {
    let file = file(dir, "read", len, 64 * KIB, 2);
    in_bytes(
        cell! { "streams-{count}", "{count} streams of a file at once, page cache, 64 KiB, 2 ahead", a "block": Kind::Work(Work::Streams(file, count)) },
    )
}

/// Over and over the same part of a file, so that the disk does not take part.
fn write(dir: &Path, depth: usize) -> Cell {
    let file = file(dir, "written", 4 * MIB, 4 * KIB, depth);
    cell! { "write-cached-{depth}", "4 KiB write, page cache, depth {depth}", a "write": Kind::Work(Work::Write(file)) }
}

fn copy(dir: &Path, len: u64) -> Cell {
    let from = file(dir, "source", len, 64 * KIB, 16);
    let (blocks, size, to) = (from.count(), size(len), dir.join("target"));
    in_bytes(
        cell! { "copy", "file copy, {size}, 64 KiB buffers", a "block": Kind::Long(Work::Copy(from, to), blocks) },
    )
}

/// Of work in blocks of 64 KiB.
fn in_bytes(mut cell: Cell) -> Cell {
    cell.bytes = Some(64 * KIB as u64);
    cell
}

fn size(bytes: u64) -> String {
    match bytes {
        n if n < 1 << 10 => format!("{n} B"),
        n if n < 1 << 20 => format!("{} KiB", n >> 10),
        n if n < 1 << 30 => format!("{} MiB", n >> 20),
        n => format!("{} GiB", n >> 30),
    }
}
