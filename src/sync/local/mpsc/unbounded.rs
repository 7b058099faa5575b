//! The channel without a bound.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::chan::Chan;
use super::error::{SendError, TryRecvError};

/// A channel that holds as many values as there is memory for: only for who is known not to send faster than the other receives.
#[must_use]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let chan = Chan::new(None);
    let sender = UnboundedSender {
        chan: Rc::clone(&chan),
    };
    (sender, UnboundedReceiver { chan })
}

/// Receives from a channel without a bound.
pub struct UnboundedReceiver<T> {
    chan: Rc<Chan<T>>,
}

impl<T> UnboundedReceiver<T> {
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
}

impl<T> Drop for UnboundedReceiver<T> {
    fn drop(&mut self) {
        self.chan.receiver_gone();
    }
}

impl<T> fmt::Debug for UnboundedReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnboundedReceiver")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Sends into a channel without a bound.
pub struct UnboundedSender<T> {
    chan: Rc<Chan<T>>,
}

impl<T> UnboundedSender<T> {
    /// Sends a value. It never waits.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone or closed.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.chan.push(value);
        Ok(())
    }

    /// Whether the receiver is gone or closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.chan.room().is_closed()
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub async fn closed(&self) {
        self.chan.closed().await;
    }

    /// Whether the other sends to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.chan, &other.chan)
    }

    /// A sender that does not keep the channel open.
    #[must_use]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        self.chan.add_weak();
        WeakUnboundedSender {
            chan: Rc::clone(&self.chan),
        }
    }

    /// How many senders there are.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.chan.senders()
    }

    /// How many senders there are that do not keep the channel open.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.chan.weak()
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        self.chan.add_sender();
        UnboundedSender {
            chan: Rc::clone(&self.chan),
        }
    }
}

impl<T> Drop for UnboundedSender<T> {
    fn drop(&mut self) {
        self.chan.sender_gone();
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnboundedSender")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A sender that does not keep the channel open.
pub struct WeakUnboundedSender<T> {
    chan: Rc<Chan<T>>,
}

impl<T> WeakUnboundedSender<T> {
    /// A sender, if there is another one still.
    #[must_use]
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        (self.strong_count() > 0).then(|| {
            self.chan.add_sender();
            UnboundedSender {
                chan: Rc::clone(&self.chan),
            }
        })
    }

    /// How many senders there are.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.chan.senders()
    }

    /// How many senders there are that do not keep the channel open.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.chan.weak()
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        self.chan.add_weak();
        WeakUnboundedSender {
            chan: Rc::clone(&self.chan),
        }
    }
}

impl<T> Drop for WeakUnboundedSender<T> {
    fn drop(&mut self) {
        self.chan.weak_gone();
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakUnboundedSender")
            .finish_non_exhaustive()
    }
}
