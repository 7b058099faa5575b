//! The senders of a channel with a bound, and the places that they keep in it.

use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::mpsc::{Permit, PermitIterator};

use crate::sync::newtype::{converts, derefs};
use crate::task::cooperative;

/// Sends into a channel with a bound. It is [`tokio::sync::mpsc::Sender`], whose other methods it has: `try_send`,
/// `try_reserve`, `capacity`, `blocking_send` and so on.
#[derive(Debug)]
pub struct Sender<T>(tokio::sync::mpsc::Sender<T>);

/// A sender that does not keep the channel open.
#[derive(Debug)]
pub struct WeakSender<T>(tokio::sync::mpsc::WeakSender<T>);

/// A place in a channel, kept for one value, that outlives the borrow of its sender. It is
/// [`tokio::sync::mpsc::OwnedPermit`].
#[derive(Debug)]
pub struct OwnedPermit<T>(tokio::sync::mpsc::OwnedPermit<T>);

derefs!([T] Sender<T>: tokio::sync::mpsc::Sender<T>);
converts!([T] Sender [T]: tokio::sync::mpsc::Sender<T>);
derefs!([T] WeakSender<T>: tokio::sync::mpsc::WeakSender<T>);
converts!([T] WeakSender [T]: tokio::sync::mpsc::WeakSender<T>);
derefs!([T] OwnedPermit<T>: tokio::sync::mpsc::OwnedPermit<T>);
converts!([T] OwnedPermit [T]: tokio::sync::mpsc::OwnedPermit<T>);

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
    /// Sends a value, as soon as there is room.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost, and so is the value, which was not sent: [`reserve`](Self::reserve) loses none.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        cooperative(self.0.send(value)).await
    }

    /// Waits for room for one value, and keeps it.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        cooperative(self.0.reserve()).await
    }

    /// Waits for room for `n` values together, and keeps it.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed, or the channel holds fewer.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost.
    pub async fn reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        cooperative(self.0.reserve_many(n)).await
    }

    /// Waits for room for one value, and keeps it and the sender.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost, and this sender.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        cooperative(self.0.reserve_owned()).await.map(OwnedPermit)
    }

    /// Keeps room for one value and the sender, if there is room now.
    ///
    /// # Errors
    ///
    /// The sender, if there is none, or if the receiver is gone or closed.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        let refused = match self.0.try_reserve_owned() {
            Ok(permit) => return Ok(OwnedPermit(permit)),
            Err(refused) => refused,
        };
        Err(match refused {
            TrySendError::Full(sender) => TrySendError::Full(Sender(sender)),
            TrySendError::Closed(sender) => TrySendError::Closed(Sender(sender)),
        })
    }

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
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }

    /// Whether the other sends to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl<T> WeakSender<T> {
    /// A sender, if there is another one still.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }
}

impl<T> OwnedPermit<T> {
    /// Sends the value, also if the channel was closed meanwhile; gives the sender back.
    pub fn send(self, value: T) -> Sender<T> {
        Sender(self.0.send(value))
    }

    /// Gives the place up, and the sender back.
    pub fn release(self) -> Sender<T> {
        Sender(self.0.release())
    }
}
