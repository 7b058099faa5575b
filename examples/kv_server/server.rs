//! What all cores share: how the server was started, and what it counts.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// When changes are brought to the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Append {
    /// When the kernel thinks fit.
    No,
    /// Every second: what was answered in the last one may be lost with the power.
    EverySecond,
    /// Before they are answered.
    Always,
}

impl Append {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Append::No => "no",
            Append::EverySecond => "everysec",
            Append::Always => "always",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) addr: String,
    pub(crate) cores: usize,
    pub(crate) append: Append,
    /// Where the log is; without it nothing is kept.
    pub(crate) dir: Option<PathBuf>,
    /// From which length on a log that has doubled is written anew, in bytes.
    pub(crate) rewrite_from: u64,
    /// How long a client may leave its answers unread.
    pub(crate) patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            addr: "127.0.0.1:0".to_owned(),
            cores: 1,
            append: Append::EverySecond,
            dir: None,
            rewrite_from: 64 << 20, // As redis does it.
            patience: Duration::from_secs(60),
        }
    }
}

pub(crate) struct Server {
    pub(crate) options: Options,
    pub(crate) port: u16,
    pub(crate) started: Instant,
    /// All that there ever were.
    pub(crate) connections: AtomicU64,
    /// Those that are open.
    pub(crate) clients: AtomicU64,
    /// Of each shard.
    pub(crate) totals: Vec<Totals>,
}

/// What a shard tells of itself.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) keys: AtomicU64,
    pub(crate) mortal: AtomicU64,
    pub(crate) log_len: AtomicU64,
    pub(crate) rewrites: AtomicU64,
    pub(crate) in_trouble: AtomicU64,
}

impl Server {
    pub(crate) fn new(options: Options, port: u16) -> Self {
        Server {
            port,
            started: Instant::now(),
            connections: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            totals: (0..options.cores).map(|_| Totals::default()).collect(),
            options,
        }
    }
}

/// Tells the operator, if that is possible: where stderr is a file, the disk may be full for it, too.
pub(crate) fn tell(what: impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}
