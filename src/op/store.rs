//! How operations get into the driver, and out of it.

use std::rc::Rc;
use std::task::Waker;

use super::cell::{place, put, take};
use super::vtable::Table;
use super::{Driver, Multishot, Operation, SharedFd, Side, context};
use crate::driver::{KEEPS_TURN, Key, OpVTable, Owner, Progress, Submission};
use crate::sys::{ENDED, OTHER_RUNTIME};
use crate::task::WakeRef;

/// Whether the operation may go to this ring: what it carries of a ring is of this one.
#[inline]
pub(super) fn belongs<T: Operation>(op: &T, driver: &Driver) -> bool {
    // Once it is closing there is no file any more, and the kernel says so.
    let file = |file: &SharedFd| {
        !file.is_direct() || file.is_closing() || file.slot(driver.id()).is_some()
    };
    op.ring().is_none_or(|ring| ring == driver.id()) && op.file().is_none_or(file)
}

/// What the kernel is asked, by the operation in its cell.
///
/// # Safety
///
/// As for [`place`]; the kernel does not have the operation, and nobody else looks at it.
#[inline]
pub(super) unsafe fn submission<T: Operation>(driver: &Driver, key: Key<WakeRef>) -> Submission {
    // A panic in `prepare` (a buffer's accessor broke its contract) leaks the cell, and with it the operation.
    // SAFETY: the caller's promise.
    let op = unsafe { &mut *place::<T>(key.payload()) };
    let entry = op.prepare(driver.id());
    match op.file() {
        None => Submission {
            entry,
            slot: None,
            file: None,
            turn: 0,
            whole: op.raw_fd() as u32,
        },
        Some(file) => Submission {
            entry,
            slot: if T::BY_SLOT {
                file.slot(driver.id())
            } else {
                None
            },
            file: Some(file.file_ref()),
            turn: Side::tag(op.turn()) | if T::KEEPS_TURN { KEEPS_TURN } else { 0 },
            whole: op.whole(),
        },
    }
}

/// Gives the operation in its cell to the kernel, in its turn.
///
/// # Safety
///
/// As for [`submission`]; it was not submitted before.
#[inline]
pub(super) unsafe fn send<T: Operation>(driver: &Driver, key: Key<WakeRef>, owner: Owner<WakeRef>) {
    // SAFETY: the caller's promise.
    let what = unsafe { submission::<T>(driver, key) };
    // SAFETY: as above; only read.
    if let Some(file) = unsafe { &*place::<T>(key.payload()) }.file() {
        file.enter_kernel(key.user_data());
    }
    // SAFETY: the payload holds the operation that made the entry. What the entry points to is the operation's own
    // (contract of `Operation`), and that is not moved or touched before `take`, which waits for the final completion.
    unsafe { driver.submit(key, what, owner) };
}

/// An operation in the driver's table, owned by a future.
pub(super) struct Stored {
    pub(super) driver: Rc<Driver>,
    pub(super) key: Key<WakeRef>,
}

impl Stored {
    /// Moves `op` into a cell and gives it to the kernel, or to the queue for its turn; `has_turn` if it has that. This is
    /// the one place where operations are submitted, and where what belongs to another ring is found out.
    ///
    /// # Errors
    ///
    /// The operation, and what it is to be answered with.
    #[inline]
    pub(super) fn submit<T: Operation>(
        driver: Rc<Driver>,
        op: T,
        vtable: &'static OpVTable<WakeRef>,
        owner: Owner<WakeRef>,
        has_turn: bool,
    ) -> Result<Self, (T, i32)> {
        if !belongs(&op, &driver) {
            return Err((op, OTHER_RUNTIME));
        }
        let Some(key) = driver.reserve(vtable) else {
            let result = match driver.ring_info() {
                Some(_) => -libc::ENOMEM,
                None => ENDED,
            };
            return Err((op, result));
        };
        // SAFETY: the cell was just reserved for us.
        unsafe { put(key.payload(), op) };
        // SAFETY: `put` has just been called; nobody else knows the cell.
        let op = unsafe { &*place::<T>(key.payload()) };
        if !has_turn
            && let (Some(side), Some(file)) = (op.turn(), op.file())
            && !file.try_turn(side)
        {
            let place = file.queue(side, &driver, key);
            let waiter = match owner {
                Owner::Future(waiter) => waiter,
                Owner::Nobody | Owner::Same => None,
            };
            driver.wait(key, place, waiter);
        } else {
            // SAFETY: the cell holds the operation, which is not with the kernel.
            unsafe { send::<T>(&driver, key, owner) };
        }
        Ok(Stored { driver, key })
    }

    /// Takes the operation out that the kernel is done with, or never had, and frees the cell.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this; the final completion has been seen, or it has left its queue; and this is called once.
    #[inline]
    pub(super) unsafe fn take<T: Operation>(&self) -> T {
        // SAFETY: the caller's promise.
        let op = unsafe { take::<T>(self.key.payload()) };
        self.driver.release(self.key);
        op
    }

    /// The operation, while it is in its cell.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this, and `take` was not called.
    #[inline]
    pub(super) unsafe fn get<T: Multishot>(&self) -> &T {
        // SAFETY: the caller's promise; by the contract of `Multishot` the kernel writes to nothing inside, and nobody
        // has a `&mut` to it before it is taken out.
        unsafe { &*place::<T>(self.key.payload()) }
    }

    /// Takes an operation out that waits at `place` of its queue.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this, the operation waits there, and this is called once.
    pub(super) unsafe fn withdraw<T: Operation>(&self, place: u32) -> T {
        // SAFETY: the caller's promise: the kernel does not have it.
        let op = unsafe { self.take::<T>() };
        if let (Some(side), Some(file)) = (op.turn(), op.file()) {
            file.leave_queue(side, place);
        }
        op
    }

    /// Asks for the end of the operation, or ends it if it waits.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this, and the operation was not taken out.
    pub(super) unsafe fn cancel<T: Operation>(&self) {
        let Some(at) = self.driver.queue_index(self.key) else {
            return self.driver.cancel(self.key);
        };
        // SAFETY: the caller's promise; as it waits, the kernel does not have it.
        let op = unsafe { &*place::<T>(self.key.payload()) };
        if let (Some(side), Some(file)) = (op.turn(), op.file()) {
            file.leave_queue(side, at);
        }
        drop(self.driver.answer(self.key, -libc::ECANCELED, false));
    }

    /// Whether `waker` is what the next completion wakes; sees that somebody turns the driver.
    #[inline]
    pub(super) fn is_watched(&self, waker: &Waker) -> bool {
        let progress = self.driver.progress(self.key, |one| one.will_wake(waker));
        context::attend(&self.driver);
        matches!(progress, Progress::Waits)
    }

    /// Leaves a waker for the next completion, and sees that somebody turns the driver. False: there is a completion.
    #[inline]
    pub(super) fn watch(&self, waiter: WakeRef) -> bool {
        match self.driver.set_waiter(self.key, waiter) {
            Ok(before) => {
                context::attend(&self.driver);
                drop(before);
                true
            }
            Err(_) => false,
        }
    }
}

/// Submits an operation that nobody waits for; gives it back if it cannot be submitted.
pub(crate) fn submit_detached<T: Operation>(driver: &Rc<Driver>, op: T) -> Result<(), T> {
    let driver = Rc::clone(driver);
    match Stored::submit(driver, op, Table::<T>::SINGLE, Owner::Nobody, true) {
        Ok(_) => Ok(()),
        Err((op, _)) => Err(op),
    }
}
