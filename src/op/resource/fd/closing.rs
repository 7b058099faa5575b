//! The end of a descriptor that somebody waits for.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use super::shared::SharedFd;
use crate::op::context;
use crate::task::WakeRef;

impl SharedFd {
    /// Cancels what is in flight on the descriptor, and waits until the kernel is done with that. What was not submitted by
    /// then gets `EBADF`.
    ///
    /// # Panics
    ///
    /// Outside a runtime, if there is something to wait for; the descriptor is then closed when that has ended.
    pub(in crate::op) async fn drain(&self) {
        self.0.closing.set(true);
        if !self.0.is_idle() {
            context::current_or_panic();
            self.cancel_all();
            poll_fn(|cx| self.poll_idle(cx)).await;
        }
    }

    /// The descriptor itself, once it is drained, if it is no direct one; its slot is given back. And whether it is known to be
    /// a socket.
    pub(in crate::op) fn take_drained(&self) -> (Option<OwnedFd>, bool) {
        drop(self.0.take_slot());
        (self.0.fd.take(), self.0.socket.get())
    }

    /// Cancels all that is in flight on it, in whatever ring.
    fn cancel_all(&self) {
        let only = self.only();
        for driver in context::all() {
            if driver.cancel_file(self.file_ref(), only) {
                // The ring of another runtime has to be turned for it.
                context::attend(&driver);
            }
        }
    }

    /// Waits until the kernel has nothing of it.
    fn poll_idle(&self, cx: &Context<'_>) -> Poll<()> {
        if self.0.is_idle() {
            return Poll::Ready(());
        }
        // Foreign code: so it is looked at again.
        let closer = WakeRef::new(cx.waker());
        if self.0.is_idle() {
            return Poll::Ready(());
        }
        drop(self.with_rare(|rare| rare.closer.replace(closer)));
        Poll::Pending
    }
}
