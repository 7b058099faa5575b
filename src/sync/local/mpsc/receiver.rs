//! The receiver of a channel with a bound.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::chan::Chan;
use super::error::TryRecvError;
use super::sender::Sender;

/// A channel that holds `buffer` values.
///
/// # Panics
///
/// If that is 0, or more than [`Semaphore::MAX_PERMITS`](crate::sync::local::Semaphore::MAX_PERMITS).
#[must_use]
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    assert!(buffer > 0, "a channel holds at least one value");
    let chan = Chan::new(Some(buffer));
    (Sender::new(Rc::clone(&chan)), Receiver { chan })
}

/// Receives from a channel with a bound.
pub struct Receiver<T> {
    chan: Rc<Chan<T>>,
}

impl<T> Receiver<T> {
    /// The next value; none when all senders are gone, or the channel is closed, and everything was received.
    ///
    /// # Cancel safety
    ///
    /// No value is lost.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Puts up to `limit` values behind those in `buffer`, as soon as there is one; says how many. 0 at the end, or if `limit` is.
    ///
    /// # Cancel safety
    ///
    /// No value is lost.
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        poll_fn(|cx| self.poll_recv_many(cx, buffer, limit)).await
    }

    /// [`recv`](Self::recv), as a poll.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.chan.poll_recv(cx)
    }

    /// [`recv_many`](Self::recv_many), as a poll.
    pub fn poll_recv_many(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<T>,
        limit: usize,
    ) -> Poll<usize> {
        self.chan.poll_recv_many(cx, buffer, limit)
    }

    /// The next value, if there is one now.
    ///
    /// # Errors
    ///
    /// If there is none yet, or none comes any more.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.chan.try_recv()
    }

    /// Takes nothing more but what was sent, and what room is kept for.
    pub fn close(&mut self) {
        self.chan.close();
    }

    /// Whether it was closed, or all senders are gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.chan.room().is_closed() || self.chan.senders() == 0
    }

    /// Whether nothing was sent that was not received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values were sent and not received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chan.len()
    }

    /// How many senders there are.
    #[must_use]
    pub fn sender_strong_count(&self) -> usize {
        self.chan.senders()
    }

    /// How many senders there are that do not keep the channel open.
    #[must_use]
    pub fn sender_weak_count(&self) -> usize {
        self.chan.weak()
    }

    /// How many values there is room for now.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.chan.room().available()
    }

    /// How many values there is room for when it is empty.
    #[must_use]
    pub fn max_capacity(&self) -> usize {
        self.chan.bound()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.chan.receiver_gone();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
