//! A place where tasks wait for each other.

use tokio::sync::BarrierWaitResult;

use super::newtype::{converts, derefs};
use crate::task::cooperative;

/// Lets tasks of any threads go on when so many of them have come; again and again.
///
/// It is [`tokio::sync::Barrier`].
///
/// ```
/// use saferring::sync::Barrier;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let barrier = Barrier::new(2);
/// let (one, other) = saferring::join!(barrier.wait(), barrier.wait());
/// assert!(one.is_leader() != other.is_leader());
/// # });
/// ```
#[derive(Debug)]
pub struct Barrier(tokio::sync::Barrier);

derefs!([] Barrier: tokio::sync::Barrier);
converts!([] Barrier []: tokio::sync::Barrier);

impl Barrier {
    /// For `n` tasks; 0 is as 1.
    #[must_use]
    #[track_caller]
    pub fn new(n: usize) -> Self {
        Barrier(tokio::sync::Barrier::new(n))
    }

    /// Waits until all have come. One of them is told that it leads.
    ///
    /// # Cancel safety
    ///
    /// It is not: who has come counts, even if it does not wait any more.
    pub async fn wait(&self) -> BarrierWaitResult {
        cooperative(self.0.wait()).await
    }
}
