//! Which runtime the calling thread is in.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::event_loop::Core;
use super::metrics::Metrics;
use crate::driver::InFlightOp;
use crate::op::{self, Driver, FixedBufPool};
use crate::task;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// Holds a runtime as the thread's current one, for tasks, operations and this module.
pub(super) struct Entered<'a> {
    before: Option<Rc<Core>>,
    _driver: op::Entered<'a>,
    _executor: task::Entered<'a>,
}

/// For what blocks the thread; `cure` is what to do instead.
///
/// # Panics
///
/// If the thread is in a runtime, whose other tasks it would hold up.
#[track_caller]
pub(crate) fn refuse_to_block(what: &str, cure: &str) {
    assert!(
        current().is_none(),
        "{what} was called in a runtime, which it would stop: {cure}"
    );
}

/// Enters the runtime to run it.
///
/// # Panics
///
/// If the thread is in a runtime already.
pub(super) fn enter(core: &Rc<Core>) -> Entered<'_> {
    // At the thread's end there may be no place for the runtime any more, but there is one for its driver.
    assert!(
        current().is_none() && op::current().is_none(),
        "a saferring runtime is running on this thread already: await the future instead of calling block_on, or call \
         it on another thread (spawn_blocking)"
    );
    replace(core)
}

/// Enters the runtime to shut it down, possibly from inside another.
pub(super) fn replace(core: &Rc<Core>) -> Entered<'_> {
    Entered {
        before: set_current(Some(Rc::clone(core))),
        _driver: op::enter(&core.driver),
        _executor: core.executor.enter(),
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // The borrow ends before the runtime that was current may be dropped.
        let left = set_current(self.before.take());
        drop(left);
    }
}

/// Sets the current runtime and returns the one before. A runtime that lives in a thread local is dropped at the
/// thread's end, perhaps after this place is gone; it can shut down without.
fn set_current(core: Option<Rc<Core>>) -> Option<Rc<Core>> {
    CURRENT
        .try_with(|current| current.replace(core))
        .ok()
        .flatten()
}

/// The current runtime, if the thread is in one.
pub(super) fn current() -> Option<Rc<Core>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// The current runtime.
///
/// # Panics
///
/// Outside a runtime.
#[track_caller]
pub(super) fn current_or_panic(what: &str) -> Rc<Core> {
    match current() {
        Some(core) => core,
        None => panic!(
            "{what} was called outside a saferring runtime: call it inside Runtime::block_on, a spawned task or \
             #[saferring::main]"
        ),
    }
}

/// Gives the current runtime's driver to `f`.
///
/// # Panics
///
/// Outside a runtime.
#[track_caller]
pub(crate) fn with_driver<R>(what: &str, f: impl FnOnce(&Rc<Driver>) -> R) -> R {
    match op::current() {
        Some(driver) => f(&driver),
        None => panic!(
            "{what} was used outside a saferring runtime: call it inside Runtime::block_on, a spawned task or \
             #[saferring::main]"
        ),
    }
}

/// What the current runtime has counted.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// saferring::op::nop().await.unwrap();
/// assert!(saferring::runtime::metrics().completions >= 1);
/// # });
/// ```
#[track_caller]
pub fn metrics() -> Metrics {
    current_or_panic("runtime::metrics").metrics()
}

/// Every operation of the current runtime that the kernel has and has not finished: what is it waiting for?
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// for operation in saferring::runtime::in_flight() {
///     println!("{operation}"); // accept fd 5, 1200 ms, task 3
/// }
/// # });
/// ```
#[track_caller]
pub fn in_flight() -> Vec<InFlightOp> {
    current_or_panic("runtime::in_flight").in_flight()
}

/// The current runtime's pool of registered buffers: the one that [`File::read_stream`](crate::fs::File::read_stream)
/// takes from. It is made when it is first asked for, as [`Builder::fixed_buffers`](super::Builder::fixed_buffers)
/// says; where its memory cannot be registered, its buffers are ordinary ones ([`FixedBufPool::is_registered`]).
///
/// # Errors
///
/// `OutOfMemory`; `InvalidInput` if the builder was told a size that cannot be.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::fs::File;
///
/// let pool = saferring::runtime::fixed_buffers()?;
/// let file = File::open("Cargo.toml").await?;
/// let (n, buf) = file.read_at(pool.take().await, 0).await;
/// assert_eq!(n?, buf.len());
/// # Ok(())
/// # })
/// # }
/// ```
#[track_caller]
pub fn fixed_buffers() -> io::Result<FixedBufPool> {
    let core = current_or_panic("runtime::fixed_buffers");
    if let Some(pool) = core.fixed.get() {
        return Ok(pool.clone());
    }
    let (size, buffers) = core.fixed_config;
    let pool = FixedBufPool::registered_if_possible(buffers, size)?;
    Ok(core.fixed.get_or_init(|| pool).clone())
}
