//! An async runtime for Linux, built on io_uring.
//!
//! It has the tasks, sockets, files and timers that you know from tokio and std. The difference is in how a read works:
//! an operation takes its buffer by value, the kernel fills it, and the buffer comes back beside the result. So memory
//! safety comes from ownership, not from borrows. Each thread has an executor and an io_uring of its own. A task stays on
//! its thread: its future need not be `Send`.
//!
//! # A TCP server
//!
//! It sends back whatever comes. An address that cannot be had is named in the error.
//!
//! ```no_run
//! use std::io;
//!
//! use futures_util::StreamExt;
//! use saferring::net::{TcpListener, TcpStream};
//!
//! async fn echo(stream: TcpStream) -> io::Result<()> {
//!     let mut chunks = stream.recv_stream(); // one request to the kernel for all that comes
//!     while let Some(chunk) = chunks.next().await {
//!         let (sent, _chunk) = stream.write_all(chunk?).await; // buffer by value, buffer back
//!         sent?;
//!     }
//!     Ok(())
//! }
//!
//! #[saferring::main]
//! async fn main() -> io::Result<()> {
//!     let addr = "127.0.0.1:7000";
//!     let listener = TcpListener::bind(addr)
//!         .map_err(|error| io::Error::new(error.kind(), format!("{addr}: {error}")))?;
//!     let mut incoming = listener.incoming(); // one request, not one a connection
//!     while let Some(stream) = incoming.next().await {
//!         match stream {
//!             Ok(stream) => drop(saferring::spawn(async move {
//!                 if let Err(error) = echo(stream).await {
//!                     eprintln!("a connection ended: {error}");
//!                 }
//!             })),
//!             // Out of descriptors, most likely. The next one waits until one can be had.
//!             Err(error) => eprintln!("{addr}: {error}"),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Files
//!
//! Any number of reads may be in flight at once, in one file or many. A path that cannot be read is named in the error.
//!
//! ```
//! use std::io;
//! use std::path::Path;
//!
//! use saferring::fs::File;
//!
//! async fn count_lines(path: &Path) -> io::Result<usize> {
//!     let file = File::open(path).await?;
//!     let (mut lines, mut at) = (0, 0);
//!     let mut buf = Vec::with_capacity(64 * 1024);
//!     loop {
//!         let (read, filled) = file.read_at(buf, at).await;
//!         match read? {
//!             0 => return Ok(lines),
//!             n => at += n as u64,
//!         }
//!         lines += filled.iter().filter(|&&byte| byte == b'\n').count();
//!         buf = filled; // the same memory again
//!     }
//! }
//!
//! #[saferring::main]
//! async fn main() -> io::Result<()> {
//!     let path = Path::new("Cargo.toml");
//!     let lines = count_lines(path)
//!         .await
//!         .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
//!     println!("{lines} lines");
//!     Ok(())
//! }
//! ```
//!
//! # Tasks and timers
//!
//! ```
//! use std::time::Duration;
//!
//! use saferring::task::JoinSet;
//! use saferring::time::{interval, sleep};
//!
//! #[saferring::main]
//! async fn main() {
//!     let progress = saferring::spawn(async {
//!         let mut ticks = interval(Duration::from_millis(5));
//!         loop {
//!             ticks.tick().await;
//!             println!("working");
//!         }
//!     });
//!     let mut jobs = JoinSet::new();
//!     for n in 1..=3 {
//!         jobs.spawn(async move {
//!             sleep(Duration::from_millis(10 * n)).await;
//!             n
//!         });
//!     }
//!     while let Some(done) = jobs.join_next().await {
//!         match done {
//!             Ok(n) => println!("job {n} is done"),
//!             Err(error) => eprintln!("a job has failed: {error}"), // it panicked, or was aborted
//!         }
//!     }
//!     progress.abort();
//! }
//! ```
//!
//! # Many cores
//!
//! One thread is one runtime. [`cores`] starts one on each CPU, and has what goes between them: connections, calls, messages,
//! values of which each core has one. `#[saferring::main(cores = "all")]` is the short form.
//!
//! # What holds, whatever a program does
//!
//! - Nothing that the kernel may still touch is freed, moved or read: not when a future is dropped or forgotten, a task
//!   aborted or panicking, the runtime or the thread gone.
//! - Cancelling loses nothing: a late result or its bytes are given to whoever comes next, and a late descriptor closes
//!   itself.
//! - A descriptor's number is not reused under a live operation.
//!
//! # Where things are
//!
//! | for | look in |
//! |---|---|
//! | sockets: TCP, UDP, Unix | [`net`] |
//! | files and directories | [`fs`] |
//! | buffered reading and writing, lines, copies, splices | [`io`] |
//! | sleeps, intervals, timeouts of any future | [`time`]; for one operation, [`Op::timeout`](op::Op::timeout) |
//! | a runtime on each of many cores, and what goes between them | [`cores`] |
//! | tasks, and waiting for them | [`task`], and [`spawn`] |
//! | starting and tuning a runtime, giving it work from other threads, blocking work, metrics, what is in flight | [`runtime`], and [`spawn_blocking`] |
//! | Ctrl-C, being asked to stop, any other signal | [`signal`] |
//! | the files of this crate for programs that stay on another runtime, such as tokio | [`remote`] |
//! | reading and writing with owned buffers, from the start | [owned buffers in ten minutes](buf::owned_buffers) |
//! | channels and locks, across cores and for one | [`sync`] |
//! | which buffers there are, and how a read fills one | [`buf`] |
//! | an operation before it is awaited: deadlines, submitting, cancelling; direct descriptors | [`op`] |
//!
//! # Kernel
//!
//! Any Linux; io_uring from 5.15 on (and 5.10.162), and where it cannot be had plain system calls, with one warning
//! ([`runtime::Backend`]). What a kernel's io_uring lacks is done another way where there is one;
//! [`features`] tells what was found, and [`runtime::AdvancedConfig`] what is to happen without. The environment variable
//! `SAFERRING_DISABLE` switches [features](Feature) off, by name or by version.
//!
//! # For readers of the source
//!
//! One read, `file.read_at(buf, 0).await`, from the call to the kernel and back:
//!
//! 1. `File::read_at` (`fs/positional.rs`) makes a `Read` (`op/operations/read.rs`), which owns the buffer and a count of the
//!    descriptor, and puts it into an `Op` (`op/mechanism/op.rs`). Nothing else has happened yet.
//! 2. The first poll comes to `Flight::start` (`op/mechanism/flight.rs`). `Stored::submit` (`op/mechanism/stored.rs`) moves
//!    the operation into a cell of the driver's table (`driver/slots.rs`), whose address never changes.
//! 3. There `Read::prepare` makes the entry, with pointers to where everything lies now. `Driver::submit` (`driver/driver.rs`)
//!    puts it into the submission queue. From here on only the kernel's last word frees the operation.
//! 4. When no task is ready, `Core::tick` (`runtime/event_loop.rs`) enters the kernel: `Ring::enter`
//!    (`sys/kernel_ring.rs`) submits what is queued, and waits.
//! 5. `Driver::next_event` takes the completion and files its result in the cell. `handle` (`op/resource/fd/turns.rs`) wakes
//!    the task.
//! 6. The second poll comes to `Flight::finish`, which takes the operation out of its cell. `Read::complete` sets the
//!    buffer's length, and gives the buffer back with the result.
//!
//! `DESIGN.md` has the tree, a table of words, the rules and the reasons; `CONTRIBUTING.md` says how to add an operation.
#![cfg_attr(docsrs, feature(doc_cfg))]
// What only `cores` and `remote` use, in the rooms below them, is not taken out without them.
#![cfg_attr(
    not(all(feature = "cores", feature = "remote")),
    allow(dead_code, unused_imports)
)]

#[cfg(not(target_os = "linux"))]
compile_error!("saferring drives io_uring, which only Linux has");

mod feature;

mod error;
mod foreign;
mod sys;
mod warning;

pub mod buf;

mod driver;
pub mod task;

pub mod op;

pub mod runtime;

pub mod fs;
pub mod io;
pub mod net;
#[cfg(feature = "signal")]
pub mod signal;
#[cfg(feature = "sync")]
pub mod sync;
pub mod time;

#[cfg(feature = "cores")]
pub mod cores;
#[cfg(feature = "remote")]
pub mod remote;

pub use error::Error;
pub use feature::{DisabledBy, Feature, UnknownFeature};
/// Waiting for several things at once, on one task: futures-util's macros, under the names that they have in tokio.
///
/// `select!` wants futures that can tell that they are over, and lie still: `pin!(future.fuse())`, as its page says.
pub use futures_util::{join, select, select_biased, try_join};
pub use op::features;
pub use runtime::spawn_blocking;
#[cfg(feature = "macros")]
pub use saferring_macros::{main, test};
pub use sys::{Features, Status};
pub use task::{JoinHandle, spawn};

/// The README's programs compile.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../README.md")]
struct Readme;
