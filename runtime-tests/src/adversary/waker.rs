//! A waker of which each of the four functions is a point.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::{Point, at};

static ALIVE: AtomicIsize = AtomicIsize::new(0);

/// How many of these wakers there are.
pub fn wakers_alive() -> isize {
    ALIVE.load(Ordering::SeqCst)
}

/// Whether somebody was woken.
#[derive(Clone, Debug, Default)]
pub struct Flag(Arc<AtomicBool>);

impl Flag {
    /// A waker that sets it.
    pub fn waker(&self) -> Waker {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the functions of `VTABLE` count the flag's holders, each waker being one, and may be called on any thread.
        unsafe { Waker::from_raw(raw(&self.0)) }
    }

    /// Whether it was set since this was asked before.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

fn raw(flag: &Arc<AtomicBool>) -> RawWaker {
    RawWaker::new(Arc::into_raw(Arc::clone(flag)).cast(), &VTABLE)
}

/// The flag of a waker, borrowed.
///
/// # Safety
///
/// `data` is that of a waker which `raw` has made.
unsafe fn flag(data: *const ()) -> ManuallyDrop<Arc<AtomicBool>> {
    // SAFETY: the caller's promise; the count stays the waker's.
    ManuallyDrop::new(unsafe { Arc::from_raw(data.cast()) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    at(Point::WakerClone);
    ALIVE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the contract of `RawWaker`: `data` is that of a waker of ours.
    let flag = unsafe { flag(data) };
    raw(&flag)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as in `clone`, and the waker is used up.
    let flag = ManuallyDrop::into_inner(unsafe { flag(data) });
    ALIVE.fetch_sub(1, Ordering::SeqCst);
    flag.store(true, Ordering::SeqCst);
    at(Point::Wake);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`.
    unsafe { flag(data) }.store(true, Ordering::SeqCst);
    at(Point::WakeByRef);
}

unsafe fn release(data: *const ()) {
    // SAFETY: as in `wake`.
    drop(ManuallyDrop::into_inner(unsafe { flag(data) }));
    ALIVE.fetch_sub(1, Ordering::SeqCst);
    at(Point::WakerDrop);
}
