//! The senders of a channel with a bound, and the places that they keep in it.

use std::fmt;
use std::rc::Rc;

use tokio::sync::TryAcquireError;

use super::chan::Chan;
use super::error::{SendError, TrySendError};
use super::permit::{OwnedPlace, Permit, PermitIterator};

/// Sends into a channel with a bound.
pub struct Sender<T> {
    chan: Rc<Chan<T>>,
}

impl<T> Sender<T> {
    pub(super) fn new(chan: Rc<Chan<T>>) -> Self {
        Sender { chan }
    }

    /// Sends a value, as soon as there is room.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost, and so is the value, which was not sent: [`reserve`](Self::reserve) loses none.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.reserve().await {
            Ok(permit) => {
                permit.send(value);
                Ok(())
            }
            Err(_) => Err(SendError(value)),
        }
    }

    /// Sends a value, if there is room now.
    ///
    /// # Errors
    ///
    /// The value, if there is none, or if the receiver is gone or closed.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.take(1) {
            Ok(()) => {
                self.chan.push(value);
                Ok(())
            }
            Err(error) => Err(refused(error, value)),
        }
    }

    /// Waits for room for one value, and keeps it.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        self.wait(1).await?;
        Ok(Permit::new(&self.chan))
    }

    /// Waits for room for `n` values together, and keeps it.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed, or the channel holds fewer.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost.
    pub async fn reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        self.wait(n).await?;
        Ok(PermitIterator::new(&self.chan, n))
    }

    /// Waits for room for one value, and keeps it and the sender.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost, and this sender.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        self.wait(1).await?;
        Ok(OwnedPermit::new(self))
    }

    /// Keeps room for one value, if there is some now.
    ///
    /// # Errors
    ///
    /// If there is none, or if the receiver is gone or closed.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.take(1).map_err(|error| refused(error, ()))?;
        Ok(Permit::new(&self.chan))
    }

    /// Keeps room for `n` values, if there is as much now.
    ///
    /// # Errors
    ///
    /// If there is less, or if the receiver is gone or closed, or the channel holds fewer.
    pub fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        if n > self.max_capacity() {
            return Err(TrySendError::Closed(()));
        }
        self.take(n).map_err(|error| refused(error, ()))?;
        Ok(PermitIterator::new(&self.chan, n))
    }

    /// Keeps room for one value and the sender, if there is room now.
    ///
    /// # Errors
    ///
    /// The sender, if there is none, or if the receiver is gone or closed.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        match self.take(1) {
            Ok(()) => Ok(OwnedPermit::new(self)),
            Err(error) => Err(refused(error, self)),
        }
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

    fn take(&self, n: usize) -> Result<(), TryAcquireError> {
        self.chan.room().try_take(n)
    }

    async fn wait(&self, n: usize) -> Result<(), SendError<()>> {
        if n > self.max_capacity() {
            return Err(SendError(()));
        }
        // It is dropped after what waits, whose part of the room has gone back then.
        let _settles = Settles(&self.chan);
        self.chan.room().take(n).await.map_err(|_| SendError(()))
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
    pub fn downgrade(&self) -> WeakSender<T> {
        self.chan.add_weak();
        WeakSender {
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

struct Settles<'a, T>(&'a Chan<T>);

impl<T> Drop for Settles<'_, T> {
    fn drop(&mut self) {
        self.0.settle();
    }
}

fn refused<T>(error: TryAcquireError, value: T) -> TrySendError<T> {
    match error {
        TryAcquireError::NoPermits => TrySendError::Full(value),
        TryAcquireError::Closed => TrySendError::Closed(value),
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.chan.add_sender();
        Sender {
            chan: Rc::clone(&self.chan),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.chan.sender_gone();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A sender that does not keep the channel open.
pub struct WeakSender<T> {
    chan: Rc<Chan<T>>,
}

impl<T> WeakSender<T> {
    /// A sender, if there is another one still.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        (self.strong_count() > 0).then(|| {
            self.chan.add_sender();
            Sender {
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

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        self.chan.add_weak();
        WeakSender {
            chan: Rc::clone(&self.chan),
        }
    }
}

impl<T> Drop for WeakSender<T> {
    fn drop(&mut self) {
        self.chan.weak_gone();
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}

/// A place in a channel, kept for one value, that keeps the sender too. Dropped, it is another's.
pub struct OwnedPermit<T> {
    // In this order: the place is given up first.
    place: OwnedPlace<T>,
    sender: Sender<T>,
}

impl<T> OwnedPermit<T> {
    /// For room that was taken.
    fn new(sender: Sender<T>) -> Self {
        OwnedPermit {
            place: OwnedPlace::new(&sender.chan),
            sender,
        }
    }

    /// Sends the value, also if the channel was closed meanwhile; gives the sender back.
    pub fn send(self, value: T) -> Sender<T> {
        self.place.send(value);
        self.sender
    }

    /// Gives the place up, and the sender back.
    pub fn release(self) -> Sender<T> {
        drop(self.place);
        self.sender
    }

    /// Whether the other is a place in the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        self.sender.same_channel(&other.sender)
    }

    /// Whether the sender sends to the same channel.
    #[must_use]
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.sender.same_channel(sender)
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").finish_non_exhaustive()
    }
}
