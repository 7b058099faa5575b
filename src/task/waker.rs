//! `std::task::Waker` for a task, and the two ways a wake takes: the run queue on the owner thread, the inbox elsewhere.

use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::{DONE, IN_INBOX, QUEUED, TaskPtr};
use super::shared::Inbox;
use super::sync::{Ordering, is_owner};

/// A static, so that its address says whether a waker is ours.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

/// A waker that owns one atomic reference, or, inside `ManuallyDrop`, borrows any.
///
/// # Safety
///
/// The task lives for as long as the waker is used. If the waker is dropped or woken by value, the caller gives it
/// an atomic reference.
#[inline(always)]
pub(super) unsafe fn waker(task: TaskPtr) -> Waker {
    // SAFETY: the functions of VTABLE fulfil the contract of RawWaker: they may be called on any thread, `clone`
    // adds the reference that `wake` and `drop` give up, and the caller answers for the first.
    unsafe { Waker::new(task.as_ptr().cast_const().cast(), &VTABLE) }
}

/// The task that a waker wakes, if it is one of ours, of whatever executor. Borrows the waker's reference.
#[inline(always)]
pub(super) fn task_of(waker: &Waker) -> Option<TaskPtr> {
    // Whoever makes a waker with our vtable by hand promises (RawWaker's contract) data that fits it.
    ptr::eq(waker.vtable(), &VTABLE).then(|| {
        // SAFETY: the data of such a waker is a task's address.
        unsafe { task_from(waker.data()) }
    })
}

/// # Safety
///
/// `data` comes from `waker`.
#[inline(always)]
unsafe fn task_from(data: *const ()) -> TaskPtr {
    // SAFETY: `waker` put a task's address there, which is not null.
    TaskPtr::new(unsafe { NonNull::new_unchecked(data.cast_mut().cast()) })
}

// Safety of the four: RawWaker's contract says that `data` is what `waker` made, with the waker's reference.

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is cloned holds (or borrows) a reference.
    unsafe { task_from(data).add_ref() };
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: see above; the waker's reference passes to `wake`.
    unsafe { task_from(data).wake() }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: see above; the waker keeps its reference until this returns.
    unsafe { task_from(data).wake_by_ref() }
}

unsafe fn release(data: *const ()) {
    // SAFETY: see above; the waker's reference is given up.
    unsafe { task_from(data).release_ref() }
}

impl TaskPtr {
    /// # Safety
    ///
    /// The caller holds a reference of either kind until this returns; a plain one only on the owner thread.
    #[inline]
    pub(super) unsafe fn wake_by_ref(self) {
        // SAFETY: the caller's reference keeps the task alive, and so `shared`.
        let header = unsafe { self.header() };
        if is_owner(header.shared) {
            // SAFETY: this is the owner thread, and the task lives.
            unsafe { self.enqueue() }
        } else if header.refs.fetch_or(IN_INBOX, Ordering::AcqRel) & IN_INBOX == 0 {
            // SAFETY: the caller's reference lives; the new one goes to the inbox. We have set IN_INBOX.
            unsafe {
                self.add_ref();
                Inbox::push(self, true);
            }
        }
    }

    /// # Safety
    ///
    /// The caller holds an atomic reference, and gives it up.
    #[inline]
    unsafe fn wake(self) {
        // SAFETY: the caller's reference keeps the task alive, and so `shared`.
        let header = unsafe { self.header() };
        if is_owner(header.shared) {
            // SAFETY: this is the owner thread, and the task lives until the reference is given up.
            unsafe {
                self.enqueue();
                self.release_ref();
            }
        // AcqRel: whoever clears the bit sees what this thread wrote before, also if the bit was already set;
        // and if we set it, `inbox_next` is ours, after all that the last drain did with it.
        } else if header.refs.fetch_or(IN_INBOX, Ordering::AcqRel) & IN_INBOX == 0 {
            // SAFETY: the caller's reference goes to the inbox. We have set IN_INBOX.
            unsafe { Inbox::push(self, false) }
        } else {
            // SAFETY: the caller's reference is given up.
            unsafe { self.release_ref() }
        }
    }

    /// Puts the task into the run queue, unless it is there or over.
    ///
    /// # Safety
    ///
    /// Owner thread; the task lives.
    #[inline]
    pub(super) unsafe fn enqueue(self) {
        // SAFETY: the task lives, and this is the owner thread.
        let header = unsafe { self.header() };
        if header.flags.get() & (QUEUED | DONE) == 0 {
            // SAFETY: a live task keeps `shared` alive; `owner` is the owner's, and so are we.
            unsafe { (*header.shared.as_ptr()).owner.queue.push(self) }
        }
    }
}
