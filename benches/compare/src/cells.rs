//! The workloads.

use std::path::Path;

use crate::contender::Work;

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
    Echo {
        connections: usize,
        message: usize,
    },
    Udp {
        clients: usize,
        message: usize,
    },
    Churn {
        at_once: usize,
        message: usize,
    },
    Idle {
        connections: usize,
    },
    Work(Work),
    /// Work of which a slice is so many operations, whatever time they take; fewer rounds.
    Long(Work, u64),
    /// Memory only.
    Memory(Work),
}

const BLOCK: usize = 4096;
const SEQUENTIAL: usize = 64 << 10;
const COPIED: usize = 64 << 10;
const COPY_DEPTH: usize = 16;

/// All cells, or those that a quick look needs. Files are in `dir`.
pub(crate) fn all(quick: bool, dir: &Path) -> Vec<Cell> {
    let mut cells = Vec::new();
    network(quick, &mut cells);
    files(quick, dir, &mut cells);
    tasks(quick, &mut cells);
    cells
}

fn network(quick: bool, cells: &mut Vec<Cell>) {
    let mut echoes = Vec::new();
    for message in [64, 1024, 16_384] {
        echoes.extend([1, 50, 200, 1000, 10_000].map(|connections| (connections, message)));
    }
    if quick {
        echoes = vec![(1, 64), (50, 64), (200, 1024), (1000, 64)];
    }
    for (connections, message) in echoes {
        let noun = if connections == 1 {
            "connection"
        } else {
            "connections"
        };
        cells.push(Cell {
            name: format!("echo-{connections}x{message}"),
            title: format!(
                "TCP echo, {} {noun}, {}",
                crate::report::grouped(connections as f64, 0),
                size(message as u64)
            ),
            operation: "request",
            bytes: None,
            kind: Kind::Echo {
                connections,
                message,
            },
        });
    }
    cells.push(Cell {
        name: "churn".into(),
        title: "connect, one echo of 64 B, close; 50 at a time".into(),
        operation: "connection",
        bytes: None,
        kind: Kind::Churn {
            at_once: 50,
            message: 64,
        },
    });
    cells.push(Cell {
        name: "udp".into(),
        title: "UDP echo, 50 clients, 64 B".into(),
        operation: "datagram",
        bytes: None,
        kind: Kind::Udp {
            clients: 50,
            message: 64,
        },
    });
    let connections = if quick { 1000 } else { 10_000 };
    cells.push(Cell {
        name: "idle".into(),
        title: format!(
            "memory of an idle connection, buffers of 4 KiB ({} of them)",
            crate::report::grouped(connections as f64, 0)
        ),
        operation: "connection",
        bytes: None,
        kind: Kind::Idle { connections },
    });
}

fn files(quick: bool, dir: &Path, cells: &mut Vec<Cell>) {
    let read = |direct, depth| Work::RandomRead {
        path: dir.join(READ_FILE),
        len: READ_LEN,
        block: BLOCK,
        depth,
        direct,
    };
    let depths: &[usize] = if quick { &[1, 32] } else { &[1, 32, 128] };
    for (kind, words, direct) in [
        ("direct", "O_DIRECT", true),
        ("cached", "page cache", false),
    ] {
        for &depth in depths {
            cells.push(Cell {
                name: format!("read-{kind}-{depth}"),
                title: format!("4 KiB random read, {words}, depth {depth}"),
                operation: "read",
                bytes: None,
                kind: Kind::Work(read(direct, depth)),
            });
        }
    }
    cells.push(Cell {
        name: "read-sequential".into(),
        title: "sequential read, page cache, 64 KiB, depth 8".into(),
        operation: "block",
        bytes: Some(SEQUENTIAL as u64),
        kind: Kind::Work(Work::SequentialRead {
            path: dir.join(READ_FILE),
            len: READ_LEN,
            block: SEQUENTIAL,
            depth: 8,
        }),
    });
    for streams in [16, 64] {
        cells.push(Cell {
            name: format!("streams-{streams}"),
            title: format!("{streams} streams of a file at once, page cache, 64 KiB, 2 ahead"),
            operation: "block",
            bytes: Some(SEQUENTIAL as u64),
            kind: Kind::Work(Work::Streams {
                path: dir.join(READ_FILE),
                len: READ_LEN,
                block: SEQUENTIAL,
                streams,
                depth: 2,
            }),
        });
    }
    let len = copy_len(quick);
    cells.push(Cell {
        name: "copy".into(),
        title: format!("file copy, {}, 64 KiB buffers", size(len)),
        operation: "block",
        bytes: Some(COPIED as u64),
        kind: Kind::Long(
            Work::Copy {
                from: dir.join(COPY_FILE),
                to: dir.join("target"),
                len,
                block: COPIED,
                depth: COPY_DEPTH,
            },
            len / COPIED as u64,
        ),
    });
}

fn tasks(quick: bool, cells: &mut Vec<Cell>) {
    let mut work = |name: &str, title: &str, operation, kind| {
        cells.push(Cell {
            name: name.into(),
            title: title.into(),
            operation,
            bytes: None,
            kind,
        });
    };
    let nop = |depth| Kind::Work(Work::Nop { depth });
    let yields = |tasks| Kind::Work(Work::Yield { tasks });
    let spawn = |batch| Kind::Work(Work::SpawnJoin { batch });
    work("nop-1", "nop round trip, one at a time", "nop", nop(1));
    work("nop-32", "nop round trip, 32 at a time", "nop", nop(32));
    work("yield-1", "yield, 1 task", "yield", yields(1));
    work("yield-100", "yield, 100 tasks", "yield", yields(100));
    work("spawn-1", "spawn and join, one at a time", "task", spawn(1));
    work(
        "spawn-1000",
        "spawn and join, batches of 1000",
        "task",
        spawn(1000),
    );
    work(
        "wake",
        "wake from another thread and answer",
        "round trip",
        Kind::Work(Work::Wake),
    );
    let (count, words) = if quick {
        (10_000, "10,000")
    } else {
        (100_000, "100,000")
    };
    work(
        "timers",
        &format!("{words} sleeps of 0 to 1 s"),
        "sleep",
        Kind::Long(Work::Timers, count as u64),
    );
    work(
        "sleepers",
        &format!("memory of a sleeping task ({words} of them)"),
        "task",
        Kind::Memory(Work::Sleepers { count }),
    );
    work(
        "pending",
        &format!("memory of a pending task ({words} of them)"),
        "task",
        Kind::Memory(Work::Pending { count }),
    );
}

/// In the data directory: what is read.
pub(crate) const READ_FILE: &str = "read";
pub(crate) const READ_LEN: u64 = 256 << 20;
/// In the data directory: what is copied.
pub(crate) const COPY_FILE: &str = "source";

pub(crate) fn copy_len(quick: bool) -> u64 {
    if quick { 256 << 20 } else { 1 << 30 }
}

fn size(bytes: u64) -> String {
    match bytes {
        n if n < 1 << 10 => format!("{n} B"),
        n if n < 1 << 20 => format!("{} KiB", n >> 10),
        n if n < 1 << 30 => format!("{} MiB", n >> 20),
        n => format!("{} GiB", n >> 30),
    }
}
