//! `std::task::Waker` for a task: an atomic reference behind std's table of functions.

use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::borrowed::Borrowed;
use super::header::{LocalRef, TaskRef};
use super::inbox::Node;

/// A static, so that its address says whether a waker is ours.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

/// A waker of the task that lives on the reference that is given.
#[inline(always)]
pub(super) fn waker(task: &LocalRef) -> Borrowed<'_, Waker> {
    let data = task.as_raw().as_ptr().cast_const().cast();
    // SAFETY: the functions of VTABLE fulfil the contract of RawWaker: they may be called on any thread, and `clone` adds the
    // reference that `wake` and `release` give up. The first of all wakers has no reference: it is only borrowed, and so
    // neither woken by value nor dropped.
    Borrowed::new(unsafe { Waker::new(data, &VTABLE) })
}

/// The task that a waker wakes, if it is one of ours, of whatever executor.
#[inline(always)]
pub(super) fn task_of(waker: &Waker) -> Option<Borrowed<'_, TaskRef>> {
    // Whoever makes a waker with our vtable by hand promises (RawWaker's contract) data that fits it.
    let is_ours = ptr::eq(waker.vtable(), &VTABLE);
    // SAFETY: so the data is a task's, and the waker has, or borrows, the reference that is borrowed here.
    is_ours.then(|| Borrowed::new(unsafe { task_from(waker.data()) }))
}

/// # Safety
///
/// `data` comes from `waker`. The result is only borrowed, or takes over the reference of a waker that ends.
#[inline(always)]
unsafe fn task_from(data: *const ()) -> TaskRef {
    // SAFETY: passed on to the caller.
    unsafe { TaskRef::from_raw(data.cast_mut().cast()) }
}

// Safety of the four: RawWaker's contract says that `data` is what `waker` made, with the waker's reference.

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: see above; the waker that is cloned keeps its reference.
    let task = Borrowed::new(unsafe { task_from(data) });
    std::mem::forget(TaskRef::clone(&task));
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: see above; the waker's reference is given up.
    unsafe { task_from(data) }.wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: see above; the waker keeps its reference until this returns.
    Borrowed::new(unsafe { task_from(data) }).wake_by_ref();
}

unsafe fn release(data: *const ()) {
    // SAFETY: see above; the waker's reference is given up.
    drop(unsafe { task_from(data) });
}
