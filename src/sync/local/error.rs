//! Why something was not had.

use thiserror::Error;

/// The semaphore is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("semaphore closed")]
pub struct AcquireError(());

impl AcquireError {
    pub(super) fn new() -> Self {
        AcquireError(())
    }
}

/// The lock is held, or others wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("operation would block")]
pub struct TryLockError(());

impl TryLockError {
    pub(super) fn new() -> Self {
        TryLockError(())
    }
}
