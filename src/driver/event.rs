//! What passes between the driver and those who use it: events of the loop, and how operations change hands.

use super::slots::{FileRef, Key, OpVTable};
use crate::sys::{Completion, Entry};

/// What a completion asks of the loop.
pub(crate) enum Event<W: 'static, F: 'static> {
    /// An operation was answered, and its future is there.
    Answered(Answered<W>),
    /// Give the answer to an operation that nobody waits for.
    Abandoned(Abandoned<W, F>),
    /// The kernel has done a part of what has to be done as a whole.
    Partial(Partial<W, F>),
    /// Nothing.
    Handled,
}

/// A completion that was filed for its future.
pub(crate) struct Answered<W: 'static> {
    /// Who waits for it.
    pub(crate) waiter: Option<W>,
    /// The file that the kernel has let go of.
    pub(crate) file: Option<FileRef>,
    /// The turn that ends with it.
    pub(crate) turn: u8,
    pub(crate) result: i32,
}

/// An orphan and its completion.
pub(crate) struct Abandoned<W: 'static, F: 'static> {
    pub(crate) key: Key<W, F>,
    pub(super) vtable: &'static OpVTable<F>,
    pub(crate) cqe: Completion,
    /// As in [`Answered`].
    pub(crate) file: Option<FileRef>,
    pub(crate) turn: u8,
}

/// An operation of which a part is done.
pub(crate) struct Partial<W: 'static, F: 'static> {
    pub(super) key: Key<W, F>,
    pub(super) vtable: &'static OpVTable<F>,
    pub(super) done: usize,
}

/// What goes to the kernel.
pub(crate) struct Submission {
    pub(crate) entry: Entry,
    /// The slot of its file in the ring's table, if it is to be named by that.
    pub(crate) slot: Option<u32>,
    /// The file that the entry names, if it is one that is counted.
    pub(crate) file: Option<FileRef>,
    /// The turn of the file that it has, 0 for none; with [`KEEPS_TURN`](super::slots::KEEPS_TURN) if that does not end with the
    /// answer.
    pub(crate) turn: u8,
    /// What ends it: an answer of this number, or an error; 0 if any answer does. Without a file, the number of the
    /// descriptor that it is shown with.
    pub(crate) whole: u32,
}

impl Submission {
    /// Makes the entry as it goes into the queue.
    #[inline]
    pub(super) fn seal<W, F>(&mut self, key: Key<W, F>) {
        if let Some(slot) = self.slot {
            self.entry.use_file_slot(slot);
        }
        self.entry.set_user_data(key.user_data());
    }
}

/// Whom an operation is for.
pub(crate) enum Owner<W> {
    /// The runtime itself: its completion runs its own ending, and nobody is told of it.
    Runtime,
    /// A future, and what to wake if that has been polled already.
    Future(Option<W>),
    /// The future that it has waited for its turn for.
    Same,
}

/// How far an operation is, for its future.
pub(crate) enum Progress {
    /// Its final completion is there.
    Complete(Completion),
    /// It is not, and the waiter is known.
    Waits,
    /// It is not, and somebody else is woken, or nobody.
    Unwatched,
}

/// How a future's wish to be rid of its operation ends.
pub(crate) enum Orphaned<W> {
    /// The kernel still has it; a cancel is on its way. Holds what would have been woken.
    InFlight(Option<W>),
    /// It waits at this index of a queue; the caller takes it from there, and out of its cell.
    Waiting(u32, Option<W>),
    /// It was complete; the caller takes the operation out. For a multishot operation the result says nothing.
    Complete(Completion),
}
