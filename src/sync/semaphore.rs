//! Counts what tasks of any thread share.

use std::sync::Arc;

use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, SemaphorePermit, TryAcquireError};

use super::newtype::{converts, derefs};
use crate::task::cooperative;

/// A number of permits, for tasks of any thread. First come, first served.
///
/// It is [`tokio::sync::Semaphore`], whose other methods it has: `try_acquire`, `available_permits`, `add_permits`, `close` and
/// so on.
///
/// ```
/// use std::sync::Arc;
/// use saferring::sync::Semaphore;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let semaphore = Arc::new(Semaphore::new(2));
/// let permit = semaphore.acquire().await.unwrap();
/// let all_that_is_left = Arc::clone(&semaphore).acquire_owned().await.unwrap();
/// assert!(semaphore.try_acquire().is_err());
/// drop((permit, all_that_is_left));
/// assert_eq!(semaphore.available_permits(), 2);
/// # });
/// ```
#[derive(Debug, TransparentWrapper)]
#[repr(transparent)]
pub struct Semaphore(tokio::sync::Semaphore);

derefs!([] Semaphore: tokio::sync::Semaphore);
converts!([] Semaphore []: tokio::sync::Semaphore);

impl Semaphore {
    /// The most permits that there can be.
    pub const MAX_PERMITS: usize = tokio::sync::Semaphore::MAX_PERMITS;

    /// One with so many permits.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[must_use]
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Semaphore(tokio::sync::Semaphore::new(permits))
    }

    /// The same, for a `static`.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub const fn const_new(permits: usize) -> Self {
        Semaphore(tokio::sync::Semaphore::const_new(permits))
    }

    /// Takes a permit, as soon as there is one.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost, and no permit.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        cooperative(self.0.acquire()).await
    }

    /// Takes `n` permits together.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        cooperative(self.0.acquire_many(n)).await
    }

    /// Takes a permit that has a share in the semaphore, and may be sent anywhere.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        cooperative(Self::peel_arc(self).acquire_owned()).await
    }

    /// Takes `n` permits together, with a share in the semaphore.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        cooperative(Self::peel_arc(self).acquire_many_owned(n)).await
    }

    /// Takes a permit with a share in the semaphore, if there is one now.
    ///
    /// # Errors
    ///
    /// If there is none, or the semaphore is closed.
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        Self::peel_arc(self).try_acquire_owned()
    }

    /// Takes `n` permits with a share in the semaphore, if there are as many now.
    ///
    /// # Errors
    ///
    /// If there are fewer, or the semaphore is closed.
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        Self::peel_arc(self).try_acquire_many_owned(n)
    }
}
