//! The second future of a zero-copy send: the buffer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::Completion;
use super::store::Stored;
use super::zero_copy::{ZeroCopy, poll_queued};
use crate::foreign::Scope;

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

/// Takes the buffer out; see [`land`].
type Land<B> = unsafe fn(&Stored, Completion) -> B;

enum Whose<B> {
    /// Ours again.
    Ours(B),
    /// The kernel's, up to a notification.
    Kernel(Stored, Land<B>),
    /// The user's.
    Given,
}

/// The buffer is moved only when it is given back, and not lent before.
impl<B> Unpin for ZcBuf<B> {}

/// Takes the operation out and reads the notification.
///
/// # Safety
///
/// `submit::<T>` made `stored`, the operation was not taken before, and `notification` is its final completion.
unsafe fn land<T: ZeroCopy>(stored: &Stored, notification: Completion) -> T::Output {
    // SAFETY: the caller's promise.
    let op = unsafe { stored.take::<T>() };
    op.hold().next(notification);
    op.complete(notification)
}

impl<B> ZcBuf<B> {
    /// Of a buffer that the kernel does not have.
    pub(crate) fn free(buf: B) -> Self {
        ZcBuf(Whose::Ours(buf))
    }

    /// Of a buffer that the kernel has until it says otherwise.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made `stored`; its answer was taken, and said that there is more; and nobody else takes the
    /// operation.
    pub(super) unsafe fn pending<T: ZeroCopy<Output = B>>(stored: Stored) -> Self {
        ZcBuf(Whose::Kernel(stored, land::<T>))
    }
}

impl<B> Future for ZcBuf<B> {
    type Output = B;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B> {
        let this = self.get_mut();
        if let Whose::Kernel(stored, land) = &this.0 {
            let land = *land;
            let notification = loop {
                let cqe = ready!(poll_queued(stored, cx));
                if !cqe.has_more() {
                    break cqe;
                }
            };
            if let Whose::Kernel(stored, _) = std::mem::replace(&mut this.0, Whose::Given) {
                // SAFETY: `pending` paired the two for one type; this is the final completion, and the place was
                // just left, so that nobody takes it again.
                return Poll::Ready(unsafe { land(&stored, notification) });
            }
        }
        match std::mem::replace(&mut this.0, Whose::Given) {
            Whose::Ours(buf) => Poll::Ready(buf),
            Whose::Kernel(..) | Whose::Given => {
                panic!("a sent buffer was asked for after it had been given back")
            }
        }
    }
}

impl<B> Drop for ZcBuf<B> {
    fn drop(&mut self) {
        let Whose::Kernel(stored, land) = std::mem::replace(&mut self.0, Whose::Given) else {
            return;
        };
        let _scope = Scope::enter();
        let (in_flight, waiter) = stored.driver.leave(stored.key);
        drop(waiter);
        if in_flight {
            return;
        }
        while let Some(cqe) = stored.driver.pop_queued(stored.key) {
            if !cqe.has_more() {
                // SAFETY: as in `poll`.
                drop(unsafe { land(&stored, cqe) });
                return;
            }
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for ZcBuf<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Whose::Ours(buf) => f.debug_tuple("ZcBuf").field(buf).finish(),
            Whose::Kernel(..) => f.write_str("ZcBuf(the kernel has it)"),
            Whose::Given => f.write_str("ZcBuf(given back)"),
        }
    }
}
