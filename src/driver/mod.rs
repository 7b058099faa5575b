//! The operations in flight on one thread: the ring, the table of their cells, timers, dispatch and cancel.
//!
//! # Life of an operation
//!
//! 1. [`Driver::reserve`] hands out a cell; the operation is moved there, once, and makes its entry from there.
//! 2. [`Driver::submit`] puts the entry into the submission queue, or behind others into the backlog when the queue is
//!    full. From here on the operation is *in flight*: only its final completion ends that. No error of the enter
//!    call frees anything.
//! 3. [`Driver::next_event`] reaps one completion under a short borrow and says what to do; the caller does it with the
//!    borrow ended, so that wakers, drops and callbacks may come back to the driver.
//! 4. The future asks how far it is ([`Driver::progress`]), takes the operation out of its cell, and frees that
//!    ([`Driver::release`]). If the future is gone ([`Driver::orphan`]), the completion itself runs [`Abandoned::run`]: the
//!    operation gets its answer all the same, so a buffer returns to its owner, a descriptor closes itself, bytes are stashed.
//!
//! # Where what is
//!
//! `driver` is the driver as those above it know it, and `inner` what that consists of. `slots` is the table of cells, `event`
//! what passes between the driver and its users. The other files are what one kind of user asks of it.
//!
//! `W` is whatever wakes the waiting future. The driver only keeps it and gives it back.

mod accounts;
mod cancel;
mod deadlines;
#[allow(clippy::module_inception)] // A type's file has the type's name, here as elsewhere.
mod driver;
mod event;
mod inflight;
mod inner;
mod outside;
mod pool;
mod registered;
mod return_queue;
mod ring_tables;
mod slots;
mod stubborn;
mod timer;
mod waiting;
mod zero_copy;

#[doc(hidden)]
pub use accounts::{Accounts, accounts};
pub(crate) use driver::{Abandoned, Calls, Driver, Event, Key, OpVTable};
pub(crate) use event::{Orphaned, Owner, Progress, Submission};
pub use inflight::InFlightOp;
pub(crate) use pool::{Pool, PoolConfig};
pub(crate) use return_queue::{Lease, RemoteLease};
pub(crate) use slots::{FileRef, KEEPS_TURN, MultishotVTable, Payload};
pub(crate) use timer::TimerKey;
