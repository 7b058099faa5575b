//! What passes between the driver and those who use it: events of the loop, and how operations change hands.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Driver, Key, OpVTable};
use crate::sys::Completion;

/// What a completion asks of the loop.
pub(crate) enum Event<W> {
    /// Wake whoever waits.
    Wake(W),
    /// Give the answer to an operation that nobody waits for.
    Abandoned(Abandoned<W>),
    /// Nothing.
    Handled,
}

/// An orphan and its completion.
pub(crate) struct Abandoned<W> {
    pub(super) key: Key<W>,
    pub(super) vtable: &'static OpVTable,
    pub(super) cqe: Completion,
}

impl<W> Abandoned<W> {
    /// Runs the operation's own ending. It may run user code (the drop of a buffer), so no borrow is held, and a
    /// panic in there stays in there: it belongs to no task.
    pub(crate) fn run(self, driver: &Driver<W>) {
        let last = !self.cqe.has_more();
        // SAFETY: `next_event` took this from a cell of an orphan, whose payload holds the operation that
        // `vtable` was made for; nobody else reaches it, for its future is gone, and the kernel is done with it if
        // `last`. With `last` the operation moves out, and the cell is released right after.
        let ended = catch_unwind(AssertUnwindSafe(|| unsafe {
            (self.vtable.abandon)(self.key.payload(), self.cqe, last);
        }));
        if last {
            driver.release(self.key);
        }
        if let Err(payload) = ended {
            drop_payload(payload);
        }
    }
}

/// Whom an operation is for.
pub(crate) enum Owner<W> {
    /// Its completion runs its own ending.
    Nobody,
    /// A future, and what to wake if that has been polled already.
    Future(Option<W>),
}

/// How a future's wish to be rid of its operation ends.
pub(crate) enum Orphaned<W> {
    /// The kernel still has it; a cancel is on its way. Holds what would have been woken.
    InFlight(Option<W>),
    /// It was complete; the caller takes the operation out. For a multishot operation the result says nothing.
    Complete(Completion),
}

/// Drops what a panic carried, which may panic in its turn.
pub(super) fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // A payload whose own drop panics, without end perhaps. The hook has printed it.
        std::mem::forget(again);
    }
}
