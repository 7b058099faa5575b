//! One value, from one task to another, on any threads.
//!
//! ```
//! use saferring::sync::oneshot;
//!
//! # saferring::runtime::Runtime::new().unwrap().block_on(async {
//! let (sender, receiver) = oneshot::channel();
//! std::thread::spawn(move || sender.send(6 * 7));
//! assert_eq!(receiver.await, Ok(42));
//! # });
//! ```

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::newtype::{converts, derefs};
use crate::task::{poll_proceed, spend};
use error::RecvError;

pub use tokio::sync::oneshot::error;

/// A channel for one value.
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    (Sender(sender), Receiver(receiver))
}

/// Sends one value. It is [`tokio::sync::oneshot::Sender`], whose other methods it has: `is_closed`.
#[derive(Debug)]
pub struct Sender<T>(tokio::sync::oneshot::Sender<T>);

/// Receives one value: it is a future. It is [`tokio::sync::oneshot::Receiver`], whose other methods it has: `try_recv`,
/// `close`, `is_empty`, `is_terminated`.
///
/// # Cancel safety
///
/// Polled through `&mut`, nothing is lost. A value that was sent is lost with the receiver.
#[must_use = "futures do nothing unless you await them"]
#[derive(Debug)]
pub struct Receiver<T>(tokio::sync::oneshot::Receiver<T>);

derefs!([T] Sender<T>: tokio::sync::oneshot::Sender<T>);
converts!([T] Sender [T]: tokio::sync::oneshot::Sender<T>);
derefs!([T] Receiver<T>: tokio::sync::oneshot::Receiver<T>);
converts!([T] Receiver [T]: tokio::sync::oneshot::Receiver<T>);

impl<T> Sender<T> {
    /// Sends the value. It never waits.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone or closed.
    pub fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub async fn closed(&mut self) {
        std::future::poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Whether the receiver is gone or closed; if not, wakes the task when it is.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_proceed(cx));
        ready!(self.0.poll_closed(cx));
        spend();
        Poll::Ready(())
    }
}

impl<T> Receiver<T> {
    /// Blocks the thread until the value is there: for threads without a runtime. One that runs tasks would hold up all of them.
    ///
    /// # Errors
    ///
    /// If the sender is gone without.
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        self.0.blocking_recv()
    }
}

impl<T> Future for Receiver<T> {
    /// An error if the sender is gone without a value.
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(poll_proceed(cx));
        let output = ready!(Pin::new(&mut self.0).poll(cx));
        spend();
        Poll::Ready(output)
    }
}
