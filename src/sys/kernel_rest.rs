//! A kernel's ring whose owner waits by a descriptor, and not in io_uring_enter(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::config::Wait;
use super::flags;
use super::kernel_ring::KernelRing;
use super::readiness::Readiness;

impl KernelRing {
    /// What poll(2) finds readable when the ring has something for its owner.
    ///
    /// # Errors
    ///
    /// If no descriptor is free; those of io_uring_register(2).
    pub(super) fn readiness(&self) -> io::Result<Readiness> {
        let readiness = Readiness::of_event()?;
        let fd = readiness.as_fd().as_raw_fd();
        self.ring.submitter().register_eventfd(fd)?;
        Ok(readiness)
    }

    /// Whether work that waits for the owner to enter is not told of in memory.
    fn is_silent(&self) -> bool {
        self.setup_flags & flags::DEFER_TASKRUN != 0 && self.setup_flags & flags::TASKRUN_FLAG == 0
    }

    /// Whether what has come is only to be had by [`enter`](Self::enter), or may be.
    pub(super) fn look(&mut self) -> bool {
        self.is_silent() || self.wants_enter()
    }

    /// Whether there is nothing to do until the descriptor of [`readiness`](Self::readiness) becomes readable, which was
    /// lowered before. Whatever has raised it until then shows here: the kernel publishes a completion, and sets the flag that
    /// tells of work, before it signals the eventfd.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
    pub(super) fn rests(&mut self) -> io::Result<bool> {
        if self.is_silent() {
            self.enter(Wait::No)?;
        }
        // The kernel's thread, if there is one, takes entries by itself.
        let is_taken = self.setup_flags & flags::SQPOLL != 0 || self.unsubmitted() == 0;
        Ok(is_taken && !self.has_completions() && !self.wants_enter())
    }
}
