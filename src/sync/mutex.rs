//! One task of any thread at a time.

use std::fmt;
use std::sync::Arc;

use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use tokio::sync::{MutexGuard, OwnedMutexGuard, TryLockError};

use super::newtype::{converts, derefs};
use crate::task::cooperative;

/// A value that one task of any thread has at a time, also while it waits for something else. First come, first served.
///
/// It is [`tokio::sync::Mutex`], whose other methods it has: `try_lock`, `get_mut`, `blocking_lock`. A lock that is held over no
/// `await` is better one of std's.
///
/// ```
/// use std::sync::Arc;
/// use saferring::sync::Mutex;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let count = Arc::new(Mutex::new(0));
/// *count.lock().await += 1;
/// let mut guard = Arc::clone(&count).lock_owned().await; // may be moved anywhere
/// *guard += 1;
/// assert!(count.try_lock().is_err());
/// drop(guard);
/// assert_eq!(*count.lock().await, 2);
/// # });
/// ```
#[derive(Default, TransparentWrapper)]
#[repr(transparent)]
pub struct Mutex<T: ?Sized>(tokio::sync::Mutex<T>);

derefs!([T: ?Sized] Mutex<T>: tokio::sync::Mutex<T>);
converts!([T] Mutex [T]: tokio::sync::Mutex<T>);

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex(tokio::sync::Mutex::from(value))
    }
}

impl<T> Mutex<T> {
    /// One that nobody has locked.
    #[must_use]
    #[track_caller]
    pub fn new(value: T) -> Self {
        Mutex(tokio::sync::Mutex::new(value))
    }

    /// The same, for a `static`.
    #[must_use]
    pub const fn const_new(value: T) -> Self {
        Mutex(tokio::sync::Mutex::const_new(value))
    }

    /// The value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks it, as soon as nobody else has.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        cooperative(self.0.lock()).await
    }

    /// Locks it; the guard has a share in the mutex.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost.
    pub async fn lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        cooperative(Self::peel_arc(self).lock_owned()).await
    }

    /// Locks it, if nobody else has; the guard has a share in the mutex.
    ///
    /// # Errors
    ///
    /// If it is locked, or somebody waits for it.
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        Self::peel_arc(self).try_lock_owned()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
