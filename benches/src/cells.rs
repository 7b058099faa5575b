//! The workloads.

use std::path::Path;

use crate::contender::{Blocks, Work};
use crate::load::Way;
use crate::report::grouped;

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

const KIB: usize = 1 << 10;
const MIB: u64 = 1 << 20;

/// What the comparison runs, or as much of it as a quick look needs. Files are in `dir`.
pub(crate) fn compared(quick: bool, dir: &Path) -> Vec<Cell> {
    let mut cells = Vec::new();
    if quick {
        cells.extend([(1, 64), (50, 64), (200, 1024), (1000, 64)].map(echo));
    } else {
        for message in [64, 1024, 16_384] {
            cells
                .extend([1, 50, 200, 1000, 10_000].map(|connections| echo((connections, message))));
        }
    }
    cells.extend([churn(), udp(), idle(if quick { 1000 } else { 10_000 })]);
    let depths: &[usize] = if quick { &[1, 32] } else { &[1, 32, 128] };
    let len = 256 * MIB;
    for direct in [true, false] {
        cells.extend(
            depths
                .iter()
                .map(|&depth| random_read(dir, len, direct, depth)),
        );
    }
    cells.push(sequential_read(dir, len));
    cells.extend([16, 64].map(|count| streams(dir, len, count)));
    cells.push(copy(dir, if quick { 256 * MIB } else { 1024 * MIB }));
    cells.extend(tasks());
    let (count, words) = if quick {
        (10_000, "10,000")
    } else {
        (100_000, "100,000")
    };
    let sleeps = Kind::Long(Work::Timers, count as u64);
    cells.push(cell(
        "timers",
        &format!("{words} sleeps of 0 to 1 s"),
        "sleep",
        sleeps,
    ));
    for (name, what, work) in [
        ("sleepers", "sleeping", Work::Sleepers(count)),
        ("pending", "pending", Work::Pending(count)),
    ] {
        let title = format!("memory of a {what} task ({words} of them)");
        cells.push(cell(name, &title, "task", Kind::Memory(work)));
    }
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

fn cell(name: &str, title: &str, operation: &'static str, kind: Kind) -> Cell {
    Cell {
        name: name.into(),
        title: title.into(),
        operation,
        bytes: None,
        kind,
    }
}

fn echo((connections, message): (usize, usize)) -> Cell {
    let title = format!(
        "TCP echo, {} connection{}, {}",
        grouped(connections as f64, 0),
        if connections == 1 { "" } else { "s" },
        size(message as u64)
    );
    let name = format!("echo-{connections}x{message}");
    cell(
        &name,
        &title,
        "request",
        Kind::Serve(Way::Tcp, connections, message),
    )
}

fn churn() -> Cell {
    let title = "connect, one echo of 64 B, close; 50 at a time";
    cell(
        "churn",
        title,
        "connection",
        Kind::Serve(Way::Churn, 50, 64),
    )
}

fn udp() -> Cell {
    cell(
        "udp",
        "UDP echo, 50 clients, 64 B",
        "datagram",
        Kind::Serve(Way::Udp, 50, 64),
    )
}

fn idle(connections: usize) -> Cell {
    let count = grouped(connections as f64, 0);
    let title = format!("memory of an idle connection, buffers of 4 KiB ({count} of them)");
    cell("idle", &title, "connection", Kind::Idle(connections))
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
    let (kind, words) = if direct {
        ("direct", "O_DIRECT")
    } else {
        ("cached", "page cache")
    };
    let work = Work::Read {
        file: file(dir, "read", len, 4 * KIB, depth),
        random: true,
        direct,
    };
    let title = format!("4 KiB random read, {words}, depth {depth}");
    cell(
        &format!("read-{kind}-{depth}"),
        &title,
        "read",
        Kind::Work(work),
    )
}

fn sequential_read(dir: &Path, len: u64) -> Cell {
    let work = Work::Read {
        file: file(dir, "read", len, 64 * KIB, 8),
        random: false,
        direct: false,
    };
    let title = "sequential read, page cache, 64 KiB, depth 8";
    in_bytes(cell("read-sequential", title, "block", Kind::Work(work)))
}

fn streams(dir: &Path, len: u64, count: usize) -> Cell {
    let work = Work::Streams(file(dir, "read", len, 64 * KIB, 2), count);
    let title = format!("{count} streams of a file at once, page cache, 64 KiB, 2 ahead");
    in_bytes(cell(
        &format!("streams-{count}"),
        &title,
        "block",
        Kind::Work(work),
    ))
}

/// Over and over the same part of a file, so that the disk does not take part.
fn write(dir: &Path, depth: usize) -> Cell {
    let work = Work::Write(file(dir, "written", 4 * MIB, 4 * KIB, depth));
    let title = format!("4 KiB write, page cache, depth {depth}");
    cell(
        &format!("write-cached-{depth}"),
        &title,
        "write",
        Kind::Work(work),
    )
}

fn copy(dir: &Path, len: u64) -> Cell {
    let from = file(dir, "source", len, 64 * KIB, 16);
    let blocks = from.count();
    let work = Work::Copy(from, dir.join("target"));
    let title = format!("file copy, {}, 64 KiB buffers", size(len));
    in_bytes(cell("copy", &title, "block", Kind::Long(work, blocks)))
}

/// Of work in blocks of 64 KiB.
fn in_bytes(cell: Cell) -> Cell {
    Cell {
        bytes: Some(64 * KIB as u64),
        ..cell
    }
}

fn tasks() -> Vec<Cell> {
    let cells = [
        (
            "nop-1",
            "nop round trip, one at a time",
            "nop",
            Work::Nop(1),
        ),
        (
            "nop-32",
            "nop round trip, 32 at a time",
            "nop",
            Work::Nop(32),
        ),
        ("yield-1", "yield, 1 task", "yield", Work::Yield(1)),
        ("yield-100", "yield, 100 tasks", "yield", Work::Yield(100)),
        (
            "spawn-1",
            "spawn and join, one at a time",
            "task",
            Work::SpawnJoin(1),
        ),
        (
            "spawn-1000",
            "spawn and join, batches of 1000",
            "task",
            Work::SpawnJoin(1000),
        ),
        (
            "wake",
            "wake from another thread and answer",
            "round trip",
            Work::Wake,
        ),
    ];
    cells
        .map(|(name, title, operation, work)| cell(name, title, operation, Kind::Work(work)))
        .into()
}

fn size(bytes: u64) -> String {
    match bytes {
        n if n < 1 << 10 => format!("{n} B"),
        n if n < 1 << 20 => format!("{} KiB", n >> 10),
        n if n < 1 << 30 => format!("{} MiB", n >> 20),
        n => format!("{} GiB", n >> 30),
    }
}
