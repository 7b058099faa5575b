//! Layer 3: the runtime: one thread's executor and driver, and the loop that turns them.
//!
//! # One tick: a round of the loop
//!
//! 1. Run ready tasks, at most [`Builder::event_interval`] polls, so that a busy task cannot keep completions out.
//! 2. Enter the kernel once: submit all that the tasks asked for; if no task is ready, wait for a completion, the next
//!    timer, or a wake from another thread, perhaps after watching for one ([`Builder::spin`]). While tasks are ready and
//!    there is nothing to submit or to collect, the kernel is not entered.
//! 3. Hand each completion to whom it concerns, one by one, with no borrow held.
//! 4. Fire the timers that are over.

mod blocking;
mod builder;
mod context;
mod metrics;
mod park;
mod shutdown;
mod tuning;

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::Error;
pub use crate::driver::InFlightOp;
#[doc(hidden)]
pub use crate::driver::{Accounts, accounts};
use crate::foreign::{self, Scope};
use crate::op::{self, Driver, FixedBufPool, WakeEvent};
use crate::sys::Notifier;
pub use crate::sys::{RingInfo, Setup};
use crate::task::{Executor, JoinHandle, Unpark};
use blocking::BlockingPool;
pub use blocking::spawn_blocking;
pub(crate) use blocking::{spawn_apart, spawn_own};
pub use builder::{Backend, Builder};
pub(crate) use context::with_driver;
pub use context::{fixed_buffers, in_flight, metrics};
pub use metrics::Metrics;
use park::Spin;

/// A single-threaded runtime: it belongs to the thread that made it.
///
/// Dropping it drops all tasks, cancels what is in flight and waits until the kernel has given everything back, at
/// most [`Builder::shutdown_grace`]; what the kernel does not give back in that time is leaked, and reported on stderr.
///
/// # Examples
///
/// ```
/// use saferring::runtime::Runtime;
///
/// let runtime = Runtime::new()?;
/// let answer = runtime.block_on(async { 42 });
/// assert_eq!(answer, 42);
/// # Ok::<_, saferring::Error>(())
/// ```
pub struct Runtime {
    core: Rc<Core>,
}

/// How often the rings of other runtimes are looked at, of which something is awaited here.
const GUEST_INTERVAL: Duration = Duration::from_millis(1);

/// What a runtime consists of.
struct Core {
    executor: Executor,
    driver: Rc<Driver>,
    blocking: Arc<BlockingPool>,
    /// For work of the runtime's own, so that users' jobs cannot keep it waiting.
    own_blocking: Arc<BlockingPool>,
    /// How much of that was done on this thread, for want of others.
    run_here: Cell<u64>,
    /// Other threads ring it to end our wait.
    notifier: Arc<Notifier>,
    /// Whether the read of the notifier's eventfd is in flight.
    event_armed: Rc<Cell<bool>>,
    event_interval: u32,
    spin: Spin,
    shutdown_grace: Duration,
    ticks: Cell<u64>,
    /// The pool of registered buffers, once it was asked for; the size of its buffers, and how many it gets.
    fixed: OnceCell<FixedBufPool>,
    fixed_config: (usize, u32),
}

/// Ends the wait in the kernel of the runtime that owns the notifier.
struct Unparker(Arc<Notifier>);

impl Unpark for Unparker {
    fn unpark(&self) {
        self.0.notify();
    }
}

impl Runtime {
    /// A runtime with the defaults of [`Builder`].
    ///
    /// # Errors
    ///
    /// If io_uring cannot be had; the error says why, and what to do.
    pub fn new() -> Result<Self, Error> {
        Builder::new().build()
    }

    /// Runs `future` to its end, and spawned tasks beside it. Tasks that are not done by then go on in the next call.
    ///
    /// # Panics
    ///
    /// If a runtime is running on this thread already, if `future` panics, or if the kernel breaks the ring.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let core = &*self.core;
        // Foreign code runs at one point of each tick; the rest of it after the runtime was left.
        let _scope = Scope::enter();
        let _entered = context::enter(&self.core);
        let mut future = pin!(future);
        let waker = core.executor.root_waker();
        let mut output = None;
        core.executor.schedule_root();
        loop {
            let more = core.executor.run(core.event_interval, &mut || {
                if output.is_none()
                    && let Poll::Ready(value) =
                        future.as_mut().poll(&mut Context::from_waker(waker))
                {
                    output = Some(value);
                }
            });
            if let Some(output) = output {
                return output;
            }
            // What tasks have deferred is done in this tick, so it does not wait in the kernel.
            core.tick(more || foreign::is_pending());
        }
    }

    /// Spawns a task before or between calls of [`block_on`](Runtime::block_on), in which it runs.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        self.core.executor.spawn(future)
    }

    /// What the runtime has counted.
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }

    /// Every operation that the kernel has and has not finished.
    pub fn in_flight(&self) -> Vec<InFlightOp> {
        self.core.in_flight()
    }

    /// The ring's size and flags: what was obtained, not what was asked for.
    pub fn ring_info(&self) -> Option<RingInfo> {
        self.core.driver.ring_info()
    }

    /// Shuts down as drop does, with a grace period of its own.
    ///
    /// # Errors
    ///
    /// The operations that the kernel did not give back in time. Their memory is leaked, because the kernel may still
    /// write to it.
    pub fn shutdown_timeout(self, grace: Duration) -> Result<(), Vec<InFlightOp>> {
        let left = self.core.shut_down(grace);
        if left.is_empty() { Ok(()) } else { Err(left) }
    }
}

impl Core {
    /// Everything but running tasks; see the module's documentation. `more`: tasks are ready.
    #[inline(always)]
    fn tick(&self, more: bool) {
        self.ticks.set(self.ticks.get() + 1);
        let entered = if more {
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
            self.driver.turn(false)
        };
        if let Err(error) = entered {
            panic!("io_uring_enter failed, and the ring cannot be used any more: {error}");
        }
        dispatch(&self.driver);
        if op::has_guests() {
            self.serve_guests();
        }
        if self.driver.has_timers() {
            self.fire_timers();
        }
        foreign::run();
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
        self.spin.watch(deadline, || {
            submit() && (self.driver.has_completions() || self.executor.has_woken())
        })
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

    fn in_flight(&self) -> Vec<InFlightOp> {
        op::operations(&self.driver)
    }
}

/// Acts on every completion that is there; returns how many.
#[inline(never)] // So that all that it calls can be inlined, once.
fn dispatch(driver: &Driver) -> usize {
    let mut count = 0;
    while let Some(event) = driver.next_event() {
        count += 1;
        op::handle(driver, event);
    }
    count
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let left = self.core.shut_down(self.core.shutdown_grace);
        if !left.is_empty() {
            eprintln!(
                "saferring: the kernel did not give back {} operations within the grace period; their memory is leaked:",
                left.len()
            );
            for operation in &left {
                eprintln!("saferring:   {operation}");
            }
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("driver", &self.core.driver)
            .field("metrics", &self.metrics())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}
