//! The runtime: one thread that runs tasks and drives io_uring.
//!
//! Most programs need no more than [`#[saferring::main]`](macro@crate::main), which makes a runtime and runs `main` in
//! it. A [`Builder`] sets what is not to be as usual:
//!
//! ```
//! use std::time::Duration;
//!
//! use saferring::runtime::Builder;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let runtime = Builder::new()
//!         .entries(1024)
//!         .shutdown_grace(Duration::from_secs(2))
//!         .build()?;
//!     let answer = runtime.block_on(async {
//!         let question = saferring::spawn(async { 6 * 7 });
//!         question.await
//!     })?;
//!     assert_eq!(answer, 42);
//!     Ok(())
//! }
//! ```
//!
//! # What differs from tokio
//!
//! - A runtime has one thread, that which made it, and no work is stolen. Tasks need not be `Send`.
//! - To use several cores, run a runtime on each: [`cores`](crate::cores) does so.
//! - Other threads and runtimes give it work by its [`Handle`].
//! - Dropping a runtime cancels what is in flight, and waits until the kernel has given all memory back: at most
//!   [`Builder::shutdown_grace`]. What it has not given back by then is leaked, because the kernel may still write to
//!   it.
//! - [`in_flight`] lists what the kernel has not finished, and [`metrics()`] what the runtime has counted.
//! - Reads and writes of sockets and files end a turn by themselves, as they go to the kernel; what may be ready without
//!   takes from a budget, as in tokio ([`consume_budget`](crate::task::consume_budget)).
//!
//! # Inside another event loop
//!
//! [`Runtime::block_on`] waits by itself. A program whose thread has a loop already, be it of a toolkit or of poll(2), has that loop
//! wait for the runtime's [descriptor](Runtime::try_as_fd) and for [its next timer](Runtime::next_deadline), beside all else, and
//! calls [`Runtime::run_once`], which never waits:
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use rustix::event::{PollFd, PollFlags, Timespec, poll};
//! use saferring::runtime::Runtime;
//!
//! let runtime = Runtime::new()?;
//! let fd = runtime.try_as_fd()?;
//! let task = runtime.spawn(async {
//!     saferring::time::sleep(Duration::from_millis(1)).await;
//!     42
//! });
//! loop {
//!     let more = runtime.run_once();
//!     if task.is_finished() {
//!         break;
//!     }
//!     if more {
//!         continue; // Or look at the other sources, without a wait.
//!     }
//!     let wait = runtime.next_deadline().map(|deadline| {
//!         let left = deadline.saturating_duration_since(Instant::now());
//!         Timespec::try_from(left).unwrap()
//!     });
//!     let mut sources = [PollFd::new(&fd, PollFlags::IN)]; // And those of the program.
//!     poll(&mut sources, wait.as_ref())?;
//! }
//! assert_eq!(runtime.block_on(task)?, 42);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! Handlers of other sources run between two calls of it, outside the runtime: they may spawn by [`Runtime::spawn`] and send by
//! channels, and cannot start operations themselves.
//!
//! # Stalls
//!
//! A task that blocks, or computes for long, holds up all others of its core. [`Builder::stall_detector`] has it told which one does:
//! its number, its name ([`task::Builder`](crate::task::Builder)), and where it was spawned. One thread looks at the loops of all
//! runtimes of the process that ask for it, four times within the shortest bound; it has no descriptor, sends no signal, and
//! ends with the last of them.
//!
//! - A loop stalls that has not turned for the bound, as far as was seen: a stall that is a quarter longer is always seen. While it waits
//!   in the kernel, spins, or is not inside [`Runtime::block_on`] or [`Runtime::run_once`], it does not stall. The drops of tasks at shutdown count, the grace
//!   period does not.
//! - What holds it is the task that has its turn; the future of [`Runtime::block_on`], by where that was called; or neither, when it is
//!   the kernel, in a system call that does not wait, or a waker of another crate. A turn of the loop has many polls
//!   ([`Builder::event_interval`]): if none of them has held it for most of the time, as far as was seen, the
//!   line says that it was several.
//! - Time in which the watchdog was stopped itself, with the process or by a debugger, counts as one look.
//! - The line tells no stack. It says nothing about whether the task computes, or blocks in a system call, or waits for a CPU.
//! - In a child of fork(2) the parent's runtimes are not watched. One that the child makes is.
//! - A task that a [`JoinSet`](crate::task::JoinSet) collects from an iterator has the place where std calls that.

mod advanced;
mod answer;
mod blocking;
mod builder;
mod call;
mod caught;
mod context;
mod event_loop;
mod external;
mod handle;
mod inbox;
mod metrics;
mod park;
#[allow(clippy::module_inception)] // A type's file has the type's name, here as elsewhere.
mod runtime;
mod shutdown;
mod stall;
mod tuning;
mod watchdog;

pub use crate::driver::InFlightOp;
#[doc(hidden)]
pub use crate::driver::{Accounts, accounts};
pub use crate::sys::{Backend, FallbackStrategy, RingInfo, Setup};
pub use advanced::AdvancedConfig;
pub use blocking::spawn_blocking;
pub(crate) use blocking::{spawn_apart, spawn_own};
pub use builder::Builder;
pub(crate) use call::{Call, Home, Later, Now, Work};
pub use call::{CallError, Remote};
pub(crate) use caught::caught;
#[cfg(feature = "cores")]
pub(crate) use context::refuse_to_block;
pub(crate) use context::with_driver;
pub use context::{fixed_buffers, in_flight, metrics};
pub use handle::Handle;
pub(crate) use inbox::{Inbox, Job, Message};
pub use metrics::Metrics;
pub(crate) use metrics::SAMPLES;
pub use runtime::Runtime;
#[doc(hidden)]
pub use watchdog::stall_looks;
