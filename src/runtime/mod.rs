//! Layer 3: the runtime: one thread's executor and driver, and the loop that turns them.
//!
//! # One tick: a round of the loop
//!
//! 1. Run ready tasks, at most [`Builder::event_interval`] polls, so that a busy task cannot keep completions out.
//! 2. Enter the kernel once: submit all that the tasks asked for; if no task is ready, wait for a completion, the next
//!    timer, or a wake from another thread, perhaps after watching for one ([`Builder::spin`]). While tasks are ready and
//!    there is nothing to submit or to collect, the kernel is not entered.
//! 3. Hand each completion to whom it concerns, one by one, with no borrow held.
//! 4. Fire the timers that are over.

mod blocking;
mod builder;
mod context;
mod event_loop;
mod metrics;
mod park;
#[allow(clippy::module_inception)] // A type's file has the type's name, here as elsewhere.
mod runtime;
mod shutdown;
mod thread_pool;
mod tuning;

pub use crate::driver::InFlightOp;
#[doc(hidden)]
pub use crate::driver::{Accounts, accounts};
pub use crate::sys::{RingInfo, Setup};
pub use blocking::spawn_blocking;
pub(crate) use blocking::{spawn_apart, spawn_own};
pub use builder::{Backend, Builder};
pub(crate) use context::with_driver;
pub use context::{fixed_buffers, in_flight, metrics};
pub use metrics::Metrics;
pub use runtime::Runtime;
