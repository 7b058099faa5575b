//! What is left of the drivers of the whole process, for tests that end by looking whether anything is.

use std::sync::atomic::{AtomicUsize, Ordering};

static DRIVERS: AtomicUsize = AtomicUsize::new(0);
static LOST: AtomicUsize = AtomicUsize::new(0);
static FORGOTTEN: AtomicUsize = AtomicUsize::new(0);

/// What all runtimes of the process have left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accounts {
    /// Drivers alive, each with its table of operations: those of runtimes, and those that a future or a guard keeps.
    pub drivers: usize,
    /// Operations that the kernel had not given back when their ring was closed.
    pub lost: usize,
    /// Other operations that were in the table of a driver when it was dropped: they never are.
    pub forgotten: usize,
}

/// What there is to account for now. A moment later there may be more, or less.
pub fn accounts() -> Accounts {
    Accounts {
        drivers: DRIVERS.load(Ordering::Relaxed),
        lost: LOST.load(Ordering::Relaxed),
        forgotten: FORGOTTEN.load(Ordering::Relaxed),
    }
}

pub(super) fn made() {
    DRIVERS.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn closed(lost: u32) {
    LOST.fetch_add(lost as usize, Ordering::Relaxed);
}

pub(super) fn dropped(forgotten: usize) {
    FORGOTTEN.fetch_add(forgotten, Ordering::Relaxed);
    DRIVERS.fetch_sub(1, Ordering::Relaxed);
}
