//! The workloads that saferring is measured with: each in a form of its own for saferring, for a hand-written io_uring
//! loop (*raw*: the limit), and for tokio.
//!
//! `cargo bench --bench ratio` compares them in interleaved slices, `cargo bench --bench core` tracks each with
//! criterion. Both count CPU time, not elapsed time: what a slice costs, not how long the disk or the load generator
//! made it wait. Making a [`Bench`] sets everything up (rings, runtimes, sockets, files); [`Bench::run`] measures.

pub mod buffers;
pub mod compare_stats;
mod copying;
mod echo;
pub mod measure;
mod nop;
pub mod raw;
mod read;
mod read_data;
mod spawning;
pub mod stats;
mod waking;
mod write;
mod yielding;

use std::fmt;
use std::io;
use std::time::Duration;

/// What one slice of work cost.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Operations carried out: at least as many as were asked for.
    pub ops: u64,
    /// CPU time, user and system, of the side that is measured.
    pub cpu: Duration,
    /// Elapsed time.
    pub wall: Duration,
    /// Calls of io_uring_enter(2), where they are counted.
    pub enters: Option<u64>,
}

/// A workload in one form, set up and ready to run.
pub trait Bench {
    /// Carries out at least `ops` operations, and tells what they cost.
    ///
    /// # Errors
    ///
    /// Whatever the kernel reports. The bench must not be used after that.
    fn run(&mut self, ops: u64) -> io::Result<Sample>;
}

/// Sets a workload up on the calling thread, which is where it has to run.
pub type Make = fn(Scale) -> io::Result<Box<dyn Bench>>;

/// One form of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// `raw`, `saferring`, `tokio`, or one of these with what is special about it.
    pub name: &'static str,
    /// Makes it.
    pub make: Make,
}

/// One kind of work, in all its forms.
#[derive(Clone, Debug)]
pub struct Workload {
    /// A short name for tables and `--only`.
    pub name: &'static str,
    /// What one operation is, and what else there is to know.
    pub what: &'static str,
    /// Its forms. The first is `raw`, the others are compared with it.
    pub variants: Vec<Variant>,
}

/// How large the things are that workloads work on.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Bytes of the file that is read: a multiple of 4096.
    pub file_len: u64,
}

impl Default for Scale {
    fn default() -> Self {
        Scale {
            file_len: 256 << 20,
        }
    }
}

/// All workloads.
pub fn workloads() -> Vec<Workload> {
    [
        nop::workloads(),
        yielding::workloads(),
        spawning::workloads(),
        waking::workloads(),
        echo::workloads(),
        read::workloads(),
        write::workloads(),
        copying::workloads(),
    ]
    .concat()
}

/// What tokio is measured with. Without its I/O driver it is no peer, but its tasks cost less: with it, a yield of the
/// only task looks at epoll.
fn tokio_runtime(io: bool) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    if io {
        builder.enable_io();
    }
    builder.build()
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ops in {:?} of CPU, {:?}",
            self.ops, self.cpu, self.wall
        )
    }
}
