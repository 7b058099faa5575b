//! For the tasks of one core: the same without atomics, and not `Send`.
//!
//! [`Notify`], [`Semaphore`], [`Mutex`], [`RwLock`], [`oneshot`] and [`mpsc`] have the names, the methods and the order of the
//! ones [across cores](super), but for this:
//!
//! - they are shared by `Rc`; a thread has its own, and may use them in several runtimes, or in none;
//! - a guard that has a share in its lock lends the value to closures ([`OwnedMutexGuard::with`]);
//! - nothing blocks the thread, as nobody else could ever end that.
//!
//! # Forgetting
//!
//! What is forgotten by [`std::mem::forget`] is never given back, as across cores: a guard keeps its lock locked, a permit is
//! missing. A future that waits and is forgotten keeps its place in the line: what comes to it, a permit or what one was to be
//! told, is lost to the others. Whatever is dropped gives all of that to the next.

mod error;
pub mod mpsc;
mod mutex;
mod notify;
pub mod oneshot;
mod permits;
mod rwlock;
mod semaphore;
mod waiters;
mod waiting;

pub use error::{AcquireError, TryLockError};
pub use mutex::{Mutex, MutexGuard, OwnedMutexGuard};
pub use notify::Notify;
pub use rwlock::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub use semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
pub use tokio::sync::TryAcquireError;

/// Futures that have names.
pub mod futures {
    pub use super::notify::{Notified, OwnedNotified};
}
