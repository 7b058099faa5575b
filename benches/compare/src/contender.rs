//! What a runtime has to offer to be compared.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use crate::control::Control;

/// What a server is asked to do. It listens already; it serves until the process is killed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct EchoSpec {
    /// Bytes of a message: what a read buffer should hold.
    pub(crate) message: usize,
    /// Connections that the load generator holds at once: a hint for the size of tables. Churn goes beyond.
    pub(crate) connections: usize,
}

/// Work that a contender's process does by itself, in slices asked for through [`Control`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Random reads of `block` bytes; one op = one read; `depth` of them in flight at any time.
    RandomRead {
        path: PathBuf,
        len: u64,
        block: usize,
        depth: usize,
        direct: bool,
    },
    /// One op = one block; a pass over the file has `len / block` of them, and wraps round at the end.
    SequentialRead {
        path: PathBuf,
        len: u64,
        block: usize,
        depth: usize,
    },
    /// One op = one block; `streams` readers of the same file, each of a part of its own in a row, over and over, with `depth`
    /// blocks on their way.
    Streams {
        path: PathBuf,
        len: u64,
        block: usize,
        streams: usize,
        depth: usize,
    },
    /// One op = one block copied; a slice copies all of `from` to `to`, truncated first, as often as needed.
    Copy {
        from: PathBuf,
        to: PathBuf,
        len: u64,
        block: usize,
        depth: usize,
    },
    /// One op = one no-op through the ring and back; `depth` tasks at once.
    Nop { depth: usize },
    /// One op = one yield; `tasks` tasks yield in turn.
    Yield { tasks: usize },
    /// One op = one task spawned and joined; `batch` are spawned, then all joined.
    SpawnJoin { batch: usize },
    /// One op = a round trip: a thread without a runtime, on another core, wakes a task through its `Waker`, and the
    /// task answers by unparking the thread.
    Wake,
    /// One op = one sleep, with deadlines spread over 0 to 1 s; all are started at once and awaited.
    Timers,
    /// Makes so many tasks that sleep for an hour; no ops, memory only.
    Sleepers { count: usize },
    /// Makes so many tasks that are pending for ever; no ops, memory only.
    Pending { count: usize },
}

impl Work {
    /// What those do who have no streams of a file: as many reads at a time, in a row.
    pub(crate) fn without_streams(&self) -> Option<Work> {
        let Work::Streams {
            path,
            len,
            block,
            streams,
            depth,
        } = self
        else {
            return None;
        };
        Some(Work::SequentialRead {
            path: path.clone(),
            len: *len,
            block: *block,
            depth: streams * depth,
        })
    }
}

/// Serves TCP connections for ever: echoes everything on each until it ends, with TCP_NODELAY.
pub(crate) type Echo = fn(std::net::TcpListener, EchoSpec) -> io::Result<()>;

/// Answers each datagram to its sender, for ever.
pub(crate) type UdpEcho = fn(std::net::UdpSocket, EchoSpec) -> io::Result<()>;

/// One runtime under test. What is `None`, this runtime cannot do, and the report says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    /// As in `monoio-t`.
    pub(crate) name: &'static str,
    /// Flags and what else is special, for the report.
    pub(crate) what: &'static str,
    /// Used for churn and idle connections, too.
    pub(crate) echo: Option<Echo>,
    pub(crate) udp_echo: Option<UdpEcho>,
    /// Does the work inside the runtime until [`Control::next`] says that it is over.
    pub(crate) work: fn(Work, Control) -> io::Result<Done>,
}

/// Whether a contender could do the work at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Ended,
    Unsupported,
}
