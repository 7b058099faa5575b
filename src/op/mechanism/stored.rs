//! An operation in the driver's table: how it gets there, and out again.
//!
//! [`Stored`] is the handle that a future holds meanwhile. It knows the operation's type, and whether the kernel is done with
//! it, so that taking the operation out is safe code.

use std::marker::PhantomData;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::operation::{Multishot, Operation};
use super::storage;
use crate::driver::{KEEPS_TURN, Key, OpVTable, Orphaned, Owner, Progress, Submission};
use crate::foreign::{self, Scope};
use crate::op::context::{self, Driver};
use crate::op::resource::{SharedFd, Side};
use crate::sys::{Completion, ENDED, OTHER_RUNTIME};
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

/// What the kernel is asked. `op` lies at its final address, and the kernel does not have it.
#[inline]
pub(super) fn submission<T: Operation>(op: &mut T, driver: &Driver) -> Submission {
    // A panic in `prepare` (a buffer's accessor broke its contract) leaks the cell, and with it the operation.
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
            slot: match T::BY_SLOT {
                true => file.slot(driver.id()),
                false => None,
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
/// The cell holds a `T`, which the kernel does not have and was not given before; nobody else looks at it.
#[inline]
pub(super) unsafe fn send<T: Operation>(driver: &Driver, key: Key<WakeRef>, owner: Owner<WakeRef>) {
    // SAFETY: the caller's promise.
    let op = unsafe { &mut *storage::address::<T>(key.payload()) };
    let what = submission(op, driver);
    if let Some(file) = op.file() {
        file.enter_kernel(key.user_data());
    }
    // SAFETY: the payload holds the operation that made the entry. What the entry points to is the operation's own
    // (contract of `Operation`), and that is not moved or touched before `take`, which waits for the final completion.
    unsafe { driver.submit(key, what, owner) };
}

/// A `T` in a cell of the driver's table, owned by a future.
///
/// There is one of these for each cell that holds an operation with a future, from `submit` to `take` or `abandon`. While
/// there is, nobody else takes the operation out: the driver does that for orphans only, which `abandon` makes.
pub(super) struct Stored<T> {
    driver: Rc<Driver>,
    key: Key<WakeRef>,
    _type: PhantomData<T>,
}

impl<T: Operation> Stored<T> {
    /// Moves `op` into a cell and gives it to the kernel, or to the queue for its turn; `has_turn` if it has that. This is
    /// the one place where operations are submitted, and where what belongs to another ring is found out.
    ///
    /// # Errors
    ///
    /// The operation, and what it is to be answered with.
    #[inline]
    pub(super) fn submit(
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
        // SAFETY: the cell was just reserved for us, and nobody else knows it.
        let op = unsafe { &*storage::put(key.payload(), op) };
        let side = op.turn().filter(|_| !has_turn);
        match (side, op.file()) {
            (Some(side), Some(file)) if !file.try_turn(side) => {
                let index = file.queue(side, &driver, key);
                let waiter = match owner {
                    Owner::Future(waiter) => waiter,
                    Owner::Runtime | Owner::Same => None,
                };
                driver.wait(key, index, waiter);
            }
            // SAFETY: `put` has just moved a `T` there, and the kernel does not have it; `op` is used no more.
            _ => unsafe { send::<T>(&driver, key, owner) },
        }
        Ok(Stored {
            driver,
            key,
            _type: PhantomData,
        })
    }

    /// Gives up the claim to the operation, without taking it out.
    pub(super) fn into_parts(self) -> (Rc<Driver>, Key<WakeRef>) {
        (self.driver, self.key)
    }

    /// The inverse of [`into_parts`](Self::into_parts).
    ///
    /// # Safety
    ///
    /// The parts are those of a `Stored<T>`, and are given here once.
    pub(super) unsafe fn from_parts(driver: Rc<Driver>, key: Key<WakeRef>) -> Self {
        Stored {
            driver,
            key,
            _type: PhantomData,
        }
    }

    /// The driver that has it.
    #[inline]
    pub(super) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    /// How far it is, and whether `waker` is what its completion wakes.
    #[inline]
    pub(super) fn progress(&self, waker: &Waker) -> Progress {
        self.driver
            .progress(self.key, |waiter| waiter.will_wake(waker))
    }

    /// Sees that somebody turns the driver.
    #[inline]
    pub(super) fn attend(&self) {
        context::attend(&self.driver);
    }

    /// Takes the operation out that the kernel is done with, or never had, and frees the cell.
    ///
    /// # Panics
    ///
    /// If the kernel has it.
    #[inline]
    pub(super) fn take(self) -> T {
        // Refuses one that the kernel has.
        self.driver.release(self.key);
        // SAFETY: `submit` put a `T` there, which nobody else takes while there is a `Stored`, and this one ends here. The
        // kernel does not have it. The cell is free, but nobody was handed it since.
        unsafe { storage::take::<T>(self.key.payload()) }
    }

    /// Asks for the end of the operation, or ends it if it waits.
    pub(super) fn cancel(&self) {
        let Some(index) = self.driver.queue_index(self.key) else {
            return self.driver.cancel(self.key);
        };
        self.leave_queue(index);
        drop(self.driver.answer(self.key, -libc::ECANCELED, false));
    }

    /// Leaves the queue in which the operation waits, at `index`.
    fn leave_queue(&self, index: u32) {
        // SAFETY: a `T` lies there while there is a `Stored`; as it waits, the kernel does not have it.
        let op = unsafe { &*storage::address::<T>(self.key.payload()) };
        if let (Some(side), Some(file)) = (op.turn(), op.file()) {
            file.leave_queue(side, index);
        }
    }

    /// Leaves a waker for the next completion, and sees that somebody turns the driver. False: there is a completion.
    #[inline]
    pub(super) fn watch(&self, waiter: WakeRef) -> bool {
        watch(&self.driver, self.key, waiter)
    }

    /// The future of a single-shot operation is gone: leaves it to the driver, or ends it.
    #[cold]
    pub(super) fn abandon(self) {
        let _scope = Scope::enter();
        match self.driver.orphan(self.key) {
            // The completion will find it.
            Some(Orphaned::InFlight(waiter)) => drop(waiter),
            Some(Orphaned::Waiting(index, waiter)) => {
                drop(waiter);
                self.leave_queue(index);
                drop(self.take());
            }
            // The drop of a buffer is foreign code, and the last act.
            Some(Orphaned::Complete(cqe)) => self.take().abandon(cqe),
            None => {}
        }
    }
}

impl<T: Multishot> Stored<T> {
    /// The operation in its cell.
    #[inline]
    pub(super) fn get(&self) -> &T {
        // SAFETY: a `T` lies there while there is a `Stored`. By the contract of `Multishot` the kernel writes to nothing
        // inside; a `&mut` to it is made when it goes to the kernel only, for which nobody calls while this is borrowed.
        unsafe { &*storage::address::<T>(self.key.payload()) }
    }

    /// The next completion, if there is one.
    pub(super) fn pop_queued(&self) -> Option<Completion> {
        self.driver.pop_queued(self.key)
    }

    /// The next completion; leaves a waker if there is none.
    pub(super) fn poll_queued(&self, cx: &Context<'_>) -> Poll<Completion> {
        poll_queued(&self.driver, self.key, cx)
    }

    /// The stream of the operation is gone. From here on completions go to `abandon_next` as they come; first those that
    /// came before.
    pub(super) fn abandon_stream(self) {
        let _scope = Scope::enter();
        let (waiter, complete) = match self.driver.orphan(self.key) {
            Some(Orphaned::Waiting(index, waiter)) => {
                drop(waiter);
                self.leave_queue(index);
                drop(self.take());
                return;
            }
            Some(Orphaned::InFlight(waiter)) => (waiter, false),
            Some(Orphaned::Complete(_)) => (None, true),
            None => (None, false),
        };
        // No foreign code runs within the scope, in which a runtime could end and take the operation out.
        while let Some(cqe) = self.pop_queued() {
            self.get().abandon_next(cqe);
        }
        if complete {
            // The final completion has come, and was taken here or by a poll that panicked.
            let op = self.take();
            op.end();
            // The drop of a buffer is foreign code, and nothing but the waiter's comes after it.
            foreign::guarded(|| drop(op));
        }
        drop(waiter);
    }
}

/// [`Stored::watch`].
#[inline]
fn watch(driver: &Rc<Driver>, key: Key<WakeRef>, waiter: WakeRef) -> bool {
    match driver.set_waiter(key, waiter) {
        Ok(before) => {
            context::attend(driver);
            drop(before);
            true
        }
        Err(_) => false,
    }
}

/// [`Stored::poll_queued`], of an operation whose type the caller does not know.
pub(super) fn poll_queued(
    driver: &Rc<Driver>,
    key: Key<WakeRef>,
    cx: &Context<'_>,
) -> Poll<Completion> {
    loop {
        if let Some(cqe) = driver.pop_queued(key) {
            return Poll::Ready(cqe);
        }
        let progress = driver.progress(key, |waiter| waiter.will_wake(cx.waker()));
        context::attend(driver);
        // Foreign code, in which a completion may come: that is noticed when the waker is left.
        if matches!(progress, Progress::Waits) || watch(driver, key, WakeRef::new(cx.waker())) {
            return Poll::Pending;
        }
    }
}
