//! Wakers that are none of a runtime's own.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use saferring::runtime::Runtime;

use super::world::Wanted;

/// A waker that the runtime does not know.
#[derive(Default)]
pub(crate) struct Flag(pub(crate) AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A waker that panics.
pub(crate) struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        if !std::thread::panicking() {
            resume_unwind(Box::new(Wanted));
        }
    }
}

thread_local! {
    /// The runtimes of the program.
    static RUNTIMES: RefCell<Vec<Weak<Runtime>>> = const { RefCell::new(Vec::new()) };
}

/// [`Turns`] turns this one as well.
pub(crate) fn turn_by_wakers(runtime: &Rc<Runtime>) {
    RUNTIMES.with_borrow_mut(|runtimes| runtimes.push(Rc::downgrade(runtime)));
}

/// A waker that turns all runtimes, where it may: outside of them.
pub(crate) struct Turns;

impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        let runtimes = RUNTIMES.with_borrow(Clone::clone);
        for runtime in runtimes.iter().filter_map(Weak::upgrade) {
            // Inside one it panics.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    for _ in 0..3 {
                        let _ = saferring::op::nop().await;
                    }
                })
            }));
        }
    }
}
