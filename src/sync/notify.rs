//! Tells tasks of any thread that something has happened.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use pin_project::pin_project;

use super::newtype::{converts, derefs};
use crate::task::{poll_proceed, spend};

/// Tells one task or all that wait, on whatever thread, that something has happened. It carries no value.
///
/// It is [`tokio::sync::Notify`], whose other methods it has: [`notify_one`](tokio::sync::Notify::notify_one),
/// [`notify_last`](tokio::sync::Notify::notify_last) and [`notify_waiters`](tokio::sync::Notify::notify_waiters).
///
/// ```
/// use std::sync::Arc;
/// use saferring::sync::Notify;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let notify = Arc::new(Notify::new());
/// let teller = Arc::clone(&notify);
/// std::thread::spawn(move || teller.notify_one());
/// notify.notified().await;
/// # });
/// ```
#[derive(Debug, Default, TransparentWrapper)]
#[repr(transparent)]
pub struct Notify(tokio::sync::Notify);

derefs!([] Notify: tokio::sync::Notify);
converts!([] Notify []: tokio::sync::Notify);

impl Notify {
    /// One that has told nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, for a `static`.
    #[must_use]
    pub const fn const_new() -> Self {
        Notify(tokio::sync::Notify::const_new())
    }

    /// Waits until it is told: by [`notify_waiters`](tokio::sync::Notify::notify_waiters) from now on, by
    /// [`notify_one`](tokio::sync::Notify::notify_one) from the first poll on, or by one that found nobody before.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is lost. What was told to it alone is told to the next.
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            inner: self.0.notified(),
        }
    }

    /// [`notified`](Self::notified) with a share in the `Notify`, for futures that outlive the borrow.
    ///
    /// # Cancel safety
    ///
    /// As `notified`.
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        OwnedNotified {
            inner: Self::peel_arc(self).notified_owned(),
        }
    }
}

/// The future of [`Notify::notified`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
#[derive(Debug)]
pub struct Notified<'a> {
    #[pin]
    inner: tokio::sync::futures::Notified<'a>,
}

/// The future of [`Notify::notified_owned`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
#[derive(Debug)]
pub struct OwnedNotified {
    #[pin]
    inner: tokio::sync::futures::OwnedNotified,
}

impl Notified<'_> {
    /// Waits from now on, without a poll; says whether it has been told already.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.project().inner.enable()
    }
}

impl OwnedNotified {
    /// Waits from now on, without a poll; says whether it has been told already.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.project().inner.enable()
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_proceed(cx));
        ready!(self.project().inner.poll(cx));
        spend();
        Poll::Ready(())
    }
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_proceed(cx));
        ready!(self.project().inner.poll(cx));
        spend();
        Poll::Ready(())
    }
}
