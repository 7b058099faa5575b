//! Which driver the calling thread's operations go to, and which others the thread has.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr;
use std::rc::{Rc, Weak};

use crate::task::WakeRef;

/// The driver of this crate's executor.
pub(crate) type Driver = crate::driver::Driver<WakeRef>;

thread_local! {
    static CURRENT: Cell<*const Driver> = const { Cell::new(ptr::null()) };
    static ALL: RefCell<Vec<Weak<Driver>>> = const { RefCell::new(Vec::new()) };
    static GUESTS: RefCell<Vec<Weak<Driver>>> = const { RefCell::new(Vec::new()) };
    static HAS_GUESTS: Cell<bool> = const { Cell::new(false) };
}

/// Holds a driver as the thread's current one.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    before: *const Driver,
    driver: PhantomData<&'a Rc<Driver>>,
}

/// Makes `driver` the current one until the guard is dropped.
pub(crate) fn enter(driver: &Rc<Driver>) -> Entered<'_> {
    Entered {
        before: CURRENT.replace(Rc::as_ptr(driver)),
        driver: PhantomData,
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// The driver of the runtime that this thread is in.
#[inline]
pub(crate) fn current() -> Option<Rc<Driver>> {
    let driver = CURRENT.get();
    if driver.is_null() {
        return None;
    }
    // SAFETY: `enter` took this pointer from an `Rc` that its guard borrows, and guards are dropped in the reverse
    // order of their making because only the runtime holds them, as locals; so that `Rc` is alive now. The count goes
    // up before the new `Rc` stands for it.
    unsafe {
        Rc::increment_strong_count(driver);
        Some(Rc::from_raw(driver))
    }
}

/// The thread's driver.
///
/// # Panics
///
/// Outside a runtime.
pub(super) fn current_or_panic() -> Rc<Driver> {
    match current() {
        Some(driver) => driver,
        None => panic!(
            "an operation was awaited outside a saferring runtime: call it inside Runtime::block_on, a spawned task or \
             #[saferring::main]"
        ),
    }
}

/// Makes a new driver known to the thread.
pub(crate) fn register(driver: &Rc<Driver>) {
    let _ = ALL.try_with(|all| {
        let mut all = all.borrow_mut();
        all.retain(|one| one.strong_count() > 0);
        all.push(Rc::downgrade(driver));
    });
}

/// The drivers of this thread's runtimes, those included that have ended and are still held by an operation.
pub(super) fn all() -> Vec<Rc<Driver>> {
    // At the thread's end the list may be gone already.
    ALL.try_with(|all| all.borrow().iter().filter_map(Weak::upgrade).collect())
        .unwrap_or_default()
}

/// Whether another driver than this is the current one, so that its loop does not run.
#[inline]
pub(crate) fn is_elsewhere(driver: &Rc<Driver>) -> bool {
    let current = CURRENT.get();
    !current.is_null() && current != Rc::as_ptr(driver)
}

/// Something of `driver` is waited for. If another driver is the current one, its loop turns this one, too: nobody else
/// does while it runs.
#[inline]
pub(super) fn attend(driver: &Rc<Driver>) {
    if CURRENT.get() != Rc::as_ptr(driver) {
        add_guest(driver);
    }
}

#[cold]
fn add_guest(driver: &Rc<Driver>) {
    let _ = GUESTS.try_with(|guests| {
        let mut guests = guests.borrow_mut();
        let new = Rc::downgrade(driver);
        if !guests.iter().any(|one| one.ptr_eq(&new)) {
            guests.push(new);
        }
        HAS_GUESTS.set(true);
    });
}

/// Whether there are drivers to be turned besides the current one.
#[inline]
pub(crate) fn has_guests() -> bool {
    HAS_GUESTS.get()
}

/// Takes out the drivers that are waited for within others. Those of which something is still in flight after they were
/// turned come back by [`attend_again`].
pub(crate) fn take_guests() -> Vec<Rc<Driver>> {
    HAS_GUESTS.set(false);
    let guests = GUESTS.try_with(RefCell::take).unwrap_or_default();
    guests.iter().filter_map(Weak::upgrade).collect()
}

/// A driver that was turned as a guest is so again while anything of it is in flight.
pub(crate) fn attend_again(guest: &Rc<Driver>) {
    if guest.in_flight().0 > 0 && guest.ring_info().is_some() {
        add_guest(guest);
    }
}
