//! A wake reference of one word, for the owner thread: what an operation or a timer keeps of the task that waits.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;
use std::task::Waker;

use super::error::swallow_panic;
use super::header::{ROOT, TaskPtr};
use super::id::Id;
use super::sync::{Cell, is_home};
use super::waker;

/// Set in the address of a boxed waker. Tasks and wakers are both aligned to more than one byte.
const FOREIGN: usize = 1;

/// Wakes a task: one of the executor that this thread has entered, by a plain count and without atomics, or any
/// other through its boxed [`Waker`]. Dropping it wakes nobody.
///
/// It belongs to the thread that made it (it is not `Send`).
#[repr(transparent)]
pub(crate) struct WakeRef {
    /// A task, with one plain reference; or a `Box<Waker>`, with FOREIGN in its address.
    raw: NonNull<()>,
    _not_send: PhantomData<*const ()>,
}

const _: () = assert!(size_of::<Option<WakeRef>>() == 8);
const _: () = assert!(align_of::<Waker>() > FOREIGN);

/// A `WakeRef`, looked into.
enum Target {
    Task(TaskPtr),
    Foreign(NonNull<Waker>),
}

impl WakeRef {
    /// A reference to what `waker` wakes. Allocates if that is not a task of this thread's executor.
    #[inline]
    pub(crate) fn new(waker: &Waker) -> Self {
        let raw = match own_task(waker) {
            Some(task) => {
                // SAFETY: `own_task` says that this is the owner thread and that the plain count is not zero.
                unsafe { task.add_local() };
                task.as_non_null().cast()
            }
            None => box_waker(waker.clone()),
        };
        Self {
            raw,
            _not_send: PhantomData,
        }
    }

    /// Makes this a reference to what `waker` wakes, and reuses the allocation if both are foreign.
    #[inline]
    pub(crate) fn update(&mut self, waker: &Waker) {
        if self.will_wake(waker) {
            return;
        }
        match self.target() {
            Target::Foreign(boxed) if own_task(waker).is_none() => {
                // SAFETY: the box is ours alone, and `&mut self` keeps it so while code of a user runs.
                unsafe { (*boxed.as_ptr()).clone_from(waker) }
            }
            _ => *self = Self::new(waker),
        }
    }

    /// Puts a reference to what `waker` wakes into `slot`, reusing the one that is there.
    #[inline]
    pub(crate) fn register(slot: &Cell<Option<WakeRef>>, waker: &Waker) {
        // Out of the cell first: a foreign waker's `clone` and `drop` are code of a user.
        let reference = match slot.take() {
            Some(mut reference) => {
                reference.update(waker);
                reference
            }
            None => Self::new(waker),
        };
        slot.set(Some(reference));
    }

    /// Wakes, and uses the reference up. Own tasks go to the run queue; a foreign waker may run code of a user.
    #[inline]
    pub(crate) fn wake(self) {
        match self.target() {
            Target::Task(task) => {
                // The executor may have been left since, or another entered: then this takes the remote way.
                // SAFETY: our plain reference lives until `self` is dropped below; this is the owner thread.
                unsafe { task.wake_by_ref() }
            }
            Target::Foreign(boxed) => {
                mem::forget(self);
                // SAFETY: the box is ours, and `self` will not drop it a second time.
                let waker = unsafe { Box::from_raw(boxed.as_ptr()) };
                // Its panic belongs to no task; the loop that wakes must go on.
                swallow_panic(|| waker.wake());
            }
        }
    }

    /// Whether this wakes the same task as `waker`. May be false although it does, as [`Waker::will_wake`].
    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match self.target() {
            Target::Task(task) => waker::task_of(waker) == Some(task),
            // SAFETY: the box lives as long as `self`.
            Target::Foreign(boxed) => unsafe { boxed.as_ref() }.will_wake(waker),
        }
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
            // SAFETY: without the tag it is the address of a box, which is not null.
            Target::Foreign(unsafe { NonNull::new_unchecked(raw.cast()) })
        }
    }
}

impl Drop for WakeRef {
    #[inline]
    fn drop(&mut self) {
        match self.target() {
            // SAFETY: the plain reference is ours, and this is the owner thread.
            Target::Task(task) => unsafe { task.release_local() },
            // SAFETY: the box is ours, and `self` ends here.
            Target::Foreign(boxed) => drop(unsafe { Box::from_raw(boxed.as_ptr()) }),
        }
    }
}

impl fmt::Debug for WakeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target() {
            Target::Task(_) => f.debug_tuple("WakeRef").field(&self.task_id()).finish(),
            Target::Foreign(_) => f.write_str("WakeRef(foreign)"),
        }
    }
}

/// The task that `waker` wakes, if this thread may count it plainly: it has entered the task's executor, and the
/// plain count is not zero. (At zero the task is over, and the plain references' share may be given up already.)
#[inline(always)]
fn own_task(waker: &Waker) -> Option<TaskPtr> {
    let task = waker::task_of(waker)?;
    // SAFETY: the waker keeps the task alive. `shared` never changes, so any thread may read it.
    if !is_home(unsafe { task.header() }.shared) {
        return None;
    }
    // SAFETY: as above, and this is the owner thread.
    (unsafe { task.header() }.local.get() != 0).then_some(task)
}

fn box_waker(waker: Waker) -> NonNull<()> {
    let raw = Box::into_raw(Box::new(waker)).cast::<()>();
    // SAFETY: a box is not null, and the tag does not make it so.
    unsafe { NonNull::new_unchecked(raw.map_addr(|addr| addr | FOREIGN)) }
}
