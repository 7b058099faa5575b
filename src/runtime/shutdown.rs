//! The end of a runtime: nothing that the kernel may still touch is freed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::context;
use super::event_loop::{Core, dispatch};
use crate::driver::InFlightOp;
use crate::foreign::{self, Scope};
use crate::op;

/// How long a cancel may go unanswered before it is sent again: operations may have been submitted since.
const CANCEL_INTERVAL: Duration = Duration::from_millis(50);
/// How often the kernel is asked even without time: once to cancel, once for what that has left to be done, once more.
const TURNS_MIN: u32 = 3;

impl Core {
    /// Drops all tasks while the driver still lives, cancels everything, and drains until nothing is in flight or
    /// the grace period is over. Returns what is left, which stays where it is for good: closing the ring does not
    /// make the kernel let go of memory.
    pub(super) fn shut_down(self: &Rc<Self>, grace: Duration) -> Vec<InFlightOp> {
        if self.driver.ring_info().is_none() {
            return Vec::new();
        }
        let started = Instant::now();
        self.executor.pulse().turns();
        // Foreign code runs when all is over, or between two ticks.
        let _scope = Scope::enter();
        let entered = context::replace(self);
        self.executor.shutdown();
        self.driver.cancel_all();
        let mut turns = 0;
        while self.driver.has_in_flight() {
            let left = grace.saturating_sub(started.elapsed());
            // However little time there is, what can end at once does: an accept that was cancelled brings no
            // connection any more, and one that it has brought is closed.
            if left.is_zero() && turns >= TURNS_MIN {
                break;
            }
            turns += 1;
            self.executor.pulse().is_away();
            let entered = self
                .driver
                .turn_for(!left.is_zero(), left.min(CANCEL_INTERVAL));
            self.executor.pulse().turns();
            if entered.is_err() {
                break;
            }
            if dispatch(&self.driver) == 0 {
                self.driver.cancel_all();
            }
            foreign::run();
        }
        // What the last completions made runnable belongs to no task any more.
        let left = self.in_flight();
        drop(entered);
        self.notifier.silence();
        self.driver.close();
        op::lose(&self.driver);
        self.executor.pulse().is_away();
        for pool in [&self.blocking, &self.own_blocking] {
            pool.close(grace.saturating_sub(started.elapsed()));
        }
        left
    }
}
