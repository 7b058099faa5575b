//! A task in memory: its header, and behind it the future, then the answer. The functions here know the future's
//! type; the rest of the module reaches them through the header's vtable.

use std::cell::UnsafeCell;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::error::{JoinError, Payload};
use super::header::{ABORTED, DONE, Header, JOIN, NO_INDEX, PANIC, TAKEN, TaskPtr, VALUE, Vtable};
use super::shared::Shared;
use super::waker;
use crate::foreign;

/// `repr(C)`: a pointer to the cell is a pointer to its header.
#[repr(C)]
pub(super) struct TaskCell<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// Which one it is, the flags say: the future until DONE, then the value with VALUE, the payload with PANIC, and
/// nothing with neither.
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    value: ManuallyDrop<F::Output>,
    panic: ManuallyDrop<Payload>,
}

/// How a task ended.
enum Answer<T> {
    Value(T),
    Panic(Payload),
    Cancelled,
}

impl<F: Future> TaskCell<F> {
    const VTABLE: &'static Vtable = &Vtable {
        poll: Self::poll,
        cancel: Self::cancel,
        take: Self::take,
        drop_answer: Self::drop_answer,
        free: Self::free,
    };

    /// Makes a task with `local` plain references. The caller counts it (`OwnerState::task_made`).
    pub(super) fn allocate(shared: NonNull<Shared>, future: F, local: u32, flags: u32) -> TaskPtr {
        let cell = Box::new(Self {
            header: Header::new(Self::VTABLE, shared, local, flags),
            stage: UnsafeCell::new(Stage {
                future: ManuallyDrop::new(future),
            }),
        });
        // SAFETY: a box is not null. The pointer keeps the provenance of the whole cell.
        TaskPtr::new(unsafe { NonNull::new_unchecked(Box::into_raw(cell)) }.cast())
    }

    /// # Safety
    ///
    /// The task lives, and is a `TaskCell<F>`.
    #[inline(always)]
    unsafe fn stage(task: TaskPtr) -> *mut Stage<F> {
        // SAFETY: the cell lives, so its field may be named; no reference to it is made.
        UnsafeCell::raw_get(unsafe { &raw const (*task.as_ptr().cast::<Self>()).stage })
    }

    /// # Safety
    ///
    /// Owner thread; a `TaskCell<F>` that is not DONE, whose future is not being polled or dropped.
    unsafe fn poll(task: TaskPtr) {
        // SAFETY: a task that is not DONE is held by the list of all tasks.
        if unsafe { task.header() }.flags.get() & ABORTED != 0 {
            // SAFETY: passed on.
            return unsafe { Self::cancel(task) };
        }
        // SAFETY: the task lives while it is polled; the waker borrows, and is never dropped.
        let waker = ManuallyDrop::new(unsafe { waker::waker(task) });
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: not DONE, so the stage is the future, and nobody else polls or drops it meanwhile. It stays
            // where it is until it is dropped, so it is pinned.
            let future = unsafe { Pin::new_unchecked(&mut *(*Self::stage(task)).future) };
            future.poll(&mut Context::from_waker(&waker))
        }));
        let answer = match polled {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(value)) => Answer::Value(value),
            Err(payload) => Answer::Panic(payload),
        };
        // SAFETY: passed on; the poll is over.
        unsafe { Self::finish(task, answer) }
    }

    /// # Safety
    ///
    /// As for `poll`.
    unsafe fn cancel(task: TaskPtr) {
        // SAFETY: passed on.
        unsafe { Self::finish(task, Answer::Cancelled) }
    }

    /// Drops the future, leaves the answer for the JoinHandle if there is one, and lets go of the task.
    ///
    /// # Safety
    ///
    /// As for `poll`.
    unsafe fn finish(task: TaskPtr, mut answer: Answer<F::Output>) {
        // The future's Drop is code of a user: it may wake, abort, spawn, and drop this task's JoinHandle. The flags
        // say "not DONE" meanwhile, and `running` keeps executors from being re-entered.
        // SAFETY: not DONE, so the stage is the future; nobody polls it, and nobody will look at it again.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe {
            ManuallyDrop::drop(&mut (*Self::stage(task)).future);
        }));
        if let Err(payload) = dropped {
            if let Answer::Panic(_) = answer {
                foreign::guarded(|| drop(payload)); // The first panic is the one to tell of.
            } else {
                let hidden = mem::replace(&mut answer, Answer::Panic(payload));
                foreign::guarded(|| drop(hidden));
            }
        }
        // SAFETY: the list of all tasks holds the task until `leave`; this is the owner thread.
        let header = unsafe { task.header() };
        let flags = header.flags.get();
        if flags & JOIN == 0 {
            header.flags.set(flags | DONE);
            foreign::guarded(|| drop(answer));
        } else {
            // SAFETY: the future is gone, so the stage is free for the answer, and nothing else refers to it.
            let stage = unsafe { Self::stage(task) };
            let held = match answer {
                Answer::Value(value) => {
                    // SAFETY: as above.
                    unsafe { (*stage).value = ManuallyDrop::new(value) };
                    VALUE
                }
                Answer::Panic(payload) => {
                    // SAFETY: as above.
                    unsafe { (*stage).panic = ManuallyDrop::new(payload) };
                    PANIC
                }
                Answer::Cancelled => 0,
            };
            header.flags.set(flags | DONE | held);
        }
        // SAFETY: DONE was set just now, so this happens once for each task.
        unsafe { leave(task) }
    }

    /// # Safety
    ///
    /// Owner thread; the task is a `TaskCell<F>`, DONE and not TAKEN; `into` is a `Result<F::Output, JoinError>`
    /// that may be written.
    unsafe fn take(task: TaskPtr, into: *mut ()) {
        // SAFETY: the caller has a reference; this is the owner thread.
        let header = unsafe { task.header() };
        let flags = header.flags.get();
        header.flags.set((flags & !(VALUE | PANIC)) | TAKEN);
        // SAFETY: the caller has a reference.
        let stage = unsafe { Self::stage(task) };
        let answer = if flags & VALUE != 0 {
            // SAFETY: VALUE says that the value is there; the flag is cleared, so it is moved out once.
            Ok(unsafe { ManuallyDrop::take(&mut (*stage).value) })
        } else if flags & PANIC != 0 {
            // SAFETY: PANIC says that the payload is there; the flag is cleared, so it is moved out once.
            Err(JoinError::panicked(unsafe {
                ManuallyDrop::take(&mut (*stage).panic)
            }))
        } else {
            Err(JoinError::cancelled())
        };
        // SAFETY: the caller says that it may be written as this type.
        unsafe { into.cast::<Result<F::Output, JoinError>>().write(answer) }
    }

    /// # Safety
    ///
    /// Owner thread; the task is a `TaskCell<F>`, with a reference held by the caller.
    unsafe fn drop_answer(task: TaskPtr) {
        // SAFETY: the caller has a reference; this is the owner thread.
        let header = unsafe { task.header() };
        let flags = header.flags.get();
        header.flags.set(flags & !(VALUE | PANIC));
        // SAFETY: the caller has a reference.
        let stage = unsafe { Self::stage(task) };
        foreign::guarded(|| {
            if flags & VALUE != 0 {
                // SAFETY: VALUE says that the value is there; the flag is cleared, so it is dropped once.
                unsafe { ManuallyDrop::drop(&mut (*stage).value) }
            } else if flags & PANIC != 0 {
                // SAFETY: PANIC says that the payload is there; the flag is cleared, so it is dropped once.
                unsafe { ManuallyDrop::drop(&mut (*stage).panic) }
            }
        });
    }

    /// # Safety
    ///
    /// The task is a `TaskCell<F>` that nobody refers to any more. Any thread: the future, the answer and the join
    /// waker are gone already, so this runs no code of a user.
    unsafe fn free(task: TaskPtr) {
        // SAFETY: it was made by `Box::into_raw` in `allocate`, with this type, and nobody refers to it.
        let cell = unsafe { Box::from_raw(task.as_ptr().cast::<Self>()) };
        #[cfg(loom)]
        cell.header.touch();
        drop(cell);
    }
}

/// The end of a task: tells who awaits it, and gives the executor's reference up.
///
/// # Safety
///
/// Owner thread; the task has just become DONE, and the list of all tasks holds it.
unsafe fn leave(task: TaskPtr) {
    // SAFETY: the list's reference lives until the last line; this is the owner thread.
    let header = unsafe { task.header() };
    if let Some(waiter) = header.join.take() {
        waiter.wake();
    }
    debug_assert_ne!(header.index.get(), NO_INDEX);
    // SAFETY: the task lives, so `shared` does; we are the owner thread.
    unsafe { (*header.shared.as_ptr()).owner.remove(header.index.get()) };
    // SAFETY: the list's reference is ours to give up, now that the list has let go.
    unsafe { task.release_local() }
}
