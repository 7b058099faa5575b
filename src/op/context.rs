//! Which driver the calling thread's operations go to, and which others the thread has.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::rc::{Rc, Weak};

use crate::feature::Feature;
use crate::sys::{self, Features, RingId};
use crate::task::WakeRef;

/// The driver of this crate's executor.
pub(crate) type Driver = crate::driver::Driver<WakeRef>;

thread_local! {
    static CURRENT: Cell<*const Driver> = const { Cell::new(ptr::null()) };
    static ALL: RefCell<Vec<Weak<Driver>>> = const { RefCell::new(Vec::new()) };
    static GUESTS: RefCell<Vec<Guest>> = const { RefCell::new(Vec::new()) };
    static HAS_GUESTS: Cell<bool> = const { Cell::new(false) };
}

/// A driver of which something is awaited in the runtime of another.
struct Guest {
    host: RingId,
    guest: Weak<Driver>,
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

/// What the runtime can do that the calling thread is in; outside of one, what one with the defaults could.
///
/// The kernel is asked once a process. Where io_uring is refused altogether, nothing can be used. What a limit or a filter
/// refuses to one runtime later on is told by that:
/// [`Metrics::provided_refused`](crate::runtime::Metrics::provided_refused) for provided buffers,
/// [`FixedBufPool::is_registered`](crate::fs::FixedBufPool::is_registered) for registered ones.
///
/// # Examples
///
/// ```
/// let features = saferring::features();
/// println!("{features}");
/// if !features.multishot_accept() {
///     println!("each accept is a request of its own (kernel before 5.19)");
/// }
/// ```
pub fn features() -> Features {
    match current() {
        Some(driver) => *driver.features(),
        None => sys::features(),
    }
}

/// Whether a feature may be used by the thread's operations.
#[inline]
pub(super) fn has(feature: Feature) -> bool {
    match current() {
        Some(driver) => driver.features().has(feature),
        None => sys::features().has(feature),
    }
}

/// Whether the thread's operations may be given the form that `feature` is; if not, they go another way. With nothing
/// borrowed: it may warn.
///
/// # Errors
///
/// If there is to be no other way.
#[inline]
pub(crate) fn may_use(feature: Feature) -> io::Result<bool> {
    Ok(match current() {
        Some(driver) => driver.features().may_use(feature)?,
        None => sys::features().may_use(feature)?,
    })
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

/// Adds a new driver to those of the thread.
pub(super) fn add(driver: &Rc<Driver>) {
    let _ = ALL.try_with(|all| {
        let mut all = all.borrow_mut();
        all.retain(|one| one.strong_count() > 0);
        all.push(Rc::downgrade(driver));
    });
}

/// The drivers of this thread, which from now on has none.
pub(super) fn take_all() -> Vec<Rc<Driver>> {
    let all = ALL.try_with(RefCell::take).unwrap_or_default();
    all.iter().filter_map(Weak::upgrade).collect()
}

/// The drivers of this thread's runtimes, those included that have ended and are still held by an operation.
pub(super) fn all() -> Vec<Rc<Driver>> {
    let all = ALL.try_with(|all| all.borrow().iter().filter_map(Weak::upgrade).collect());
    // At the thread's end the list may be gone already; what runs is known all the same.
    all.unwrap_or_else(|_| current().into_iter().collect())
}

/// Those of [`all`] that are not the current one.
pub(super) fn elsewhere() -> Vec<Rc<Driver>> {
    // Mostly there is one.
    let one = ALL.try_with(|all| all.borrow().len() <= 1);
    if one.unwrap_or(true) {
        return Vec::new();
    }
    let mut others = all();
    others.retain(is_elsewhere);
    others
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
    if is_elsewhere(driver) {
        add_guest(driver);
    }
}

#[cold]
fn add_guest(driver: &Rc<Driver>) {
    let Some(host) = current().map(|host| host.id()) else {
        return;
    };
    let _ = GUESTS.try_with(|guests| {
        let mut guests = guests.borrow_mut();
        let guest = Rc::downgrade(driver);
        let known = |one: &Guest| one.host == host && one.guest.ptr_eq(&guest);
        if !guests.iter().any(known) {
            guests.push(Guest { host, guest });
        }
        HAS_GUESTS.set(true);
    });
}

/// Whether any driver of the thread has guests.
#[inline]
pub(crate) fn has_guests() -> bool {
    HAS_GUESTS.get()
}

/// The drivers that are turned by the loop of `host` besides its own, because something of them is awaited there. One of
/// which nothing is in flight any more is a guest no longer.
#[cold]
pub(crate) fn guests(host: &Driver) -> Vec<Rc<Driver>> {
    let mut found = Vec::new();
    let _ = GUESTS.try_with(|guests| {
        let mut guests = guests.borrow_mut();
        guests.retain(|one| {
            let guest = one.guest.upgrade();
            let alive = |guest: &Rc<Driver>| guest.in_flight().0 > 0 && guest.ring_info().is_some();
            match guest.filter(alive) {
                Some(guest) if one.host == host.id() => {
                    found.push(guest);
                    true
                }
                other => other.is_some(),
            }
        });
        HAS_GUESTS.set(!guests.is_empty());
    });
    found
}

/// A driver has ended, and has no more guests.
pub(super) fn dismiss_guests(host: &Driver) {
    let _ = GUESTS.try_with(|guests| guests.borrow_mut().retain(|one| one.host != host.id()));
}
