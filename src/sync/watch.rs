//! The newest of many values, for any number of tasks on any threads.
//!
//! ```
//! use saferring::sync::watch;
//!
//! # saferring::runtime::Runtime::new().unwrap().block_on(async {
//! let (sender, mut receiver) = watch::channel(0);
//! std::thread::spawn(move || (1..=3).for_each(|n| sender.send(n).unwrap()));
//! assert_eq!(*receiver.wait_for(|&n| n == 3).await.unwrap(), 3);
//! assert!(receiver.changed().await.is_err()); // the sender is gone
//! # });
//! ```

use super::newtype::{converts, derefs};
use crate::task::cooperative;
use error::RecvError;

pub use tokio::sync::watch::{Ref, error};

/// A channel whose receivers see the newest value; this one first.
#[must_use]
#[track_caller]
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = tokio::sync::watch::channel(init);
    (Sender(sender), Receiver(receiver))
}

/// Sets the value. It is [`tokio::sync::watch::Sender`], whose other methods it has: `send`, `send_modify`, `send_if_modified`,
/// `send_replace`, `borrow`, `is_closed` and so on.
#[derive(Debug, Default)]
pub struct Sender<T>(tokio::sync::watch::Sender<T>);

/// Sees the value. It is [`tokio::sync::watch::Receiver`], whose other methods it has: `borrow`, `borrow_and_update`,
/// `has_changed`, `mark_changed` and so on.
#[derive(Debug)]
pub struct Receiver<T>(tokio::sync::watch::Receiver<T>);

derefs!([T] Sender<T>: tokio::sync::watch::Sender<T>);
converts!([T] Sender [T]: tokio::sync::watch::Sender<T>);
derefs!([T] Receiver<T>: tokio::sync::watch::Receiver<T>);
converts!([T] Receiver [T]: tokio::sync::watch::Receiver<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    /// One more receiver, which has seen the same.
    fn clone(&self) -> Self {
        Receiver(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// A sender without receivers; [`subscribe`](Self::subscribe) makes some.
    #[must_use]
    #[track_caller]
    pub fn new(init: T) -> Self {
        Sender(tokio::sync::watch::Sender::new(init))
    }

    /// One more receiver, to which the present value is nothing new.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(self.0.subscribe())
    }

    /// Whether the other sends to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Waits until all receivers are gone.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub async fn closed(&self) {
        cooperative(self.0.closed()).await;
    }
}

impl<T> Receiver<T> {
    /// Whether the other receives from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Waits for a value that this receiver has not seen, and marks it as seen.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and the last value was seen.
    ///
    /// # Cancel safety
    ///
    /// A value that was not told of is still new.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        cooperative(self.0.changed()).await
    }

    /// Waits for a value that `condition` holds for, be it the present one, and marks it as seen. As long as what it gives
    /// lives, senders block: keep it over no `await`.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and it does not hold for the last value.
    ///
    /// # Panics
    ///
    /// If `condition` does.
    ///
    /// # Cancel safety
    ///
    /// A value that it was tried for may count as seen.
    pub async fn wait_for(
        &mut self,
        mut condition: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, RecvError> {
        // Tokio's own waits for nothing as long as others send: each value that is none takes from the budget here.
        while !condition(&self.0.borrow()) {
            self.changed().await?;
        }
        cooperative(self.0.wait_for(condition)).await
    }
}
