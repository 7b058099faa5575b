//! The channel without a bound.

use std::task::{Context, Poll, ready};

use crate::sync::newtype::{converts, derefs};
use crate::task::{cooperative, poll_proceed, spend};

/// A channel that holds as many values as there is memory for: only for who is known not to send faster than the other receives.
#[must_use]
#[track_caller]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (UnboundedSender(sender), UnboundedReceiver(receiver))
}

/// Sends into a channel without a bound. It is [`tokio::sync::mpsc::UnboundedSender`], whose other methods it has: `send`, which
/// never waits, `is_closed` and so on.
#[derive(Debug)]
pub struct UnboundedSender<T>(tokio::sync::mpsc::UnboundedSender<T>);

/// A sender that does not keep the channel open.
#[derive(Debug)]
pub struct WeakUnboundedSender<T>(tokio::sync::mpsc::WeakUnboundedSender<T>);

/// Receives from a channel without a bound. It is [`tokio::sync::mpsc::UnboundedReceiver`], whose other methods it has:
/// `try_recv`, `close`, `len`, `blocking_recv` and so on.
#[derive(Debug)]
pub struct UnboundedReceiver<T>(tokio::sync::mpsc::UnboundedReceiver<T>);

derefs!([T] UnboundedSender<T>: tokio::sync::mpsc::UnboundedSender<T>);
converts!([T] UnboundedSender [T]: tokio::sync::mpsc::UnboundedSender<T>);
derefs!([T] WeakUnboundedSender<T>: tokio::sync::mpsc::WeakUnboundedSender<T>);
converts!([T] WeakUnboundedSender [T]: tokio::sync::mpsc::WeakUnboundedSender<T>);
derefs!([T] UnboundedReceiver<T>: tokio::sync::mpsc::UnboundedReceiver<T>);
converts!([T] UnboundedReceiver [T]: tokio::sync::mpsc::UnboundedReceiver<T>);

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        UnboundedSender(self.0.clone())
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        WeakUnboundedSender(self.0.clone())
    }
}

impl<T> UnboundedSender<T> {
    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub async fn closed(&self) {
        cooperative(self.0.closed()).await;
    }

    /// A sender that does not keep the channel open.
    #[must_use]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender(self.0.downgrade())
    }

    /// Whether the other sends to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl<T> WeakUnboundedSender<T> {
    /// A sender, if there is another one still.
    #[must_use]
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        self.0.upgrade().map(UnboundedSender)
    }
}

impl<T> UnboundedReceiver<T> {
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
