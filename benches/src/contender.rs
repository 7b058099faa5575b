//! What a runtime has to offer to be compared.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::control::Control;
use crate::control::{Message, say};
pub use crate::web::Web;

/// What a server is asked to do. It listens already; it serves until the process is killed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct EchoSpec {
    /// Bytes of a message: what a read buffer should hold.
    pub message: usize,
    /// Connections that the load generator holds at once: a hint for the size of tables. Churn goes beyond.
    pub connections: usize,
}

/// A file, in blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Blocks {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes.
    pub len: u64,
    /// Bytes of a block.
    pub block: usize,
    /// Blocks that are on their way at any time.
    pub depth: usize,
}

impl Blocks {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.len / self.block as u64
    }
}

/// Work that a contender's process does by itself, in slices asked for through [`Control`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Work {
    /// One op = one block read.
    Read {
        /// Of these.
        file: Blocks,
        /// At random places; otherwise in a row, over and over.
        random: bool,
        /// Past the page cache.
        direct: bool,
    },
    /// One op = one block written, in a row, over and over.
    Write(Blocks),
    /// One op = one block; so many readers of the same file, each of a part of its own in a row, over and over, with
    /// `depth` blocks on their way.
    Streams(Blocks, usize),
    /// One op = one block copied; a slice copies all of the file, to an empty one, as often as needed.
    Copy(Blocks, PathBuf),
    /// One op = one no-op through the ring and back; so many tasks at once.
    Nop(usize),
    /// One op = one yield; so many tasks yield in turn.
    Yield(usize),
    /// One op = one task spawned and joined; so many are spawned, then all joined.
    SpawnJoin(usize),
    /// One op = a round trip: a thread without a runtime, on another core, wakes a task through its `Waker`, and the
    /// task answers by unparking the thread.
    Wake,
    /// One op = one sleep, with deadlines spread over 0 to 1 s; all are started at once and awaited.
    Timers,
    /// Makes so many tasks that sleep for an hour; no ops, memory only.
    Sleepers(usize),
    /// Makes so many tasks that are pending for ever; no ops, memory only.
    Pending(usize),
}

impl Work {
    /// The file that is there before the work begins.
    pub(crate) fn file(&self) -> Option<&Blocks> {
        match self {
            Work::Read { file, .. }
            | Work::Write(file)
            | Work::Streams(file, _)
            | Work::Copy(file, _) => Some(file),
            _ => None,
        }
    }

    /// What those do who have no streams of a file: as many reads at a time, in a row.
    pub(crate) fn without_streams(&self) -> Option<Work> {
        let Work::Streams(file, streams) = self else {
            return None;
        };
        let mut file = file.clone();
        file.depth *= streams;
        Some(Work::Read {
            file,
            random: false,
            direct: false,
        })
    }
}

/// Serves TCP connections for ever: echoes everything on each until it ends, with TCP_NODELAY.
pub type Echo = fn(TcpListener, EchoSpec) -> io::Result<()>;

/// Answers each datagram to its sender, for ever.
pub type UdpEcho = fn(UdpSocket, EchoSpec) -> io::Result<()>;

/// How a contender serves TCP connections on two cores, as [`Echo`] does on one.
#[derive(Clone, Copy, Debug)]
pub enum TwoCores {
    /// It does not.
    No,
    /// By a thread on each core, that does what `echo` does at a socket of its own; both sockets have the same port.
    Threads,
    /// By its own means. It binds a port of its own choice, tells it by [`say_listening`], and serves for ever.
    Own(fn(EchoSpec) -> io::Result<()>),
}

/// Tells the harness where this process listens.
pub fn say_listening(addr: SocketAddr) {
    say(&Message::Listening(addr));
}

/// One runtime under test. What is `None`, this runtime cannot do, and the report says so.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// As in `monoio-t`.
    pub name: &'static str,
    /// Flags and what else is special, for the report.
    pub what: &'static str,
    /// Used for churn and idle connections, too.
    pub echo: Option<Echo>,
    /// For TCP on two cores.
    pub two_cores: TwoCores,
    /// For HTTP and frames: what serves them, if anything does. A message is the body of a response, or what is in a frame.
    pub web: fn(Web) -> Option<Echo>,
    /// For UDP.
    pub udp_echo: Option<UdpEcho>,
    /// Does the work inside the runtime until [`Control`] says that it is over.
    pub work: fn(Work, Control) -> io::Result<Done>,
}

impl Contender {
    /// One that serves HTTP and frames, and does nothing else.
    pub const fn web(name: &'static str, what: &'static str, web: fn(Web) -> Option<Echo>) -> Self {
        Contender {
            web,
            ..Contender::worker(name, what, |_, _| Ok(Done::Unsupported))
        }
    }

    /// One that serves TCP, and nothing else.
    pub const fn server(name: &'static str, what: &'static str, echo: Echo) -> Self {
        Contender {
            name,
            what,
            echo: Some(echo),
            two_cores: TwoCores::No,
            web: |_| None,
            udp_echo: None,
            work: |_, _| Ok(Done::Unsupported),
        }
    }

    /// One that works, and serves nobody.
    pub const fn worker(
        name: &'static str,
        what: &'static str,
        work: fn(Work, Control) -> io::Result<Done>,
    ) -> Self {
        Contender {
            name,
            what,
            echo: None,
            two_cores: TwoCores::No,
            web: |_| None,
            udp_echo: None,
            work,
        }
    }
}

/// Whether a contender could do the work at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It did.
    Ended,
    /// It has no such thing.
    Unsupported,
}
