//! What a runtime consists of, and the tick: one round of its loop.
//!
//! 1. Run ready tasks, at most [`event_interval`](super::Builder::event_interval) polls, so that a busy task cannot
//!    keep completions out. This step is in [`Runtime::block_on`](super::Runtime::block_on), the others are here.
//! 2. Enter the kernel once: submit all that the tasks asked for. If no task is ready, wait for a completion, the next
//!    timer, or a wake from another thread, perhaps after watching for one ([`spin`](super::Builder::spin)). While
//!    tasks are ready and there is nothing to submit or to collect, the kernel is not entered.
//! 3. Hand each completion to whom it concerns, one by one, with no borrow held.
//! 4. Fire the timers that are over.

use std::cell::{Cell, OnceCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inbox::Inbox;
use super::park::Spin;
use super::watchdog::Watched;
use crate::driver::InFlightOp;
use crate::foreign;
use crate::op::{self, Driver, FixedBufPool, WakeEvent};
use crate::sys::{Closure, Notifier, Readiness, ThreadPool};
use crate::task::{Executor, Pulse};

/// How often the rings of other runtimes are looked at, of which something is awaited here.
const GUEST_INTERVAL: Duration = Duration::from_millis(1);

/// What a runtime consists of.
pub(super) struct Core {
    pub(super) executor: Executor,
    pub(super) driver: Rc<Driver>,
    pub(super) blocking: Arc<ThreadPool<Closure>>,
    /// For work of the runtime's own, so that users' jobs cannot keep it waiting.
    pub(super) own_blocking: Arc<ThreadPool<Closure>>,
    /// How much of that was done on this thread, for want of others.
    pub(super) run_here: Cell<u64>,
    /// By it other threads end our wait.
    pub(super) notifier: Arc<Notifier>,
    /// Whether the read of the notifier's eventfd is in flight.
    pub(super) event_armed: Rc<Cell<bool>>,
    pub(super) event_interval: u32,
    pub(super) spin: Spin,
    pub(super) shutdown_grace: Duration,
    pub(super) ticks: Cell<u64>,
    /// Has it watched.
    pub(super) _watched: Option<Watched>,
    /// The pool of registered buffers, once it was asked for; the size of its buffers, and how many it gets.
    pub(super) fixed: OnceCell<FixedBufPool>,
    pub(super) fixed_config: (usize, u32),
    /// What comes from other threads, once it was asked for.
    pub(super) inbox: OnceCell<Arc<Inbox>>,
    /// Tasks that are the runtime's own.
    pub(super) own_tasks: Cell<usize>,
    /// What another loop waits by, once it was asked for.
    pub(super) readiness: OnceCell<Readiness>,
    /// That loop was told that there is nothing to do, and will hear of what comes; nothing was done on this thread since, of
    /// which it was told otherwise.
    pub(super) rests: Cell<bool>,
}

/// A loop runs, for whoever watches it.
pub(super) struct Running<'a>(&'a Pulse);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.is_away();
    }
}

