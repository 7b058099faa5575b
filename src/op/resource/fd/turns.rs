//! Turns: operations of one descriptor that go to the kernel one after the other.
//!
//! Reads of a stream take turns, and so do writes. One that finds the turn taken waits in its cell, in the descriptor's
//! queue, and goes to the kernel as soon as the one before has been answered: neither future has to be polled for that, and
//! only one operation is touched, however many wait. What was dropped in flight keeps its turn until the kernel is done.

use std::ptr::NonNull;
use std::rc::Rc;

use super::queues::{Side, Waiting};
use super::shared::{Inner, SharedFd};
use crate::driver::{Event, FileRef, InFlightOp, Key};
use crate::op::context::{self, Driver};
use crate::task::WakeRef;

impl SharedFd {
    /// Whether an operation of this side would go to the kernel at once.
    #[inline]
    pub(in crate::op) fn is_free(&self, side: Side) -> bool {
        !self.0.turn(side).get()
    }

    /// Takes the turn if it is free, and says whether it was.
    #[inline]
    pub(in crate::op) fn try_turn(&self, side: Side) -> bool {
        !self.0.turn(side).replace(true)
    }

    /// Queues an operation that has found the turn taken; returns its index there.
    #[cold]
    pub(in crate::op) fn queue(&self, side: Side, driver: &Rc<Driver>, key: Key<WakeRef>) -> u32 {
        // Whoever has the turn may be in a ring that nobody turns, and be dropped or never be polled again.
        for holder in context::elsewhere() {
            if holder.has_turn(self.file_ref(), Side::tag(Some(side))) {
                context::attend(&holder);
            }
        }
        let driver = Rc::downgrade(driver);
        self.with_rare(|rare| rare.queues.of(side).push(Waiting { driver, key }))
    }

    /// An operation that waits is no more wanted.
    #[cold]
    pub(in crate::op) fn leave_queue(&self, side: Side, index: u32) {
        self.with_rare(|rare| rare.queues.of(side).remove(index));
    }

    /// Gives the turn to the next that waits.
    #[inline]
    pub(in crate::op) fn end_turn(&self, side: Side) {
        self.0.end_turn(side, 0);
    }

    /// An operation on the descriptor goes to the kernel.
    #[inline]
    pub(in crate::op) fn enter_kernel(&self, user_data: u64) {
        self.0.in_kernel.set(self.0.in_kernel.get() + 1);
        self.0.last.set(user_data);
    }

    /// What the driver knows the descriptor by. Valid while a `SharedFd` of it is held.
    #[inline]
    pub(in crate::op) fn file_ref(&self) -> FileRef {
        NonNull::from(&*self.0).cast()
    }

    /// The kernel has answered an operation on the descriptor, which had this turn.
    pub(in crate::op) fn left_kernel(&self, turn: u8, result: i32) {
        self.0.left_kernel(turn, result);
    }
}

impl Inner {
    /// Ends a turn, of which the kernel has said `result`.
    #[inline]
    fn end_turn(&self, side: Side, result: i32) {
        if self.rare.borrow().is_some() {
            self.pass_turn(side, result);
        } else {
            self.turn(side).set(false);
        }
    }

    /// Gives the turn to the first that waits and wants the kernel.
    #[cold]
    fn pass_turn(&self, side: Side, result: i32) {
        if side == Side::Read {
            self.end_at_cursor(result);
        }
        loop {
            let next = self
                .rare
                .borrow_mut()
                .as_mut()
                .and_then(|rare| rare.queues.of(side).pop());
            let Some(next) = next else {
                self.turn(side).set(false);
                return;
            };
            // It is held by the operation's future, or for ever by one that was forgotten.
            let driver = next.driver.upgrade();
            if let Some(driver) = driver.filter(|driver| driver.admit(next.key)) {
                context::attend(&driver);
                return;
            }
        }
    }

    /// The kernel has answered an operation on the descriptor, which had this turn.
    #[inline]
    fn left_kernel(&self, turn: u8, result: i32) {
        self.in_kernel.set(self.in_kernel.get() - 1);
        if let Some(side) = Side::from_tag(turn) {
            self.end_turn(side, result);
        }
        if self.closing.get() {
            self.wake_closer();
        }
    }
}

/// Acts on what a driver has given out: on an answer the turn goes on, a close looks again, and who waits is woken. Called next
/// by whoever turns a driver. Runs no foreign code within a scope.
#[inline(always)]
pub(crate) fn handle(driver: &Driver, event: Event<WakeRef>) {
    match event {
        Event::Answered(answer) => {
            if let Some(file) = answer.file {
                // SAFETY: the operation in its cell holds a count. Its future takes that out in a poll or a drop only, of
                // which there was none since the driver has given this out.
                unsafe { file.cast::<Inner>().as_ref() }.left_kernel(answer.turn, answer.result);
            }
            if let Some(waiter) = answer.waiter {
                waiter.wake();
            }
        }
        Event::Abandoned(orphan) => orphan.run(driver),
        Event::Partial(part) => part.resume(driver),
        Event::Handled => {}
    }
}

/// The ring of `driver` is gone: what it has not given back keeps no turn, and no close waiting.
pub(crate) fn lose(driver: &Driver) {
    context::dismiss_guests(driver);
    for (file, turn) in driver.lose_files() {
        // SAFETY: the operation in the driver's cell holds a count, and is never taken out again.
        unsafe { file.cast::<Inner>().as_ref() }.left_kernel(turn, 0);
    }
}

/// All that is in flight, for people.
pub(crate) fn in_flight(driver: &Driver) -> Vec<InFlightOp> {
    driver.operations(
        |waiter| {
            let name = waiter.task_name().map(|name| name.to_string());
            waiter.task_id().map(|id| (id.as_u64(), name))
        },
        // SAFETY: the operation in its cell holds a count.
        |file| unsafe { file.cast::<Inner>().as_ref() }.raw,
    )
}
