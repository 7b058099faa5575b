//! The vtables of operations: what the driver calls, which knows no operation's type.
//!
//! Each function is made once for each type of operation. It gets the cell in which one lies, and does there what the trait
//! [`Operation`] says.

use std::ptr::NonNull;

use super::operation::{Multishot, Operation};
use super::storage::{address, take};
use super::stored::{belongs, send, submission};
use crate::driver::{Abandoned, Calls, Key, MultishotVTable, OpVTable, Owner, Payload};
use crate::foreign;
use crate::op::context::Driver;
use crate::op::resource::SharedFd;
use crate::sys::{Completion, OTHER_RUNTIME};
use crate::task::WakeRef;

/// [`Calls::admit`].
///
/// # Safety
///
/// The cell holds a `T` that waits; its turn has come.
unsafe fn admit<T: Operation>(driver: &Driver, key: Key<WakeRef>) -> bool {
    // SAFETY: the caller's promise; while the operation waits, its future does not look at it.
    let op = unsafe { &mut *address::<T>(key.payload()) };
    // Only a future that is polled takes what was stashed, so that nothing is taken and dropped unseen.
    let (result, again) = if op.has_stashed() {
        (Some(-libc::ECANCELED), true)
    } else if driver.is_ending() {
        (Some(-libc::ECANCELED), false)
    } else if op.file().is_some_and(SharedFd::is_closing) {
        // As the kernel would say, which would be asked by each that waits, one after the other.
        (Some(-libc::EBADF), false)
    } else if !belongs(op, driver) {
        (Some(OTHER_RUNTIME), false)
    } else {
        (op.early(), false)
    };
    if let Some(result) = result {
        if let Some(waiter) = driver.answer(key, result, again) {
            waiter.wake();
        }
        return false;
    }
    // SAFETY: it has waited, and is submitted once; `op` is used no more.
    unsafe { send::<T>(driver, key, Owner::Same) };
    true
}

/// [`Calls::resume`].
///
/// # Safety
///
/// The cell holds a `T` of which the kernel has done a part, and which it does not have now.
unsafe fn resume<T: Operation>(driver: &Driver, key: Key<WakeRef>, done: usize) {
    // SAFETY: the caller's promise; its future does not look at it before the final completion.
    let op = unsafe { &mut *address::<T>(key.payload()) };
    op.advance(done);
    let what = submission(op, driver);
    // SAFETY: as in `send`.
    unsafe { driver.resubmit(key, what) };
}

/// The file of an orphan that the kernel has let go of with this completion.
fn released_file<T: Operation>(op: &T, abandoned: &Abandoned<WakeRef>) -> Option<SharedFd> {
    abandoned.file.and(op.file().cloned())
}

/// The kernel has let go of `file`, and what was for an orphan is where it belongs: its turn passes.
fn settle(file: Option<SharedFd>, abandoned: &Abandoned<WakeRef>) {
    if let Some(file) = file {
        file.left_kernel(abandoned.turn, abandoned.cqe.raw_result());
    }
}

/// [`Calls::abandon`] of single-shot operations.
///
/// # Safety
///
/// As for [`take`].
unsafe fn abandon<T: Operation>(driver: &Driver, abandoned: Abandoned<WakeRef>) {
    // SAFETY: the caller's promise.
    let op = unsafe { take::<T>(abandoned.key.payload()) };
    driver.release(abandoned.key);
    let file = released_file(&op, &abandoned);
    // What arrived is stashed before the next read is let go. The drop of a buffer is foreign code, and the last act.
    foreign::guarded(|| op.abandon(abandoned.cqe));
    settle(file, &abandoned);
}

/// [`Calls::abandon`] of multishot operations.
///
/// # Safety
///
/// As for [`take`], if this is the last completion; otherwise as for [`address`].
unsafe fn abandon_multi<T: Multishot>(driver: &Driver, abandoned: Abandoned<WakeRef>) {
    // SAFETY: the operation is in its place, and by the contract of `Multishot` the kernel writes to nothing inside it;
    // nobody has a `&mut` to it. `abandon_next` runs no foreign code while there is a loop.
    let op = unsafe { &*address::<T>(abandoned.key.payload()) };
    let file = released_file(op, &abandoned);
    op.abandon_next(abandoned.cqe);
    if !abandoned.cqe.has_more() {
        // SAFETY: the caller's promise; the reference is used no more.
        let op = unsafe { take::<T>(abandoned.key.payload()) };
        driver.release(abandoned.key);
        op.end();
        foreign::guarded(|| drop(op));
    }
    settle(file, &abandoned);
}

/// [`MultishotVTable::group`].
///
/// # Safety
///
/// As for [`address`].
unsafe fn multishot_group<T: Multishot>(payload: NonNull<Payload>) -> Option<u16> {
    // SAFETY: the operation is in its place, and the kernel writes to nothing inside it; nobody has a `&mut` to it before
    // it is taken out.
    unsafe { (*address::<T>(payload)).group() }
}

/// [`MultishotVTable::refused`].
///
/// # Safety
///
/// As for [`multishot_group`].
unsafe fn refused<T: Multishot>(payload: NonNull<Payload>, cqe: Completion) -> bool {
    // SAFETY: as in `multishot_group`.
    unsafe { (*address::<T>(payload)).refused(cqe) }
}

/// The vtables, one of a kind for each type.
pub(super) struct Table<T>(T);

impl<T: Operation> Table<T> {
    pub(super) const SINGLE: &'static OpVTable<WakeRef> = &OpVTable {
        code: T::CODE,
        name: T::NAME,
        reads: T::READS,
        calls: Calls {
            abandon: abandon::<T>,
            admit: admit::<T>,
            resume: resume::<T>,
        },
        multishot: None,
    };
}

impl<T: Multishot> Table<T> {
    pub(super) const MULTI: &'static OpVTable<WakeRef> = &OpVTable {
        code: T::CODE,
        name: T::NAME,
        reads: T::READS,
        calls: Calls {
            abandon: abandon_multi::<T>,
            admit: admit::<T>,
            resume: resume::<T>,
        },
        multishot: Some(MultishotVTable {
            queued_max: T::QUEUED_MAX,
            group: multishot_group::<T>,
            notifies: T::NOTIFIES,
            refused: refused::<T>,
        }),
    };
}
