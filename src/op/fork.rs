//! A child of fork(2) has no ring.
//!
//! It inherits the descriptor of its parent's ring and none of the ring's memory, and whatever it did there would be done to
//! the parent. So in the child the drivers of the thread lose their rings before anything else runs: as if their runtimes had
//! ended, with all that was in flight left to the parent. Nothing has to be checked on the way of an operation.

use std::rc::Rc;
use std::sync::Once;

use super::context::{self, Driver};
use crate::sys;

/// Makes a new driver known to its thread, and to a child that the thread forks.
pub(crate) fn register(driver: &Rc<Driver>) {
    static WATCHED: Once = Once::new();
    context::add(driver);
    WATCHED.call_once(|| {
        // SAFETY: the handler is a plain function, and stays. A failure (there is no memory) leaves children as they were.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Has functions called before each fork(2), and after it in the parent and in the child, on the thread that forks.
pub(crate) fn at_fork(before: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) {
    // SAFETY: as above.
    unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
}

/// Runs in the child, on its one thread, which is the one that has forked.
extern "C" fn in_child() {
    sys::note_fork();
    for driver in context::take_all() {
        driver.lose_ring();
    }
}
