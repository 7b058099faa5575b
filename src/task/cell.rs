//! A task in memory: its header, and behind it the future, then the answer. The functions here know the future's type.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::borrowed::Borrowed;
use super::error::{JoinError, Payload};
use super::flags::{ABORTED, ANSWER, DONE, JOIN, NAMED, NOTED, TAKEN};
use super::header::{Header, LocalRef, Owner, Vtable};
use super::pulse::NO_INDEX;
use super::sync::Cell;
use super::wake_ref::WakeRef;
use super::waker;
use crate::foreign;

/// What all tasks begin with.
///
/// `repr(C)`: a pointer to it is a pointer to its header.
#[repr(C)]
struct Front {
    header: Header,
    /// Who awaits the task. The owner's.
    joiner: Cell<Option<WakeRef>>,
}

/// `repr(C)`: a pointer to the cell is a pointer to its header.
#[repr(C)]
pub(super) struct TaskCell<F: Future> {
    front: Front,
    stage: UnsafeCell<Stage<F>>,
}

/// The future until DONE, then the answer with ANSWER, and nothing without.
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    answer: ManuallyDrop<Result<F::Output, Payload>>,
}

/// Who awaits the task.
pub(super) fn joiner(task: &LocalRef) -> &Cell<Option<WakeRef>> {
    // SAFETY: all tasks are made by `TaskCell::allocate`, and so begin with a `Front`; the reference keeps it alive.
    unsafe { &task.as_raw().cast::<Front>().as_ref().joiner }
}

/// Forgets the task's name, and what was noted of it.
#[cold]
fn forget(task: &LocalRef) {
    task.owner().set_name(task.index, None);
    task.owner().pulse().note(task.index, None);
}

impl<F: Future> TaskCell<F> {
    const VTABLE: &'static Vtable = &Vtable {
        poll: Self::poll,
        free: Self::free,
    };

    /// Makes a task.
    pub(super) fn allocate(owner: Owner<'_>, future: F, index: u32, flags: u32) -> LocalRef {
        let cell = Box::new(Self {
            front: Front {
                header: Header::new(Self::VTABLE, owner, index, flags),
                joiner: Cell::new(None),
            },
            stage: UnsafeCell::new(Stage {
                future: ManuallyDrop::new(future),
            }),
        });
        // SAFETY: the header is new, and `owner` is on the owner thread. The pointer has the provenance of the whole cell.
        unsafe { LocalRef::from_raw(NonNull::from(Box::leak(cell)).cast()) }
    }

    /// # Safety
    ///
    /// The task is a `TaskCell<F>`.
    #[inline(always)]
    unsafe fn of(task: &LocalRef) -> &Self {
        // SAFETY: the caller says what it is, and the reference keeps it alive. What changes in it is in cells.
        unsafe { task.as_raw().cast().as_ref() }
    }

    /// # Safety
    ///
    /// As [`LocalRef::poll`] says, of a `TaskCell<F>`.
    unsafe fn poll(task: Borrowed<'_, LocalRef>) {
        let task = &*task;
        // SAFETY: passed on to the caller.
        let cell = unsafe { Self::of(task) };
        let answer = if task.flags.get() & ABORTED != 0 {
            None
        } else {
            let waker = waker::waker(task);
            let polled = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: not DONE, so the stage is the future, and nobody else polls or drops it meanwhile. It stays where it
                // is until it is dropped, so it is pinned.
                let future = unsafe { Pin::new_unchecked(&mut *(*cell.stage.get()).future) };
                future.poll(&mut Context::from_waker(&waker))
            }));
            match polled {
                Ok(Poll::Pending) => return,
                Ok(Poll::Ready(value)) => Some(Ok(value)),
                Err(payload) => Some(Err(payload)),
            }
        };
        // SAFETY: passed on to the caller; the poll is over.
        unsafe { cell.finish(task, answer) }
    }

    /// Drops the future, leaves the answer for the JoinHandle if there is one, and lets go of the task. Without an answer the
    /// task was cancelled.
    ///
    /// # Safety
    ///
    /// As for `poll`; `self` is the task's.
    unsafe fn finish(&self, task: &LocalRef, mut answer: Option<Result<F::Output, Payload>>) {
        // The future's Drop is code of a user: it may wake, abort, spawn, and drop this task's JoinHandle. The flags
        // say "not DONE" meanwhile, and `running` keeps executors from being re-entered.
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: not DONE, so the stage is the future; nobody polls it, and nobody will look at it again.
            unsafe { ManuallyDrop::drop(&mut (*self.stage.get()).future) }
        }));
        if let Err(payload) = dropped {
            if let Some(Err(_)) = answer {
                foreign::guarded(|| drop(payload)); // The first panic is the one to tell of.
            } else {
                let hidden = answer.replace(Err(payload));
                foreign::guarded(|| drop(hidden));
            }
        }
        let flags = task.flags.get();
        match answer {
            Some(answer) if flags & JOIN != 0 => {
                // SAFETY: the future is gone, so the stage is free for the answer, and nothing else refers to it.
                unsafe { (*self.stage.get()).answer = ManuallyDrop::new(answer) };
                task.flags.set(flags | DONE | ANSWER);
            }
            answer => {
                task.flags.set(flags | DONE);
                foreign::guarded(|| drop(answer));
            }
        }
        if let Some(joiner) = joiner(task).take() {
            joiner.wake();
        }
        debug_assert_ne!(task.index, NO_INDEX);
        if flags & (NAMED | NOTED) != 0 {
            forget(task);
        }
        drop(task.owner().remove(task.index));
    }

    /// Moves the answer out.
    ///
    /// # Safety
    ///
    /// The task is a `TaskCell<F>`, DONE and not TAKEN.
    pub(super) unsafe fn take(task: &LocalRef) -> Result<F::Output, JoinError> {
        // SAFETY: passed on to the caller.
        let cell = unsafe { Self::of(task) };
        let flags = task.flags.get();
        task.flags.set((flags & !ANSWER) | TAKEN);
        if flags & ANSWER == 0 {
            return Err(JoinError::cancelled());
        }
        // SAFETY: ANSWER says that it is there; the flag is cleared, so it is moved out once.
        let answer = unsafe { ManuallyDrop::take(&mut (*cell.stage.get()).answer) };
        answer.map_err(JoinError::panicked)
    }

    /// # Safety
    ///
    /// The task is a `TaskCell<F>` that nobody refers to any more. Any thread: the future, the answer and the joiner are gone
    /// already, so this runs no code of a user.
    unsafe fn free(task: NonNull<Header>) {
        // SAFETY: `allocate` boxed it, as this type, and nobody refers to it.
        let cell = unsafe { Box::from_raw(task.cast::<Self>().as_ptr()) };
        #[cfg(loom)]
        cell.front.touch();
        drop(cell);
    }
}

impl Front {
    /// As [`Header::touch`].
    #[cfg(loom)]
    fn touch(&self) {
        self.header.touch();
        assert!(self.joiner.take().is_none());
    }
}
