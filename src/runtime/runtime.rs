//! `Runtime`: what a program has of a runtime.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::context;
use super::event_loop::Core;
use super::metrics::Metrics;
use crate::driver::InFlightOp;
use crate::foreign::{self, Scope};
use crate::sys::{Features, RingInfo};
use crate::task::JoinHandle;
use crate::warning;

/// A single-threaded runtime: it belongs to the thread that made it.
///
/// Dropping it drops all tasks, cancels what is in flight and waits until the kernel has given everything back, at most
/// [`Builder::shutdown_grace`](super::Builder::shutdown_grace); what the kernel does not give back in that time is
/// leaked, and reported on stderr.
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
    pub(super) core: Rc<Core>,
}

impl Runtime {
    /// Runs `future` to its end, and spawned tasks beside it. Tasks that are not done by then go on in the next call.
    ///
    /// # Panics
    ///
    /// If a runtime is running on this thread already, if `future` panics, or if the kernel breaks the ring.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let core = &*self.core;
        let place = Location::caller();
        // Foreign code runs at one point of each tick; the rest of it after the runtime was left.
        let _scope = Scope::enter();
        let _entered = context::enter(&self.core);
        // After the loop was left, what another one waits by says so, however this ends.
        let _leaves = Leaves(core);
        core.executor.pulse().note_root(place);
        let _running = core.runs();
        core.notifier.waits_by(None);
        let mut future = pin!(future);
        let waker = core.executor.root_waker();
        let mut output = None;
        core.executor.schedule_root();
        loop {
            let more = core.executor.run(core.event_interval, &mut || {
                if output.is_some() {
                    return;
                }
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(waker)) {
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

    /// Spawns a task before or between calls of [`block_on`](Runtime::block_on) or [`run_once`](Runtime::run_once), in which it runs.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let handle = self.core.executor.spawn(future);
        if self.core.rests.get() {
            self.core.raise();
        }
        handle
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

    /// What it can do here, what it uses, and why not more.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = saferring::runtime::Runtime::new()?;
    /// println!("{}", runtime.features());
    /// # assert!(runtime.features().to_string().contains("multishot_recv"));
    /// # Ok::<_, saferring::Error>(())
    /// ```
    pub fn features(&self) -> Features {
        *self.core.driver.features()
    }

    /// How long its end waits.
    pub(crate) fn shutdown_grace(&self) -> Duration {
        self.core.shutdown_grace
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

/// `block_on` is about to end.
struct Leaves<'a>(&'a Core);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.raise();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let left = self.core.shut_down(self.core.shutdown_grace);
        if !left.is_empty() {
            let mut text = format!(
                "the kernel did not give back {} operations within the grace period; their memory is leaked:",
                left.len()
            );
            for operation in &left {
                text += &format!("\nsaferring:   {operation}");
            }
            warning::always(&text);
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
