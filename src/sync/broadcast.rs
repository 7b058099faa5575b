//! Every value for every receiver, on any threads. Who is too slow misses the oldest, and is told how many.
//!
//! ```
//! use saferring::sync::broadcast;
//!
//! # saferring::runtime::Runtime::new().unwrap().block_on(async {
//! let (sender, mut one) = broadcast::channel(16);
//! let mut other = sender.subscribe();
//! std::thread::spawn(move || sender.send("news").unwrap());
//! assert_eq!(one.recv().await.unwrap(), "news");
//! assert_eq!(other.recv().await.unwrap(), "news");
//! # });
//! ```

use super::newtype::{converts, derefs};
use crate::task::cooperative;
use error::RecvError;

pub use tokio::sync::broadcast::error;

/// A channel that keeps so many values for who has not received them: `capacity`, rounded up to a power of two.
///
/// # Panics
///
/// If that is 0, or more than half of what a `usize` can count.
#[must_use]
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = tokio::sync::broadcast::channel(capacity);
    (Sender(sender), Receiver(receiver))
}

/// Sends to all receivers. It is [`tokio::sync::broadcast::Sender`], whose other methods it has: `send`, which never waits,
/// `len`, `receiver_count` and so on.
#[derive(Debug)]
pub struct Sender<T>(tokio::sync::broadcast::Sender<T>);

/// A sender that does not keep the channel open.
#[derive(Debug)]
pub struct WeakSender<T>(tokio::sync::broadcast::WeakSender<T>);

/// Receives all that is sent from when it was made. It is [`tokio::sync::broadcast::Receiver`], whose other methods it has:
/// `try_recv`, `len` and so on.
#[derive(Debug)]
pub struct Receiver<T>(tokio::sync::broadcast::Receiver<T>);

derefs!([T] Sender<T>: tokio::sync::broadcast::Sender<T>);
converts!([T] Sender [T]: tokio::sync::broadcast::Sender<T>);
derefs!([T] WeakSender<T>: tokio::sync::broadcast::WeakSender<T>);
converts!([T] WeakSender [T]: tokio::sync::broadcast::WeakSender<T>);
derefs!([T] Receiver<T>: tokio::sync::broadcast::Receiver<T>);
converts!([T] Receiver [T]: tokio::sync::broadcast::Receiver<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        WeakSender(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// A sender without receivers; [`subscribe`](Self::subscribe) makes some.
    ///
    /// # Panics
    ///
    /// As [`channel`].
    #[must_use]
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        Sender(tokio::sync::broadcast::Sender::new(capacity))
    }

    /// One more receiver, of what is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(self.0.subscribe())
    }

    /// A sender that does not keep the channel open.
    #[must_use]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
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

impl<T> WeakSender<T> {
    /// A sender, if there is another one still.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }
}

impl<T> Receiver<T> {
    /// Whether the other receives from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl<T: Clone> Receiver<T> {
    /// One more receiver of the same channel, of what is sent from now on.
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        Receiver(self.0.resubscribe())
    }

    /// The next value.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] with how many were missed; the next call gives the oldest that is left. [`RecvError::Closed`] if
    /// all senders are gone, and everything was received.
    ///
    /// # Cancel safety
    ///
    /// No value is lost.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        cooperative(self.0.recv()).await
    }

    /// Blocks the thread until there is a value: for threads without a runtime.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        self.0.blocking_recv()
    }
}
