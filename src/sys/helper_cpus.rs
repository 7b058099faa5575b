//! Where the threads run that a pinned thread starts for what would block: not on its own CPU, which they would inherit.

use std::cell::Cell;

use rustix::thread::{CpuSet, sched_setaffinity};

thread_local! {
    static CPUS: Cell<Option<CpuSet>> = const { Cell::new(None) };
}

/// Threads of pools that the calling thread starts from now on run on `cpus`.
pub(crate) fn set_helper_cpus(cpus: Option<CpuSet>) {
    let _ = CPUS.try_with(|current| current.set(cpus));
}

/// Where a thread that the calling one starts is to run; `None`: where that runs.
pub(crate) fn helper_cpus() -> Option<CpuSet> {
    CPUS.try_with(Cell::get).ok().flatten()
}

/// Moves the calling thread there.
pub(crate) fn run_on(cpus: Option<CpuSet>) {
    if let Some(cpus) = cpus {
        // A cpuset may have become smaller meanwhile; then it stays where it is.
        let _ = sched_setaffinity(None, &cpus);
    }
}
