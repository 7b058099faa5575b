//! The one file where std gives way to loom: the rest of the module names atomics and cells through here.
//!
//! Fields of the owner go through this `Cell` too. loom's records which thread touches it, so the models would notice a
//! foreign thread that reads what only the owner may.

pub(super) use imp::{AtomicIsize, AtomicPtr, AtomicU32, Cell, Ordering, UnsafeCell};

use std::ptr;

#[cfg(not(loom))]
mod imp {
    pub(in crate::task) use std::cell::Cell;
    pub(in crate::task) use std::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, Ordering};

    /// `std::cell::UnsafeCell` with the closure interface that loom needs to see each access begin and end.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(in crate::task) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(in crate::task) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(in crate::task) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        #[inline(always)]
        pub(in crate::task) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }

    std::thread_local! {
        // Constant and without a destructor, so an access is one load, also while the thread ends.
        pub(in crate::task) static CURRENT: Cell<*const ()> = const { Cell::new(std::ptr::null()) };
    }
}

#[cfg(loom)]
mod imp {
    pub(in crate::task) use loom::cell::{Cell, UnsafeCell};
    pub(in crate::task) use loom::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, Ordering};

    loom::thread_local! {
        pub(in crate::task) static CURRENT: Cell<*const ()> = Cell::new(std::ptr::null());
    }
}

/// The `Shared` of the executor that this thread has entered, or null.
#[inline(always)]
pub(super) fn current() -> *const () {
    imp::CURRENT.with(Cell::get)
}

/// Says which executor this thread has entered, and returns the one before.
#[inline]
pub(super) fn set_current(shared: *const ()) -> *const () {
    imp::CURRENT.with(|current| current.replace(shared))
}

/// Whether this thread has entered the executor that `shared` belongs to, and so is its owner.
#[inline(always)]
pub(super) fn is_current<T>(shared: ptr::NonNull<T>) -> bool {
    ptr::eq(current(), shared.as_ptr().cast_const().cast())
}