impl Core {
    /// The loop begins, and goes on until the guard is dropped.
    pub(super) fn runs(&self) -> Running<'_> {
        let pulse = self.executor.pulse();
        pulse.turns();
        Running(pulse)
    }

    /// Everything but running tasks. `more`: tasks are ready.
    #[inline(always)]
    pub(super) fn tick(&self, more: bool) {
        self.ticks.set(self.ticks.get() + 1);
        let entered = if more {
            self.executor.pulse().turns();
            if self.driver.wants_enter() {
                self.driver.turn(false)
            } else {
                Ok(())
            }
        } else if self.spin.is_on() && self.watch() {
            self.driver.turn(false)
        } else if self.executor.prepare_park() {
            self.arm_event();
            let began = self.spin.sleep_begins();
            let entered = if op::has_guests() && !op::guests(&self.driver).is_empty() {
                self.driver.turn_for(true, GUEST_INTERVAL)
            } else {
                self.driver.turn(true)
            };
            self.spin.sleep_ends(began);
            self.executor.unparked();
            entered
        } else {
            self.executor.pulse().turns();
            self.driver.turn(false)
        };
        self.take_in(entered);
    }

    /// Acts on what has come, after the ring was `entered`.
    #[inline(always)]
    fn take_in(&self, entered: io::Result<()>) {
        usable(entered);
        dispatch(&self.driver);
        if op::has_guests() {
            self.serve_guests();
        }
        if self.driver.has_timers() {
            self.fire_timers();
        }
        foreign::run();
    }

    /// A tick that never waits, for another loop that does. False: there is nothing to do until the descriptor becomes readable
    /// or [`due`](Self::due) comes.
    ///
    /// From `prepare_park` on a wake from another thread raises the descriptor. Then it is lowered, and last the ring is looked
    /// at: what came before shows there, and what comes later raises it again.
    pub(super) fn tick_outside(&self) -> bool {
        self.ticks.set(self.ticks.get() + 1);
        self.rests.set(false);
        self.notifier.waits_by(self.readiness.get());
        self.take_in(self.driver.look());
        let more = self.executor.run(self.event_interval, &mut || {});
        self.take_in(self.driver.flush());
        if more || foreign::is_pending() || !self.executor.prepare_park() {
            return true;
        }
        if let Some(readiness) = self.readiness.get() {
            readiness.lower();
        }
        let rests = usable(self.driver.rests());
        self.rests.set(rests);
        !rests
    }

    /// When the next tick is due, if nothing comes before.
    pub(super) fn due(&self) -> Option<Instant> {
        let executor = &self.executor;
        let is_idle = self.rests.get() && !executor.has_queued() && !executor.has_woken();
        if !is_idle || self.driver.has_unsubmitted() {
            return Some(Instant::now());
        }
        let guests = op::has_guests() && !op::guests(&self.driver).is_empty();
        let guests = guests.then(|| Instant::now() + GUEST_INTERVAL);
        [self.driver.due(), guests].into_iter().flatten().min()
    }

    /// Tells another loop that there is something to do, which has come up on this thread.
    #[cold]
    pub(super) fn raise(&self) {
        self.rests.set(false);
        if let Some(readiness) = self.readiness.get() {
            readiness.raise();
        }
    }

    /// Turns the rings of other runtimes of which something is awaited here: their own loops do not run meanwhile.
    #[cold]
    fn serve_guests(&self) {
        for guest in op::guests(&self.driver) {
            // A ring that is lost is told of by its own loop.
            if guest.turn(false).is_ok() {
                dispatch(&guest);
            }
        }
    }

    /// Watches the ring and the inbox for a while, with everything submitted; says whether something came.
    #[cold]
    fn watch(&self) -> bool {
        let submit = || !self.driver.wants_enter() || self.driver.turn(false).is_ok();
        let deadline = self.driver.next_deadline();
        self.executor.pulse().is_away();
        let found = self.spin.watch(deadline, || {
            submit() && (self.driver.has_completions() || self.executor.has_woken())
        });
        self.executor.pulse().turns();
        found
    }

    fn fire_timers(&self) {
        let now = Instant::now();
        while let Some(waiter) = self.driver.pop_expired(now) {
            waiter.wake();
        }
    }

    /// Keeps a read of the eventfd in flight, where there is one, so that a wake from another thread ends our wait.
    #[inline]
    fn arm_event(&self) {
        if !self.event_armed.get() && self.notifier.event().is_some() {
            let wake = WakeEvent::new(Arc::clone(&self.notifier), Rc::clone(&self.event_armed));
            // Only a full table refuses it, and then there are completions to wait for.
            let _ = op::submit_detached(&self.driver, wake);
        }
    }

    pub(super) fn in_flight(&self) -> Vec<InFlightOp> {
        op::in_flight(&self.driver)
    }
}

/// # Panics
///
/// If the ring is lost.
#[inline(always)]
fn usable<T>(entered: io::Result<T>) -> T {
    match entered {
        Ok(value) => value,
        Err(error) => {
            panic!("io_uring_enter failed, and the ring cannot be used any more: {error}")
        }
    }
}

/// Acts on every completion that is there; returns how many.
#[inline(never)] // So that all that it calls can be inlined, once.
pub(super) fn dispatch(driver: &Driver) -> usize {
    let mut count = 0;
    while let Some(event) = driver.next_event() {
        count += 1;
        op::handle(driver, event);
    }
    count
}
