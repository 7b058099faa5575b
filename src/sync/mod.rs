//! How tasks wait for each other: channels, locks, and signals that something has happened.
//!
//! | for | across cores | for one core |
//! |---|---|---|
//! | many values to one task | [`mpsc`] | [`local::mpsc`] |
//! | one value | [`oneshot`] | [`local::oneshot`] |
//! | every value to every task, the newest value | [`broadcast`], [`watch`] | |
//! | one task at a time, many that read or one that writes | [`Mutex`], [`RwLock`] | [`local::Mutex`], [`local::RwLock`] |
//! | a number of permits | [`Semaphore`] | [`local::Semaphore`] |
//! | that something has happened, that a task is to end | [`Notify`], [`CancellationToken`] | [`local::Notify`] |
//! | that all have come, a value that is made once | [`Barrier`], [`OnceCell`] | |
//!
//! Those for one core use no atomics: where all tasks are on one thread they are the ones to take.
//!
//! # Across cores
//!
//! These are tokio's (`tokio::sync`, which needs no runtime of tokio's), in types of our own, with all their methods and the
//! errors and guards that they give. `From` leads to tokio's type and back, and a reference to one of ours is one to tokio's:
//! so they can be shared with code that is written for tokio.
//!
//! What is added is the [budget](crate::task::consume_budget). What may be ready again and again, as a channel that another thread
//! keeps full, takes from it whenever it is ready, so that the rest of its core has its turns. Tokio's own types know only
//! tokio's budget, which there is none of here: a task that receives from one bare holds up timers, sockets and signals for as
//! long as there is something to receive. Where it cannot be helped, [`cooperative`](crate::task::cooperative) does the same.
//!
//! async-channel, and event-listener with async-lock, need no runtime either. Tokio's have all of it in one crate, under the
//! names that most programs use, with an order that is documented, and are checked under loom.
//!
//! Methods whose names begin with `blocking_` block the thread: they are for threads without a runtime.

#![forbid(unsafe_code)]

mod barrier;
pub mod broadcast;
mod cancellation_token;
pub mod local;
pub mod mpsc;
mod mutex;
mod newtype;
mod notify;
mod once_cell;
pub mod oneshot;
mod run;
mod rwlock;
mod semaphore;
pub mod watch;

pub use barrier::Barrier;
pub use cancellation_token::{
    CancellationToken, DropGuard, DropGuardRef, WaitForCancellationFuture,
    WaitForCancellationFutureOwned,
};
pub use mutex::Mutex;
pub use notify::Notify;
pub use once_cell::OnceCell;
pub use rwlock::RwLock;
pub use semaphore::Semaphore;
pub use tokio::sync::{
    AcquireError, BarrierWaitResult, MappedMutexGuard, MutexGuard, OwnedMappedMutexGuard,
    OwnedMutexGuard, OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard,
    OwnedSemaphorePermit, RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard,
    SemaphorePermit, SetError, TryAcquireError, TryLockError,
};

/// Futures that have names.
pub mod futures {
    pub use super::notify::{Notified, OwnedNotified};
    pub use super::run::Run;
}
