//! Which driver the calling thread's operations go to.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;

use crate::buf::IoBuf;
use crate::task::WakeRef;

/// The driver of this crate's executor.
pub(crate) type Driver = crate::driver::Driver<WakeRef>;

thread_local! {
    static CURRENT: Cell<*const Driver> = const { Cell::new(ptr::null()) };
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

/// The slot of the memory that `buf` lies in, if that is registered with the current driver.
#[inline]
pub(super) fn registered_slot(buf: &impl IoBuf) -> Option<u16> {
    let registration = buf.registration()?;
    (registration.driver == CURRENT.get().addr()).then_some(registration.index)
}
