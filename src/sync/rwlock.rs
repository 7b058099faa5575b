//! Many tasks that read, or one that writes, on any threads.

use std::fmt;
use std::sync::Arc;

use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use tokio::sync::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};

use super::newtype::{converts, derefs};
use crate::task::cooperative;

/// A value that many tasks read, or one writes, on any threads. First come, first served: who reads waits behind who waits to
/// write.
///
/// It is [`tokio::sync::RwLock`], whose other methods it has: `try_read`, `try_write`, `get_mut` and so on.
///
/// ```
/// use saferring::sync::RwLock;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let settings = RwLock::new(String::from("quiet"));
/// {
///     let (one, other) = (settings.read().await, settings.read().await);
///     assert_eq!(*one, *other);
/// }
/// settings.write().await.push_str(", slow");
/// assert_eq!(*settings.read().await, "quiet, slow");
/// # });
/// ```
#[derive(Default, TransparentWrapper)]
#[repr(transparent)]
pub struct RwLock<T: ?Sized>(tokio::sync::RwLock<T>);

derefs!([T: ?Sized] RwLock<T>: tokio::sync::RwLock<T>);
converts!([T] RwLock [T]: tokio::sync::RwLock<T>);

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock(tokio::sync::RwLock::from(value))
    }
}

impl<T> RwLock<T> {
    /// One that nobody has locked.
    #[must_use]
    #[track_caller]
    pub fn new(value: T) -> Self {
        RwLock(tokio::sync::RwLock::new(value))
    }

    /// One that so many may read at the same time.
    ///
    /// # Panics
    ///
    /// If that is more than `u32::MAX >> 3`.
    #[must_use]
    #[track_caller]
    pub fn with_max_readers(value: T, max_reads: u32) -> Self {
        RwLock(tokio::sync::RwLock::with_max_readers(value, max_reads))
    }

    /// [`new`](Self::new), for a `static`.
    #[must_use]
    pub const fn const_new(value: T) -> Self {
        RwLock(tokio::sync::RwLock::const_new(value))
    }

    /// The value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks it for reading, when nobody writes, or has waited longer to write.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        cooperative(self.0.read()).await
    }

    /// Locks it for writing, when nobody else has it.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost.
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        cooperative(self.0.write()).await
    }

    /// [`read`](Self::read); the guard has a share in the lock.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost.
    pub async fn read_owned(self: Arc<Self>) -> OwnedRwLockReadGuard<T> {
        cooperative(Self::peel_arc(self).read_owned()).await
    }

    /// [`write`](Self::write); the guard has a share in the lock.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost.
    pub async fn write_owned(self: Arc<Self>) -> OwnedRwLockWriteGuard<T> {
        cooperative(Self::peel_arc(self).write_owned()).await
    }

    /// Locks it for reading, if that can be had now; the guard has a share in the lock.
    ///
    /// # Errors
    ///
    /// If somebody writes, or waits for it.
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        Self::peel_arc(self).try_read_owned()
    }

    /// Locks it for writing, if that can be had now; the guard has a share in the lock.
    ///
    /// # Errors
    ///
    /// If somebody else has it.
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        Self::peel_arc(self).try_write_owned()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
