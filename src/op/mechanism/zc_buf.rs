//! The second future of a zero-copy send: the buffer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::operation::Multishot;
use super::stored::{Stored, poll_queued};
use crate::driver::Key;
use crate::foreign::Scope;
use crate::op::context::Driver;
use crate::sys::Completion;
use crate::task::WakeRef;

/// A buffer that was sent without a copy: a future that gives it back when the kernel has let go of it.
///
/// That is when the peer has acknowledged the bytes, or the connection is gone; at once if the kernel copied after all,
/// as it does on loopback. Do not wait for it before you go on: keep it, and collect it later.
///
/// # Cancel safety
///
/// Dropping it is no harm: the buffer is dropped when the kernel has let go of it.
///
/// # Panics
///
/// If it is polled after it has given the buffer back.
#[must_use = "it holds the buffer: await it to have that back, or drop it"]
pub struct ZcBuf<B>(Whose<B>);

enum Whose<B> {
    /// Ours again.
    Ours(B),
    /// The kernel's, up to a notification.
    Kernel(Pending<B>),
    /// The user's.
    Given,
}

/// The buffer is moved only when it is given back, and not lent before.
impl<B> Unpin for ZcBuf<B> {}

/// A [`Stored`] of some type whose answer was taken, and whose output is a `B`.
struct Pending<B> {
    driver: Rc<Driver>,
    key: Key<WakeRef>,
    /// Takes it out, with its notification.
    take: unsafe fn(Rc<Driver>, Key<WakeRef>, Completion) -> B,
}

impl<B> Pending<B> {
    fn new<T: Multishot<Output = B>>(stored: Stored<T>) -> Self {
        let (driver, key) = stored.into_parts();
        Pending {
            driver,
            key,
            take: take::<T>,
        }
    }

    /// The buffer, with the final completion.
    fn finish(self, notification: Completion) -> B {
        // SAFETY: `new` took the parts from a `Stored` of the type that `take` is for, and they are given back once.
        unsafe { (self.take)(self.driver, self.key, notification) }
    }
}

/// Takes the operation out and reads the notification.
///
/// # Safety
///
/// As for [`Stored::from_parts`].
unsafe fn take<T: Multishot>(
    driver: Rc<Driver>,
    key: Key<WakeRef>,
    notification: Completion,
) -> T::Output {
    // SAFETY: the caller's promise.
    let op = unsafe { Stored::<T>::from_parts(driver, key) }.take();
    op.next(notification);
    op.complete(notification)
}

impl<B> ZcBuf<B> {
    /// Of a buffer that the kernel does not have.
    pub(crate) fn free(buf: B) -> Self {
        ZcBuf(Whose::Ours(buf))
    }

    /// Of a buffer that the kernel has until it says otherwise: the answer said that there is more.
    pub(super) fn pending<T: Multishot<Output = B>>(stored: Stored<T>) -> Self {
        ZcBuf(Whose::Kernel(Pending::new(stored)))
    }
}

impl<B> Future for ZcBuf<B> {
    type Output = B;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B> {
        let this = self.get_mut();
        let mut notification = None;
        while let (Whose::Kernel(pending), None) = (&this.0, notification) {
            let cqe = ready!(poll_queued(&pending.driver, pending.key, cx));
            notification = Some(cqe).filter(|cqe| !cqe.has_more());
        }
        match (std::mem::replace(&mut this.0, Whose::Given), notification) {
            (Whose::Ours(buf), _) => Poll::Ready(buf),
            (Whose::Kernel(pending), Some(notification)) => {
                Poll::Ready(pending.finish(notification))
            }
            _ => panic!("a sent buffer was asked for after it had been given back"),
        }
    }
}

impl<B> Drop for ZcBuf<B> {
    fn drop(&mut self) {
        let Whose::Kernel(pending) = std::mem::replace(&mut self.0, Whose::Given) else {
            return;
        };
        let _scope = Scope::enter();
        let (in_flight, waiter) = pending.driver.leave(pending.key);
        drop(waiter);
        if in_flight {
            return;
        }
        let mut queued = std::iter::from_fn(|| pending.driver.pop_queued(pending.key));
        if let Some(notification) = queued.find(|cqe| !cqe.has_more()) {
            drop(pending.finish(notification));
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for ZcBuf<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Whose::Ours(buf) => f.debug_tuple("ZcBuf").field(buf).finish(),
            Whose::Kernel(_) => f.write_str("ZcBuf(the kernel has it)"),
            Whose::Given => f.write_str("ZcBuf(given back)"),
        }
    }
}
