//! What the driver has done to an operation whose type it does not know.

use std::ptr::NonNull;

use super::cell::{place, take};
use super::store::{belongs, send, submission};
use super::turn::answered;
use super::{Driver, Multishot, Operation, SharedFd};
use crate::driver::{Abandoned, Answered, Key, MultishotVTable, OpVTable, Owner, Payload};
use crate::foreign;
use crate::sys::{Completion, OTHER_RUNTIME};
use crate::task::WakeRef;

/// [`OpVTable::admit`].
///
/// # Safety
///
/// The cell holds a `T` that waits; its turn has come.
unsafe fn admit<T: Operation>(driver: &Driver, key: Key<WakeRef>) -> bool {
    // SAFETY: the caller's promise; while the operation waits, its future does not look at it.
    let op = unsafe { &mut *place::<T>(key.payload()) };
    // Only a future that is polled takes what has arrived late, so that nothing is taken and dropped unseen.
    let (result, again) = if op.has_late() {
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
    // SAFETY: it has waited, and is submitted once.
    unsafe { send::<T>(driver, key, Owner::Same) };
    true
}

/// [`OpVTable::resume`].
///
/// # Safety
///
/// The cell holds a `T` of which the kernel has done a part, and which it does not have now.
unsafe fn resume<T: Operation>(driver: &Driver, key: Key<WakeRef>, done: usize) {
    // SAFETY: the caller's promise; its future does not look at it before the final completion.
    unsafe { &mut *place::<T>(key.payload()) }.advance(done);
    // SAFETY: as above.
    let what = unsafe { submission::<T>(driver, key) };
    // SAFETY: as in `send`.
    unsafe { driver.resubmit(key, what) };
}

/// Acts on the answer of an orphan as [`answered`] does.
///
/// # Safety
///
/// As for [`SharedFd::from_ref`], if there is a file.
unsafe fn settle(file: Option<SharedFd>, abandoned: &Abandoned<WakeRef>) {
    let answer = Answered {
        waiter: None,
        file: file.as_ref().map(SharedFd::file_ref),
        turn: abandoned.turn,
        result: abandoned.cqe.raw_result(),
    };
    // SAFETY: `file` holds the count.
    unsafe { answered(answer) };
}

/// [`OpVTable::abandon`] of single-shot operations.
///
/// # Safety
///
/// As for [`take`].
unsafe fn abandon<T: Operation>(driver: &Driver, abandoned: Abandoned<WakeRef>) {
    let cqe = abandoned.cqe;
    // SAFETY: the operation in the cell holds the count.
    let file = abandoned
        .file
        .map(|file| unsafe { SharedFd::from_ref(file) });
    // SAFETY: the caller's promise.
    let op = unsafe { take::<T>(abandoned.key.payload()) };
    driver.release(abandoned.key);
    // What arrived late is kept before the next read is let go. The drop of a buffer is foreign code, and the last act.
    foreign::guarded(|| op.abandon(cqe));
    // SAFETY: `file` is a count.
    unsafe { settle(file, &abandoned) };
}

/// [`OpVTable::abandon`] of multishot operations.
///
/// # Safety
///
/// As for [`take`], if this is the last completion; otherwise as for [`place`].
unsafe fn abandon_multi<T: Multishot>(driver: &Driver, abandoned: Abandoned<WakeRef>) {
    let cqe = abandoned.cqe;
    // SAFETY: the operation in the cell holds the count.
    let file = abandoned
        .file
        .map(|file| unsafe { SharedFd::from_ref(file) });
    if cqe.has_more() {
        // SAFETY: the operation is in its place, and by the contract of `Multishot` the kernel writes to nothing inside
        // it; nobody has a `&mut` to it before it is taken out. `abandon_next` runs no foreign code while there is a loop.
        unsafe { (*place::<T>(abandoned.key.payload())).abandon_next(cqe) };
    } else {
        // SAFETY: the caller's promise.
        let op = unsafe { take::<T>(abandoned.key.payload()) };
        driver.release(abandoned.key);
        op.abandon_next(cqe);
        op.end();
        foreign::guarded(|| drop(op));
    }
    // SAFETY: `file` is a count.
    unsafe { settle(file, &abandoned) };
}

/// [`MultishotVTable::group`].
///
/// # Safety
///
/// As for [`place`].
unsafe fn multishot_group<T: Multishot>(payload: NonNull<Payload>) -> Option<u16> {
    // SAFETY: the operation is in its place, and the kernel writes to nothing inside it; nobody has a `&mut` to it before
    // it is taken out.
    unsafe { (*place::<T>(payload)).group() }
}

/// [`MultishotVTable::refused`].
///
/// # Safety
///
/// As for [`multishot_group`].
unsafe fn refused<T: Multishot>(payload: NonNull<Payload>, cqe: Completion) -> bool {
    // SAFETY: as in `multishot_group`.
    unsafe { (*place::<T>(payload)).refused(cqe) }
}

/// The vtables, one of a kind for each type.
pub(super) struct Table<T>(T);

impl<T: Operation> Table<T> {
    pub(super) const SINGLE: &'static OpVTable<WakeRef> = &OpVTable {
        code: T::CODE,
        reads: T::READS,
        abandon: abandon::<T>,
        admit: admit::<T>,
        resume: resume::<T>,
        multishot: None,
    };
}

impl<T: Multishot> Table<T> {
    pub(super) const MULTI: &'static OpVTable<WakeRef> = &OpVTable {
        code: T::CODE,
        reads: T::READS,
        abandon: abandon_multi::<T>,
        admit: admit::<T>,
        resume: resume::<T>,
        multishot: Some(MultishotVTable {
            queued_max: T::QUEUED_MAX,
            group: multishot_group::<T>,
            notifies: T::NOTIFIES,
            refused: refused::<T>,
        }),
    };
}
