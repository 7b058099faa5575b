//! The same work on saferring, on a hand-written io_uring loop (*raw*: the limit) and on other runtimes.
//!
//! `cargo bench --bench ratio` compares saferring with the loop, `cargo bench --bench compare` with everybody, and
//! `cargo bench --bench core` tracks each with criterion. All run the same workloads by the same means: each contender
//! works in a process of its own, all of a workload are alive at once and take turns in short slices, and what counts
//! is the CPU time of the process, not how long the disk or the load generator made it wait.
//!
//! A [`Contender`](contender::Contender) is a runtime, by way of the functions that serve or work; [`runtimes::Api`] is
//! what most of the work needs of one.

mod cells;
mod check;
mod child;
pub mod contender;
mod control;
mod data;
mod keys;
mod load;
mod measure;
mod options;
mod process;
mod program;
mod progress;
mod raw;
mod report;
mod runner;
pub mod runtimes;
mod session;
mod settings;
mod sockets;
pub mod stats;
mod syscalls;
mod system;
mod talk;
mod track;
mod wake;
pub mod web;

pub use measure::cpu_time;
pub use program::{compare, once, ratio};
pub use track::{Track, tracks};
