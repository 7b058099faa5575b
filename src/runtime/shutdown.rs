//! The end of a runtime: nothing that the kernel may still touch is freed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Core, InFlightOp, context};

/// How long a cancel may go unanswered before it is sent again: operations may have been submitted since.
const CANCEL_INTERVAL: Duration = Duration::from_millis(50);

impl Core {
    /// Drops all tasks while the driver still lives, cancels everything, and drains until nothing is in flight or
    /// the grace period is over. Returns what is left, which stays where it is for good: closing the ring does not
    /// make the kernel let go of memory.
    pub(super) fn shut_down(self: &Rc<Self>, grace: Duration) -> Vec<InFlightOp> {
        if self.driver.ring_info().is_none() {
            return Vec::new();
        }
        let started = Instant::now();
        let entered = context::replace(self);
        self.executor.shutdown();
        self.driver.cancel_all(None);
        while self.driver.in_flight().0 > 0 {
            let left = grace.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            if self
                .driver
                .turn_for(true, left.min(CANCEL_INTERVAL))
                .is_err()
            {
                break;
            }
            if self.dispatch() == 0 {
                self.driver.cancel_all(None);
            }
        }
        // What the last completions made runnable belongs to no task any more; what they closed is on its way.
        let left = self.in_flight();
        drop(entered);
        self.bell.silence();
        self.driver.close();
        self.blocking.close(grace.saturating_sub(started.elapsed()));
        left
    }
}
