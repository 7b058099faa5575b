//! The receiver of a channel with a bound.

use std::task::{Context, Poll, ready};

use super::sender::Sender;
use crate::sync::newtype::{converts, derefs};
use crate::task::{cooperative, poll_proceed, spend};

/// A channel that holds `buffer` values.
///
/// # Panics
///
/// If that is 0, or more than [`Semaphore::MAX_PERMITS`](tokio::sync::Semaphore::MAX_PERMITS).
#[must_use]
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(buffer);
    (sender.into(), Receiver(receiver))
}

/// Receives from a channel with a bound. It is [`tokio::sync::mpsc::Receiver`], whose other methods it has: `try_recv`,
/// `close`, `len`, `blocking_recv` and so on.
#[derive(Debug)]
pub struct Receiver<T>(tokio::sync::mpsc::Receiver<T>);

derefs!([T] Receiver<T>: tokio::sync::mpsc::Receiver<T>);
converts!([T] Receiver [T]: tokio::sync::mpsc::Receiver<T>);

impl<T> Receiver<T> {
    /// The next value; none when all senders are gone, or the channel is closed, and everything was received.
    ///
    /// # Cancel safety
    ///
    /// No value is lost.
    pub async fn recv(&mut self) -> Option<T> {
        cooperative(self.0.recv()).await
    }

    /// Puts up to `limit` values behind those in `buffer`, as soon as there is one; says how many. 0 at the end, or if `limit` is.
    ///
    /// # Cancel safety
    ///
    /// No value is lost.
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        cooperative(self.0.recv_many(buffer, limit)).await
    }

    /// [`recv`](Self::recv), as a poll.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        ready!(poll_proceed(cx));
        let value = ready!(self.0.poll_recv(cx));
        spend();
        Poll::Ready(value)
    }

    /// [`recv_many`](Self::recv_many), as a poll.
    pub fn poll_recv_many(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<T>,
        limit: usize,
    ) -> Poll<usize> {
        ready!(poll_proceed(cx));
        let received = ready!(self.0.poll_recv_many(cx, buffer, limit));
        spend();
        Poll::Ready(received)
    }
}
