//! The bound on an operation's time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::driver::TimerKey;
use crate::op::context::Driver;
use crate::task::WakeRef;

/// The bound on an operation's time: one of the runtime's timers, and a cancel when it fires.
pub(super) enum Deadline {
    After(Duration),
    Armed {
        driver: Rc<Driver>,
        timer: TimerKey,
        /// Whether the cancel has been sent.
        expired: bool,
    },
}

impl Deadline {
    /// Starts the timer for `driver`, which turns now, or moves it there, and to the task that polls.
    pub(super) fn arm(&mut self, driver: &Rc<Driver>, waiter: Option<&WakeRef>) {
        let deadline = match self {
            Deadline::After(timeout) => {
                let now = Instant::now();
                now.checked_add(*timeout).unwrap_or_else(|| far_future(now))
            }
            Deadline::Armed {
                driver: before,
                timer,
                ..
            } => {
                let Some(deadline) = before.timer_deadline(*timer) else {
                    return; // It has fired.
                };
                if Rc::ptr_eq(before, driver) {
                    if let Some(waiter) = waiter {
                        drop(driver.poll_timer(*timer, waiter.clone()));
                    }
                    return;
                }
                // The loop of the other runtime does not run.
                drop(before.remove_timer(*timer));
                deadline
            }
        };
        *self = Deadline::Armed {
            driver: Rc::clone(driver),
            timer: driver.add_timer(deadline, waiter.cloned()),
            expired: false,
        };
    }

    /// Whether the timer has fired.
    #[inline]
    pub(super) fn has_passed(&self) -> bool {
        match self {
            Deadline::Armed { driver, timer, .. } => driver.timer_has_fired(*timer),
            _ => false,
        }
    }

    /// True once: when the timer is first seen to have fired.
    #[inline]
    pub(super) fn expire(&mut self) -> bool {
        let passed = self.has_passed();
        match self {
            Deadline::Armed { expired, .. } if passed => !std::mem::replace(expired, true),
            _ => false,
        }
    }

    pub(super) fn is_expired(&self) -> bool {
        matches!(self, Deadline::Armed { expired: true, .. })
    }
}

impl Drop for Deadline {
    #[inline]
    fn drop(&mut self) {
        if let Deadline::Armed { driver, timer, .. } = self {
            drop(driver.remove_timer(*timer));
        }
    }
}

/// A deadline for timeouts beyond what an `Instant` can name.
fn far_future(now: Instant) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(THIRTY_YEARS).unwrap_or(now)
}
