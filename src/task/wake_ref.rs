//! A wake reference of one word, for the owner thread: what an operation or a timer keeps of the task that waits.
//!
//! Waking and dropping one runs no foreign code, whatever it wakes: a task of ours goes to its queue, and any other waker
//! goes to the list of [`foreign`]. Only making one does, by the waker's `clone`.

use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;

use super::header::{ROOT, TaskPtr};
use super::id::Id;
use super::sync::{Cell, is_owner};
use super::waker;
use crate::foreign::{self, Call};

/// Set in the address of a foreign waker. Tasks and wakers are both aligned to more than one byte.
const FOREIGN: usize = 1;

/// Wakes a task: one of the executor that this thread has entered, by a plain count and without atomics, or any
/// other through its [`Waker`]. Dropping it wakes nobody.
///
/// It belongs to the thread that made it (it is not `Send`).
#[repr(transparent)]
pub(crate) struct WakeRef {
    /// A task, with one plain reference; or an `Rc<Waker>`, with FOREIGN in its address.
    raw: NonNull<()>,
    _not_send: PhantomData<*const ()>,
}

const _: () = assert!(size_of::<Option<WakeRef>>() == 8);
const _: () = assert!(align_of::<Waker>() > FOREIGN);

/// A `WakeRef`, looked into.
enum Target {
    Task(TaskPtr),
    Foreign(*const Waker),
}

impl WakeRef {
    /// A reference to what `waker` wakes. If that is not a task of this thread's executor it allocates, and runs foreign
    /// code: call it before you look at anything, or look again.
    #[inline]
    pub(crate) fn new(waker: &Waker) -> Self {
        let raw = match own_task(waker) {
            Some(task) => {
                // SAFETY: `own_task` says that this is the owner thread and that the plain count is not zero.
                unsafe { task.add_local() };
                task.as_non_null().cast()
            }
            None => share_waker(waker.clone()),
        };
        Self {
            raw,
            _not_send: PhantomData,
        }
    }

    /// Wakes, and uses the reference up.
    #[inline(always)]
    pub(crate) fn wake(self) {
        match self.target() {
            Target::Task(task) => {
                // The executor may have been left since, or another entered: then this takes the remote way.
                // SAFETY: our plain reference lives until `self` is dropped below; this is the owner thread.
                unsafe { task.wake_by_ref() }
            }
            Target::Foreign(waker) => {
                mem::forget(self);
                // SAFETY: the count is ours, and `self` will not give it up a second time.
                wake_foreign(unsafe { Rc::from_raw(waker) });
            }
        }
    }

    /// Whether this wakes the same task as `waker`. May be false although it does, as [`Waker::will_wake`].
    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match self.target() {
            Target::Task(task) => waker::task_of(waker) == Some(task),
            // A comparison of two pointers: no foreign code.
            // SAFETY: our count keeps the waker as long as `self`.
            Target::Foreign(foreign) => unsafe { &*foreign }.will_wake(waker),
        }
    }

    /// Whether `slot` holds a reference that wakes the same as `waker`.
    #[inline]
    pub(super) fn will_wake_in(slot: &Cell<Option<WakeRef>>, waker: &Waker) -> bool {
        let reference = slot.take();
        let same = reference
            .as_ref()
            .is_some_and(|reference| reference.will_wake(waker));
        slot.set(reference);
        same
    }

    /// The task that this wakes, if it is one of this thread's executor.
    pub(crate) fn task_id(&self) -> Option<Id> {
        let Target::Task(task) = self.target() else {
            return None;
        };
        // SAFETY: our plain reference keeps the task alive, and this is the owner thread.
        let header = unsafe { task.header() };
        (header.flags.get() & ROOT == 0).then(|| Id::new(header.index.get()))
    }

    #[inline(always)]
    fn target(&self) -> Target {
        if self.raw.addr().get() & FOREIGN == 0 {
            Target::Task(TaskPtr::new(self.raw.cast()))
        } else {
            let raw = self.raw.as_ptr().map_addr(|addr| addr & !FOREIGN);
            Target::Foreign(raw.cast_const().cast())
        }
    }
}

impl Clone for WakeRef {
    /// Runs no foreign code: a foreign waker is shared.
    fn clone(&self) -> Self {
        match self.target() {
            // SAFETY: our own reference says that the plain count is not zero; this is the owner thread.
            Target::Task(task) => unsafe { task.add_local() },
            // SAFETY: our count keeps the waker; the new one is the clone's.
            Target::Foreign(waker) => unsafe { Rc::increment_strong_count(waker) },
        }
        WakeRef {
            raw: self.raw,
            _not_send: PhantomData,
        }
    }
}

impl Drop for WakeRef {
    #[inline]
    fn drop(&mut self) {
        match self.target() {
            // SAFETY: the plain reference is ours, and this is the owner thread.
            Target::Task(task) => unsafe { task.release_local() },
            // SAFETY: the count is ours, and `self` ends here.
            Target::Foreign(waker) => foreign::defer(Call::Release(unsafe { Rc::from_raw(waker) })),
        }
    }
}

/// The task that `waker` wakes, if this thread may count it plainly: it has entered the task's executor, and the
/// plain count is not zero. (At zero the task is over, and the plain references' share may be given up already.)
#[inline(always)]
fn own_task(waker: &Waker) -> Option<TaskPtr> {
    let task = waker::task_of(waker)?;
    // SAFETY: the waker keeps the task alive. `shared` never changes, so any thread may read it.
    if !is_owner(unsafe { task.header() }.shared) {
        return None;
    }
    // SAFETY: as above, and this is the owner thread.
    (unsafe { task.header() }.local.get() != 0).then_some(task)
}

#[cold]
fn wake_foreign(waker: Rc<Waker>) {
    if waker::task_of(&waker).is_some() {
        // Of another executor, or over: nobody's code but ours.
        waker.wake_by_ref();
    } else {
        foreign::defer(Call::Wake(waker));
    }
}

#[cold]
fn share_waker(waker: Waker) -> NonNull<()> {
    let raw = Rc::into_raw(Rc::new(waker)).cast_mut().cast::<()>();
    // SAFETY: a shared value's address is not null, and the tag does not make it so.
    unsafe { NonNull::new_unchecked(raw.map_addr(|addr| addr | FOREIGN)) }
}
