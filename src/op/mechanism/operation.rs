//! What an operation is: the traits that each of the kernel's operations implements.

use std::os::fd::{AsRawFd, RawFd};

use crate::op::resource::{SharedFd, Side};
use crate::sys::{Completion, Entry, RingId};

/// What the kernel is asked, what it borrows meanwhile, and how its answer reads.
///
/// The trait is public because it bounds [`Op`](super::Op); entries can only be made inside this crate.
///
/// # Safety
///
/// - Pointers that [`prepare`](Operation::prepare) puts into the entry reach only `self` (which is then at its final
///   address and stays there until its final completion), memory that `self` owns, or `'static` memory.
/// - What the kernel writes to is not aliased: no reference to it exists, and no safe code can make one, until
///   `complete` or `abandon` runs.
/// - `prepare` is called once, and describes the operation that [`CODE`](Operation::CODE) names.
pub unsafe trait Operation: 'static {
    /// The operation's number (`IORING_OP_*`), for feature detection and the list of operations in flight.
    const CODE: u8;

    /// Its name in that list: that of its man page, or of its opcode.
    const NAME: &'static str;

    /// Whether the kernel can be told its file by a slot of the ring's table.
    const BY_SLOT: bool = false;

    /// What the operation ends with.
    type Output;

    /// Whether its turn goes on after the last answer, until [`Multishot::end`]: what it has received has not been taken yet.
    const KEEPS_TURN: bool = false;

    /// Whether it takes what arrives at its file, so that something that was stashed is an answer, too.
    const READS: bool = false;

    /// Whether it is cancelled with the scope that it is begun in.
    const IN_SCOPE: bool = true;

    /// Fills the submission entry, for this ring. Called once, at the operation's final address; again after
    /// [`advance`](Operation::advance).
    fn prepare(&mut self, ring: RingId) -> Entry;

    /// The kernel is done, and `self` is ours again.
    fn complete(self, cqe: Completion) -> Self::Output;

    /// As [`complete`](Operation::complete), when nobody is left to take the output. What may not be lost is put where it is
    /// found: a descriptor closes itself, bytes are stashed for the next read.
    fn abandon(self, cqe: Completion)
    where
        Self: Sized,
    {
        drop(self.complete(cqe));
    }

    /// Which turn of its file it needs. It then waits until the operation before has been answered.
    fn turn(&self) -> Option<Side> {
        None
    }

    /// Asked when its turn is free: how is it answered without the kernel? It may take what was stashed.
    fn early(&mut self) -> Option<i32> {
        None
    }

    /// Whether [`early`](Operation::early) would take what was stashed. That is left to a poll, because an answer that is
    /// dropped unseen would be lost.
    fn has_stashed(&self) -> bool {
        false
    }

    /// What the kernel is to have done before the operation is over: after an answer that is less, the rest is given to it,
    /// in the same turn. 0: any answer ends it.
    fn whole(&self) -> u32 {
        0
    }

    /// So much of the whole is done.
    fn advance(&mut self, _done: usize) {}

    /// The ring that something in it belongs to: it goes to no other.
    fn ring(&self) -> Option<RingId> {
        None
    }

    /// The descriptor that it holds a count of, and that its entry names. An operation on a `SharedFd` that does not
    /// tell it would be overlooked by a close, which waits for what the kernel has.
    fn file(&self) -> Option<&SharedFd> {
        None
    }

    /// The number of the descriptor that it is on now, or -1.
    fn raw_fd(&self) -> RawFd {
        self.file().map_or(-1, AsRawFd::as_raw_fd)
    }
}

/// An operation that one entry starts and many completions answer.
///
/// # Safety
///
/// As for [`Operation`]; and the kernel writes to nothing inside `self` nor to anything that `next` reads, so that
/// `self` may be looked at while it is in flight.
pub unsafe trait Multishot: Operation {
    /// A stream that lets this many completions pile up is cancelled in the kernel until it has caught up.
    const QUEUED_MAX: u16;

    /// Whether the first completion is the answer, and another only tells that the kernel has let go of the memory.
    const NOTIFIES: bool = false;

    /// Of an operation that notifies: whether this completion belongs to a refusal. After the last one of such the operation
    /// goes to the kernel once more, another way. Told once of each.
    fn refused(&self, _cqe: Completion) -> bool {
        false
    }

    /// What each completion stands for.
    type Item;

    /// Reads one completion, be it the last or not. By a shared reference, as the operation lies in the driver's table,
    /// where the list of operations in flight may look at it at any time.
    fn next(&self, cqe: Completion) -> Self::Item;

    /// The last item was taken, or nobody is left to take it.
    fn end(&self) {}

    /// As [`next`](Multishot::next), when nobody is left to take the item.
    fn abandon_next(&self, cqe: Completion) {
        drop(self.next(cqe));
    }

    /// The group of provided buffers that it takes from.
    fn group(&self) -> Option<u16> {
        None
    }
}
