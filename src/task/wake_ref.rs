//! A wake reference of one word, for the owner thread: what an operation or a timer keeps of the task that waits.
//!
//! Waking and dropping one runs no foreign code, whatever it wakes: a task of ours goes to its queue, and any other waker
//! goes to the list of [`foreign`]. Only making one does, by the waker's `clone`.

use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;

use super::borrowed::Borrowed;
use super::flags::ROOT;
use super::header::LocalRef;
use super::id::Id;
use super::sync::Cell;
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
    // Invariant: it is what one of `From` below has made of a target that it owns.
    raw: NonNull<()>,
    _not_send: PhantomData<*const ()>,
}

const _: () = assert!(size_of::<Option<WakeRef>>() == 8);
const _: () = assert!(align_of::<Waker>() > FOREIGN);

/// A `WakeRef`, looked into.
enum Target {
    Task(LocalRef),
    Foreign(Rc<Waker>),
}

impl WakeRef {
    /// A reference to what `waker` wakes. If that is not a task of this thread's executor it allocates, and runs foreign
    /// code: call it before you look at anything, or look again.
    #[inline]
    pub(crate) fn new(waker: &Waker) -> Self {
        match waker::task_of(waker).and_then(|task| task.local()) {
            Some(task) => task.into(),
            None => share(waker.clone()),
        }
    }

    /// Wakes, and uses the reference up.
    #[inline(always)]
    pub(crate) fn wake(self) {
        match self.into_target() {
            Target::Task(task) => task.wake(),
            Target::Foreign(waker) => wake_foreign(waker),
        }
    }

    /// Whether this wakes the same task as `waker`. May be false although it does, as [`Waker::will_wake`].
    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match &*self.target() {
            Target::Task(task) => waker::task_of(waker).is_some_and(|other| other.is(task)),
            // A comparison of two pointers: no foreign code.
            Target::Foreign(foreign) => foreign.will_wake(waker),
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
        match &*self.target() {
            Target::Task(task) if task.flags.get() & ROOT == 0 => Some(Id::new(task.index)),
            Target::Task(_) | Target::Foreign(_) => None,
        }
    }

    /// The name of that task, if it has one.
    pub(crate) fn task_name(&self) -> Option<Rc<str>> {
        match &*self.target() {
            Target::Task(task) => task.owner().name_of(task.index),
            Target::Foreign(_) => None,
        }
    }

    #[inline(always)]
    fn target(&self) -> Borrowed<'_, Target> {
        // SAFETY: `self` keeps what is borrowed here.
        Borrowed::new(unsafe { self.read() })
    }

    #[inline(always)]
    fn into_target(self) -> Target {
        // SAFETY: `self` is forgotten, so the target has one owner.
        let target = unsafe { self.read() };
        mem::forget(self);
        target
    }

    /// # Safety
    ///
    /// The result is only borrowed, or `self` is not used again.
    #[inline(always)]
    unsafe fn read(&self) -> Target {
        if self.raw.addr().get() & FOREIGN == 0 {
            // SAFETY: the invariant: the address is a task's, with one plain reference, on the owner thread. The caller sees to
            // it that the reference is given up once.
            Target::Task(unsafe { LocalRef::from_raw(self.raw.cast()) })
        } else {
            let waker = self.raw.as_ptr().map_addr(|addr| addr & !FOREIGN);
            // SAFETY: the invariant: the address is a shared waker's, with one count. The caller sees to it as above.
            Target::Foreign(unsafe { Rc::from_raw(waker.cast_const().cast()) })
        }
    }
}

impl From<LocalRef> for WakeRef {
    #[inline(always)]
    fn from(task: LocalRef) -> Self {
        WakeRef {
            raw: task.into_raw().cast(),
            _not_send: PhantomData,
        }
    }
}

impl From<Rc<Waker>> for WakeRef {
    fn from(waker: Rc<Waker>) -> Self {
        let raw = Rc::into_raw(waker).cast_mut().cast::<()>();
        WakeRef {
            // SAFETY: a shared value's address is not null, and the tag does not make it so.
            raw: unsafe { NonNull::new_unchecked(raw.map_addr(|addr| addr | FOREIGN)) },
            _not_send: PhantomData,
        }
    }
}

impl Clone for WakeRef {
    /// Runs no foreign code: a foreign waker is shared.
    fn clone(&self) -> Self {
        match &*self.target() {
            Target::Task(task) => task.clone().into(),
            Target::Foreign(waker) => Rc::clone(waker).into(),
        }
    }
}

impl Drop for WakeRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` ends here.
        match unsafe { self.read() } {
            Target::Task(task) => drop(task),
            Target::Foreign(waker) => foreign::defer(Call::Release(waker)),
        }
    }
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
fn share(waker: Waker) -> WakeRef {
    Rc::new(waker).into()
}
